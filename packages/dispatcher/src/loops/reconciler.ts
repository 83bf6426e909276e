/**
 * The reconciler: speaks again for tasks that have been ready too long, because their wake-ups were lost with a queue, a
 * message or a worker. It makes "losing every queue loses nothing" true without anybody polling hard (invariant 1). It names
 * as many tasks as there are free slots, so it neither floods nor starves; what decides is one statement over state, so any
 * number of dispatchers may run it side by side.
 */
import { type Database, type Log, Loop } from "@trace/kit";
import { reconcileAfterMs, reconcileEveryMs, reconcileQuietMaxMs, reconcileTasksMax } from "../limits.ts";
import { queueNames, tellClaims, wakeForgotten } from "../sql/statements.gen.ts";
import type { WakeupRow } from "../wakeups.ts";

export interface ReconcilerOptions {
  readonly db: Database;
  readonly log: Log;
  /** When a claim last took something from this queue, by the monotonic clock, ms; undefined: never in this process. */
  readonly lastClaimMs: (queueName: string) => number | undefined;
  readonly monotonicMs?: () => number;
  onReady(wakeups: readonly WakeupRow[]): void;
}

export class Reconciler extends Loop {
  readonly #options: ReconcilerOptions;
  readonly #nowMs: () => number;
  /** Claims told to the other dispatchers, by queue. */
  readonly #told = new Map<string, number>();
  /** Queues to speak for whatever was claimed or said lately. At the start nobody knows what the queues have lost. */
  #atOnce: Set<string> | "all" = "all";

  constructor(options: ReconcilerOptions) {
    super({ name: "reconciler", everyMs: reconcileEveryMs, log: options.log, pass: () => this.#pass() });
    this.#options = options;
    this.#nowMs = options.monotonicMs ?? (() => performance.now());
  }

  /** The queue lost what it held, or all of them did: what is ready is spoken for without delay. */
  speakNow(queueName?: string): void {
    if (queueName === undefined || this.#atOnce === "all") this.#atOnce = "all";
    else this.#atOnce.add(queueName);
    this.nudge();
  }

  async #pass(): Promise<"again" | "idle"> {
    const atOnce = this.#atOnce;
    this.#atOnce = new Set();
    try {
      const queues = await this.#options.db.query(queueNames, {});
      await this.#tellClaims(queues);
      for (const queue of queues) await this.#speakFor(queue, atOnce === "all" || atOnce.has(queue.name));
    } catch (error) {
      for (const name of atOnce === "all" ? [undefined] : atOnce) this.speakNow(name);
      throw error;
    }
    return "idle";
  }

  async #tellClaims(queues: readonly { queue_id: number; name: string }[]): Promise<void> {
    const news = queues.flatMap(({ queue_id, name }) => {
      const lastMs = this.#options.lastClaimMs(name);
      return lastMs === undefined || lastMs === this.#told.get(name) ? [] : [{ queue_id, name, lastMs }];
    });
    if (news.length === 0) return;
    const now = this.#nowMs();
    await this.#options.db.query(tellClaims, {
      queue_ids: news.map(({ queue_id }) => queue_id),
      ages_ms: news.map(({ lastMs }) => now - lastMs),
    });
    for (const { name, lastMs } of news) this.#told.set(name, lastMs);
  }

  async #speakFor(queue: { queue_id: number; name: string }, atOnce: boolean): Promise<void> {
    const { db, log, onReady } = this.#options;
    const rows = await db.query(wakeForgotten, {
      queue_id: queue.queue_id,
      after_ms: atOnce ? 0 : reconcileAfterMs,
      at_once: atOnce,
      every_ms: reconcileEveryMs,
      quiet_max_ms: reconcileQuietMaxMs,
      tasks_max: reconcileTasksMax,
    });
    if (rows.length === 0) return;
    const tasks = rows.reduce((sum, row) => sum + row.task_ids.length, 0);
    log.info({ queue: queue.name, tasks, atOnce }, "sent wake-ups again for tasks that nobody claimed");
    onReady(rows);
  }
}
