/** What claimTasks answers, task by task. */
import { claimPayloadBytesMax } from "./limits.ts";
import { leaseSecretBytes, tokenOf } from "./rules/token.ts";
import type { ClaimTasksRow } from "./sql/statements.gen.ts";

/** A task that was just leased. */
export interface Claimed {
  readonly token: Buffer;
  readonly lease_no: number;
  readonly task_id: number;
  readonly public_id: string;
  readonly attempt: number;
  readonly job_id: number;
  readonly dag_version_id: number;
  readonly payload: Record<string, unknown>;
  /** Neither reads nor writes a dataset, is of no run and holds no slot: nothing else has to be looked up for it. */
  readonly alone: boolean;
}

/** `secrets` are those that the statement was given. */
export function claimedOf(row: ClaimTasksRow, secrets: Buffer): Claimed[] {
  const publicIds = row.public_ids.split(",");
  const payloads = JSON.parse(row.payloads) as Record<string, unknown>[];
  const related = new Set(row.others);
  for (const [place] of (row.runs as [number, string][] | null) ?? []) related.add(place);
  return row.lease_nos.map((lease_no, index) => {
    const task_id = row.task_ids[index] as number;
    const secret = secrets.subarray(index * leaseSecretBytes, (index + 1) * leaseSecretBytes);
    return {
      token: tokenOf(row.session_id, lease_no, task_id, secret),
      lease_no,
      task_id,
      public_id: publicIds[index] as string,
      attempt: row.attempts[index] as number,
      job_id: row.job_ids[index] as number,
      dag_version_id: row.dag_version_ids[index] as number,
      payload: payloads[index] as Record<string, unknown>,
      alone: !related.has(index + 1),
    };
  });
}

/** As many as one answer can carry, one at least; the others go back before anybody knew of them. */
export function fitting(tasks: readonly Claimed[], payloadsLength: number): { kept: Claimed[]; others: Claimed[] } {
  // A third of the bound in UTF-16 units cannot be beyond it in bytes.
  if (payloadsLength * 3 <= claimPayloadBytesMax) return { kept: [...tasks], others: [] };
  let bytes = 0;
  const over = tasks.findIndex(({ payload }, index) => {
    bytes += Buffer.byteLength(JSON.stringify(payload));
    return index > 0 && bytes > claimPayloadBytesMax;
  });
  return over === -1 ? { kept: [...tasks], others: [] } : { kept: tasks.slice(0, over), others: tasks.slice(over) };
}
