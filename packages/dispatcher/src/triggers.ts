/**
 * A commit starts what reads it. The trigger is a row (`invalidations`, or one `invalidation_sweeps` for every partition of a
 * job), written with the commit, that goes when a task is created for it; so nothing is lost when the commit meets a task that
 * is live already: the transaction that ends that task looks again. All of it happens under the job rows' locks.
 */
import { newId, type Queryable } from "@trace/kit";
import { switchGenerations } from "./generations.ts";
import { createRowsMax, leaseLossesMax, settleRoundsMax, startKeysMax } from "./limits.ts";
import { firstToStart, type StartableJob } from "./rules/starting.ts";
import {
  addInvalidations,
  admitWaiting,
  createTasks,
  dropInvalidations,
  expandSweeps,
  lockTriggeredJobs,
  startableTasks,
  wakeInvalidations,
} from "./sql/statements.gen.ts";
import { type WakeupRow, wakeupRows } from "./wakeups.ts";

export interface Committed {
  readonly generationId: number;
  readonly commitNo: number;
  /** Keys of the partitions that it changed, those that it emptied included. */
  readonly partitions: readonly string[];
}

/** A task that is over, and the attempt that ended it; null: it was not running. */
export interface EndedTask {
  readonly job_id: number;
  readonly output_partition: string;
  readonly lease_no: number | null;
  /** The version of the DAG that the attempt ran; null with `lease_no`. */
  readonly dag_version_id: number | null;
}

/** The one output partition of a dataset that is not partitioned. */
export const wholePartition = "";

/**
 * Locks, in id order, every job that this transaction may start or end: `own` (whose tasks end), what is downstream of
 * them, and the readers of the datasets it commits to. Returns them all.
 */
export async function lockTriggered(
  tx: Queryable,
  own: readonly number[],
  generationIds: readonly number[],
): Promise<number[]> {
  const locked = await tx.query(lockTriggeredJobs, { job_ids: own, generation_ids: generationIds });
  return locked.map((row) => row.job_id);
}

/**
 * Writes that the readers of these commits, of those locked, have something new to read. The first commit of a generation may
 * be what its DAG waited for to switch to its new generations; then readers elsewhere have something new as well.
 */
export async function invalidate(
  tx: Queryable,
  locked: readonly number[],
  commits: readonly Committed[],
  runId: number | null,
): Promise<void> {
  if (commits.length === 0) return;
  // A reader that appeared with a deploy since the locks were taken starts with the dataset's next commit.
  const told = commits.map(({ generationId, commitNo, partitions }) => ({
    generation_id: generationId,
    commit_no: commitNo,
    partitions,
    elsewhere: false,
  }));
  await tx.query(addInvalidations, { commits: JSON.stringify(told), job_ids: locked, run_id: runId });
  const first = commits.filter(({ commitNo }) => commitNo === 1).map(({ generationId }) => generationId);
  if (first.length > 0) await tellElsewhere(tx, locked, await switchGenerations(tx, first), runId);
}

/** Readers in other DAGs see these generations from now on. The caller holds the jobs. */
export async function tellElsewhere(
  tx: Queryable,
  locked: readonly number[],
  switched: readonly { readonly generation_id: number; readonly head_commit: number }[],
  runId: number | null,
): Promise<void> {
  if (switched.length === 0) return;
  const told = switched.map(({ generation_id, head_commit }) => ({
    generation_id,
    commit_no: head_commit,
    partitions: null,
    elsewhere: true,
  }));
  await tx.query(addInvalidations, { commits: JSON.stringify(told), job_ids: locked, run_id: runId });
}

/** Tasks of jobs that the caller holds are over: creates those that waited for that, or that have yet to read something. */
export async function afterEnd(
  tx: Queryable,
  locked: readonly number[],
  ended: readonly EndedTask[],
): Promise<WakeupRow[]> {
  if (ended.length > 0) {
    const [row] = await tx.query(wakeInvalidations, { job_ids: locked, ended: JSON.stringify(ended) });
    if (row?.news === false) return [];
  }
  return settle(tx, locked);
}

/**
 * Creates tasks for those of the locked jobs that wait for one and can start now, a bounded number at a time: where there are
 * more, the tasks that were created see to them when they end. Returns their wake-ups.
 */
export async function settle(tx: Queryable, locked: readonly number[]): Promise<WakeupRow[]> {
  const wakeups: WakeupRow[] = [];
  let started = 0;
  for (let round = 0; round < settleRoundsMax && started < startKeysMax; round += 1) {
    const [row] = await tx.query(startableTasks, { job_ids: locked, keys_max: startKeysMax });
    if (row === undefined) throw new Error("no answer of what can start");
    const jobs = firstToStart(row.jobs as StartableJob[]);
    started += jobs.reduce((sum, job) => sum + job.tasks.length, 0);
    if (jobs.length > 0) wakeups.push(...(await start(tx, jobs)));
    if (!row.sweeping && !row.full) break;
    const swept = row.sweeping ? await tx.query(expandSweeps, { job_ids: locked, keys_max: startKeysMax }) : [];
    if (!row.full && (swept[0]?.keys ?? 0) === 0) break;
  }
  return wakeups;
}

async function start(tx: Queryable, jobs: readonly StartableJob[]): Promise<WakeupRow[]> {
  const tasks = jobs.flatMap((job) => job.tasks.map(([partition, runId]) => taskRow(job, partition, runId)));
  await tx.query(dropInvalidations, {
    job_ids: tasks.map((task) => task.job_id),
    output_partitions: tasks.map((task) => task.output_partition),
  });
  const wakeups = await insertTasks(tx, tasks);
  const limited = jobs.filter((job) => job.limited).map((job) => job.job_id);
  const admitted = limited.length === 0 ? [] : await tx.query(admitWaiting, { job_ids: limited });
  return [...wakeups, ...wakeupRows(admitted[0]?.wakeups ?? [])];
}

/** Writes rows of tasks, so many in one statement. The caller holds the rows of jobs that are tracked or limited. */
export async function insertTasks(tx: Queryable, tasks: readonly unknown[]): Promise<WakeupRow[]> {
  const wakeups: WakeupRow[] = [];
  for (let at = 0; at < tasks.length; at += createRowsMax) {
    const [row] = await tx.query(createTasks, { tasks: JSON.stringify(tasks.slice(at, at + createRowsMax)) });
    wakeups.push(...wakeupRows(row?.wakeups ?? []));
  }
  return wakeups;
}

function taskRow(job: StartableJob, partition: string, runId: number | null) {
  return {
    public_id: newId(),
    org_id: job.org_id,
    run_id: runId,
    job_id: job.job_id,
    dag_version_id: job.dag_version_id,
    queue_id: job.queue_id,
    priority: 0,
    failures_max: job.failures_max,
    lease_losses_max: leaseLossesMax,
    timeout_ms: job.timeout_ms,
    run_at: null,
    output_partition: partition,
    payload: {},
    limited: job.limited,
  };
}
