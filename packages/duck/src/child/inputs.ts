/**
 * Views over input files. Types are inferred from as much of a text source as is affordable. The view's query infers
 * again, over the same bytes; DuckDB ends it with an error should it then find other columns than the view has.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { columnsMax, inferWholeBytesMax, rowSampleBytes } from "../limits.ts";
import type { DuckColumn, DuckDialect, DuckInference, DuckInput } from "../types.ts";
import type { BadRows } from "./bad-rows.ts";
import { typeText } from "./columns.ts";
import { csvQuery, dialectOf, headsOf, requireRows, requireSplit } from "./csv.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { geojsonQuery } from "./geojson.ts";
import { jsonQuery } from "./json.ts";
import { columnBytesOf, parquetQuery, schemaQuery } from "./parquet.ts";
import { identifier } from "./quote.ts";
import type { Source } from "./source.ts";
import { requireShallow } from "./text.ts";
import { conditionOf } from "./where.ts";

export interface View {
  /** What the view reads: the input's files, or what was made of them. */
  readonly files: readonly string[];
  /** About what one row weighs. */
  readonly rowBytes: number;
  readonly inference: Omit<DuckInference, "input">;
}

export async function createView(engine: Engine, input: DuckInput, bad: BadRows | undefined): Promise<View> {
  if (input.format === "json" || input.format === "geojson") {
    for (const file of input.files) await requireShallow(file);
  }
  const heads = input.format === "csv" ? await headsOf(input) : [];
  const aside = input.onBadRow === "set_aside" && input.files.length > 0 ? bad : undefined;
  const rowBytes = await rowBytesOf(engine, input);
  const source = await (aside === undefined ? sourceOf(engine, input) : aside.sourceOf(input, heads, rowBytes));
  const columns = await open(engine, input, source.query).catch(async (error: unknown) => {
    if (aside === undefined) await requireRows(engine, input, heads);
    throw error;
  });
  if (input.format === "csv" && aside === undefined) await requireSplit(engine, input, heads, columns);
  if (columns.length > columnsMax) {
    throw new Refusal({
      code: "TR-5206",
      detail: `The source of '${input.name}' has ${columns.length} columns; at most ${columnsMax} are read.`,
      fix: "Split the file, or nest the columns.",
    });
  }
  const dialect = source.dialect ?? (await dialectIn(engine, input));
  return {
    files: source.files,
    rowBytes,
    inference: { columns, lookedAt: lookedAtOf(input, columns), ...(dialect === undefined ? {} : { dialect }) },
  };
}

async function sourceOf(engine: Engine, input: DuckInput): Promise<Source> {
  const { files } = input;
  if (input.schema !== undefined) return { query: await schemaQuery(engine, input.schema, files), files };
  return { query: files.length === 0 ? emptyQuery(input) : await queryOf(engine, input), files };
}

async function open(engine: Engine, input: DuckInput, query: string): Promise<DuckColumn[]> {
  const view = `main.${identifier(input.name)}`;
  const conditions = Object.entries(input.where ?? {});
  if (conditions.length === 0) {
    await engine.rows(`CREATE VIEW ${view} AS ${query}`);
    return engine.describe(`SELECT * FROM ${view}`);
  }
  const columns = await engine.describe(query);
  const list: string[] = [];
  for (const [name, values] of conditions) list.push(await conditionOf(engine, input.name, columns, name, values));
  await engine.rows(`CREATE VIEW ${view} AS SELECT * FROM (${query}) WHERE ${list.join(" AND ")}`);
  return columns;
}

function emptyQuery(input: DuckInput): string {
  const columns = Object.entries(input.columns ?? {});
  if (columns.length === 0) {
    throw new Refusal({
      code: "TR-5213",
      detail: `The input '${input.name}' has neither files nor declared columns.`,
      fix: "Give the input a file, or declare its columns and their types.",
    });
  }
  const list = columns.map(([name, type]) => `CAST(NULL AS ${typeText(type)}) AS ${identifier(name)}`);
  return `SELECT ${list.join(", ")} WHERE false`;
}

function queryOf(engine: Engine, input: DuckInput): Promise<string> {
  switch (input.format) {
    case "parquet":
      return parquetQuery(engine, input);
    case "csv":
      return csvQuery(engine, input);
    case "json":
      return jsonQuery(engine, input);
    case "geojson":
      return geojsonQuery(engine, input);
  }
}

function lookedAtOf(input: DuckInput, columns: readonly DuckColumn[]): DuckInference["lookedAt"] {
  const declared = new Set(Object.keys(input.columns ?? {}).map((name) => name.toLowerCase()));
  const all = columns.every(({ name }) => declared.has(name.toLowerCase()));
  if (input.format === "parquet" || input.files.length === 0 || all) return "declared";
  const bytes = input.files.reduce((sum, file) => sum + statSync(file).size, 0);
  return bytes <= inferWholeBytesMax ? "all" : "sample";
}

async function dialectIn(engine: Engine, input: DuckInput): Promise<DuckDialect | undefined> {
  const [first] = input.files;
  return input.format === "csv" && first !== undefined ? dialectOf(engine, input, first) : undefined;
}

async function rowBytesOf(engine: Engine, input: DuckInput): Promise<number> {
  const [first] = input.files;
  if (first === undefined) return 0;
  if (input.format === "parquet") return columnBytesOf(engine, first);
  const buffer = Buffer.alloc(rowSampleBytes);
  const file = openSync(first, "r");
  try {
    const head = buffer.toString("latin1", 0, readSync(file, buffer, 0, rowSampleBytes, 0));
    // Rows end with their line, or between two objects of a list.
    const rows = head.match(/\n|\}\s{0,8},\s{0,8}\{/g)?.length ?? 0;
    return Math.ceil(head.length / (rows + 1));
  } finally {
    closeSync(file);
  }
}
