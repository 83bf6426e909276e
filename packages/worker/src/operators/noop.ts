/** `noop`: works for a given time and writes nothing. For trying out a deployment, and for tests of everything else. */
import { wait } from "../timers.ts";
import { configOf, type Operator } from "./operator.ts";

/** Progress is reported this often, milliseconds. */
const reportEveryMs = 1_000;

export const noop: Operator = {
  async run(context) {
    const { duration_ms: durationMs } = configOf(context, "noop");
    const { signal } = context;
    // A task of no duration costs nothing but its claim and its completion: no progress to report, no log to store.
    if (durationMs === 0) return [];
    const { timers } = context.services;
    const startedMs = timers.monotonicMs();
    for (;;) {
      signal.throwIfAborted();
      const doneMs = Math.min(durationMs, timers.monotonicMs() - startedMs);
      context.progress({ message: "waiting", done: Math.round(doneMs), total: durationMs, unit: "ms" });
      if (doneMs >= durationMs) break;
      await wait(timers, Math.min(reportEveryMs, durationMs - doneMs), signal);
    }
    context.log.info(`did nothing for ${durationMs} ms`);
    return [];
  },
};
