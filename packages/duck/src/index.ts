/** DuckDB behind walls: user SQL and untrusted files are only ever touched in a locked-down process that can be killed. */
export { type DuckLimits, duckLimits, sqlBytesMax } from "./limits.ts";
export { momentOf } from "./moment.ts";
export { DuckRunner, type DuckRunnerOptions } from "./runner.ts";
export type {
  DuckAt,
  DuckBadRows,
  DuckColumn,
  DuckColumnStats,
  DuckCompression,
  DuckCsv,
  DuckDialect,
  DuckFile,
  DuckFormat,
  DuckInference,
  DuckInput,
  DuckOutput,
  DuckOutputResult,
  DuckOutputsRun,
  DuckParams,
  DuckParquetOutput,
  DuckProgress,
  DuckResult,
  DuckRun,
  DuckScalar,
  DuckSingleRun,
  DuckTable,
  DuckWrittenColumn,
} from "./types.ts";
