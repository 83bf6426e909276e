/** What a query needs of DuckDB, so that commands can be tested without it. */
import type { DuckResult, DuckRun, DuckTable } from "@trace/duck";
import { queryDeadlineMs } from "../limits.ts";

export interface QueryEngine {
  /** The tables that a SELECT reads, each with its version where AT names one. */
  tables(sql: string, signal?: AbortSignal): Promise<DuckTable[]>;
  run(run: DuckRun): Promise<DuckResult>;
  stop(): Promise<void>;
}

/** DuckDB in its locked-down child. Loaded when a query needs it: it is heavy, and most commands do not. */
export async function startEngine(): Promise<QueryEngine> {
  const [{ DuckRunner }, { silentLog }] = await Promise.all([import("@trace/duck"), import("@trace/kit")]);
  // One child ahead: while names are resolved and files fetched, the next one is getting ready.
  const runner = new DuckRunner({ log: silentLog(), poolSize: 1, limits: { deadlineMs: queryDeadlineMs } });
  await runner.start();
  return runner;
}
