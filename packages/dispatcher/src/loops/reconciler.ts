/**
 * The reconciler: speaks again for tasks that have been ready too long, because their wake-ups were lost with a queue, a
 * message or a worker. It makes "losing every queue loses nothing" true without anybody polling hard (invariant 1).
 */
import { type Database, type Log, Loop } from "@trace/kit";
import { reconcileAfterMs, reconcileEveryMs, reconcileTasksMax } from "../limits.ts";
import { addWakeup, oldestReady, queueNames } from "../sql/statements.gen.ts";

export interface ReconcilerOptions {
  readonly db: Database;
  readonly log: Log;
  /** When a claim last took something from this queue, by the monotonic clock, ms; undefined: never in this process. */
  readonly lastClaimMs: (queueName: string) => number | undefined;
  onReady(): void;
}

export function createReconciler(options: ReconcilerOptions): Loop {
  const { db, log } = options;
  return new Loop({
    name: "reconciler",
    everyMs: reconcileEveryMs,
    log,
    async pass() {
      for (const queue of await db.query(queueNames, {})) {
        const last = options.lastClaimMs(queue.name);
        // Claims are being made: what is left waits for a slot, not for a message.
        if (last !== undefined && performance.now() - last < reconcileAfterMs) continue;
        const rows = await db.query(oldestReady, {
          queue_id: queue.queue_id,
          older_than_ms: reconcileAfterMs,
          limit: reconcileTasksMax,
        });
        if (rows.length === 0) continue;
        await db.query(addWakeup, { queue_id: queue.queue_id, task_ids: rows.map((row) => row.public_id) });
        log.info({ queue: queue.name, tasks: rows.length }, "sent wake-ups again for tasks that nobody claimed");
        options.onReady();
      }
      return "idle";
    },
  });
}
