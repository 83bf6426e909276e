/**
 * A commit starts what reads it. The trigger is a row (`invalidations`), written with the commit, that goes when a task
 * is created for it; so nothing is lost when the commit meets a task that is live already: the transaction that ends that
 * task looks again. All of it happens under the job rows' locks.
 */
import { newId, type Queryable } from "@trace/kit";
import { leaseLossesMax } from "./limits.ts";
import {
  addInvalidations,
  admitWaiting,
  consumersOf,
  createTasks,
  descendantsOf,
  dropInvalidations,
  lockJobs,
  startableJobs,
} from "./sql/statements.gen.ts";
import { type WakeupRow, wakeupRows } from "./wakeups.ts";

export interface Committed {
  readonly generationId: number;
  readonly commitNo: number;
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
  const readers = generationIds.length === 0 ? [] : await tx.query(consumersOf, { generation_ids: generationIds });
  const below = await tx.query(descendantsOf, { job_ids: own });
  const all = new Set([...own, ...[...readers, ...below].map((row) => row.job_id)]);
  const locked = [...all].sort((a, b) => a - b);
  await tx.query(lockJobs, { job_ids: locked });
  return locked;
}

/** Writes that the readers of these commits, of those locked, have something new to read. */
export async function invalidate(
  tx: Queryable,
  locked: readonly number[],
  commits: readonly Committed[],
  runId: number | null,
): Promise<void> {
  for (const commit of commits) {
    const consumers = (await tx.query(consumersOf, { generation_ids: [commit.generationId] })).map((r) => r.job_id);
    // A reader that appeared with a deploy since the locks were taken starts with the dataset's next commit.
    const jobIds = consumers.filter((id) => locked.includes(id));
    if (jobIds.length === 0) continue;
    await tx.query(addInvalidations, {
      job_ids: jobIds,
      generation_id: commit.generationId,
      commit_no: commit.commitNo,
      run_id: runId,
    });
  }
}

/** Creates tasks for those of the locked jobs that wait for one and can start now. Returns their wake-ups. */
export async function settle(tx: Queryable, locked: readonly number[]): Promise<WakeupRow[]> {
  const startable = await tx.query(startableJobs, { job_ids: locked });
  if (startable.length === 0) return [];
  await tx.query(dropInvalidations, { job_ids: startable.map((job) => job.job_id) });
  const tasks = startable.map((job) => ({
    public_id: newId(),
    org_id: job.org_id,
    run_id: job.run_id,
    job_id: job.job_id,
    dag_version_id: job.dag_version_id,
    queue_id: job.queue_id,
    priority: 0,
    failures_max: job.failures_max,
    lease_losses_max: leaseLossesMax,
    timeout_ms: job.timeout_ms,
    run_at: null,
    output_partition: wholePartition,
    payload: {},
    limited: job.limited,
  }));
  const [row] = await tx.query(createTasks, { tasks: JSON.stringify(tasks) });
  const limited = startable.filter((job) => job.limited).map((job) => job.job_id);
  const admitted = limited.length === 0 ? [] : await tx.query(admitWaiting, { job_ids: limited });
  return [...wakeupRows(row?.wakeups ?? []), ...wakeupRows(admitted[0]?.wakeups ?? [])];
}
