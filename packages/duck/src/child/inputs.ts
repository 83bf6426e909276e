/**
 * Views over input files. Types are inferred from as much of a text source as is affordable. The view's query infers
 * again, over the same bytes; DuckDB ends it with an error should it then find other columns than the view has.
 */
import { columnsMax } from "../limits.ts";
import type { DuckColumn, DuckInput } from "../types.ts";
import { typeText } from "./columns.ts";
import { csvQuery, headsOf, requireRows, requireSplit } from "./csv.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { geojsonQuery } from "./geojson.ts";
import { jsonQuery } from "./json.ts";
import { globs, identifier } from "./quote.ts";
import { requireShallow } from "./text.ts";

export async function createView(engine: Engine, input: DuckInput): Promise<void> {
  if (input.format === "json" || input.format === "geojson") {
    for (const file of input.files) await requireShallow(file);
  }
  const heads = input.format === "csv" ? await headsOf(input) : [];
  const columns = await open(engine, input).catch(async (error: unknown) => {
    await requireRows(engine, input, heads);
    throw error;
  });
  if (input.format === "csv") await requireSplit(engine, input, heads, columns);
  if (columns.length > columnsMax) {
    throw new Refusal({
      code: "TR-5206",
      detail: `The source of '${input.name}' has ${columns.length} columns; at most ${columnsMax} are read.`,
      fix: "Split the file, or nest the columns.",
    });
  }
}

async function open(engine: Engine, input: DuckInput): Promise<DuckColumn[]> {
  const query = input.files.length === 0 ? emptyQuery(input) : await queryOf(engine, input);
  await engine.rows(`CREATE VIEW main.${identifier(input.name)} AS ${query}`);
  return engine.describe(`SELECT * FROM main.${identifier(input.name)}`);
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

async function parquetQuery(engine: Engine, input: DuckInput): Promise<string> {
  const source = `read_parquet(${globs(input.files)}, union_by_name = true, hive_partitioning = false)`;
  const declared = new Map(Object.entries(input.columns ?? {}).map(([name, type]) => [name.toLowerCase(), type]));
  if (declared.size === 0) return `SELECT * FROM ${source}`;
  const found = await engine.describe(`SELECT * FROM ${source}`);
  const list = found.map(({ name }) => {
    const type = declared.get(name.toLowerCase());
    declared.delete(name.toLowerCase());
    return type === undefined
      ? identifier(name)
      : `CAST(${identifier(name)} AS ${typeText(type)}) AS ${identifier(name)}`;
  });
  // A declared column that no file has yet is empty, not an error: files of older versions lack new columns.
  for (const [name, type] of declared) list.push(`CAST(NULL AS ${typeText(type)}) AS ${identifier(name)}`);
  return `SELECT ${list.join(", ")} FROM ${source}`;
}
