/** Handlers of the user API. Thin: each names the service that does the work. */
import type { userRoutes } from "@trace/contracts";
import type { Handlers } from "@trace/kit";
import type { Actions } from "../actions.ts";
import type { Datasets } from "../datasets.ts";
import type { Deploys } from "../deploys.ts";
import type { Diffs } from "../diff.ts";
import type { Lineages } from "../lineage.ts";
import type { Listing } from "../listing.ts";
import type { Logs } from "../logs.ts";
import type { FailedRows } from "../loops/outbox-failed.ts";
import type { Partitions } from "../partitions.ts";
import type { Pins } from "../pins.ts";
import type { Plans } from "../plans.ts";
import type { Purges } from "../purge.ts";
import type { Resolver } from "../resolve.ts";
import type { Reverts } from "../revert.ts";
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
  readonly diffs: Diffs;
  readonly failed: FailedRows;
  readonly lineages: Lineages;
  readonly listing: Listing;
  readonly logs: Logs;
  readonly partitions: Partitions;
  readonly pins: Pins;
  readonly plans: Plans;
  readonly purges: Purges;
  readonly resolver: Resolver;
  readonly reverts: Reverts;
  readonly runs: Runs;
  readonly system: SystemStatus;
  readonly tasks: Tasks;
  readonly watching: Watching;
}

export function userHandlers(services: UserServices): Handlers<typeof userRoutes, UserCaller> {
  const { actions, datasets, deploys, diffs, failed, lineages, listing, logs, partitions, pins } = services;
  const { plans, purges, resolver, reverts, runs, system, tasks, watching } = services;
  return {
    deploy: ({ body }, caller) => deploys.deploy(caller.orgId, body.file_name, body.source),
    planDag: ({ body }, caller) => plans.plan(caller.orgId, body.file_name, body.source),
    listDags: async (_, caller) => ({ dags: await deploys.list(caller.orgId) }),
    run: ({ params, body }, caller) => runs.start(caller.orgId, params.dag, body.jobs, body.partitions),
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
    resolveDatasets: async ({ body }, caller) => {
      const asked = body.datasets ?? (body.names ?? []).map((dataset) => ({ dataset }));
      return { datasets: await resolver.resolve(caller.orgId, asked, body.presign) };
    },
    listCommits: ({ params, query }, caller) => datasets.history(caller.orgId, params.name, query),
    diffDataset: ({ params, query }, caller) => diffs.diff(caller.orgId, params.name, query),
    revertDataset: ({ params, body }, caller) => reverts.revert(caller, params.name, body),
    purgeDataset: ({ params, body }, caller) => purges.purge(caller, params.name, body),
    getLineage: ({ params, query }, caller) => lineages.get(caller.orgId, params.name, query.commit),
    listPartitions: ({ params, query }, caller) => datasets.partitions(caller.orgId, params.name, query),
    repairPartitions: ({ params, body }, caller) => partitions.repair(caller, params.name, body),
    createPin: ({ body }, caller) => pins.create(caller, body),
    listPins: async ({ query }, caller) => ({ pins: await pins.list(caller.orgId, query.dataset) }),
    deletePin: async ({ params }, caller) => {
      await pins.drop(caller, params.pin_id);
      return {};
    },
    listFailedOutbox: ({ query }) => failed.list(query.limit),
    requeueOutbox: async ({ body }, caller) => ({ items: await failed.requeue(caller.name, body.outbox_ids) }),
    getSystem: (_, caller) => system.get(caller.orgId),
  };
}
