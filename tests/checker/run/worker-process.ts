/** One worker of a run: the real worker with the operators of the run, told what to do by its environment. */
import { createLog, ObjectStore, runRole, type Service } from "@trace/kit";
import { createWorker, type WorkerDeps, workerConfig, workerStopMsMax } from "@trace/worker";
import { operators } from "./operators.ts";

/** Of the logs of attempts, one in this many is stored: each would cost as much as what it tells of. */
const logsKeptOneIn = 50;

type Store = NonNullable<WorkerDeps["objectStore"]>;

/** The real store, but for most of the logs. */
function storeOf(real: ObjectStore, scratchBucket: string): Store {
  let logs = 0;
  return {
    start: () => Promise.resolve(),
    stop: () => real.stop(),
    head: (bucket, key) => real.head(bucket, key),
    stream: (...args) => real.stream(...args),
    startUpload: (options) => real.startUpload(options),
    upload: (options, id) => real.upload(options, id),
    put: (options) => {
      if (options.bucket === scratchBucket) {
        logs += 1;
        if (logs % logsKeptOneIn !== 0) return Promise.resolve("stored");
      }
      return real.put(options);
    },
  };
}

/** No job of a run asks for it, and a process of it would cost more than the run. */
const noDuck: Service & NonNullable<WorkerDeps["duck"]> = {
  start: () => Promise.resolve(),
  stop: () => Promise.resolve(),
  run: () => Promise.reject(new Error("no operator of this run uses DuckDB")),
};

const config = workerConfig(process.env);
const log = createLog({ role: "worker", level: process.env.TRACE_LOG_LEVEL, pretty: false });
const objectStore = storeOf(new ObjectStore(config.s3), config.scratchBucket);
const service = createWorker(config, { log, objectStore, duck: noDuck, operators });
process.exit(await runRole({ log, service, stopMsMax: workerStopMsMax(config) }));
