/** Claims: ready rows become leases of a session, and each gets what its attempt needs to know. */
import { type ClaimedTask, jobDefinitionSchema, TraceError } from "@trace/contracts";
import type { Database, Queryable } from "@trace/kit";
import { encodeToken, stagingPrefix } from "./rules/token.ts";
import { sessionOver } from "./sessions.ts";
import {
  claimById,
  claimNext,
  type DescribeLeasesRow,
  describeLeases,
  pinInputs,
  queueByName,
  readyRemains,
  sessionIsLive,
} from "./sql/statements.gen.ts";

export interface ClaimRequest {
  readonly session_id: string;
  readonly queue: string;
  readonly task_ids: readonly string[];
  readonly max: number;
}

/** JSON that Postgres built for us: inputs and outputs of an attempt. */
export interface InputJson {
  readonly dataset: string;
  readonly generation: number;
  readonly commit: number;
  readonly generation_id: number;
}
export interface OutputJson {
  readonly dataset: string;
  readonly generation_id: number;
  readonly storage_id: string;
}

export class Claims {
  readonly #db: Database;
  readonly #orgId: number;
  readonly #datasetsBucket: string;

  constructor(options: { db: Database; orgId: number; datasetsBucket: string }) {
    this.#db = options.db;
    this.#orgId = options.orgId;
    this.#datasetsBucket = options.datasetsBucket;
  }

  /** Takes the tasks named that are still ready, then the next ones of the queue, up to `max` in all. */
  async claim(request: ClaimRequest): Promise<{ tasks: ClaimedTask[]; more: boolean }> {
    const [queue] = await this.#db.query(queueByName, { org_id: this.#orgId, name: request.queue });
    if (queue === undefined) {
      throw new TraceError("TR-1006", {
        detail: `there is no queue '${request.queue}'`,
        fix: "start the worker with TRACE_QUEUE set to a queue of this installation ('trace doctor' lists them)",
      });
    }
    const rows = await this.#db.transaction((tx) => this.#take(tx, request, queue.queue_id));
    if (rows.length === 0) {
      const live = await this.#db.query(sessionIsLive, { session_public_id: request.session_id });
      if (live.length === 0) throw sessionOver(request.session_id);
    }
    const remains =
      rows.length < request.max ? false : await this.#db.query(readyRemains, { queue_id: queue.queue_id });
    return {
      tasks: rows.map((row) => this.describe(row)),
      more: remains === false ? false : remains[0]?.remains === true,
    };
  }

  async #take(tx: Queryable, request: ClaimRequest, queueId: number): Promise<DescribeLeasesRow[]> {
    const session = { session_public_id: request.session_id, queue_id: queueId };
    const named =
      request.task_ids.length === 0
        ? []
        : await tx.query(claimById, { ...session, task_public_ids: request.task_ids, limit: request.max });
    const next =
      named.length >= request.max ? [] : await tx.query(claimNext, { ...session, limit: request.max - named.length });
    const taken = [...named, ...next];
    if (taken.length === 0) return [];
    await tx.query(pinInputs, {
      lease_nos: taken.map((lease) => lease.lease_no),
      task_ids: taken.map((lease) => lease.task_id),
    });
    return tx.query(describeLeases, { tokens: taken.map((lease) => lease.token) });
  }

  /** The attempt as a worker, or the task API, sees it. */
  describe(row: DescribeLeasesRow): ClaimedTask {
    return {
      task_id: row.public_id,
      run_id: row.run_public_id,
      lease_no: row.lease_no,
      lease_token: encodeToken(row.token),
      attempt: row.attempt,
      dag: row.dag,
      job: jobDefinitionSchema.parse(row.definition),
      payload: row.payload as Record<string, unknown>,
      timeout_ms: row.timeout_ms,
      inputs: (row.inputs as InputJson[]).map(({ dataset, generation, commit }) => ({ dataset, generation, commit })),
      staging: (row.outputs as OutputJson[]).map((output) => ({
        dataset: output.dataset,
        bucket: this.#datasetsBucket,
        prefix: stagingPrefix(output.storage_id, row.token),
      })),
    };
  }
}
