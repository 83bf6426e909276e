/**
 * Views over input files. Types are inferred once, before the lock, from as much of a text source as is affordable, and
 * then written into the view, so that a later look at the same file cannot infer something else.
 */
import { columnsMax } from "../limits.ts";
import type { DuckInput } from "../types.ts";
import { jsonInference, mergeColumns, sampleOption, typeText } from "./columns.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { geojsonQuery } from "./geojson.ts";
import { identifier, literal, literals, textMap } from "./quote.ts";

export async function createView(engine: Engine, input: DuckInput): Promise<void> {
  const query = input.files.length === 0 ? emptyQuery(input) : await queryOf(engine, input);
  await engine.rows(`CREATE VIEW main.${identifier(input.name)} AS ${query}`);
  const columns = await engine.describe(`SELECT * FROM main.${identifier(input.name)}`);
  if (columns.length > columnsMax) {
    throw new Refusal({
      code: "TR-5206",
      detail: `The source of '${input.name}' has ${columns.length} columns; at most ${columnsMax} are read.`,
      fix: "Split the file, or nest the columns.",
    });
  }
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
      return Promise.resolve(csvQuery(input));
    case "json":
      return jsonQuery(engine, input);
    case "geojson":
      return geojsonQuery(engine, input);
  }
}

async function parquetQuery(engine: Engine, input: DuckInput): Promise<string> {
  const source = `read_parquet(${literals(input.files)}, union_by_name = true, hive_partitioning = false)`;
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

function csvQuery(input: DuckInput): string {
  const options = ["union_by_name = true", "hive_partitioning = false", sampleOption(input.files)];
  const { header, delimiter, quote, nullText } = input.csv ?? {};
  if (header !== undefined) options.push(`header = ${header}`);
  if (delimiter !== undefined) options.push(`delim = ${literal(delimiter)}`);
  if (quote !== undefined) options.push(`quote = ${literal(quote)}`);
  if (nullText !== undefined) options.push(`nullstr = ${literal(nullText)}`);
  const types = Object.entries(input.columns ?? {});
  if (types.length > 0) options.push(`types = ${textMap(types.map(([name, type]) => [name, typeText(type)]))}`);
  return `SELECT * FROM read_csv(${literals(input.files)}, ${options.join(", ")})`;
}

async function jsonQuery(engine: Engine, input: DuckInput): Promise<string> {
  const source = (options: string) =>
    `SELECT * FROM read_json(${literals(input.files)}, format = 'auto', union_by_name = true, hive_partitioning = false${options})`;
  const inferred = await engine.describe(source(`, ${jsonInference(input.files)}`));
  const columns = mergeColumns(inferred, input.columns ?? {});
  // A file of bare values (not records) has the one column "json", which cannot be asked for by name.
  if (inferred.length === 1 && inferred[0]?.name === "json") return source(`, ${jsonInference(input.files)}`);
  return source(`, columns = ${textMap(columns)}`);
}
