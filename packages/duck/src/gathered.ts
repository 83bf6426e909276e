/**
 * What the replies of one run add up to. Nothing is taken from the child that can be counted here: rows and bytes sent, the
 * number of files, and of each file that it is one, in its folder, and how large.
 */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fromErrorRecord, type TraceError } from "@trace/contracts";
import { frameSlackBytes, inputsMax, outputFilesMax } from "./limits.ts";
import type { ChildFile, Reply, Request } from "./messages.ts";
import { crashed } from "./process.ts";
import type {
  DuckBadRows,
  DuckColumn,
  DuckFile,
  DuckInference,
  DuckOutputResult,
  DuckResult,
  DuckRun,
  DuckTable,
  DuckWrittenColumn,
} from "./types.ts";

type RunRequest = Extract<Request, { kind: "run" }>;

interface GatheredOutput {
  readonly columns: readonly DuckWrittenColumn[];
  readonly files: ChildFile[];
}

export interface Gathered {
  columns: readonly DuckColumn[];
  readonly rows: (readonly unknown[])[];
  rowsBytes: number;
  tables: readonly DuckTable[];
  readonly inference: DuckInference[];
  /** By number; -1 is that of rows set aside. */
  readonly outputs: Map<number, GatheredOutput>;
  done: Extract<Reply, { kind: "done" }> | undefined;
}

export function nothingGathered(): Gathered {
  return { columns: [], rows: [], rowsBytes: 0, tables: [], inference: [], outputs: new Map(), done: undefined };
}

const outOfForm = (): TraceError => crashed("by answering out of form");
const tooMuch = (): TraceError => crashed("by answering with more than it was asked for");

/** Adds a reply up; true at the last. Throws what the child reports, and when it sends more than it was asked for. */
export function gather(into: Gathered, reply: Reply, bytes: number, run: DuckRun): boolean {
  switch (reply.kind) {
    case "columns":
      into.columns = reply.columns;
      return false;
    case "rows":
      gatherRows(into, reply.rows, bytes, run);
      return false;
    case "inference":
      if (into.inference.length >= inputsMax) throw tooMuch();
      into.inference.push(reply.inference);
      return false;
    case "output":
      if (into.outputs.has(reply.output)) throw outOfForm();
      into.outputs.set(reply.output, { columns: reply.columns, files: [] });
      return false;
    case "files": {
      const output = into.outputs.get(reply.output);
      if (output === undefined) throw outOfForm();
      if (output.files.length + reply.files.length > outputFilesMax) throw tooMuch();
      for (const file of reply.files) output.files.push(file);
      return false;
    }
    case "progress":
      run.onProgress?.(reply.percent === undefined ? {} : { percent: reply.percent });
      return false;
    case "done":
      into.done = reply;
      return true;
    case "error":
      throw fromErrorRecord(reply.error);
    default:
      throw outOfForm();
  }
}

function gatherRows(into: Gathered, rows: readonly (readonly unknown[])[], bytes: number, run: DuckRun): void {
  if (run.output?.kind !== "rows") throw outOfForm();
  for (const row of rows) into.rows.push(row);
  into.rowsBytes += bytes;
  // Commas and brackets between rows are not counted by the child; two bytes a row and a little cover them.
  const bytesMax = run.output.bytesMax + 2 * run.output.rowsMax + frameSlackBytes + into.rows.length * 2;
  if (into.rows.length > run.output.rowsMax || into.rowsBytes > 2 * bytesMax) throw tooMuch();
}

export function gatherTables(into: Gathered, reply: Reply): boolean {
  if (reply.kind === "error") throw fromErrorRecord(reply.error);
  if (reply.kind !== "tables") throw outOfForm();
  into.tables = reply.tables;
  return true;
}

export async function resultOf(
  request: RunRequest,
  gathered: Gathered,
  figures: { readonly elapsedMs: number; readonly peakRssBytes: number },
): Promise<DuckResult> {
  const { done, inference } = gathered;
  if (done === undefined) throw crashed("without an answer");
  const badRows =
    request.badFolder === undefined ? {} : { badRows: await badRowsOf(gathered.outputs.get(-1), request.badFolder) };
  const base = { ...figures, inference, ...badRows };
  if (request.queries[0]?.output.kind === "rows") {
    const { columns, rows } = gathered;
    return { ...base, rowCount: done.rowCount, columns, rows, truncated: done.truncated };
  }
  const outputs: DuckOutputResult[] = [];
  for (const [index, { output }] of request.queries.entries()) {
    if (output.kind === "parquet") outputs.push(await outputOf(gathered.outputs.get(index), output.folder));
  }
  const [first] = outputs;
  if (first === undefined) throw crashed("without the files it promised");
  return { ...base, ...first, outputs };
}

async function badRowsOf(gathered: GatheredOutput | undefined, folder: string): Promise<DuckBadRows> {
  const { columns, files, rowCount } = await outputOf(gathered, folder);
  const [file, ...others] = files;
  if (file === undefined || others.length > 0) throw crashed("without the file it promised");
  return { rows: rowCount, columns, file };
}

async function outputOf(gathered: GatheredOutput | undefined, folder: string): Promise<DuckOutputResult> {
  if (gathered === undefined) throw crashed("without the files it promised");
  const { columns, files } = gathered;
  const names = new Set(files.map(({ name }) => name));
  const left = (await readdir(folder)).filter((name) => !names.has(name));
  if (names.size < files.length || left.length > 0) throw crashed("with other files than it promised");
  const list: DuckFile[] = [];
  for (const { name, rows, partition, columns: stats } of files) {
    const path = join(folder, name);
    // The size is taken from the file system, not from the child's word.
    const found = await lstat(path).catch((cause: unknown) => {
      throw crashed("without the file it promised", cause);
    });
    if (!found.isFile()) throw crashed("with something else than a file");
    list.push({ path, bytes: found.size, rows, ...(partition === undefined ? {} : { partition }), columns: stats });
  }
  list.sort((a, b) => ((a.partition ?? "") < (b.partition ?? "") ? -1 : a.partition === b.partition ? 0 : 1));
  return { columns, rowCount: list.reduce((sum, { rows }) => sum + rows, 0), files: list };
}
