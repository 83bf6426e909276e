/** Outbox rows that were refused too often: looked at by people, and given back to their lane once the cause is mended. */
import {
  type FailedOutbox,
  type FailedOutboxAnswer,
  type RequeueOutboxAnswer,
  TraceError,
  toErrorRecord,
} from "@trace/contracts";
import type { Database, Log } from "@trace/kit";
import { failedOutbox, requeueOutbox } from "../sql/statements.gen.ts";

export class FailedRows {
  readonly #db: Database;
  readonly #log: Log;

  constructor(db: Database, log: Log) {
    this.#db = db;
    this.#log = log;
  }

  /** The newest first. */
  async list(limit: number): Promise<FailedOutboxAnswer> {
    const rows = await this.#db.query(failedOutbox, { limit: limit + 1 });
    const messages = rows.slice(0, limit).map(({ lane, event_types, last_tried_at, ...row }) => ({
      ...row,
      // The table's own check has no third lane.
      lane: lane as FailedOutbox["lane"],
      event_types: [...event_types],
      last_tried_at: last_tried_at.toISOString(),
    }));
    return { messages, more: rows.length > limit };
  }

  /** One answer for each id. `actor` is who asked: audit_log knows tasks only, so it is the log that tells. */
  async requeue(actor: string, outboxIds: readonly number[]): Promise<RequeueOutboxAnswer[]> {
    const rows = await this.#db.query(requeueOutbox, { outbox_ids: outboxIds });
    const back = new Set(rows.map((row) => row.outbox_id));
    if (back.size > 0) this.#log.info({ actor, outboxIds: [...back] }, "gave failed outbox rows back to their lanes");
    return outboxIds.map((id) =>
      back.has(id) ? { outbox_id: id, accepted: true } : { outbox_id: id, accepted: false, error: noSuchRow(id) },
    );
  }
}

function noSuchRow(id: number) {
  return toErrorRecord(
    new TraceError("TR-1006", {
      detail: `no failed message has the id ${id}`,
      why: "there never was one, it was sent back already, or it was forgotten after its time",
      fix: "'trace outbox list' shows those there are",
    }),
  );
}
