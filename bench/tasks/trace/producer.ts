/** Our producer: POST /v1/tasks over connections that are kept. */
import { userRoutes } from "@trace/contracts";
import { runProducer } from "../producer.ts";
import { benchJob, caller, traceEnvironment, transportTo } from "./environment.ts";

const { userApi, userToken } = traceEnvironment(process.env);
const createTasks = caller(transportTo(userApi, userToken), userRoutes.createTasks);

runProducer({
  async create(payloads) {
    const items = payloads.map((payload) => ({ ...benchJob, payload: { ...payload } }));
    const answer = await createTasks({ body: { items } });
    const refused = answer.items.find((item) => !item.created);
    if (refused !== undefined) throw new Error(`a task was not created: ${JSON.stringify(refused)}`);
  },
});
