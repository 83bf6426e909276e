/**
 * Going back: a commit that makes a dataset, or some of its partitions, what they were at an earlier one. Nothing is lost by it and no
 * byte moves. Attempts that were claimed before do not overwrite what it brought back (rules/supersede.ts), and whoever reads the
 * dataset has something new to read.
 */
import { type Column, type Commit, nearest, TraceError } from "@trace/contracts";
import { type Database, noRace, type Queryable, type RacePoints } from "@trace/kit";
import type { Caller } from "./actions.ts";
import { commitOf } from "./datasets.ts";
import type { Events } from "./events.ts";
import { partitionsAroundMax, revertFilesMax } from "./limits.ts";
import { partitionsYetToMake } from "./partitions.ts";
import { noCommit, noDataset, noGeneration, purged } from "./resolve.ts";
import { evolve } from "./rules/evolve.ts";
import {
  addDatasetAudit,
  addDatasetEvents,
  commitsPage,
  findCommit,
  findGeneration,
  findRevert,
  lockGenerations,
  partitionsAround,
  revertFiles,
  revertScope,
  sameAt,
  unknownPartitions,
} from "./sql/statements.gen.ts";
import { invalidate, lockTriggered, settle } from "./triggers.ts";
import type { WakeupRow } from "./wakeups.ts";

export interface RevertRequest {
  readonly to: number;
  readonly expected_head: number;
  readonly partitions?: readonly string[] | undefined;
  readonly reason?: string | undefined;
}

export interface RevertsOptions {
  readonly db: Database;
  readonly outgoing: Events;
  readonly race?: RacePoints;
  /** Tasks became ready: these wake-ups were written to the outbox. */
  onReady(wakeups: readonly WakeupRow[]): void;
}

interface Head {
  readonly generation_id: number;
  readonly number: number;
  readonly head_commit: number;
  readonly last_field_id: number;
}

interface Target {
  readonly name: string;
  readonly generationId: number;
  readonly request: RevertRequest;
}

export class Reverts {
  readonly #options: RevertsOptions;
  readonly #race: RacePoints;

  constructor(options: RevertsOptions) {
    this.#options = options;
    this.#race = options.race ?? noRace;
  }

  /** The commit made; of a call that is made again because its answer was lost, the commit that the first one made. */
  async revert(caller: Caller, name: string, request: RevertRequest): Promise<Commit> {
    const { db, onReady } = this.#options;
    const [found] = await db.query(findGeneration, { org_id: caller.orgId, name, generation: null });
    if (found === undefined) throw noDataset(name);
    if (found.generation_id === null) throw noGeneration(name, undefined);
    const target = { name, generationId: found.generation_id, request };
    const { commitNo, wakeups } = await db.transaction((tx) => this.#revert(tx, caller, target));
    const committed = this.#race.reach("revert:committed");
    if (committed) await committed;
    if (wakeups.length > 0) onReady(wakeups);
    const [row] = await db.query(commitsPage, {
      generation_id: target.generationId,
      before_commit: commitNo + 1,
      limit: 1,
    });
    if (row === undefined) throw new Error(`commit ${commitNo} of generation ${target.generationId} is gone`);
    return commitOf(row);
  }

  /** Locks as a completion does: jobs, then the generation. */
  async #revert(
    tx: Queryable,
    caller: Caller,
    target: Target,
  ): Promise<{ commitNo: number; wakeups: readonly WakeupRow[] }> {
    const { name, generationId, request } = target;
    const jobs = await lockTriggered(tx, [], [generationId]);
    const [locked] = await tx.query(lockGenerations, { generation_ids: [generationId] });
    const head = (locked?.heads as Head[] | undefined)?.[0];
    if (head === undefined || locked === undefined) throw noGeneration(name, undefined);
    const paused = this.#race.reach("revert:locked");
    if (paused) await paused;
    if (head.head_commit !== request.expected_head) {
      const made = await this.#madeBefore(tx, caller, target, head);
      if (made) return { commitNo: request.expected_head + 1, wakeups: [] };
      throw moved(name, request.expected_head, head.head_commit);
    }
    const schema = await this.#schemaOf(tx, target, head);
    await refuseUnknown(tx, caller, target);
    await this.#checkScope(tx, target, head);
    const keys = request.partitions ?? null;
    const commitNo = head.head_commit + 1;
    const [made] = await tx.query(revertFiles, {
      generation_id: generationId,
      to_commit: request.to,
      keys,
      commit_no: commitNo,
      committed_at: locked.committed_at,
      org_id: caller.orgId,
      actor: caller.name,
      reason: request.reason ?? null,
      schema: JSON.stringify(schema),
      same_origin: keys === null,
    });
    // Assert in pairs: the head was read under its lock, and the statement moves it only from there.
    if (made === undefined) throw new Error(`commit ${commitNo} of generation ${generationId} moved under its lock`);
    await this.#record(tx, caller, target, head, commitNo);
    await invalidate(tx, jobs, [{ generationId, commitNo, partitions: made.partitions }], null);
    return { commitNo, wakeups: await settle(tx, jobs) };
  }

  /** What differs, counted: a revert of nothing is refused, and so is one of more than a transaction should hold. */
  async #checkScope(tx: Queryable, { name, generationId, request }: Target, head: Head): Promise<void> {
    const [scope] = await tx.query(revertScope, {
      generation_id: generationId,
      to_commit: request.to,
      keys: request.partitions ?? null,
      limit: revertFilesMax + 1,
    });
    const { gone = 0, back = 0, looked = 0 } = scope ?? {};
    if (looked > revertFilesMax) {
      throw new TraceError("TR-4026", {
        detail: `going back to commit ${request.to} of '${name}' would touch more than ${revertFilesMax} files`,
        why: "commits to the dataset wait while it is reverted",
        fix: `revert some of its partitions at a time: "partitions": ["KEY", ...]`,
      });
    }
    if (gone === 0 && back === 0) throw nothingToDo(name, request, head.head_commit);
  }

  async #record(tx: Queryable, caller: Caller, target: Target, head: Head, commitNo: number): Promise<void> {
    const { name: dataset, request } = target;
    const { to, reason = null, partitions } = request;
    const told = { dataset, generation: head.number, commit: commitNo, to, reason };
    const detail = partitions === undefined ? told : { ...told, partitions: partitions.length };
    await tx.query(addDatasetAudit, {
      org_id: caller.orgId,
      actor: caller.name,
      action: "dataset.revert",
      detail: JSON.stringify(detail),
    });
    if (!this.#options.outgoing.enabled) return;
    const event = { org_id: caller.orgId, dataset, generation: head.number, commit_no: commitNo };
    await tx.query(addDatasetEvents, event);
  }

  /**
   * The answer to a call may be lost and the call made again. It was this one if the commit after the expected head is a revert by
   * the same caller to the same commit, of nothing that was not asked for now, and what was asked for is as it was there.
   */
  async #madeBefore(tx: Queryable, caller: Caller, { generationId, request }: Target, head: Head): Promise<boolean> {
    const commitNo = request.expected_head + 1;
    if (head.head_commit < commitNo) return false;
    const [row] = await tx.query(findRevert, { generation_id: generationId, commit_no: commitNo });
    const same =
      row?.reverted_to === request.to && row.actor === caller.name && row.reason === (request.reason ?? null);
    if (row === undefined || !same) return false;
    const asked = request.partitions === undefined ? undefined : new Set(request.partitions);
    if (asked !== undefined && row.partitions.some((key) => !asked.has(key))) return false;
    const [there] = await tx.query(sameAt, {
      generation_id: generationId,
      low_commit: request.to,
      high_commit: commitNo,
      keys: request.partitions ?? null,
    });
    return there?.same === true;
  }

  /**
   * Columns go back with the data. Where only some partitions do, the others still have what they have by now: then the columns
   * are those of both. A dataset that is emptied keeps its columns, so that its readers see no rows instead of no table.
   */
  async #schemaOf(tx: Queryable, { name, generationId, request }: Target, head: Head): Promise<readonly Column[]> {
    const at = async (commit: number) => {
      const [row] = await tx.query(findCommit, { generation_id: generationId, commit_no: commit });
      return row;
    };
    if (request.to >= head.head_commit) {
      if (request.to === head.head_commit) throw nothingToDo(name, request, head.head_commit);
      throw noCommit(name, `${request.to}: its head is ${head.head_commit}`);
    }
    const now = await at(head.head_commit);
    const current = (now?.schema as Column[] | undefined) ?? [];
    if (request.to === 0) return current;
    const then = await at(request.to);
    if (then === undefined) throw noCommit(name, String(request.to));
    if (then.purged) throw purged(name, request.to);
    const before = then.schema as Column[];
    return request.partitions === undefined ? before : joined(name, current, before, head.last_field_id);
  }
}

/** Columns that hold both. A column that only one side has is empty in the other's files; its field id is that of today where it has one. */
function joined(name: string, current: readonly Column[], before: readonly Column[], last: number): readonly Column[] {
  const known = new Map(before.map((column) => [column.name, column]));
  const missing = current.filter((column) => !known.has(column.name));
  const next = [...before, ...missing].map(({ name: column, type }) => ({ name: column, type }));
  const evolved = evolve(current, next, last);
  if (evolved.kind === "fits") {
    const now = new Map(current.map((column) => [column.name, column.field_id]));
    return evolved.schema.map((column) => {
      const id = now.get(column.name) ?? known.get(column.name)?.field_id;
      return id === undefined ? { name: column.name, type: column.type } : { ...column, field_id: id };
    });
  }
  const faults =
    evolved.kind === "refused" ? evolved.faults : [{ column: evolved.column, what: "has another field id" }];
  throw new TraceError("TR-4014", {
    detail: `the partitions of '${name}' would not fit each other: ${faults.map((one) => `'${one.column}' ${one.what}`).join("; ")}`,
    why: "only some partitions go back, and a type was changed since in a way that no type holds both",
    fix: "revert the whole dataset: leave `partitions` away",
  });
}

/** A key that is mistyped would count as a partition that is as it was. One that the job has yet to make is none. */
async function refuseUnknown(tx: Queryable, caller: Caller, { name, generationId, request }: Target): Promise<void> {
  if (request.partitions === undefined) return;
  const absent = await tx.query(unknownPartitions, { generation_id: generationId, keys: [...request.partitions] });
  if (absent.length === 0) return;
  const keysAbsent = absent.map((row) => row.partition_key);
  const yetToMake = await partitionsYetToMake(tx, caller.orgId, name, keysAbsent);
  const found = keysAbsent.filter((one) => !yetToMake.has(one));
  const [key] = found;
  if (key === undefined) return;
  const around = await tx.query(partitionsAround, { generation_id: generationId, key, limit: partitionsAroundMax });
  const keys = around.flatMap((row) => row.partition_key ?? []);
  const near = nearest(key, keys);
  throw noPartition(name, key, near, found.length - 1);
}

function noPartition(name: string, key: string, near: string | undefined, others: number): TraceError {
  const more = others === 0 ? "" : `, and ${others} more of those named`;
  return new TraceError("TR-4033", {
    detail: `dataset '${name}' has no partition '${key}'${more}`,
    why: "it has none now, and none of the commits that are kept has one; nothing was changed",
    fix: `${near === undefined ? "" : `did you mean '${near}'? `}'trace dataset partitions ${name}' lists those there are`,
  });
}

function moved(name: string, expected: number, head: number): TraceError {
  return new TraceError("TR-4023", {
    detail: `the head of '${name}' is commit ${head}, not ${expected}`,
    why: "somebody committed to it since it was looked at; nothing was changed",
    fix: `look again: 'trace dataset history ${name}', then revert with the head of now`,
  });
}

function partitionsText(partitions: readonly string[], name: string): string {
  const [only] = partitions;
  return partitions.length === 1 ? `partition '${only}' of '${name}'` : `${partitions.length} partitions of '${name}'`;
}

function nothingToDo(name: string, { to, partitions }: RevertRequest, head: number): TraceError {
  const what = partitions === undefined ? `'${name}'` : partitionsText(partitions, name);
  return new TraceError("TR-4027", {
    detail: `${what} at the head, commit ${head}, and at commit ${to} hold the same files`,
    why: "there is nothing to go back to; nothing was changed",
    fix: `'trace dataset diff ${name} ${to} ${head}' shows what differs`,
  });
}
