/** DuckDB behind walls: user SQL and untrusted files are only ever touched in a locked-down process that can be killed. */
export { type DuckLimits, duckLimits, sqlBytesMax } from "./limits.ts";
export { DuckRunner, type DuckRunnerOptions } from "./runner.ts";
export type {
  DuckColumn,
  DuckColumnStats,
  DuckFile,
  DuckFormat,
  DuckInput,
  DuckOutput,
  DuckProgress,
  DuckResult,
  DuckRun,
} from "./types.ts";
