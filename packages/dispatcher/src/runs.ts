/** Runs: "run this DAG now", followed through every task that comes of it. */
import {
  type DagDefinition,
  dagDefinitionSchema,
  type JobDefinition,
  partitionKeys,
  type Run,
  type Task,
  TraceError,
} from "@trace/contracts";
import { type Database, newId } from "@trace/kit";
import { runTasksMax } from "./limits.ts";
import { taskOf } from "./listing.ts";
import { allPartitions, withoutPartitions } from "./partitions.ts";
import { createRun, findDagByName, findRun, jobIdOf, jobsWaitingInRun, tasksOfRun } from "./sql/statements.gen.ts";
import type { Tasks } from "./tasks.ts";

export class Runs {
  readonly #db: Database;
  readonly #tasks: Tasks;

  constructor(db: Database, tasks: Tasks) {
    this.#db = db;
    this.#tasks = tasks;
  }

  /**
   * Creates the tasks that start the run: of the jobs named, or of every job that reads nothing another job of the DAG writes; one
   * for each partition, or for those named, where a job has partitions.
   */
  async start(
    orgId: number,
    dagName: string,
    jobNames: readonly string[] | undefined,
    partitions?: readonly string[],
  ): Promise<Run> {
    const [dag] = await this.#db.query(findDagByName, { org_id: orgId, name: dagName });
    if (dag === undefined || dag.current_version_id === null) {
      throw new TraceError("TR-1006", {
        detail: `there is no DAG '${dagName}'`,
        fix: "deploy its file first: 'trace deploy FILE'",
      });
    }
    const definition = dagDefinitionSchema.parse(dag.definition);
    const names = jobNames ?? roots(definition);
    const known = new Set(definition.jobs.map((job) => job.name));
    const unknown = names.find((name) => !known.has(name));
    if (unknown !== undefined) {
      throw new TraceError("TR-3010", {
        detail: `there is no job '${unknown}' in DAG '${dagName}'`,
        fix: `name one of: ${[...known].join(", ")}`,
      });
    }
    const publicId = newId();
    const versionId = dag.current_version_id;
    const jobs = definition.jobs.filter((job) => names.includes(job.name));
    const items = await this.#itemsOf(dag.dag_id, versionId, dagName, jobs, partitions);
    const wakeups = await this.#db.transaction(async (tx) => {
      const [run] = await tx.query(createRun, {
        public_id: publicId,
        org_id: orgId,
        dag_id: dag.dag_id,
        dag_version_id: versionId,
      });
      const made = await this.#tasks.createIn(tx, orgId, items, run?.run_id ?? null);
      const busy = made.answers.find((answer) => answer.error !== undefined)?.error;
      // All or nothing: a run that starts half of its jobs would look whole and not be.
      if (busy !== undefined) throw new TraceError(busy.code, busy);
      return made.wakeups;
    });
    this.#tasks.tell(wakeups);
    return this.get(orgId, publicId);
  }

  async #itemsOf(
    dagId: number,
    versionId: number,
    dag: string,
    jobs: readonly JobDefinition[],
    partitions: readonly string[] | undefined,
  ) {
    const wanted = partitions === undefined ? undefined : [...new Set(partitions)];
    const items: { dag: string; job: string; partition?: string; priority: number; payload: Record<string, never> }[] =
      [];
    for (const job of jobs) {
      const plain = { dag, job: job.name, priority: 0, payload: {} };
      const inPartitions = job.partitions !== undefined || job.execution === "per_partition";
      if (!inPartitions && wanted !== undefined) throw withoutPartitions(dag, job.name);
      if (!inPartitions) items.push(plain);
      else {
        const keys = wanted ?? (await this.#keysOf(dagId, versionId, dag, job));
        items.push(...keys.map((partition) => ({ ...plain, partition })));
      }
      if (items.length > runTasksMax) throw tooManyTasks(dag, job.name);
    }
    return items;
  }

  /** All partitions of a job: its own, or those that its inputs have by now. */
  async #keysOf(dagId: number, versionId: number, dag: string, job: JobDefinition): Promise<string[]> {
    if (job.partitions !== undefined) return partitionKeys(job.partitions);
    const [row] = await this.#db.query(jobIdOf, { dag_id: dagId, name: job.name });
    if (row === undefined) throw new Error(`job '${job.name}' is gone`);
    const { keys, more } = await allPartitions(this.#db, { job_id: row.job_id, dag_version_id: versionId });
    if (more) throw tooManyTasks(dag, job.name);
    if (keys.length > 0) return keys;
    throw new TraceError("TR-4012", {
      detail: `the inputs of job '${dag}.${job.name}' have no partition yet`,
      fix: "run what writes them first",
    });
  }

  async get(orgId: number, runId: string): Promise<Run> {
    const [run] = await this.#db.query(findRun, { org_id: orgId, public_id: runId });
    if (run === undefined)
      throw new TraceError("TR-1006", { detail: `there is no run ${runId}`, fix: "'trace run DAG' starts one" });
    // One snapshot for both questions: between two, a task could end and the one it starts be in neither answer.
    const { rows, waiting } = await this.#db.transaction(
      async (tx) => ({
        rows: await tx.query(tasksOfRun, { run_id: run.run_id }),
        waiting: await tx.query(jobsWaitingInRun, { run_id: run.run_id }),
      }),
      "begin isolation level repeatable read read only",
    );
    const tasks = rows.map(taskOf);
    const started = new Set(tasks.map((task) => task.job));
    const definition = dagDefinitionSchema.parse(run.definition);
    const live = new Set(
      tasks.filter((task) => task.state === "queued" || task.state === "running").map((task) => task.job),
    );
    const coming = [...below(definition, live)].filter((job) => !started.has(job));
    const state = stateOf(tasks, waiting.length > 0);
    const ended = tasks
      .map((task) => task.ended_at ?? "")
      .sort()
      .at(-1);
    return {
      run_id: run.public_id,
      dag: run.dag,
      version: run.content_sha256,
      state,
      created_at: run.created_at.toISOString(),
      ended_at: state === "running" || ended === undefined || ended === "" ? null : ended,
      tasks,
      waiting: [...new Set([...coming, ...waiting.map((row) => row.name)])],
      commits: tasks.flatMap((task) => task.commits),
    };
  }
}

function tooManyTasks(dag: string, job: string): TraceError {
  return new TraceError("TR-3018", {
    detail: `with the partitions of job '${dag}.${job}' the run would begin with more than ${runTasksMax} tasks`,
    why: "the tasks that begin a run are created in one transaction, all or none",
    fix: "name fewer jobs, or the partitions to make: 'trace run DAG --job JOB --partition A B'",
  });
}

/** Jobs that read nothing another job of the DAG writes. */
export function roots(dag: DagDefinition): string[] {
  const written = new Set(dag.jobs.flatMap((job) => job.outputs.map((output) => output.dataset)));
  return dag.jobs.filter((job) => !job.inputs.some((input) => written.has(input.dataset))).map((job) => job.name);
}

/** For each job, the jobs of the DAG whose outputs reach it, at any distance. */
export function ancestorsOf(dag: DagDefinition): Map<string, Set<string>> {
  const writer = new Map(dag.jobs.flatMap((job) => job.outputs.map((output) => [output.dataset, job.name] as const)));
  const direct = new Map(
    dag.jobs.map((job) => [
      job.name,
      job.inputs.map((input) => writer.get(input.dataset)).filter((name) => name !== undefined),
    ]),
  );
  const all = new Map<string, Set<string>>();
  for (const { name } of dag.jobs) {
    const found = new Set<string>();
    const next = [...(direct.get(name) ?? [])];
    for (let job = next.pop(); job !== undefined; job = next.pop()) {
      if (found.has(job)) continue;
      found.add(job);
      next.push(...(direct.get(job) ?? []));
    }
    all.set(name, found);
  }
  return all;
}

function below(dag: DagDefinition, jobs: ReadonlySet<string>): Set<string> {
  const ancestors = ancestorsOf(dag);
  return new Set(
    dag.jobs
      .filter((job) => [...(ancestors.get(job.name) ?? [])].some((name) => jobs.has(name)))
      .map((job) => job.name),
  );
}

function stateOf(tasks: readonly Task[], waiting: boolean): Run["state"] {
  if (tasks.some((task) => task.state === "queued" || task.state === "running")) return "running";
  if (tasks.some((task) => task.state === "dead" || task.state === "canceled")) return "failed";
  return waiting ? "running" : "completed";
}
