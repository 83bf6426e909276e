/**
 * The real worker role, as `trace worker` runs it, with one thing put in its place: the operator `noop` says when its first
 * line ran. For what a task takes from its creation to the start of its operator, folder and log included.
 */
import { createLog } from "@trace/kit";
import { createWorker, workerConfig } from "@trace/worker";
import type { Payload } from "../messages.ts";
import { runWorker } from "../worker.ts";

const config = workerConfig(process.env);
const log = createLog({ role: "worker", level: "warn" });

runWorker(async (tally) => {
  const worker = createWorker(config, {
    log,
    operators: {
      noop: {
        run: (context) => {
          tally.first();
          tally.handle(context.task.payload as unknown as Payload);
          tally.ended(1);
          return Promise.resolve([]);
        },
      },
    },
  });
  await worker.start();
  return worker;
});
