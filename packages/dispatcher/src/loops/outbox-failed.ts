/** Outbox rows that were refused too often: looked at by people, and given back to their lane once the cause is mended. */
import type { Database } from "@trace/kit";
import { type FailedOutboxRow, failedOutbox, requeueOutbox } from "../sql/statements.gen.ts";

export class FailedRows {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The newest first. */
  list(limit: number): Promise<FailedOutboxRow[]> {
    return this.#db.query(failedOutbox, { limit });
  }

  /** Returns those that went back; the others are not failed, or were given back by another. */
  async requeue(outboxIds: readonly number[]): Promise<number[]> {
    return (await this.#db.query(requeueOutbox, { outbox_ids: outboxIds })).map((row) => row.outbox_id);
  }
}
