/**
 * Giving up old commits. What is marked as purged is read by nobody any more; the files that no kept commit has become garbage,
 * which a loop deletes once links to them are over (loops/garbage.ts). Each step leaves a state that the next call goes on from.
 */
import { type PurgeAnswer, TraceError } from "@trace/contracts";
import { type Database, noRace, type Queryable, type RacePoints } from "@trace/kit";
import type { Caller } from "./actions.ts";
import { garbageFilesGraceMs, purgeCommitsMax, purgeFilesMax } from "./limits.ts";
import { noDataset, noGeneration } from "./resolve.ts";
import {
  addDatasetAudit,
  findGeneration,
  heldCommits,
  keptBelow,
  lockForPurge,
  lockMoves,
  markPurged,
  movePurgedFiles,
  purgeableCommits,
  purgeableFiles,
} from "./sql/statements.gen.ts";

export interface PurgeRequest {
  readonly before: number;
  readonly generation?: number | undefined;
  readonly dry_run: boolean;
}

interface Marked {
  readonly commits: number;
  readonly kept: readonly number[];
  /** The head is given up too: the generation is an old one, and goes whole. */
  readonly whole: boolean;
  readonly more: boolean;
}

interface Held {
  readonly held: readonly number[];
  readonly whole: boolean;
}

export class Purges {
  readonly #db: Database;
  readonly #race: RacePoints;

  constructor(db: Database, race: RacePoints = noRace) {
    this.#db = db;
    this.#race = race;
  }

  /** Commits that a pin or a running attempt holds stay, and are told as `kept`. */
  async purge(caller: Caller, name: string, request: PurgeRequest): Promise<PurgeAnswer> {
    const { before, dry_run } = request;
    const [found] = await this.#db.query(findGeneration, {
      org_id: caller.orgId,
      name,
      generation: request.generation ?? null,
    });
    if (found === undefined) throw noDataset(name);
    const { generation_id: id, number: generation } = found;
    if (id === null || generation === null) throw noGeneration(name, request.generation);
    const at = { dataset: name, generation, before, dry_run };
    if (dry_run) return { ...at, ...(await this.#look(name, id, before)) };
    let commits = 0;
    let marked: Marked;
    do {
      marked = await this.#db.transaction((tx) => this.#mark(tx, caller, name, generation, id, before));
      commits += marked.commits;
    } while (marked.more);
    const paused = this.#race.reach("purge:marked");
    if (paused) await paused;
    const { files, bytes } = await this.#move(id, before, marked);
    return { ...at, commits, kept: marked.kept.length, files, bytes };
  }

  /** What a purge would do now: the same statements judge, and nothing is written. */
  #look(
    name: string,
    id: number,
    before: number,
  ): Promise<{ commits: number; kept: number; files: number; bytes: number }> {
    return this.#db.transaction(async (tx) => {
      const { held, whole } = await this.#held(tx, name, id, before);
      const bound = { generation_id: id, before_commit: before };
      const [counts] = await tx.query(purgeableCommits, { ...bound, held });
      const [below] = await tx.query(keptBelow, bound);
      const kept = (below?.kept ?? []).filter((commit) => held.includes(commit));
      const [files] = await tx.query(purgeableFiles, { ...bound, kept, whole });
      return {
        commits: counts?.commits ?? 0,
        kept: counts?.kept ?? 0,
        files: files?.files ?? 0,
        bytes: files?.bytes ?? 0,
      };
    });
  }

  async #mark(
    tx: Queryable,
    caller: Caller,
    dataset: string,
    generation: number,
    id: number,
    before: number,
  ): Promise<Marked> {
    const { held, whole } = await this.#held(tx, dataset, id, before);
    const bound = { generation_id: id, before_commit: before };
    const [marked] = await tx.query(markPurged, { ...bound, held, limit: purgeCommitsMax });
    const [below] = await tx.query(keptBelow, bound);
    const commits = marked?.commits ?? 0;
    if (commits > 0) {
      const detail = { dataset, generation, before, commits };
      await tx.query(addDatasetAudit, {
        org_id: caller.orgId,
        actor: caller.name,
        action: "dataset.purge",
        detail: JSON.stringify(detail),
      });
    }
    return { commits, kept: below?.kept ?? [], whole, more: commits === purgeCommitsMax };
  }

  /** Locks the generation against pins and claims, and only then looks who holds what. */
  async #held(tx: Queryable, name: string, id: number, before: number): Promise<Held> {
    const [row] = await tx.query(lockForPurge, { generation_id: id });
    if (row === undefined) throw noGeneration(name, undefined);
    if (row.in_use && before > Math.max(row.head_commit, 1))
      throw needed(name, before, row.head_commit, row.is_current);
    const held = await tx.query(heldCommits, { generation_id: id, before_commit: before });
    return { held: held.map(({ commit_no }) => commit_no), whole: isWhole(row, before) };
  }

  /** What is still there is moved only under the lock that kept it so: an attempt may have committed since the commits were marked. */
  async #move(
    id: number,
    before: number,
    { kept, whole }: Pick<Marked, "kept" | "whole">,
  ): Promise<{ files: number; bytes: number }> {
    const bound = { generation_id: id, before_commit: before, kept };
    const sum = { files: 0, bytes: 0 };
    for (;;) {
      const moved = await this.#db.transaction(async (tx) => {
        const [generation] = whole ? await tx.query(lockForPurge, { generation_id: id }) : [];
        await tx.query(lockMoves, { generation_id: id });
        const [row] = await tx.query(movePurgedFiles, {
          ...bound,
          whole: generation !== undefined && isWhole(generation, before),
          grace_ms: garbageFilesGraceMs,
          limit: purgeFilesMax,
        });
        return row;
      });
      sum.files += moved?.files ?? 0;
      sum.bytes += moved?.bytes ?? 0;
      if ((moved?.moved ?? 0) < purgeFilesMax) return sum;
    }
  }
}

/** The head is below the bound, of a generation that nobody reads or builds. */
function isWhole(generation: { readonly in_use: boolean; readonly head_commit: number }, before: number): boolean {
  return !generation.in_use && before > generation.head_commit;
}

function needed(name: string, before: number, head: number, current: boolean): TraceError {
  return new TraceError("TR-4024", {
    detail: `purging '${name}' before commit ${before} would give up its head, ${head}`,
    why: current ? "readers of the dataset read its head" : "the generation is being built and will be the current one",
    fix: `purge before ${Math.max(head, 1)} or less: 'trace dataset purge ${name} --before ${Math.max(head, 1)} --dry-run'`,
  });
}
