/** Logs of attempts, as workers leave them in scratch: one object per attempt, JSON lines, never mixed. */
import { attemptLogBytesMax, type LogLine, logLineSchema, TraceError } from "@trace/contracts";
import type { Database, ObjectStore } from "@trace/kit";
import type { Listing } from "./listing.ts";
import { attemptsOfTask } from "./sql/statements.gen.ts";

export interface AttemptLog {
  attempt: number | null;
  state: string | null;
  lines: LogLine[];
  dropped: number;
}

export class Logs {
  readonly #db: Database;
  readonly #store: ObjectStore;
  readonly #listing: Listing;
  readonly #scratchBucket: string;

  constructor(options: { db: Database; store: ObjectStore; listing: Listing; scratchBucket: string }) {
    this.#db = options.db;
    this.#store = options.store;
    this.#listing = options.listing;
    this.#scratchBucket = options.scratchBucket;
  }

  /** The log of one attempt; without a number, of the newest. An attempt that wrote nothing yet has no lines. */
  async get(orgId: number, taskId: string, attempt: number | undefined): Promise<AttemptLog> {
    const task = await this.#listing.find(orgId, taskId);
    const rows = await this.#db.query(attemptsOfTask, { task_id: task.task_id });
    const row = attempt === undefined ? rows.at(-1) : rows.findLast((one) => one.attempt === attempt);
    if (row === undefined) {
      if (attempt === undefined) return { attempt: null, state: null, lines: [], dropped: 0 };
      throw new TraceError("TR-1006", {
        detail: `task ${taskId} has no attempt ${attempt}`,
        fix: `'trace task show ${taskId}' lists its attempts`,
      });
    }
    // The bound is the worker's; twice that leaves room for the JSON around the lines.
    const bytes = await this.#store.get(
      this.#scratchBucket,
      `logs/${taskId}/${row.lease_no}.jsonl`,
      2 * attemptLogBytesMax,
    );
    return { attempt: row.attempt, state: row.state, ...parseLog(bytes) };
  }
}

/** Lines that are no log lines are passed over: a log must be readable even when its last line was cut. */
function parseLog(bytes: Uint8Array | undefined): { lines: LogLine[]; dropped: number } {
  const lines: LogLine[] = [];
  let dropped = 0;
  if (bytes === undefined) return { lines, dropped };
  for (const text of Buffer.from(bytes).toString("utf8").split("\n")) {
    if (text === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      dropped += 1;
      continue;
    }
    const line = logLineSchema.safeParse(value);
    if (line.success) lines.push(line.data);
    else if (typeof value === "object" && value !== null && "dropped" in value) dropped += Number(value.dropped) || 0;
  }
  return { lines, dropped };
}
