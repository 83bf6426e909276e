/** What a worker counts. Names carry the unit; `trace_` and the role are put before them by kit. */
import type { Metrics } from "@trace/kit";

export type WorkerMetrics = ReturnType<typeof workerMetrics>;

/** `slots` and `running` are asked at each scrape. */
export function workerMetrics(metrics: Metrics, state: { slots(): number; running(): number; sessions(): number }) {
  metrics.gauge("worker_slots", "Tasks that may run at once", [], (gauge) => gauge.set(state.slots()));
  metrics.gauge("worker_running", "Attempts that hold a slot", [], (gauge) => gauge.set(state.running()));
  metrics.gauge("worker_session_open", "1 while a session is open", [], (gauge) => gauge.set(state.sessions()));
  return {
    claims: metrics.counter("worker_claims_total", "Claim calls by result", ["result"]),
    claimed: metrics.counter("worker_claimed_tasks_total", "Tasks claimed", ["operator"]),
    completions: metrics.counter("worker_completions_total", "Attempts ended, by result", ["result"]),
    lostLeases: metrics.counter("worker_lost_leases_total", "Attempts aborted because their lease was lost"),
    released: metrics.counter("worker_released_tasks_total", "Tasks handed back before they were started"),
    sessions: metrics.counter("worker_sessions_total", "Sessions by what happened to them", ["event"]),
    beats: metrics.counter("worker_beats_total", "Heartbeats by result", ["result"]),
    wakeups: metrics.counter("worker_wakeups_total", "Wake-up messages by what happened to them", ["event"]),
    receiveErrors: metrics.counter("worker_receive_errors_total", "Failed calls to receive wake-ups"),
    attemptSeconds: metrics.histogram(
      "worker_attempt_seconds",
      "From claim to the end of the attempt",
      ["operator"],
      [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600],
    ),
  };
}
