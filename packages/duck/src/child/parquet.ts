/** Parquet as a table: files of strangers as they are, and committed files by the schema that their dataset has now. */
import type { DuckColumn, DuckInput } from "../types.ts";
import { typeText } from "./columns.ts";
import type { Engine } from "./engine.ts";
import { globs, identifier, literal } from "./quote.ts";

const sourceOf = (files: readonly string[]): string =>
  `read_parquet(${globs(files)}, union_by_name = true, hive_partitioning = false)`;

export async function parquetQuery(engine: Engine, input: DuckInput): Promise<string> {
  const source = sourceOf(input.files);
  const declared = new Map(
    Object.entries(input.columns ?? {}).map(([name, type]) => [name.toLowerCase(), { name, type }]),
  );
  if (declared.size === 0) return `SELECT * FROM ${source}`;
  const found = await engine.describe(`SELECT * FROM ${source}`);
  const list = found.map(({ name }) => {
    const own = declared.get(name.toLowerCase());
    declared.delete(name.toLowerCase());
    return own === undefined
      ? identifier(name)
      : `CAST(${identifier(name)} AS ${typeText(own.type)}) AS ${identifier(name)}`;
  });
  // A declared column that no file has yet is empty, not an error: files of older versions lack new columns.
  for (const { name, type } of declared.values()) list.push(`CAST(NULL AS ${typeText(type)}) AS ${identifier(name)}`);
  return `SELECT ${list.join(", ")} FROM ${source}`;
}

/**
 * Committed files by name: a column that they lack is NULL, a narrower type is cast. A column that has its type already is
 * left bare, so that DuckDB prunes by it.
 */
export async function schemaQuery(
  engine: Engine,
  schema: readonly DuckColumn[],
  files: readonly string[],
): Promise<string> {
  const source = sourceOf(files);
  const found = files.length === 0 ? [] : await engine.describe(`SELECT * FROM ${source}`);
  const types = new Map(found.map(({ name, type }) => [name.toLowerCase(), type]));
  const list = schema.map(({ name, type }) => {
    const own = types.get(name.toLowerCase());
    if (own === type) return `${identifier(name)} AS ${identifier(name)}`;
    return `CAST(${own === undefined ? "NULL" : identifier(name)} AS ${typeText(type)}) AS ${identifier(name)}`;
  });
  return files.length === 0 ? `SELECT ${list.join(", ")} WHERE false` : `SELECT ${list.join(", ")} FROM ${source}`;
}

/** About what one row weighs when it is unpacked. */
export async function columnBytesOf(engine: Engine, file: string): Promise<number> {
  const [row] = await engine.rows(`SELECT
      (SELECT sum(total_uncompressed_size) FROM parquet_metadata(${literal(file)}))::VARCHAR AS bytes,
      (SELECT sum(num_rows) FROM parquet_file_metadata(${literal(file)}))::VARCHAR AS rows`);
  return Math.ceil(Number(row?.bytes ?? 0) / Math.max(1, Number(row?.rows ?? 0)));
}
