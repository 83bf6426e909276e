/** The worker role: receives wake-ups, claims tasks from the dispatcher, runs trusted operators, completes. */
import type { WorkerConfig } from "./config.ts";
import { closeSessionMs, handBackMs, settleMs, stopBelowMs } from "./limits.ts";
import { Worker, type WorkerDeps } from "./worker.ts";

export { type WorkerConfig, workerConfig } from "./config.ts";
export { Worker, type WorkerDeps } from "./worker.ts";

/** A worker that is not started yet. Runs beside others in one process: it keeps no state of the module. */
export function createWorker(config: WorkerConfig, deps: WorkerDeps): Worker {
  return new Worker(config, deps);
}

/** The longest a clean stop takes, milliseconds: for the supervisor that would kill it, and for `runRole`. */
export function workerStopMsMax(config: Pick<WorkerConfig, "drainMs">): number {
  return config.drainMs + handBackMs + closeSessionMs + settleMs + stopBelowMs;
}
