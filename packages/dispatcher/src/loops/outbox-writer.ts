/**
 * Sends immediate wake-ups from the process that wrote them, the moment they are committed: no look at the outbox, no lock.
 * What arrives while calls are on their way goes together in the next. Nothing here must succeed: whatever is not sent, or
 * sent and not deleted, the outbox loop finds when the rows come due.
 */
import { noRace, type RacePoints } from "@trace/kit";
import {
  wakeupDeleteEveryMs,
  wakeupIdsInHandMax,
  wakeupSendBurst,
  wakeupSendsInFlightMax,
  wakeupSendsPerSecond,
} from "../limits.ts";
import type { WakeupRow } from "../wakeups.ts";
import type { LanePause, Turn } from "./outbox-pause.ts";
import type { Unsent } from "./outbox-unsent.ts";
import { callIdsMax, callsOf, type WakeupCall } from "./outbox-wakeups.ts";

export interface WriterOptions {
  readonly pause: LanePause;
  readonly monotonicMs: () => number;
  readonly race?: RacePoints | undefined;
  /** Throws when the destination is away. */
  send(call: WakeupCall): Promise<Unsent<string>>;
  /** Deletes the rows, or logs that it could not: they are then sent again. Never throws. */
  delete(outboxIds: readonly number[]): Promise<void>;
  /** So many rows are left to the loop. */
  onLeft(rows: number): void;
}

export class WakeupWriter {
  readonly #options: WriterOptions;
  readonly #race: RacePoints;
  #waiting: WakeupRow[] = [];
  #idsWaiting = 0;
  #idsInHand = 0;
  readonly #inHand = new Set<number>();
  readonly #sends = new Set<Promise<void>>();
  #tokens = wakeupSendBurst;
  #tokensAtMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** Sent, not yet deleted. */
  #done: WakeupRow[] = [];
  #deleteTimer: NodeJS.Timeout | undefined;
  #deleting: Promise<void> | undefined;
  #stopped = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#race = options.race ?? noRace;
    this.#tokensAtMs = options.monotonicMs();
  }

  /** Rows that were just committed. Those that do not fit in hand are left to the loop. */
  take(rows: readonly WakeupRow[]): void {
    let left = 0;
    for (const row of rows) {
      const ids = row.task_ids.length;
      if (this.#stopped || this.#idsInHand + ids > wakeupIdsInHandMax) {
        left += 1;
        continue;
      }
      this.#idsInHand += ids;
      this.#idsWaiting += ids;
      this.#inHand.add(row.outbox_id);
      this.#waiting.push(row);
    }
    if (left > 0) this.#options.onLeft(left);
    this.#next();
  }

  /** Rows that need not be said any more: they are only deleted. */
  forget(rows: readonly WakeupRow[]): void {
    if (this.#stopped) return; // The loop of another dispatcher says them: harmless.
    for (const row of rows) {
      this.#inHand.add(row.outbox_id);
      this.#idsInHand += row.task_ids.length;
    }
    this.#done.push(...rows);
    this.#deleteSoon();
  }

  /** The row is waiting or on its way, or sent and not yet deleted. */
  holds(outboxId: number): boolean {
    return this.#inHand.has(outboxId);
  }

  /** Takes no more, and ends what was begun. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#leave();
    while (this.#sends.size > 0) await Promise.all(this.#sends);
    clearTimeout(this.#deleteTimer);
    await this.#deleting;
    await this.#delete();
  }

  /** Starts calls, as long as they are full or not too many a second. */
  #next(): void {
    while (this.#idsWaiting > 0 && this.#sends.size < wakeupSendsInFlightMax) {
      if (this.#idsWaiting < callIdsMax && !this.#takeToken()) return;
      const turn = this.#options.pause.enter();
      if (turn === undefined) {
        this.#leave();
        return;
      }
      const sending = this.#send(this.#takeCall(), turn).finally(() => {
        this.#sends.delete(sending);
        this.#next();
      });
      this.#sends.add(sending);
    }
  }

  /**
   * A lone wake-up goes at once, and so do a few together; many small calls a second would cost more than they bring, so
   * then those that come wait a few milliseconds for each other.
   */
  #takeToken(): boolean {
    const now = this.#options.monotonicMs();
    this.#tokens = Math.min(wakeupSendBurst, this.#tokens + ((now - this.#tokensAtMs) * wakeupSendsPerSecond) / 1_000);
    this.#tokensAtMs = now;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return true;
    }
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.#next();
      },
      Math.ceil(((1 - this.#tokens) * 1_000) / wakeupSendsPerSecond),
    );
    return false;
  }

  #takeCall(): WakeupCall {
    const [first, ...others] = callsOf(this.#waiting);
    if (first === undefined) throw new Error("ids wait and no row does");
    this.#waiting = others.flat();
    for (const row of first) this.#idsWaiting -= row.task_ids.length;
    return first;
  }

  async #send(call: WakeupCall, turn: Turn): Promise<void> {
    try {
      const unsent = await this.#options.send(call);
      turn.passed();
      const paused = this.#race.reach("wakeup:sent");
      if (paused) await paused;
      this.#done.push(...call.filter((row) => unsent.of(row.outbox_id) === undefined));
      // What was refused, or taken in part, is the loop's to judge.
      this.#drop(call.filter((row) => unsent.of(row.outbox_id) !== undefined));
    } catch (error) {
      turn.failed(error);
      this.#drop(call);
      this.#leave();
    }
    this.#deleteSoon();
  }

  /** Together with what is sent meanwhile: each delete is a commit. */
  #deleteSoon(): void {
    if (this.#stopped || this.#done.length === 0) return;
    if (this.#deleteTimer !== undefined || this.#deleting !== undefined) return;
    this.#deleteTimer = setTimeout(() => {
      this.#deleteTimer = undefined;
      this.#deleting = this.#delete().finally(() => {
        this.#deleting = undefined;
        this.#deleteSoon();
      });
    }, wakeupDeleteEveryMs);
  }

  async #delete(): Promise<void> {
    const rows = this.#done.splice(0);
    if (rows.length === 0) return;
    await this.#options.delete(rows.map((row) => row.outbox_id));
    this.#letGo(rows);
  }

  /** What waits is left to the loop. */
  #leave(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const rows = this.#waiting.splice(0);
    this.#idsWaiting = 0;
    this.#drop(rows);
  }

  #drop(rows: readonly WakeupRow[]): void {
    this.#letGo(rows);
    if (rows.length > 0) this.#options.onLeft(rows.length);
  }

  #letGo(rows: readonly WakeupRow[]): void {
    for (const row of rows) {
      this.#inHand.delete(row.outbox_id);
      this.#idsInHand -= row.task_ids.length;
    }
  }
}
