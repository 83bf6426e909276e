/** The dispatcher's metrics, by name. Depths are asked of Postgres at each scrape, counts are kept. */
import type { Database, Metrics } from "@trace/kit";
import { outboxStatus, queueStatus } from "./sql/statements.gen.ts";

export type Meters = ReturnType<typeof createMeters>;

export function createMeters(metrics: Metrics, db: Database, orgId: number) {
  const requests = metrics.histogram("request_seconds", "Time to answer a call", ["route", "status"]);
  const oldest = metrics.gauge("queue_oldest_ready_seconds", "Age of the longest waiting ready task", ["queue"]);
  const leased = metrics.gauge("queue_leased", "Tasks under a lease", ["queue"]);
  metrics.gauge("queue_ready", "Tasks ready to be claimed or due later", ["queue"], async (gauge) => {
    for (const queue of await db.query(queueStatus, { org_id: orgId })) {
      gauge.set({ queue: queue.name }, queue.ready);
      leased.set({ queue: queue.name }, queue.leased);
      oldest.set({ queue: queue.name }, (queue.oldest_ready_ms ?? 0) / 1_000);
    }
  });
  const lag = metrics.gauge("outbox_oldest_seconds", "Age of the oldest row due in the outbox");
  metrics.gauge("outbox_pending", "Rows due in the outbox", [], async (gauge) => {
    const [status] = await db.query(outboxStatus, {});
    gauge.set(status?.pending ?? 0);
    lag.set((status?.oldest_ms ?? 0) / 1_000);
  });
  return {
    attempts: metrics.counter("attempts_total", "Attempts ended by a call, by their state and the task's", [
      "attempt",
      "task",
    ]),
    canceled: metrics.counter("canceled_total", "Tasks canceled by a call"),
    claimed: metrics.counter("claimed_total", "Tasks claimed"),
    expired: metrics.counter("leases_expired_total", "Leases ended by the reaper"),
    lanePaused: metrics.gauge("outbox_paused", "1 while SQS cannot be reached"),
    refused: metrics.counter("completions_refused_total", "Completions refused, by code", ["code"]),
    waited: metrics.histogram(
      "claim_waited_seconds",
      "For each claim, how long the longest waiting task it took had been due",
    ),
    wakeups: metrics.counter("wakeups_sent_total", "Wake-up messages sent"),
    onRequest: ({ route, status, ms }: { route: string; status: number; ms: number }) =>
      requests.observe({ route, status }, ms / 1_000),
  };
}
