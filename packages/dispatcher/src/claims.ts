/** Claims: ready rows become leases of a session, and each gets what its attempt needs to know. */
import { randomBytes } from "node:crypto";
import {
  type ClaimAnswer,
  type ClaimedTask,
  type Column,
  type SourceState,
  type StagingPlace,
  TraceError,
} from "@trace/contracts";
import { type Database, noRace, type RacePoints } from "@trace/kit";
import { type Claimed, claimedOf, fitting } from "./claimed.ts";
import type { Jobs, KnownJob } from "./jobs.ts";
import { claimLagMs, claimPayloadBytesMax, claimSweepEveryMs, claimSweepShare, claimTasksMax } from "./limits.ts";
import { encodeToken, leaseSecretBytes, stagingFolder, stagingPrefix } from "./rules/token.ts";
import { type WatermarkLimits, Watermarks } from "./rules/watermarks.ts";
import { sessionOver } from "./sessions.ts";
import {
  claimTasks,
  type DescribeLeasesRow,
  type DescribeStagingRow,
  describeLeases,
  describeStaging,
  firstReady,
  holdInputs,
  pinInputs,
  queueByName,
  sessionIsLive,
} from "./sql/statements.gen.ts";
import { wholePartition } from "./triggers.ts";

export interface ClaimRequest {
  readonly session_id: string;
  readonly queue: string;
  readonly task_ids: readonly string[];
  readonly max: number;
  /** It is known that something became ready: finding nothing means looking in the wrong place. */
  readonly called?: boolean;
}

/** JSON that Postgres built for us: inputs and outputs of an attempt. */
export interface InputJson {
  readonly dataset: string;
  readonly generation: number;
  readonly commit: number;
  readonly generation_id: number;
  readonly from: number | null;
}
export interface OutputJson {
  readonly dataset: string;
  readonly generation_id: number;
  readonly storage_id: string;
  readonly strategy: "replace" | "append";
  readonly partition_by: string | null;
}

export interface ClaimsOptions {
  readonly db: Database;
  readonly orgId: number;
  readonly datasetsBucket: string;
  readonly jobs: Jobs;
  readonly monotonicMs?: () => number;
  readonly watermarks?: WatermarkLimits;
  readonly race?: RacePoints;
  /** Hands leases back that were taken and cannot be told of. */
  release(leaseTokens: readonly string[]): Promise<unknown>;
  /** A claim took tasks; `waitedMs` is how long the longest waiting of them had been due. */
  onClaimed?(queue: string, tasks: number, waitedMs: number): void;
  /** These are leased now. */
  onTaken?(taskIds: readonly string[]): void;
}

const watermarkLimits = { lagMs: claimLagMs, sweepEveryMs: claimSweepEveryMs, sweepShare: claimSweepShare };

type Relations = Pick<ClaimedTask, "run_id" | "inputs" | "staging" | "partition">;

/** What claims took, and the length of the text of their payloads. */
interface Taken {
  readonly tasks: Claimed[];
  readonly payloadsLength: number;
}
const nothingTaken: Taken = { tasks: [], payloadsLength: 0 };

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #queueIds = new Map<string, number>();
  readonly #watermarks = new Map<number, Watermarks>();
  /** Of each queue, how large payloads were lately: the mean of a claim, forgotten by halves. */
  readonly #payloadBytes = new Map<number, number>();
  readonly #limits: WatermarkLimits;
  readonly #nowMs: () => number;
  readonly #race: RacePoints;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#limits = options.watermarks ?? watermarkLimits;
    this.#nowMs = options.monotonicMs ?? (() => performance.now());
    this.#race = options.race ?? noRace;
  }

  /** Takes the tasks named that are still ready, then the next ones of the queue, up to `max` in all. */
  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    const queueId = await this.#queueId(request.queue);
    const limit = this.#limitOf(queueId, Math.min(request.max, claimTasksMax));
    const { tasks, payloadsLength } = await this.#take(request, queueId, limit);
    if (tasks.length === 0) {
      const live = await this.#options.db.query(sessionIsLive, { session_public_id: request.session_id });
      if (live.length === 0) throw sessionOver(request.session_id);
      return { tasks: [], jobs: [], more: false };
    }
    this.#options.onTaken?.(tasks.map((task) => task.public_id));
    const paused = this.#race.reach("claim:committed");
    if (paused) await paused;
    try {
      const { kept, others } = fitting(tasks, payloadsLength);
      if (others.length > 0) await this.#release(others);
      // Full: there may be more. Looking would cost a walk over what is dead, and a claim that finds nothing costs as little.
      return { ...(await this.#answer(kept)), more: tasks.length >= limit };
    } catch (error) {
      // Nobody will hear of these leases: they go back now, and not when the worker's session ends.
      await this.#release(tasks).catch(() => undefined); // The caller has the error that both have.
      throw error;
    }
  }

  /** Tasks of these priorities may have become ready in this process: claims must not start behind them. */
  added(priorities: ReadonlySet<number>, early: boolean): void {
    for (const watermarks of this.#watermarks.values()) {
      for (const priority of priorities) watermarks.added(priority, early);
    }
  }

  async #queueId(name: string): Promise<number> {
    const known = this.#queueIds.get(name);
    if (known !== undefined) return known;
    const [queue] = await this.#options.db.query(queueByName, { org_id: this.#options.orgId, name });
    if (queue === undefined) {
      throw new TraceError("TR-1006", {
        detail: `there is no queue '${name}'`,
        fix: "start the worker with TRACE_QUEUE set to a queue of this installation ('trace doctor' lists them)",
      });
    }
    this.#queueIds.set(name, queue.queue_id);
    return queue.queue_id;
  }

  async #take(request: ClaimRequest, queueId: number, limit: number): Promise<Taken> {
    const taken = await this.#claim(request, queueId, request.task_ids, limit);
    const due = this.#watermarksOf(queueId).takeSweep(this.#nowMs());
    if (!due && !(request.called === true && taken.tasks.length === 0)) return taken;
    try {
      const found = await this.#sweep(queueId);
      if (taken.tasks.length >= limit || found === 0) return taken;
      const more = await this.#claim(request, queueId, [], limit - taken.tasks.length);
      return {
        tasks: [...taken.tasks, ...more.tasks],
        payloadsLength: taken.payloadsLength + more.payloadsLength,
      };
    } catch (error) {
      // What was taken is told; what was wrong, the next claim meets again.
      if (taken.tasks.length === 0) throw error;
      return taken;
    }
  }

  /** Looks at the front of the queue again. Answers in how many priorities there is something. */
  async #sweep(queueId: number): Promise<number> {
    const startedMs = this.#nowMs();
    const found = await this.#options.db.query(firstReady, { queue_id: queueId, lag_ms: this.#limits.lagMs });
    this.#watermarksOf(queueId).swept(found, startedMs, this.#nowMs());
    return found.length;
  }

  /** So many that their payloads are likely to fit one answer: what a claim takes is in memory several times on its way. */
  #limitOf(queueId: number, max: number): number {
    const bytes = this.#payloadBytes.get(queueId) ?? 0;
    return Math.max(1, Math.min(max, Math.floor(claimPayloadBytesMax / Math.max(1, bytes))));
  }

  #release(tasks: readonly Claimed[]): Promise<unknown> {
    return this.#options.release(tasks.map((task) => encodeToken(task.token)));
  }

  async #claim(request: ClaimRequest, queueId: number, ids: readonly string[], limit: number): Promise<Taken> {
    const watermarks = this.#watermarksOf(queueId);
    const from = watermarks.positions(this.#nowMs());
    if (ids.length === 0 && from.priorities.length === 0) return nothingTaken;
    const secrets = randomBytes(limit * leaseSecretBytes);
    const [row] = await this.#options.db.query(claimTasks, {
      session_public_id: request.session_id,
      queue_id: queueId,
      task_public_ids: ids,
      priorities: from.priorities,
      run_ats: from.runAts,
      task_ids: from.taskIds,
      limit,
      secrets,
    });
    if (row === undefined) return nothingTaken;
    this.#options.onClaimed?.(request.queue, row.lease_nos.length, row.waited_ms);
    for (const [priority, run_at, task_id] of (row.onward as [number, string, number][] | null) ?? []) {
      watermarks.taken(priority, { run_at, task_id }, this.#nowMs());
    }
    const mean = row.payloads.length / row.lease_nos.length;
    this.#payloadBytes.set(queueId, Math.max(mean, (this.#payloadBytes.get(queueId) ?? 0) / 2));
    return { tasks: claimedOf(row, secrets), payloadsLength: row.payloads.length };
  }

  #watermarksOf(queueId: number): Watermarks {
    let watermarks = this.#watermarks.get(queueId);
    if (watermarks === undefined) {
      watermarks = new Watermarks(this.#limits);
      this.#watermarks.set(queueId, watermarks);
    }
    return watermarks;
  }

  async #answer(rows: readonly Claimed[]): Promise<Omit<ClaimAnswer, "more">> {
    const jobOf = await this.#options.jobs.get(rows);
    const related = await this.#relations(rows.filter((row) => !row.alone));
    const jobs: KnownJob[] = [];
    const places = new Map<KnownJob, number>();
    const tasks = rows.map((row) => {
      const known = jobOf(row);
      let job = places.get(known);
      if (job === undefined) {
        job = jobs.push(known) - 1;
        places.set(known, job);
      }
      return {
        task_id: row.public_id,
        lease_no: row.lease_no,
        lease_token: encodeToken(row.token),
        attempt: row.attempt,
        job,
        payload: row.payload,
        ...related.get(row.lease_no),
      };
    });
    return { tasks, jobs };
  }

  /** Pins the inputs of those that have any, and names where their outputs go. */
  async #relations(rows: readonly Claimed[]): Promise<Map<number, Relations>> {
    if (rows.length === 0) return new Map();
    const { db } = this.#options;
    const task_ids = rows.map((row) => row.task_id);
    await db.transaction(async (tx) => {
      await tx.query(holdInputs, { task_ids });
      await tx.query(pinInputs, {
        lease_nos: rows.map((row) => row.lease_no),
        task_ids,
        folders: rows.map((row) => stagingFolder(row.token)),
      });
    });
    const described = await db.query(describeLeases, { tokens: rows.map((row) => row.token) });
    const places = await this.#places(described);
    return new Map(described.map((row) => [row.lease_no, this.#relationsOf(row, places)]));
  }

  /** What is to be known of each output of these attempts, by lease and generation. */
  async #places(described: readonly DescribeLeasesRow[]): Promise<Map<string, DescribeStagingRow>> {
    const writing = described.filter((row) => (row.outputs as OutputJson[]).length > 0);
    if (writing.length === 0) return new Map();
    const rows = await this.#options.db.query(describeStaging, {
      lease_nos: writing.map((row) => row.lease_no),
      task_ids: writing.map((row) => row.task_id),
    });
    return new Map(rows.map((row) => [placeOf(row), row]));
  }

  #relationsOf(row: DescribeLeasesRow, places: ReadonlyMap<string, DescribeStagingRow>): Relations {
    const partition = row.output_partition === wholePartition ? null : row.output_partition;
    return {
      run_id: row.run_public_id,
      partition,
      inputs: (row.inputs as InputJson[]).map(({ dataset, generation, commit, from }) => ({
        dataset,
        generation,
        commit,
        ...(from === null ? {} : { from }),
      })),
      staging: (row.outputs as OutputJson[]).map((output) => ({
        dataset: output.dataset,
        bucket: this.#options.datasetsBucket,
        prefix: stagingPrefix(output.storage_id, row.token),
        partition: output.partition_by === null ? partition : null,
        ...detailsOf(places.get(placeOf({ lease_no: row.lease_no, generation_id: output.generation_id }))),
      })),
    };
  }

  /** The attempt as the task API sees it. */
  async describe(row: DescribeLeasesRow): Promise<Omit<ClaimedTask, "lease_token">> {
    const jobOf = await this.#options.jobs.get([row]);
    return {
      task_id: row.public_id,
      lease_no: row.lease_no,
      attempt: row.attempt,
      payload: row.payload as Record<string, unknown>,
      ...jobOf(row),
      ...this.#relationsOf(row, await this.#places([row])),
    };
  }
}

function placeOf({ lease_no, generation_id }: { lease_no: number; generation_id: number }): string {
  return `${lease_no}:${generation_id}`;
}

function detailsOf(row: DescribeStagingRow | undefined): Partial<StagingPlace> {
  if (row === undefined) return {};
  return {
    write_until: row.write_until.toISOString(),
    // Columns of files without a row bind nobody: an empty source says nothing of those to come.
    schema: (row.filled ? (row.schema as Column[] | null) : null) ?? [],
    next_field_id: row.last_field_id + 1,
    ...(row.fingerprint === null
      ? {}
      : { previous: { fingerprint: row.fingerprint, source: row.source as SourceState | null } }),
  };
}
