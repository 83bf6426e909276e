/** Runs SQL in the locked-down DuckDB child, for all outputs of a job at once, and stages what comes out: the half that `ingest` and `sql` share. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type JobOutput, partitionBounds, type StagedOutput } from "@trace/contracts";
import type { DuckInput, DuckParams, DuckParquetOutput, DuckProgress, DuckResult } from "@trace/duck";
import { queryMsMax } from "../limits.ts";
import type { OutputFiles, Provenance } from "../staging/manifest.ts";
import { stageOutputs } from "../staging/stage.ts";
import { workFolderError } from "../workplace.ts";
import { inferenceLines } from "./inference.ts";
import type { OperatorContext } from "./operator.ts";

export interface Query {
  readonly inputs: readonly DuckInput[];
  /** Of outputs that have none of their own. */
  readonly sql: string;
  /** Called when the files were read and before anything is staged; throws when the result is not to be used. */
  readonly verify?: () => Promise<void>;
  /** Waited for before anything is staged. */
  readonly provenance?: () => Promise<Provenance>;
}

/** Throws what the child reports (TR-52xx) and what staging throws. */
export async function queryAndStage(context: OperatorContext, query: Query): Promise<StagedOutput[]> {
  const { log, services, signal, task } = context;
  const outputs = task.job.outputs.filter((output) => output.bad_rows !== true);
  const badRows = task.job.outputs.find((output) => output.bad_rows === true);
  context.progress({ message: "running SQL" });
  const params = paramsOf(context);
  // The keys to write with come while SQL runs; a failure is told where they are used.
  context.writer.ready().catch(() => undefined);
  const result = await services.duck.run({
    inputs: query.inputs,
    outputs: await Promise.all(outputs.map((output, index) => duckOutput(context, query, output, index))),
    ...(params === undefined ? {} : { params }),
    ...(badRows === undefined ? {} : { badRows: { folder: await newFolder(context, "bad-rows") } }),
    limits: { deadlineMs: Math.max(1, Math.min(queryMsMax, Math.floor(context.leftMs()))) },
    signal,
    onProgress: progressOf(context),
  });
  signal.throwIfAborted();
  tellInference(context, query, result);
  await query.verify?.();
  const files = [...writtenBy(result, outputs), ...(badRows === undefined ? [] : [setAside(context, result, badRows)])];
  const peakMb = Math.round(result.peakRssBytes / 1e6);
  const rows = files.map(({ dataset, files }) => `${files.reduce((sum, file) => sum + file.rows, 0)} for '${dataset}'`);
  log.info(`SQL made rows, ${rows.join(", ")}, in ${result.elapsedMs} ms, using up to ${peakMb} MB`);
  return stageOutputs(context, files, await query.provenance?.());
}

/** Of inputs that were committed nothing was to be found out. */
function tellInference({ log }: OperatorContext, { inputs }: Query, { inference = [] }: DuckResult): void {
  const committed = new Set(inputs.filter(({ schema }) => schema !== undefined).map(({ name }) => name));
  for (const found of inference) {
    if (!committed.has(found.input)) for (const line of inferenceLines(found)) log.info(line);
  }
}

async function duckOutput(
  context: OperatorContext,
  query: Query,
  output: JobOutput,
  index: number,
): Promise<DuckParquetOutput> {
  const schema = context.task.staging.find(({ dataset }) => dataset === output.dataset)?.schema ?? [];
  const ids = schema.flatMap(({ field_id: id, name }) => (id === undefined ? [] : [[name, id] as const]));
  return {
    kind: "parquet",
    sql: output.sql ?? query.sql,
    folder: await newFolder(context, `output-${index}`),
    fieldIds: Object.fromEntries(ids),
    ...(output.partition_by === undefined ? {} : { partitionBy: output.partition_by }),
  };
}

async function newFolder(context: OperatorContext, name: string): Promise<string> {
  const folder = join(await context.workDir(), name);
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    throw workFolderError(error, folder);
  });
  return folder;
}

/** What `$partition`, `$partition_start` and `$partition_end` are in the SQL of this task. */
function paramsOf({ task: { job, partition } }: OperatorContext): DuckParams | undefined {
  if (partition === null) return undefined;
  const bounds = job.partitions === undefined ? undefined : partitionBounds(job.partitions, partition);
  return {
    partition,
    ...(bounds === undefined ? {} : { partition_start: bounds.start, partition_end: bounds.end }),
  };
}

function writtenBy({ outputs = [] }: DuckResult, declared: readonly JobOutput[]): OutputFiles[] {
  if (outputs.length !== declared.length) {
    throw new Error(`the runner wrote ${outputs.length} outputs; ${declared.length} were asked for`);
  }
  return declared.map(({ dataset, partition_by }, index): OutputFiles => {
    const { columns = [], files = [] } = outputs[index] ?? {};
    return { dataset, columns, files, partitioned: partition_by !== undefined };
  });
}

/** Staged whether or not a row is bad: readers see that none was. */
function setAside(context: OperatorContext, { badRows }: DuckResult, { dataset }: JobOutput): OutputFiles {
  if (badRows === undefined) throw new Error("the runner says nothing of rows set aside");
  const { columns, file, rows } = badRows;
  if (rows > 0) {
    context.log.warn(
      `${rows} rows could not be read and were set aside; '${dataset}' has each with its line and reason`,
    );
    context.progress({ message: "rows set aside", done: rows, unit: "rows" });
  } else context.log.info("no row was set aside");
  return { dataset, columns, files: [file], partitioned: false };
}

/** How much of the query is done, as far as DuckDB can tell, beside what it has written so far. */
function progressOf(context: OperatorContext): (progress: DuckProgress) => void {
  let percent: number | undefined;
  let bytes: number | undefined;
  return (progress) => {
    percent = progress.percent ?? percent;
    bytes = progress.bytes ?? bytes;
    if (progress.rows !== undefined) context.progress({ message: "running SQL", done: progress.rows, unit: "rows" });
    else if (percent !== undefined) {
      const written = bytes === undefined ? "" : `, ${(bytes / 1e6).toFixed(1)} MB written`;
      context.progress({ message: `running SQL${written}`, done: Math.round(percent), total: 100 });
    } else if (bytes !== undefined) context.progress({ message: "writing the result", done: bytes, unit: "bytes" });
    else context.progress({ message: "running SQL" });
  };
}
