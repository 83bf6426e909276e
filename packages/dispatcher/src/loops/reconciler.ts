/**
 * The reconciler: speaks again for tasks that have been ready too long, because their wake-ups were lost with a queue, a
 * message or a worker. It makes "losing every queue loses nothing" true without anybody polling hard (invariant 1). It is
 * silent while no worker lives, and while the outbox still has wake-ups for the queue.
 */
import { type Database, type Log, Loop } from "@trace/kit";
import { reconcileAfterMs, reconcileEveryMs, reconcileQuietMaxMs, reconcileTasksMax } from "../limits.ts";
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
  /** By queue: how often it was spoken for in vain, and until when it is left alone. */
  const spoken = new Map<string, { times: number; untilMs: number }>();
  return new Loop({
    name: "reconciler",
    everyMs: reconcileEveryMs,
    log,
    async pass() {
      for (const queue of await db.query(queueNames, {})) {
        const last = options.lastClaimMs(queue.name);
        // Claims are being made: what is left waits for a slot, not for a message.
        if (last !== undefined && performance.now() - last < reconcileAfterMs) {
          spoken.delete(queue.name);
          continue;
        }
        const before = spoken.get(queue.name);
        if (before !== undefined && performance.now() < before.untilMs) continue;
        const rows = await db.query(oldestReady, {
          queue_id: queue.queue_id,
          older_than_ms: reconcileAfterMs,
          limit: reconcileTasksMax,
        });
        if (rows.length === 0) {
          spoken.delete(queue.name);
          continue;
        }
        await db.query(addWakeup, { queue_id: queue.queue_id, task_ids: rows.map((row) => row.public_id) });
        // Workers may all be busy for hours: speak ever more rarely, so that messages do not pile up in the queue.
        const times = (before?.times ?? 0) + 1;
        const quietMs = Math.min(reconcileQuietMaxMs, reconcileEveryMs * 2 ** Math.min(times, 30));
        spoken.set(queue.name, { times, untilMs: performance.now() + quietMs });
        log.info({ queue: queue.name, tasks: rows.length }, "sent wake-ups again for tasks that nobody claimed");
        options.onReady();
      }
      return "idle";
    },
  });
}
