/** graphile-worker's worker, one process, with an empty task. */
import { run } from "graphile-worker";
import { graphileSettings } from "../limits.ts";
import type { Payload } from "../messages.ts";
import { runWorker } from "../worker.ts";
import { connectionString, settingsVariable, silentLogger, taskName } from "./environment.ts";

export interface GraphileSettings {
  readonly concurrency: number;
  readonly poolConnections: number;
  readonly localQueueTasks: number;
  readonly completeBatchDelayMs: number;
  /** Wait this long for more, on average, after a fetch that did not fill the local queue; undefined: do not. */
  readonly refetchDelayMs?: number;
}

const settings: GraphileSettings = JSON.parse(
  process.env[settingsVariable] ?? JSON.stringify(graphileSettings.drain),
) as GraphileSettings;

runWorker(async (tally) => {
  const { concurrency, poolConnections, localQueueTasks, completeBatchDelayMs, refetchDelayMs } = settings;
  const runner = await run({
    connectionString: connectionString(),
    concurrency,
    maxPoolSize: poolConnections,
    noHandleSignals: true,
    logger: silentLogger,
    taskList: {
      [taskName]: (payload) => {
        tally.first();
        tally.handle(payload as Payload);
        tally.ended(1);
      },
    },
    preset: {
      worker: {
        localQueue: {
          size: localQueueTasks,
          ...(refetchDelayMs === undefined ? {} : { refetchDelay: { durationMs: refetchDelayMs } }),
        },
        completeJobBatchDelay: completeBatchDelayMs,
      },
    },
  });
  runner.promise.catch((error: unknown) => tally.fail(error));
  return { stop: () => runner.stop() };
});
