/**
 * Publishing: checked outputs become commits, inside the transaction that holds the leases. Metadata only; no byte moves. Attempts that
 * end at the same time are published together, and each of them wholly or not at all: readers of several datasets see them change
 * together. An attempt that is refused leaves the others alone, because everything is judged before anything is written.
 */
import {
  type AttemptResult,
  type Column,
  type ManifestFile,
  outputPartitionsMax,
  type PublishedRef,
  TraceError,
} from "@trace/contracts";
import type { Queryable } from "@trace/kit";
import {
  movedFieldId,
  notUnchanged,
  refusedSchema,
  severalPartitions,
  tooManyPartitions,
  unordered,
} from "./commit-refusals.ts";
import { moveOn } from "./cursors.ts";
import type { CheckedOutput } from "./manifests.ts";
import { evolve } from "./rules/evolve.ts";
import { judgeOutput, type OutputFacts, type ReadInput, type Verdict } from "./rules/supersede.ts";
import {
  commitOutputs,
  confirmOutputs,
  type JudgeOutputsRow,
  judgeOutputs,
  type LockLeasesRow,
  lockGenerations,
} from "./sql/statements.gen.ts";
import { type Committed, wholePartition } from "./triggers.ts";

/** An attempt that ends, under its lease, with what it staged. */
export interface Publication {
  readonly lease: LockLeasesRow;
  readonly result: AttemptResult;
  readonly outputs: readonly CheckedOutput[];
}

export interface Published {
  readonly refs: readonly PublishedRef[];
  readonly committed: readonly (Committed & { readonly partitions: string[] })[];
  /** Somebody took back what the attempt wrote while it ran: nothing was published, and the task is to run again. */
  readonly again: boolean;
}

/** A generation as this transaction leaves it so far. */
interface Head {
  readonly generation_id: number;
  readonly number: number;
  head_commit: number;
  last_field_id: number;
  schema?: readonly Column[];
}

/** One output with all that its verdict needs. */
interface Judged {
  readonly output: CheckedOutput;
  readonly head: Head;
  readonly facts: JudgeOutputsRow;
  readonly keys: readonly string[];
  readonly verdict: Verdict;
}

/** A commit of the statement that writes them all. */
interface Commit {
  readonly generation_id: number;
  readonly commit_no: number;
  readonly last_field_id: number;
  readonly schema: readonly Column[];
  readonly [column: string]: unknown;
}

/**
 * What becomes of each attempt, in order: what it published, or why it is refused (TR-4014 to TR-4019, TR-4025). The caller holds
 * the leases and the jobs; no two attempts write the same partition, or all of one dataset (publishing.ts).
 */
export async function publishAll(
  tx: Queryable,
  publications: readonly Publication[],
): Promise<(Published | TraceError)[]> {
  const asked = publications.map((publication) =>
    attempt(() => publication.outputs.map((one) => scopeOf(one, publication.lease))),
  );
  const ids = [...new Set(publications.flatMap(({ outputs }) => outputs.map((one) => one.place.generationId)))];
  const [locked] = ids.length === 0 ? [] : await tx.query(lockGenerations, { generation_ids: ids });
  const heads = new Map((locked?.heads as Head[] | undefined)?.map((head) => [head.generation_id, head]));
  const facts = await factsOf(tx, publications, asked);
  const commits: Commit[] = [];
  const confirmed: Confirmation[] = [];
  const outcomes: (Published | TraceError)[] = [];
  for (const [at, publication] of publications.entries()) {
    const scopes = asked[at];
    const decided =
      scopes instanceof TraceError
        ? scopes
        : await attemptAsync(() => decide(tx, publication, { scopes: scopes ?? [], facts: facts[at] ?? [], heads }));
    if (decided instanceof TraceError) outcomes.push(decided);
    else {
      const after_us = commits.length; // Commits of one attempt share a time, and no other has it.
      commits.push(...decided.commits.map((commit) => ({ ...commit, after_us })));
      confirmed.push(...decided.confirmed);
      outcomes.push(decided.published);
    }
  }
  if (commits.length > 0) await write(tx, commits, locked?.committed_at ?? "", outcomes);
  if (confirmed.length > 0) await tx.query(confirmOutputs, { outputs: JSON.stringify(confirmed) });
  return outcomes;
}

/** A dataset that holds already what an attempt made from newer inputs. */
interface Confirmation {
  readonly generation_id: number;
  readonly keys: readonly string[];
  readonly whole: boolean;
  readonly append_key: string | null;
  readonly lease_no: number;
  readonly [column: string]: unknown;
}

interface Scope {
  readonly keys: readonly string[];
  readonly whole: boolean;
}

/** A refusal is an answer like another; whatever else goes wrong ends the transaction. */
function attempt<T>(make: () => T): T | TraceError {
  try {
    return make();
  } catch (error) {
    if (error instanceof TraceError && error.code !== "TR-1009") return error;
    throw error;
  }
}

async function attemptAsync<T>(make: () => Promise<T>): Promise<T | TraceError> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof TraceError && error.code !== "TR-1009") return error;
    throw error;
  }
}

/** For each attempt the facts of its outputs, in their order. */
async function factsOf(
  tx: Queryable,
  publications: readonly Publication[],
  asked: readonly (readonly Scope[] | TraceError)[],
): Promise<JudgeOutputsRow[][]> {
  const rows: { at: number; wanted: object }[] = [];
  for (const [at, { lease, outputs }] of publications.entries()) {
    const scopes = asked[at];
    if (scopes === undefined || scopes instanceof TraceError) continue;
    for (const [index, output] of outputs.entries()) {
      const wanted = {
        place: rows.length,
        lease_no: lease.lease_no,
        task_id: lease.task_id,
        generation_id: output.place.generationId,
        ...scopes[index],
        fingerprint: output.kind === "unchanged" ? output.fingerprint : (output.manifest.fingerprint ?? null),
      };
      rows.push({ at, wanted });
    }
  }
  const facts: JudgeOutputsRow[][] = publications.map(() => []);
  if (rows.length === 0) return facts;
  const found = await tx.query(judgeOutputs, { outputs: JSON.stringify(rows.map((row) => row.wanted)) });
  for (const fact of found.sort((a, b) => a.place - b.place)) facts[rows[fact.place]?.at ?? -1]?.push(fact);
  return facts;
}

interface Known {
  readonly scopes: readonly Scope[];
  readonly facts: readonly JudgeOutputsRow[];
  readonly heads: ReadonlyMap<number, Head>;
}

interface Decided {
  readonly published: Published;
  readonly commits: Commit[];
  readonly confirmed: Confirmation[];
}

/** Judges an attempt, moves its cursors, and says which commits it makes. The heads are as they will be once these are written. */
async function decide(
  tx: Queryable,
  { lease, result, outputs }: Publication,
  { scopes, facts, heads }: Known,
): Promise<Decided> {
  const judged = outputs.map((output, index): Judged => {
    const head = heads.get(output.place.generationId);
    const fact = facts[index];
    const keys = scopes[index]?.keys ?? [];
    if (head === undefined || fact === undefined) throw new Error(`generation ${output.place.generationId} is gone`);
    return { output, head, facts: fact, keys, verdict: verdictOf(output, fact) };
  });
  const nothing = (again: boolean) => {
    const refs = judged.map((one) => refOf(one, "superseded"));
    return { published: { refs, committed: [], again }, commits: [], confirmed: [] };
  };
  if (judged.some(({ verdict }) => verdict === "reverted")) return nothing(true);
  const incomparable = judged.find(({ verdict }) => verdict === "incomparable");
  if (incomparable !== undefined) throw unordered(incomparable.output.place.dataset);
  const late = judged.some(({ verdict }) => verdict === "superseded" || verdict === "withdrawn");
  const commits = late ? [] : judged.flatMap((one, index) => commitOf(lease, one, scopes[index]?.whole ?? false));
  const moved = await moveOn(tx, lease, result, {
    repeated: judged.some((one) => one.facts.append !== null),
    appended: !late && judged.some(({ output }) => output.place.strategy === "append"),
  });
  if (late || moved === "behind") return nothing(false);
  const refs = judged.map((one): PublishedRef => {
    const made = commits.find((commit) => commit.generation_id === one.head.generation_id);
    if (made === undefined) return refOf(one, "unchanged");
    Object.assign(one.head, { head_commit: made.commit_no, last_field_id: made.last_field_id, schema: made.schema });
    return { ...refOf(one, "unchanged"), commit: made.commit_no, outcome: "committed" };
  });
  const committed = commits.map(({ generation_id, commit_no }) => ({
    generationId: generation_id,
    commitNo: commit_no,
    partitions: [] as string[],
  }));
  const confirmed = judged.flatMap((one, index) => confirmationOf(lease, one, scopes[index]?.whole ?? false));
  return { published: { refs, committed, again: false }, commits, confirmed };
}

function confirmationOf(
  lease: LockLeasesRow,
  { output, facts, keys, verdict }: Judged,
  whole: boolean,
): Confirmation[] {
  if (verdict !== "confirmed") return [];
  const { generationId: generation_id, strategy } = output.place;
  const append_key = strategy === "append" ? (facts.slice_key ?? lease.public_id) : null;
  return [{ generation_id, keys, whole, append_key, lease_no: lease.lease_no }];
}

/** Writes all commits, and into what was published the partitions that each of them changed. */
async function write(
  tx: Queryable,
  commits: readonly Commit[],
  committedAt: string,
  outcomes: readonly (Published | TraceError)[],
): Promise<void> {
  const rows = await tx.query(commitOutputs, { committed_at: committedAt, commits: JSON.stringify(commits) });
  // Assert in pairs: the heads were read under their locks, and the statement moves them only from there.
  if (rows.length !== commits.length) throw new Error(`${commits.length} commits, ${rows.length} written`);
  const changed = new Map(rows.map((row) => [`${row.generation_id}:${row.commit_no}`, row.partitions]));
  for (const outcome of outcomes) {
    if (outcome instanceof TraceError) continue;
    for (const one of outcome.committed) {
      one.partitions.push(...(changed.get(`${one.generationId}:${one.commitNo}`) ?? []));
    }
  }
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
  if (output.kind === "unchanged" && verdict === "commit") throw notUnchanged(output.place.dataset);
  return verdict;
}

/** What of its dataset an output touches. */
function scopeOf(output: CheckedOutput, lease: Pick<LockLeasesRow, "output_partition">): Scope {
  const { dataset, partitionBy, strategy } = output.place;
  const own = lease.output_partition ?? wholePartition;
  // An attempt that writes many partitions replaces all there are: readers see exactly what it computed.
  const whole = partitionBy !== null && strategy === "replace";
  if (partitionBy === null || output.kind === "unchanged") return { keys: [own], whole };
  const keys = [...new Set(output.manifest.files.map((file) => file.partition ?? own))];
  if (keys.length > outputPartitionsMax) throw tooManyPartitions(dataset, partitionBy, keys.length);
  if (strategy === "append" && keys.length > 1) throw severalPartitions(dataset, partitionBy, keys.length);
  return { keys, whole };
}

function commitOf(lease: LockLeasesRow, { output, head, facts, keys, verdict }: Judged, whole: boolean): Commit[] {
  if (verdict === "unchanged" || verdict === "confirmed") return [];
  const { place } = output;
  if (output.kind === "unchanged") throw notUnchanged(place.dataset);
  const { manifest } = output;
  const current = head.schema ?? (facts.filled ? (facts.schema as Column[] | null) : null) ?? [];
  const change = evolve(current, manifest.schema, head.last_field_id);
  if (change.kind === "refused") throw refusedSchema(place.dataset, change.faults);
  if (change.kind === "moved") throw movedFieldId(place.dataset, change.column);
  const own = lease.output_partition ?? wholePartition;
  const partitionOf = (file: ManifestFile) => (place.partitionBy === null ? own : (file.partition ?? own));
  return [
    {
      generation_id: place.generationId,
      commit_no: head.head_commit + 1,
      kind: place.strategy,
      keys,
      whole,
      append_key: place.strategy === "append" ? (facts.slice_key ?? lease.public_id) : null,
      org_id: lease.org_id,
      task_id: lease.task_id,
      lease_no: lease.lease_no,
      dag_version_id: lease.dag_version_id,
      schema: change.schema,
      last_field_id: change.lastFieldId,
      row_count: manifest.rows,
      byte_count: manifest.bytes,
      file_count: manifest.files.length,
      fingerprint: manifest.fingerprint ?? null,
      source: manifest.source ?? null,
      files: manifest.files.map((file) => ({ ...file, partition: partitionOf(file) })),
    },
  ];
}

function refOf({ output, head }: Judged, outcome: "superseded" | "unchanged"): PublishedRef {
  return { dataset: output.place.dataset, generation: head.number, commit: head.head_commit, outcome };
}
