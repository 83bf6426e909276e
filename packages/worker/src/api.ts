/** The dispatcher as the worker sees it, and what its errors mean for the one who called. */
import { type Client, TraceError, type taskRoutes, type workerRoutes } from "@trace/contracts";

export type WorkerApi = Client<typeof workerRoutes>;
export type TaskApi = Client<typeof taskRoutes>;

export function isCode(error: unknown, ...codes: readonly string[]): error is TraceError {
  return error instanceof TraceError && codes.includes(error.code);
}

/**
 * True when a call that failed may have taken effect all the same: the answer was lost on the way, or the service broke
 * after it wrote. A refused connection never carried the call.
 */
export function mayHaveTakenEffect(error: unknown): boolean {
  if (isCode(error, "TR-1007")) return (error.cause as { code?: unknown } | undefined)?.code !== "ECONNREFUSED";
  return !(error instanceof TraceError) || isCode(error, "TR-1000", "TR-1009", "TR-1010");
}
