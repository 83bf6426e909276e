/** The dispatcher's metrics, by name. Depths are asked of Postgres at each scrape, counts are kept. */
import type { Database, Metrics } from "@trace/kit";
import { garbageStatus, outboxLanes, queueStatus } from "./sql/statements.gen.ts";

export type Meters = ReturnType<typeof createMeters>;

export function createMeters(metrics: Metrics, db: Database, orgId: number) {
  const requests = metrics.histogram("request_seconds", "Time to answer a call", ["route", "status"]);
  const oldest = metrics.gauge("queue_oldest_ready_seconds", "Age of the longest waiting ready task", ["queue"]);
  const leased = metrics.gauge("queue_leased", "Tasks under a lease, counted up to 100,000", ["queue"]);
  metrics.gauge(
    "queue_ready",
    "Tasks ready to be claimed or due later, counted up to 100,000",
    ["queue"],
    async (gauge) => {
      for (const queue of await db.query(queueStatus, { org_id: orgId })) {
        gauge.set({ queue: queue.name }, queue.ready);
        leased.set({ queue: queue.name }, queue.leased);
        oldest.set({ queue: queue.name }, (queue.oldest_ready_ms ?? 0) / 1_000);
      }
    },
  );
  const lag = metrics.gauge("outbox_oldest_seconds", "Age of the oldest row due in the outbox", ["lane"]);
  const failed = metrics.gauge(
    "outbox_failed",
    "Rows refused too often, kept for people to look at, counted up to 100,000",
    ["lane"],
  );
  metrics.gauge("outbox_pending", "Rows due in the outbox, counted up to 100,000", ["lane"], async (gauge) => {
    for (const { lane, pending, oldest_ms, failed: given } of await db.query(outboxLanes, {})) {
      gauge.set({ lane }, pending);
      lag.set({ lane }, (oldest_ms ?? 0) / 1_000);
      failed.set({ lane }, given);
    }
  });
  const overdue = metrics.gauge("garbage_overdue_seconds", "Since when the longest waiting object could be deleted");
  metrics.gauge(
    "garbage_waiting",
    "Objects and places that wait to be deleted, counted up to 100,000",
    ["kind"],
    async (gauge) => {
      const [status] = await db.query(garbageStatus, {});
      gauge.set({ kind: "purged" }, status?.files ?? 0);
      gauge.set({ kind: "staging" }, status?.places ?? 0);
      overdue.set({}, Math.max(0, (status?.overdue_ms ?? 0) / 1_000));
    },
  );
  const garbagePaused = metrics.gauge("garbage_paused", "1 while the object store cannot be reached to delete garbage");
  garbagePaused.set({}, 0);
  const lanePaused = metrics.gauge("outbox_paused", "1 while the lane's destination cannot be reached", ["lane"]);
  lanePaused.set({ lane: "sqs" }, 0);
  return {
    attempts: metrics.counter("attempts_total", "Attempts ended by a call, by their state and the task's", [
      "attempt",
      "task",
    ]),
    canceled: metrics.counter("canceled_total", "Tasks canceled by a call"),
    claimed: metrics.counter("claimed_total", "Tasks claimed"),
    expired: metrics.counter("leases_expired_total", "Leases ended by the reaper"),
    events: metrics.counter("events_sent_total", "Events that EventBridge took"),
    garbageBytes: metrics.counter("garbage_deleted_bytes_total", "Bytes of objects deleted as garbage", ["kind"]),
    garbageObjects: metrics.counter("garbage_deleted_objects_total", "Objects deleted as garbage", ["kind"]),
    garbagePaused,
    lanePaused,
    refused: metrics.counter("completions_refused_total", "Completions refused, by code", ["code"]),
    waited: metrics.histogram(
      "claim_waited_seconds",
      "For each claim, how long the longest waiting task it took had been due",
    ),
    wakeups: metrics.counter("wakeups_sent_total", "Wake-up messages sent"),
    wakeupIds: metrics.counter("wakeup_ids_sent_total", "Task ids in the wake-up messages sent"),
    wakeupsSpared: metrics.counter(
      "wakeups_spared_total",
      "Rows that were not sent, because their tasks were claimed first",
    ),
    waitingClaims: (count: () => number) =>
      metrics.gauge("claims_waiting", "Claims that are open and wait for work", [], (gauge) => gauge.set({}, count())),
    wakeupsLeft: metrics.counter(
      "wakeups_left_total",
      "Rows that their writer could not send and left to the outbox loop",
    ),
    onRequest: ({ route, status, ms }: { route: string; status: number; ms: number }) =>
      requests.observe({ route, status }, ms / 1_000),
  };
}
