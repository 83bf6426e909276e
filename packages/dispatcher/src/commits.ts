/** Publishing: a checked output becomes a commit, inside the transaction that holds the lease. Metadata only; no byte moves. */
import type { CommitRef } from "@trace/contracts";
import type { Queryable } from "@trace/kit";
import type { CheckedOutput } from "./manifests.ts";
import { commitReplace, type LockLeasesRow, lockGenerations } from "./sql/statements.gen.ts";
import { type Committed, wholePartition } from "./triggers.ts";

interface Head {
  readonly generation_id: number;
  readonly number: number;
  readonly head_commit: number;
}

export interface Published {
  readonly refs: CommitRef[];
  readonly committed: Committed[];
}

export async function publish(
  tx: Queryable,
  lease: LockLeasesRow,
  outputs: readonly CheckedOutput[],
): Promise<Published> {
  const generationIds = outputs.map((output) => output.place.generationId);
  const [locked] = await tx.query(lockGenerations, { generation_ids: generationIds });
  const heads = new Map((locked?.heads as Head[] | undefined)?.map((head) => [head.generation_id, head]));
  const refs: CommitRef[] = [];
  const committed: Committed[] = [];
  for (const { place, manifest } of outputs) {
    const head = heads.get(place.generationId);
    if (head === undefined || locked === undefined) throw new Error(`generation ${place.generationId} is gone`);
    const commitNo = head.head_commit + 1;
    const made = await tx.query(commitReplace, {
      generation_id: place.generationId,
      commit_no: commitNo,
      partition_key: manifest.partition ?? wholePartition,
      committed_at: locked.committed_at,
      org_id: lease.org_id,
      task_id: lease.task_id,
      lease_no: lease.lease_no,
      dag_version_id: lease.dag_version_id,
      schema: JSON.stringify(manifest.schema),
      row_count: manifest.rows,
      byte_count: manifest.bytes,
      file_count: manifest.files.length,
      files: JSON.stringify(manifest.files),
    });
    // Assert in pairs: the head was read under its lock, and the statement moves it only from there.
    if (made.length !== 1)
      throw new Error(`commit ${commitNo} of generation ${place.generationId} moved under its lock`);
    refs.push({ dataset: place.dataset, generation: head.number, commit: commitNo });
    committed.push({ generationId: place.generationId, commitNo });
  }
  return { refs, committed };
}
