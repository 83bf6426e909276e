/** Runs SQL in the locked-down DuckDB child and stages its result: the half that `ingest` and `sql` share. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { StagedOutput } from "@trace/contracts";
import type { DuckInput, DuckProgress } from "@trace/duck";
import { queryMsMax } from "../limits.ts";
import { stageOutput } from "../staging.ts";
import { workFolderError } from "../workplace.ts";
import type { OperatorContext } from "./operator.ts";

export interface Query {
  readonly inputs: readonly DuckInput[];
  readonly sql: string;
  /** Called when the files were read and before anything is staged; throws when the result is not to be used. */
  readonly verify?: () => Promise<void>;
}

/** Throws what the child reports (TR-52xx) and what staging throws. */
export async function queryAndStage(context: OperatorContext, query: Query): Promise<StagedOutput> {
  const { log, services, signal } = context;
  const folder = join(await context.workDir(), "output");
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    throw workFolderError(error, folder);
  });
  context.progress({ message: "running SQL" });
  const result = await services.duck.run({
    inputs: query.inputs,
    sql: query.sql,
    output: { kind: "parquet", folder },
    limits: { deadlineMs: Math.max(1, Math.min(queryMsMax, Math.floor(context.leftMs()))) },
    signal,
    onProgress: (progress) => reportProgress(context, progress),
  });
  signal.throwIfAborted();
  await query.verify?.();
  const peakMb = Math.round(result.peakRssBytes / 1e6);
  log.info(`SQL made ${result.rowCount} rows in ${result.elapsedMs} ms, using up to ${peakMb} MB`);
  context.progress({ message: "staging", done: result.rowCount, unit: "rows" });
  return stageOutput(context, result);
}

function reportProgress(context: OperatorContext, progress: DuckProgress): void {
  const { bytes, percent, rows } = progress;
  const message = percent === undefined ? "running SQL" : `running SQL, ${Math.round(percent)} %`;
  if (rows !== undefined) context.progress({ message, done: rows, unit: "rows" });
  else if (bytes !== undefined) context.progress({ message: "writing the result", done: bytes, unit: "bytes" });
  else context.progress({ message });
}
