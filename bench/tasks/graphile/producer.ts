/** graphile-worker's producer: `addJob` for one, `addJobs` for many, over a pool that is large enough for the calls in flight. */
import { makeWorkerUtils } from "graphile-worker";
import { graphileSettings } from "../limits.ts";
import { runProducer } from "../producer.ts";
import { connectionString, silentLogger, taskName } from "./environment.ts";

const utils = await makeWorkerUtils({
  connectionString: connectionString(),
  maxPoolSize: graphileSettings.producerConnections,
  logger: silentLogger,
});
await utils.migrate();

runProducer({
  async create(payloads) {
    const [only] = payloads;
    if (payloads.length === 1 && only !== undefined) await utils.addJob(taskName, only);
    else await utils.addJobs(payloads.map((payload) => ({ identifier: taskName, payload })));
  },
});
