/** What the tests submit, and how they learn what became of it: from rows of Postgres state, not from what was answered. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Access } from "./access.ts";
import { until } from "./until.ts";

const checkout = join(import.meta.dirname, "..", "..", "..");
export const mainFile = join(checkout, "packages", "cli", "src", "main.ts");
export const exampleData = join(checkout, "node_modules", "vega-datasets", "data");
export const exampleFile = join(checkout, "examples", "quakes", "quakes.yaml");

export function deploy(access: Access, source: string, fileName = "test.yaml") {
  return access.user.deploy({ body: { file_name: fileName, source } });
}

export function deployExample(access: Access) {
  return deploy(access, readFileSync(exampleFile, "utf8"), "quakes.yaml");
}

/** A DAG with one job, `work`, that does nothing for a time such as `50ms`. */
export function noopDag(dag: string, duration: string): string {
  return `dag: ${dag}\njobs:\n  work:\n    operator: noop\n    duration: ${duration}\n`;
}

/** A DAG with one job, `fetch`, that takes JSON from a URL into a dataset of the DAG's name. */
export function fetchDag(dag: string, url: string): string {
  return `dag: ${dag}
jobs:
  fetch:
    operator: ingest
    source: { url: "${url}", format: json }
    outputs: [${dag}]
    timeout: 5m
`;
}

/** Creates `count` tasks of the job `work` of a DAG in one call. */
export async function createWork(access: Access, dag: string, count: number): Promise<string[]> {
  const items = Array.from({ length: count }, () => ({ dag, job: "work" }));
  const answer = await access.user.createTasks({ body: { items } });
  return answer.items.map(({ task_id, created }) => {
    if (!created || task_id === undefined) throw new Error("a task was not created");
    return task_id;
  });
}

export interface Fate {
  readonly task_id: string;
  readonly state: string;
  readonly succeeded: number;
  readonly attempts: number;
  readonly lease_losses: number;
  readonly failures: number;
  /** Rows of ready, leases and outcomes: exactly one of them holds a task. */
  readonly places: number;
}

/** What became of tasks. */
export function fates(access: Access, taskIds: readonly string[]): Promise<Fate[]> {
  return access.sql<Fate>(
    `select t.public_id as task_id,
            coalesce(o.state, case when l.task_id is null then 'queued' else 'running' end) as state,
            (o.token is not null)::int + (select count(*)::int from attempts a where a.task_id = t.task_id and a.state = 'succeeded') as succeeded,
            (o.token is not null)::int + (select count(*)::int from attempts a where a.task_id = t.task_id) as attempts,
            coalesce(o.lease_losses, l.lease_losses, r.lease_losses) as lease_losses,
            coalesce(o.failures, l.failures, r.failures) as failures,
            num_nonnulls(o.task_id, l.task_id, r.task_id) as places
       from tasks t
       left join outcomes o on o.task_id = t.task_id
       left join leases l on l.task_id = t.task_id
       left join ready r on r.task_id = t.task_id
      where t.public_id = any ($1::uuid[])`,
    [taskIds],
  );
}

/** Resolves with the fates when every one of the tasks is over. */
export function untilOver(access: Access, taskIds: readonly string[], timeoutMs: number): Promise<Fate[]> {
  return until(
    `${taskIds.length} tasks are over`,
    async () => {
      const all = await fates(access, taskIds);
      const open = all.filter(({ state }) => state === "queued" || state === "running");
      if (open.length > 0) throw new Error(`${open.length} are not: ${JSON.stringify(open.slice(0, 3))}`);
      return all;
    },
    timeoutMs,
  );
}

/** Those of the fates that are not "completed, by exactly one attempt that succeeded, and nowhere else". */
export function notExactlyOnce(all: readonly Fate[]): Fate[] {
  return all.filter(({ state, succeeded, places }) => state !== "completed" || succeeded !== 1 || places !== 1);
}

/** Runs a DAG and resolves with the run when it has ended. */
export async function runToEnd(access: Access, dag: string, timeoutMs: number) {
  const { run_id } = await access.user.run({ params: { dag }, body: {} });
  return untilRunEnds(access, run_id, timeoutMs);
}

export function untilRunEnds(access: Access, runId: string, timeoutMs: number) {
  return until(
    `run ${runId} has ended`,
    async () => {
      const run = await access.user.getRun({ params: { run_id: runId } });
      if (run.state === "running")
        throw new Error(JSON.stringify(run.tasks.map(({ job, state, error }) => [job, state, error])));
      return run;
    },
    timeoutMs,
  );
}
