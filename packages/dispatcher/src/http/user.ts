/** Handlers of the user API. Thin: each names the service that does the work. */
import type { userRoutes } from "@trace/contracts";
import type { Handlers } from "@trace/kit";
import type { Actions } from "../actions.ts";
import type { Datasets } from "../datasets.ts";
import type { Deploys } from "../deploys.ts";
import type { Listing } from "../listing.ts";
import type { Logs } from "../logs.ts";
import type { FailedRows } from "../loops/outbox-failed.ts";
import type { Runs } from "../runs.ts";
import type { SystemStatus } from "../system.ts";
import type { Tasks } from "../tasks.ts";
import type { Watching } from "../watching.ts";

export interface UserCaller {
  readonly orgId: number;
  readonly name: string;
}

export interface UserServices {
  readonly actions: Actions;
  readonly datasets: Datasets;
  readonly deploys: Deploys;
  readonly failed: FailedRows;
  readonly listing: Listing;
  readonly logs: Logs;
  readonly runs: Runs;
  readonly system: SystemStatus;
  readonly tasks: Tasks;
  readonly watching: Watching;
}

export function userHandlers(services: UserServices): Handlers<typeof userRoutes, UserCaller> {
  const { actions, datasets, deploys, failed, listing, logs, runs, system, tasks, watching } = services;
  return {
    deploy: ({ body }, caller) => deploys.deploy(caller.orgId, body.file_name, body.source),
    listDags: async (_, caller) => ({ dags: await deploys.list(caller.orgId) }),
    run: ({ params, body }, caller) => runs.start(caller.orgId, params.dag, body.jobs),
    getRun: ({ params }, caller) => runs.get(caller.orgId, params.run_id),
    createTasks: async ({ body }, caller) => ({ items: await tasks.create(caller.orgId, body.items) }),
    cancelTasks: async ({ body }, caller) => ({ items: await actions.cancel(caller, body.task_ids) }),
    retryTasks: async ({ body }, caller) => ({ items: await actions.retry(caller, body.task_ids) }),
    replayTasks: async ({ body }, caller) => ({ items: await actions.replay(caller, body.task_ids) }),
    listTasks: ({ query }, caller) => listing.list(caller.orgId, query),
    getTask: ({ params }, caller) => listing.get(caller.orgId, params.task_id),
    watchTask: ({ params, query }, caller, stream) =>
      watching.watch({ orgId: caller.orgId, taskId: params.task_id, attempt: query.attempt }, stream),
    getTaskLogs: ({ params, query }, caller) => logs.get(caller.orgId, params.task_id, query.attempt),
    listDatasets: async (_, caller) => ({ datasets: await datasets.list(caller.orgId) }),
    getDataset: ({ params }, caller) => datasets.get(caller.orgId, params.name),
    resolveDatasets: async ({ body }, caller) => ({
      datasets: await datasets.resolve(caller.orgId, body.names, body.presign),
    }),
    listFailedOutbox: ({ query }) => failed.list(query.limit),
    requeueOutbox: async ({ body }, caller) => ({ items: await failed.requeue(caller.name, body.outbox_ids) }),
    getSystem: (_, caller) => system.get(caller.orgId),
  };
}
