/** Which of the tasks that could start now are to wait for others that start in the same moment. Pure. */

/** A job that has something new to read, and the partitions of it that could start. */
export interface StartableJob {
  readonly job_id: number;
  readonly org_id: number;
  readonly dag_version_id: number;
  readonly queue_id: number;
  readonly failures_max: number;
  readonly timeout_ms: number;
  readonly limited: boolean;
  /** Jobs of the same DAG whose outputs reach it. */
  readonly ancestors: readonly number[];
  /** Those of them of which a partition waits for the same partition alone. */
  readonly key_ancestors: readonly number[];
  readonly tasks: readonly (readonly [partition: string, runId: number | null])[];
}

/**
 * Leaves out what is downstream, in the same run, of something that starts as well: that will commit, and start it once instead
 * of twice. Nothing is left out for good, for the end of the task that it waits for looks at it again.
 */
export function firstToStart(jobs: readonly StartableJob[]): StartableJob[] {
  if (jobs.length < 2) return [...jobs];
  const byId = new Map(jobs.map((job) => [job.job_id, job]));
  const runsOf = new Map(jobs.map((job) => [job.job_id, new Set(job.tasks.map(([, runId]) => runId))]));
  const partitionsOf = new Map(
    jobs.map((job) => [job.job_id, new Set(job.tasks.map(([partition, runId]) => `${runId}:${partition}`))]),
  );
  return jobs.flatMap((job) => {
    const ahead = job.ancestors.filter((id) => byId.has(id));
    if (ahead.length === 0) return [job];
    const byKey = new Set(job.key_ancestors);
    const tasks = job.tasks.filter(
      ([partition, runId]) =>
        runId === null ||
        !ahead.some((id) =>
          byKey.has(id) ? partitionsOf.get(id)?.has(`${runId}:${partition}`) : runsOf.get(id)?.has(runId),
        ),
    );
    return tasks.length === 0 ? [] : [{ ...job, tasks }];
  });
}
