/** Publishing: checked outputs become commits, inside the transaction that holds the lease. Metadata only; no byte moves. */
import { type Column, outputPartitionsMax, type PublishedRef, TraceError } from "@trace/contracts";
import type { Queryable } from "@trace/kit";
import type { CheckedOutput } from "./manifests.ts";
import { evolve, type SchemaFault } from "./rules/evolve.ts";
import { judgeOutput, type OutputFacts, type ReadInput, type Verdict } from "./rules/supersede.ts";
import {
  commitOutput,
  type JudgeOutputsRow,
  judgeOutputs,
  type LockLeasesRow,
  lockGenerations,
} from "./sql/statements.gen.ts";
import { type Committed, wholePartition } from "./triggers.ts";

interface Head {
  readonly generation_id: number;
  readonly number: number;
  readonly head_commit: number;
  readonly last_field_id: number;
}

export interface Published {
  readonly refs: PublishedRef[];
  readonly committed: Committed[];
  /** Somebody took back what the attempt wrote while it ran: nothing was published, and the task is to run again. */
  readonly again: boolean;
  /** The attempt wrote a slice of an append that is there already: what it read was read before. */
  readonly repeated: boolean;
  /** Something was appended: what was read of the inputs has been read. */
  readonly appended: boolean;
}

/** One output with all that its verdict needs. */
interface Judged {
  readonly output: CheckedOutput;
  readonly head: Head;
  readonly facts: JudgeOutputsRow;
  readonly keys: readonly string[];
  readonly verdict: Verdict;
}

/**
 * Publishes all outputs of an attempt, or none: readers of several see them change together. The caller holds the lease and the
 * jobs. Throws TR-4016 (inputs that cannot be ordered), TR-4014 (schema), TR-4015 (field ids), TR-4017 (not what is there), TR-4018
 * (too many partitions), TR-4019 (two partitions of one append).
 */
export async function publish(
  tx: Queryable,
  lease: LockLeasesRow,
  outputs: readonly CheckedOutput[],
): Promise<Published> {
  const generationIds = outputs.map((output) => output.place.generationId);
  const [locked] = await tx.query(lockGenerations, { generation_ids: generationIds });
  if (locked === undefined) throw new Error("locking generations gave no time");
  const heads = new Map((locked.heads as Head[]).map((head) => [head.generation_id, head]));
  const judged = await judge(tx, lease, outputs, heads);
  const nothing = (outcome: "superseded" | "unchanged", again: boolean): Published => ({
    refs: judged.map((one) => refOf(one, outcome)),
    committed: [],
    again,
    repeated: false,
    appended: false,
  });
  if (judged.some(({ verdict }) => verdict === "reverted")) return nothing("superseded", true);
  const incomparable = judged.find(({ verdict }) => verdict === "incomparable");
  if (incomparable !== undefined) throw unordered(incomparable);
  if (judged.some(({ verdict }) => verdict === "superseded" || verdict === "withdrawn"))
    return nothing("superseded", false);
  const refs: PublishedRef[] = [];
  const committed: Committed[] = [];
  for (const one of judged) {
    if (one.verdict === "unchanged") refs.push(refOf(one, "unchanged"));
    else {
      const made = await commit(tx, lease, one, locked.committed_at);
      refs.push(made.ref);
      committed.push(made.committed);
    }
  }
  const repeated = judged.some(({ facts }) => facts.append !== null);
  const appended = judged.some(({ output }) => output.place.strategy === "append");
  return { refs, committed, again: false, repeated, appended };
}

async function judge(
  tx: Queryable,
  lease: LockLeasesRow,
  outputs: readonly CheckedOutput[],
  heads: ReadonlyMap<number, Head>,
): Promise<Judged[]> {
  const asked = outputs.map((output) => ({
    generation_id: output.place.generationId,
    keys: keysOf(output, lease),
    whole: writesWhole(output),
    fingerprint: output.kind === "unchanged" ? output.fingerprint : (output.manifest.fingerprint ?? null),
  }));
  const rows = await tx.query(judgeOutputs, {
    lease_no: lease.lease_no,
    task_id: lease.task_id,
    outputs: JSON.stringify(asked),
  });
  const known = new Map(rows.map((row) => [row.generation_id, row]));
  return outputs.map((output, index) => {
    const head = heads.get(output.place.generationId);
    const facts = known.get(output.place.generationId);
    if (head === undefined || facts === undefined) throw new Error(`generation ${output.place.generationId} is gone`);
    const keys = asked[index]?.keys ?? [];
    return { output, head, facts, keys, verdict: verdictOf(output, facts) };
  });
}

function verdictOf(output: CheckedOutput, facts: JudgeOutputsRow): Verdict {
  const append = facts.append as { reverted_commit: number | null } | null;
  const judged: OutputFacts = {
    strategy: output.place.strategy,
    claimedHead: facts.claimed_head,
    revertedCommit: facts.reverted_commit ?? 0,
    ours: facts.ours as ReadInput[],
    lasts: facts.lasts as ReadInput[][],
    slice:
      append === null
        ? null
        : { revertedCommit: append.reverted_commit, fixedAtHead: facts.slice_head ?? facts.claimed_head },
    sameContent: facts.same_fingerprint,
  };
  const verdict = judgeOutput(judged);
  if (output.kind === "unchanged" && verdict === "commit") throw changed(output);
  return verdict;
}

/** An attempt that writes many partitions replaces all there are: readers see exactly what it computed. */
function writesWhole({ place }: CheckedOutput): boolean {
  return place.partitionBy !== null && place.strategy === "replace";
}

function keysOf(output: CheckedOutput, lease: LockLeasesRow): string[] {
  const { place } = output;
  const own = lease.output_partition ?? wholePartition;
  if (place.partitionBy === null || output.kind === "unchanged") return [own];
  const keys = new Set(output.manifest.files.map((file) => file.partition ?? own));
  if (keys.size > outputPartitionsMax) {
    throw new TraceError("TR-4018", {
      detail: `the attempt writes ${keys.size} partitions of '${place.dataset}'; at most ${outputPartitionsMax} are taken`,
      where: `output ${place.dataset}, column ${place.partitionBy}`,
      fix: "partition by a column with fewer values, such as the month in place of the day",
    });
  }
  if (place.strategy === "append" && keys.size > 1) {
    throw new TraceError("TR-4019", {
      detail: `the attempt appends to ${keys.size} partitions of '${place.dataset}' at once`,
      where: `output ${place.dataset}, column ${place.partitionBy}`,
      why: "a slice is taken back or written again as one, in one partition",
      fix: "use strategy replace with partition_by, or append without it",
    });
  }
  return [...keys];
}

async function commit(
  tx: Queryable,
  lease: LockLeasesRow,
  { output, head, facts, keys }: Judged,
  committedAt: string,
): Promise<{ ref: PublishedRef; committed: Committed }> {
  const { place } = output;
  if (output.kind === "unchanged") throw changed(output);
  const { manifest } = output;
  const { schema, lastFieldId } = evolved(output.place.dataset, facts, manifest.schema, head.last_field_id);
  const commitNo = head.head_commit + 1;
  const own = lease.output_partition ?? wholePartition;
  const [made] = await tx.query(commitOutput, {
    generation_id: place.generationId,
    commit_no: commitNo,
    kind: place.strategy,
    keys,
    whole: writesWhole(output),
    append_key: place.strategy === "append" ? (facts.slice_key ?? lease.public_id) : null,
    committed_at: committedAt,
    org_id: lease.org_id,
    task_id: lease.task_id,
    lease_no: lease.lease_no,
    dag_version_id: lease.dag_version_id,
    schema: JSON.stringify(schema),
    last_field_id: lastFieldId,
    row_count: manifest.rows,
    byte_count: manifest.bytes,
    file_count: manifest.files.length,
    files: JSON.stringify(
      manifest.files.map((file) => ({
        ...file,
        partition: place.partitionBy === null ? own : (file.partition ?? own),
      })),
    ),
    fingerprint: manifest.fingerprint ?? null,
    source: manifest.source === undefined ? null : JSON.stringify(manifest.source),
  });
  // Assert in pairs: the head was read under its lock, and the statement moves it only from there.
  if (made === undefined)
    throw new Error(`commit ${commitNo} of generation ${place.generationId} moved under its lock`);
  return {
    ref: { dataset: place.dataset, generation: head.number, commit: commitNo, outcome: "committed" },
    committed: { generationId: place.generationId, commitNo, partitions: made.partitions },
  };
}

function refOf({ output, head }: Judged, outcome: "superseded" | "unchanged"): PublishedRef {
  return { dataset: output.place.dataset, generation: head.number, commit: head.head_commit, outcome };
}

function evolved(dataset: string, facts: JudgeOutputsRow, next: readonly Column[], lastFieldId: number) {
  const change = evolve((facts.schema as Column[] | null) ?? [], next, lastFieldId);
  if (change.kind === "fits") return change;
  if (change.kind === "refused") throw refusedSchema(dataset, change.faults);
  throw new TraceError("TR-4015", {
    detail: `column '${change.column}' of the files has another field id than the dataset gives it by now`,
    where: `output ${dataset}`,
    why: "another commit added columns after this attempt was claimed",
    fix: "nothing: the task is tried again by itself with the ids of now",
  });
}

function refusedSchema(dataset: string, faults: readonly SchemaFault[]): TraceError {
  const shown = faults.slice(0, 5).map(({ column, what }) => `'${column}' ${what}`);
  const more = faults.length > shown.length ? `; and ${faults.length - shown.length} more` : "";
  return new TraceError("TR-4014", {
    detail: `the schema of '${dataset}' would change: ${shown.join("; ")}${more}`,
    where: `output ${dataset}`,
    why: "columns may be added and types may widen by themselves; what would break readers must be asked for",
    fix: `write the columns as they were, or give the output a new 'version' in the DAG file, which begins a new generation of '${dataset}'`,
  });
}

function unordered({ output }: Judged): TraceError {
  return new TraceError("TR-4016", {
    detail: `what '${output.place.dataset}' holds was made from newer commits of one input and older ones of another`,
    where: `output ${output.place.dataset}`,
    why: "neither result is the newer one",
    fix: "nothing: the task is tried again by itself and reads all inputs as they are then",
  });
}

function changed(output: CheckedOutput): TraceError {
  return new TraceError("TR-4017", {
    detail: `'${output.place.dataset}' does not hold what the attempt found unchanged`,
    where: `output ${output.place.dataset}`,
    why: "another commit or a revert came between",
    fix: "nothing: the task is tried again by itself and compares with what is there then",
  });
}
