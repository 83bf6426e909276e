/**
 * What readers read: several datasets pinned at a commit each, all in one snapshot, with exactly the files that are seen there.
 * Readers get file lists and never list a bucket (invariant 5).
 */
import {
  type Column,
  type DatasetRequest,
  presignedSecondsMax,
  type ResolvedDataset,
  type ResolvedFile,
  TraceError,
} from "@trace/contracts";
import { type Clock, type Database, noRace, type ObjectStore, type RacePoints } from "@trace/kit";
import { resolvedFilesMax, settleLockMs, settleTriesMax } from "./limits.ts";
import {
  type FilesOfCommitRow,
  filesAdded,
  filesOfCommit,
  filesOfPartitions,
  type InputsOfLeaseRow,
  inputsOfLease,
  type PickCommitsRow,
  pickCommits,
  purgedCommits,
  setLockTimeout,
  settleGenerations,
  unsettledGenerations,
} from "./sql/statements.gen.ts";

export interface ResolverOptions {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly datasetsBucket: string;
  readonly clock: Clock;
  readonly race?: RacePoints;
}

/** One commit of a dataset and which of its files are asked for. */
interface Point {
  readonly dataset: string;
  readonly generationId: number;
  readonly generation: number;
  readonly commit: number;
  readonly committedAt: string | null;
  readonly partitioned: boolean;
  readonly schema: Column[];
  /** Files of these partitions alone; null: of all. */
  readonly keys: readonly string[] | null;
  /** Files made after this commit alone. */
  readonly from: number | null;
}

interface Asked {
  readonly place: number;
  readonly dataset: string;
  readonly generation: number | null;
  readonly version: number | null;
  readonly moment: string | null;
}

export function noDataset(name: string): TraceError {
  return new TraceError("TR-1006", {
    detail: `there is no dataset '${name}'`,
    fix: "'trace dataset list' shows the datasets there are",
  });
}

export function noGeneration(name: string, generation: number | undefined): TraceError {
  return new TraceError("TR-4020", {
    detail: `dataset '${name}' has no generation ${generation ?? ""}`.trimEnd(),
    fix: `'trace dataset history ${name}' shows the commits there are`,
  });
}

export function noCommit(name: string, what: string): TraceError {
  return new TraceError("TR-4020", {
    detail: `dataset '${name}' has no commit ${what}`,
    fix: `'trace dataset history ${name}' shows the commits there are`,
  });
}

export function purged(name: string, commit: number): TraceError {
  return new TraceError("TR-4021", {
    detail: `commit ${commit} of dataset '${name}' was purged`,
    why: "its files may be gone",
    fix: `use a commit that is kept: 'trace dataset history ${name}' shows which are`,
  });
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #race: RacePoints;

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#race = options.race ?? noRace;
  }

  /** One answer for each dataset asked for, in that order. */
  async resolve(orgId: number, requests: readonly DatasetRequest[], presign: boolean): Promise<ResolvedDataset[]> {
    const asked = requests.map((request, place) => ({
      place,
      dataset: request.dataset,
      generation: request.generation ?? null,
      version: request.version ?? null,
      moment: request.timestamp ?? null,
    }));
    const rows = new Map((await this.#pick(orgId, asked)).map((row) => [row.place, row]));
    const points = requests.map((request, place) => pointOf(request, rows.get(place)));
    const paused = this.#race.reach("resolve:picked");
    if (paused) await paused;
    return this.#filesOf(points, presign);
  }

  /** The inputs of an attempt at the commits it pinned. */
  async resolveForLease(leaseNo: number): Promise<ResolvedDataset[]> {
    const rows = await this.#options.db.query(inputsOfLease, { lease_no: leaseNo });
    return this.#filesOf(rows.map(pointOfInput), false);
  }

  async #pick(orgId: number, asked: readonly Asked[]): Promise<PickCommitsRow[]> {
    const params = { org_id: orgId, asked: JSON.stringify(asked) };
    if (asked.every(({ moment }) => moment === null)) {
      return this.#options.db.query(pickCommits, { ...params, clock: null });
    }
    for (let tries = 0; tries < settleTriesMax; tries += 1) {
      const rows = await this.#pickSettled(params, asked);
      if (rows !== undefined) return rows;
    }
    throw unsettled("the datasets asked for changed their generation each time they were looked at", asked);
  }

  /**
   * As of a moment. Up to the head's time the head settles it: every later commit has a later time. Beyond it the generation is
   * held against commits until the clock was read, which has to be past that moment. Undefined: a deploy put another generation
   * in the place of one that was held.
   */
  async #pickSettled(
    params: { org_id: number; asked: string },
    asked: readonly Asked[],
  ): Promise<PickCommitsRow[] | undefined> {
    try {
      return await this.#options.db.transaction(async (tx) => {
        const open = (await tx.query(unsettledGenerations, params)).map((row) => row.generation_id);
        let clock: string | null = null;
        if (open.length > 0) {
          await tx.query(setLockTimeout, { ms: String(settleLockMs) });
          const [held] = await tx.query(settleGenerations, { generation_ids: open });
          clock = held?.clock ?? null;
        }
        const paused = this.#race.reach("resolve:settled");
        if (paused) await paused;
        const rows = await tx.query(pickCommits, { ...params, clock });
        for (const row of rows) {
          if (row.generation_id === null || row.settled === true) continue;
          if (!open.includes(row.generation_id)) return undefined;
          if (row.passed !== true)
            throw future(
              asked.find(({ place }) => place === row.place),
              clock,
            );
        }
        return rows;
      });
    } catch (error) {
      if ((error as { code?: unknown }).code !== "55P03") throw error;
      throw unsettled("a commit is on its way and was not over in time", asked, error);
    }
  }

  async #filesOf(points: readonly Point[], presign: boolean): Promise<ResolvedDataset[]> {
    const { db } = this.#options;
    const answers: ResolvedDataset[] = [];
    let left = resolvedFilesMax;
    for (const point of points) {
      const rows = await this.#filesAt(point, left + 1);
      if (rows.length > left) throw tooManyFiles(point);
      left -= rows.length;
      answers.push({
        dataset: point.dataset,
        generation: point.generation,
        commit: point.commit,
        committed_at: point.committedAt,
        partitioned: point.partitioned,
        schema: point.schema,
        files: rows.map((row) => this.#file(row, presign)),
      });
    }
    const ids = points.map(({ generationId, commit }) => [generationId, commit] as const);
    // Assert in pairs: a purge between the look at the commit and the one at its files took files away.
    const [gone] = await db.query(purgedCommits, {
      generation_ids: ids.map(([id]) => id),
      commit_nos: ids.map(([, commit]) => commit),
    });
    const point = points.find((one) => one.generationId === gone?.generation_id && one.commit === gone?.commit_no);
    if (point !== undefined) throw purged(point.dataset, point.commit);
    return answers;
  }

  #filesAt({ generationId, commit, keys, from }: Point, limit: number): Promise<FilesOfCommitRow[]> {
    const { db } = this.#options;
    const at = { generation_id: generationId, commit_no: commit, limit };
    if (commit === 0) return Promise.resolve([]);
    if (from !== null && from > 0) return db.query(filesAdded, { ...at, from_commit: from, keys });
    return keys === null ? db.query(filesOfCommit, at) : db.query(filesOfPartitions, { ...at, keys });
  }

  #file(row: FilesOfCommitRow, presign: boolean): ResolvedFile {
    const { store, datasetsBucket, clock } = this.#options;
    return {
      bucket: datasetsBucket,
      key: row.object_key,
      bytes: row.byte_count,
      rows: row.row_count,
      sha256: row.sha256,
      ...(row.partition_key === "" ? {} : { partition: row.partition_key }),
      ...(presign ? { url: store.presignGet(datasetsBucket, row.object_key, presignedSecondsMax, clock.nowMs()) } : {}),
    };
  }
}

function pointOf(request: DatasetRequest, row: PickCommitsRow | undefined): Point {
  const { dataset, generation, version, timestamp, partitions } = request;
  if (row === undefined) throw noDataset(dataset);
  if (row.generation_id === null || row.number === null) throw noGeneration(dataset, generation);
  if (row.commit_no === null) {
    const head = row.head_commit === 0 ? "nothing is committed yet" : `its head is ${row.head_commit}`;
    throw noCommit(dataset, version === undefined ? `at or before ${timestamp}` : `${version}: ${head}`);
  }
  if (row.purged === true) throw purged(dataset, row.commit_no);
  return {
    dataset,
    generationId: row.generation_id,
    generation: row.number,
    commit: row.commit_no,
    committedAt: row.committed_at,
    partitioned: row.partitioned === true,
    schema: (row.schema as Column[] | null) ?? [],
    keys: partitions === undefined ? null : [...new Set(partitions)].sort(),
    from: null,
  };
}

function pointOfInput(row: InputsOfLeaseRow): Point {
  if (row.purged === true) throw purgedInput(row.name, row.commit_no);
  return {
    dataset: row.name,
    generationId: row.generation_id,
    generation: row.number,
    commit: row.commit_no,
    committedAt: row.committed_at,
    partitioned: row.partitioned === true,
    schema: (row.schema as Column[] | null) ?? [],
    keys: row.partition_key === null ? null : [row.partition_key],
    from: row.from_commit,
  };
}

/** Pins hold purges back from before they are seen (holdInputs), so only the range of a task that was dead for a while can come to this. */
function purgedInput(name: string, commit: number): TraceError {
  return new TraceError("TR-4031", {
    detail: `commit ${commit} of dataset '${name}', which the attempt is to read, was purged`,
    why: "the task had ended when it was purged, and was replayed since",
    fix: "let a new task read what there is by now: 'trace run DAG --job JOB'",
  });
}

function unsettled(why: string, asked: readonly Asked[], cause?: unknown): TraceError {
  const moments = [...new Set(asked.flatMap(({ moment }) => (moment === null ? [] : [moment])))];
  return new TraceError("TR-4022", {
    detail: `what the datasets were at ${moments.slice(0, 3).join(", ")} is not settled yet`,
    why,
    fix: "ask again in a moment, name an earlier time, or read the head by leaving the time away",
    cause,
  });
}

function future(asked: Asked | undefined, clock: string | null): TraceError {
  return new TraceError("TR-4022", {
    detail: `dataset '${asked?.dataset}' is asked for as it is at ${asked?.moment}, which is still to come`,
    why: `the database's clock says ${clock}; a commit may yet arrive before that time`,
    fix: "times without an offset are UTC; name an earlier time, or read the head by leaving the time away",
  });
}

function tooManyFiles(point: Point): TraceError {
  return new TraceError("TR-4026", {
    detail: `the datasets asked for have more than ${resolvedFilesMax} files; '${point.dataset}' at commit ${point.commit} is the one that goes beyond`,
    why: "one answer names at most so many files",
    fix: `ask for fewer datasets in one call, or for some of the partitions: "partitions": ["KEY", ...]`,
  });
}
