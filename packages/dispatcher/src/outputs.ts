/** Outputs of jobs that a task keeps live: one task for each (job, partition) at a time. */
import { TraceError } from "@trace/contracts";
import type { Queryable } from "@trace/kit";
import { liveTasksOf } from "./sql/statements.gen.ts";

export interface Output {
  readonly job_id: number;
  readonly output_partition: string;
}

/** For use in maps; a partition may hold any text, the number of a job no colon. */
export function outputKey(jobId: number, partition: string): string {
  return `${jobId}:${partition}`;
}

/** Ids of the tasks that keep these outputs live now, by `outputKey`. The caller holds the jobs. */
export async function liveOutputs(tx: Queryable, outputs: readonly Output[]): Promise<Map<string, string>> {
  if (outputs.length === 0) return new Map();
  const rows = await tx.query(liveTasksOf, {
    job_ids: outputs.map((output) => output.job_id),
    output_partitions: outputs.map((output) => output.output_partition),
  });
  return new Map(rows.map((row) => [outputKey(row.job_id, row.output_partition), row.public_id]));
}

/** TR-3011: `wanted` says what cannot be had while the task is live. */
export function outputBusy(wanted: string, taskId: string): TraceError {
  return new TraceError("TR-3011", {
    detail: `task ${taskId} is live and writes the output of ${wanted}`,
    why: "two tasks of one output would race for the same commit",
    fix: `wait for it: 'trace task show ${taskId}'`,
  });
}
