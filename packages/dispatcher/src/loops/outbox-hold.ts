/**
 * Wake-ups that need not be said. While claims wait for a queue in this process, or were just made, what becomes ready is
 * claimed within milliseconds; a wake-up whose tasks are all claimed by then goes unsent, and of the others only what is left is
 * said. Nothing depends on it: the rows stay in the outbox until they are deleted.
 */
import { wakeupHoldIdsMax, wakeupHoldMs } from "../limits.ts";
import type { WakeupRow } from "../wakeups.ts";

export interface HoldOptions {
  /** What becomes ready in this queue is likely to be claimed at once. */
  isAwaited(queueId: number): boolean;
  /** These are to be said now. */
  say(rows: readonly WakeupRow[]): void;
  /** Of these everything was claimed: they can go unsaid. */
  forget(rows: readonly WakeupRow[]): void;
}

interface Held {
  readonly row: WakeupRow;
  left: number;
}

export class WakeupHold {
  readonly #options: HoldOptions;
  /** By task id. */
  readonly #held = new Map<string, Held>();
  readonly #rows = new Set<number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;

  constructor(options: HoldOptions) {
    this.#options = options;
  }

  /** Rows that were just committed. */
  take(rows: readonly WakeupRow[]): void {
    const { isAwaited, say } = this.#options;
    const held: WakeupRow[] = [];
    const others: WakeupRow[] = [];
    let room = this.#stopped ? 0 : wakeupHoldIdsMax - this.#held.size;
    for (const row of rows) {
      const ids = row.task_ids.length;
      const fits = ids > 0 && ids <= room && isAwaited(row.queue_id);
      (fits ? held : others).push(row);
      if (fits) room -= ids;
    }
    if (others.length > 0) say(others);
    if (held.length === 0) return;
    const entries = held.map((row) => this.#hold(row));
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#sayLeft(entries);
    }, wakeupHoldMs);
    this.#timers.add(timer);
  }

  /** These tasks were claimed here. */
  claimed(taskIds: readonly string[]): void {
    if (this.#held.size === 0) return;
    const over: WakeupRow[] = [];
    for (const taskId of taskIds) {
      const entry = this.#held.get(taskId);
      if (entry === undefined) continue;
      this.#held.delete(taskId);
      entry.left -= 1;
      if (entry.left > 0) continue;
      this.#rows.delete(entry.row.outbox_id);
      over.push(entry.row);
    }
    if (over.length > 0) this.#options.forget(over);
  }

  holds(outboxId: number): boolean {
    return this.#rows.has(outboxId);
  }

  /** What is held is said now. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#sayLeft([...new Set(this.#held.values())]);
  }

  #hold(row: WakeupRow): Held {
    const entry = { row, left: row.task_ids.length };
    for (const taskId of row.task_ids) this.#held.set(taskId, entry);
    this.#rows.add(row.outbox_id);
    return entry;
  }

  #sayLeft(entries: readonly Held[]): void {
    const rows: WakeupRow[] = [];
    const over: WakeupRow[] = [];
    for (const entry of entries) {
      if (entry.left === 0) continue;
      const taskIds = entry.row.task_ids.filter((taskId) => this.#held.get(taskId) === entry);
      for (const taskId of taskIds) this.#held.delete(taskId);
      this.#rows.delete(entry.row.outbox_id);
      // Nothing: a newer row speaks for all of it.
      if (taskIds.length === 0) over.push(entry.row);
      else rows.push({ ...entry.row, task_ids: taskIds });
      entry.left = 0;
    }
    if (over.length > 0) this.#options.forget(over);
    if (rows.length > 0) this.#options.say(rows);
  }
}
