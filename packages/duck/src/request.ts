/** What the parent checks and settles before a child sees a run: names, limits, and that each path is what it claims. */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import { TraceError } from "@trace/contracts";
import {
  columnsMax,
  type DuckLimits,
  dataBytesMin,
  deadlineMsMax,
  filesPerRunMax,
  inputsMax,
  sqlBytesMax,
  typeTextMax,
} from "./limits.ts";
import type { ChildOutput, Request } from "./messages.ts";
import { catalogueName, tableKey, viewName } from "./names.ts";
import type { DuckInput, DuckOutput, DuckRun } from "./types.ts";

/** The one file of a Parquet output. */
export const outputFileName = "part-0.parquet";

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
export async function prepare(run: DuckRun): Promise<Extract<Request, { kind: "run" }>> {
  if (run.outputs !== undefined) throw invalid("Several outputs are not written yet.", "Run them one by one.");
  checkSql(run.sql);
  checkNames(run.inputs);
  const inputs: DuckInput[] = [];
  for (const input of run.inputs) {
    const files = await Promise.all(input.files.map(readableFile));
    inputs.push({
      name: input.name,
      files,
      format: input.format,
      csv: input.csv,
      columns: input.columns,
      at: input.at,
    });
  }
  return { kind: "run", inputs, sql: run.sql, output: await prepareOutput(run.output) };
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

async function prepareOutput(output: DuckOutput): Promise<ChildOutput> {
  if (output.kind === "rows") {
    const whole = [output.rowsMax, output.bytesMax].every((value) => Number.isSafeInteger(value) && value >= 0);
    if (!whole) throw invalid("rowsMax or bytesMax is no whole number.", "Give both as whole numbers.");
    return output;
  }
  if (!isAbsolute(output.folder)) throw invalid("The output folder's path is not absolute.", "Resolve it first.");
  try {
    const folder = await realpath(output.folder);
    if ((await readdir(folder)).length > 0)
      throw invalid("The output folder is not empty.", "Give a new folder to each run.");
    return { kind: "parquet", folder, file: join(folder, outputFileName) };
  } catch (cause) {
    if (cause instanceof TraceError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new TraceError("TR-5212", { detail: `The output folder cannot be used (${code}).`, cause });
  }
}
