/** A query engine for tests: answers with what it was given, and keeps what it was asked. */
import { readFileSync } from "node:fs";
import type { DuckResult, DuckRun, DuckTable } from "@trace/duck";
import type { QueryEngine } from "../query/engine.ts";

export const fakeResult: DuckResult = {
  columns: [
    { name: "place", type: "VARCHAR" },
    { name: "quakes", type: "BIGINT" },
  ],
  rows: [
    ["Japan, east", 1707],
    [null, 3],
  ],
  rowCount: 2,
  truncated: false,
  elapsedMs: 42,
  peakRssBytes: 0,
};

/** Reads what it is given instead of running SQL. */
export class FakeEngine implements QueryEngine {
  names: readonly string[] = ["quakes"];
  /** With their versions; instead of `names`. */
  versions: readonly DuckTable[] | undefined;
  answer: DuckResult = fakeResult;
  ran: DuckRun | undefined;
  /** What the files held when the query ran. */
  read: string[] = [];
  stopped = 0;
  onRun: ((run: DuckRun) => void) | undefined;

  async tables(): Promise<DuckTable[]> {
    return this.versions === undefined ? this.names.map((name) => ({ name })) : [...this.versions];
  }

  async run(run: DuckRun): Promise<DuckResult> {
    this.ran = run;
    this.read = run.inputs.flatMap((input) => input.files.map((path) => readFileSync(path, "utf8")));
    this.onRun?.(run);
    run.signal?.throwIfAborted();
    return this.answer;
  }

  async stop(): Promise<void> {
    this.stopped += 1;
  }
}
