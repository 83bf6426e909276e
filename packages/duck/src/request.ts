/** What the parent checks and settles before a child sees a run: names, limits, and that each path is what it claims. */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, isAbsolute } from "node:path";
import { TraceError } from "@trace/contracts";
import {
  columnsMax,
  type DuckLimits,
  dataBytesMin,
  deadlineMsMax,
  fieldIdMax,
  filesPerRunMax,
  inputsMax,
  outputsMax,
  partitionKeyCharsMax,
  sqlBytesMax,
  typeTextMax,
  whereValuesMax,
} from "./limits.ts";
import type { ChildOutput, ChildQuery, Request } from "./messages.ts";
import { catalogueName, tableKey, viewName } from "./names.ts";
import type { DuckInput, DuckOutput, DuckParams, DuckParquetOutput, DuckRun } from "./types.ts";

function invalid(detail: string, fix: string): TraceError {
  return new TraceError("TR-5213", { detail, fix });
}

export function checkSql(sql: string): void {
  const bytes = Buffer.byteLength(sql);
  if (bytes > sqlBytesMax) {
    throw new TraceError("TR-5204", {
      detail: `The SQL has ${bytes} bytes; at most ${sqlBytesMax} are allowed.`,
      fix: "Move long lists of values into an input table and join it.",
    });
  }
  if (sql.includes("\0")) {
    throw new TraceError("TR-5200", { detail: "The SQL holds a NUL character.", fix: "Remove it." });
  }
}

export function checkLimits(limits: DuckLimits): void {
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw invalid(`The limit ${name} is ${value}.`, "Give a positive integer.");
  }
  if (limits.deadlineMs > deadlineMsMax) {
    throw invalid(`The limit deadlineMs is ${limits.deadlineMs}.`, `Give at most ${deadlineMsMax}.`);
  }
  if (limits.dataBytesMax < dataBytesMin) {
    throw invalid(`The limit dataBytesMax is ${limits.dataBytesMax}.`, `Give at least ${dataBytesMin}.`);
  }
}

/** Resolves symbolic links, so that what was checked is what the child may open. */
export async function prepare(run: DuckRun, unpackBytesMax: number): Promise<Extract<Request, { kind: "run" }>> {
  const wanted = queriesOf(run);
  for (const { sql } of wanted) checkSql(sql);
  checkNames(run.inputs);
  checkParams(run.params ?? {});
  const inputs: DuckInput[] = [];
  for (const input of run.inputs) {
    checkInput(input, run.badRows !== undefined);
    const { name, format, compression, csv, columns, schema, where, onBadRow, at } = input;
    const files = await Promise.all(input.files.map(readableFile));
    inputs.push({ name, files, format, compression, csv, columns, schema, where, onBadRow, at });
  }
  const queries: ChildQuery[] = [];
  for (const { sql, output } of wanted) queries.push({ sql, output: await prepareOutput(output) });
  const badFolder = run.badRows === undefined ? undefined : await outputFolder(run.badRows.folder);
  const folders = queries.flatMap(({ output }) => (output.kind === "parquet" ? [output.folder] : []));
  if (badFolder !== undefined) folders.push(badFolder);
  // One within another would be emptied or moved with it.
  const within = (one: string, other: string) => one === other || one.startsWith(`${other}/`);
  if (folders.some((one, index) => folders.some((other, at) => at !== index && within(one, other)))) {
    throw invalid("Two outputs have one folder, or one lies in another.", "Give each output a folder of its own.");
  }
  return { kind: "run", inputs, queries, params: run.params, badFolder, unpackBytesMax };
}

function queriesOf(run: DuckRun): readonly { sql: string; output: DuckOutput | DuckParquetOutput }[] {
  if (run.outputs === undefined) return [{ sql: run.sql, output: run.output }];
  if (run.outputs.length === 0 || run.outputs.length > outputsMax) {
    throw invalid(`The run has ${run.outputs.length} outputs.`, `Give 1 to ${outputsMax}.`);
  }
  return run.outputs.map((output) => ({ sql: output.sql, output }));
}

const paramNames = ["partition", "partition_start", "partition_end"];
const moment = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}(?::\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?)?$/;

function checkParams(params: DuckParams): void {
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue;
    if (!paramNames.includes(name) || typeof value !== "string" || value.includes("\0")) {
      throw invalid(
        `The parameter '${name.slice(0, 100)}' cannot be used.`,
        `Give ${paramNames.join(", ")}, as texts.`,
      );
    }
    if (name === "partition" && (value === "" || value.length > partitionKeyCharsMax)) {
      throw invalid("The parameter partition is no partition key.", `Give 1 to ${partitionKeyCharsMax} characters.`);
    }
    if (name !== "partition" && !moment.test(value)) {
      throw invalid(`The parameter ${name} is no moment.`, "Give it as 2001-01-31T00:00:00, without a zone.");
    }
  }
}

const oneCharacter = (text: string | undefined): boolean => text === undefined || text.length <= 1;

function checkInput(input: DuckInput, hasBadFolder: boolean): void {
  const { name, format, csv, schema, where, onBadRow, compression } = input;
  if (compression !== undefined && !["auto", "none", "gzip", "zstd"].includes(compression)) {
    throw invalid(`The input '${name}' has an unknown compression.`, "Give auto, none, gzip or zstd.");
  }
  if (schema !== undefined) {
    if (format !== "parquet" || input.columns !== undefined || schema.length === 0) {
      throw invalid(`The schema of '${name}' cannot be used.`, "A schema is for Parquet, and in the place of columns.");
    }
    checkColumns(name, Object.fromEntries(schema.map((column) => [column.name, column.type])));
    if (new Set(schema.map((column) => column.name.toLowerCase())).size < schema.length) {
      throw invalid(`The schema of '${name}' names a column twice.`, "Columns do not differ by case alone.");
    }
  }
  if (onBadRow === "set_aside") {
    if (format !== "csv" && format !== "json") {
      throw invalid(`Rows of '${name}' cannot be set aside.`, "Only CSV and JSON Lines have rows to set aside.");
    }
    if (!hasBadFolder) throw invalid(`Rows of '${name}' are set aside to nowhere.`, "Give the run badRows.");
  }
  const skip = csv?.skip ?? 0;
  const characters = [csv?.quote, csv?.escape, csv?.comment].every(oneCharacter);
  const delimiter = csv?.delimiter ?? ",";
  if (!Number.isSafeInteger(skip) || skip < 0 || !characters || delimiter.length > 4 || /[\r\n\0]/.test(delimiter)) {
    throw invalid(`The CSV options of '${name}' cannot be used.`, "quote, escape and comment are one character each.");
  }
  for (const [column, values] of Object.entries(where ?? {})) {
    const plain = values.every((value) => value === null || ["string", "number", "boolean"].includes(typeof value));
    if (!plain || values.length === 0 || values.length > whereValuesMax) {
      throw invalid(
        `The values of '${column.slice(0, 100)}' in where of '${name}' cannot be used.`,
        `Give 1 to ${whereValuesMax} texts, numbers, flags or nulls.`,
      );
    }
  }
}

function checkNames(inputs: readonly DuckInput[]): void {
  const files = inputs.reduce((sum, input) => sum + input.files.length, 0);
  if (inputs.length > inputsMax || files > filesPerRunMax) {
    throw invalid(
      `The query has ${inputs.length} inputs with ${files} files.`,
      `Give at most ${inputsMax} inputs and ${filesPerRunMax} files.`,
    );
  }
  const seen = new Set<string>();
  for (const { name, columns, at } of inputs) {
    if (!viewName.test(name) || catalogueName.test(name)) {
      throw invalid(`The input name '${name.slice(0, 130)}' cannot be used.`, "Use lower-case letters, digits and _.");
    }
    for (const key of at === undefined ? [tableKey(name)] : at.map((one) => tableKey(name, one))) {
      if (seen.has(key)) throw invalid(`Two inputs are named '${name}'.`, "Give each input its own name.");
      seen.add(key);
    }
    checkColumns(name, columns ?? {});
  }
}

function checkColumns(input: string, columns: Readonly<Record<string, string>>): void {
  const entries = Object.entries(columns);
  const fits = ([name, type]: [string, string]) => name !== "" && !name.includes("\0") && type.length <= typeTextMax;
  if (entries.length > columnsMax || !entries.every(fits)) {
    throw invalid(`The declared columns of '${input}' cannot be used.`, "Name each column and give it a DuckDB type.");
  }
}

async function readableFile(path: string): Promise<string> {
  if (!isAbsolute(path) || path.includes("\0"))
    throw invalid("An input file's path is not absolute.", "Resolve it first.");
  try {
    const real = await realpath(path);
    // A pipe or a device could block or feed the child for ever.
    if ((await stat(real)).isFile()) {
      // DuckDB has no form of a path that makes both a wildcard and a backslash literal.
      if (!(/[*?[]/.test(real) && real.includes("\\"))) return real;
      throw unreadable(path, "Its path holds a backslash beside *, ? or [.");
    }
  } catch (cause) {
    if (cause instanceof TraceError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw unreadable(path, code === "ENOENT" ? "It does not exist." : `The system answers ${code}.`, cause);
  }
  throw unreadable(path, "It is not a regular file.");
}

function unreadable(path: string, why: string, cause?: unknown): TraceError {
  return new TraceError("TR-5001", {
    detail: `The file '${basename(path)}' cannot be read.`,
    where: basename(path),
    why,
    fix: "Check the path and that this user may read it.",
    cause,
  });
}

async function prepareOutput(output: DuckOutput | DuckParquetOutput): Promise<ChildOutput> {
  if (output.kind === "rows") {
    const whole = [output.rowsMax, output.bytesMax].every((value) => Number.isSafeInteger(value) && value >= 0);
    if (!whole) throw invalid("rowsMax or bytesMax is no whole number.", "Give both as whole numbers.");
    return output;
  }
  const { partitionBy, fieldIds } = output as Partial<DuckParquetOutput>;
  checkFieldIds(fieldIds ?? {});
  return { kind: "parquet", folder: await outputFolder(output.folder), partitionBy, fieldIds };
}

function checkFieldIds(ids: Readonly<Record<string, number>>): void {
  const values = Object.values(ids);
  const fits = values.every((id) => Number.isSafeInteger(id) && id > 0 && id <= fieldIdMax);
  if (values.length > columnsMax || !fits || new Set(values).size < values.length) {
    throw invalid("The field ids of an output cannot be used.", `Give each column its own, from 1 to ${fieldIdMax}.`);
  }
}

async function outputFolder(path: string): Promise<string> {
  if (!isAbsolute(path)) throw invalid("The output folder's path is not absolute.", "Resolve it first.");
  try {
    const folder = await realpath(path);
    if ((await readdir(folder)).length > 0)
      throw invalid("The output folder is not empty.", "Give a new folder to each run.");
    return folder;
  } catch (cause) {
    if (cause instanceof TraceError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new TraceError("TR-5212", { detail: `The output folder cannot be used (${code}).`, cause });
  }
}
