/**
 * What the footers of written files say: rows, and minimum, maximum and nulls per column. The figures come from the files
 * as written, not from the query, so they are true of the bytes that are published.
 */
import { join } from "node:path";
import {
  fileBatchBytes,
  footerCellsMax,
  footerColumnsAtOnce,
  footerFilesAtOnce,
  partitionKeyCharsMax,
  statTextMax,
} from "../limits.ts";
import type { ChildFile, Reply } from "../messages.ts";
import type { DuckColumn, DuckColumnStats } from "../types.ts";
import { unusableKey, type Written } from "./copy.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { identifier, literal, literals } from "./quote.ts";

type Row = Record<string, string | null>;

interface Shape {
  readonly columns: readonly DuckColumn[];
  /** For each column the number of its leaf in the footer, or undefined when it is nested. */
  readonly leaves: readonly (number | undefined)[];
}

/** Tells the parent of an output: its columns, then its files. */
export async function sendFiles(
  engine: Engine,
  folder: string,
  written: Written,
  output: number,
  send: (reply: Reply) => Promise<void>,
): Promise<void> {
  let told = false;
  let batch: ChildFile[] = [];
  let bytes = 0;
  for await (const { columns, files } of readFooters(engine, folder, written)) {
    // As they read back: a 128-bit integer is a DECIMAL, an ENUM a text.
    const columnsWritten = columns.map((column, index) => ({ ...written.columns[index], ...column }));
    if (!told) await send({ kind: "output", output, columns: columnsWritten });
    told = true;
    for (const file of files) {
      const own = JSON.stringify(file).length;
      if (bytes > 0 && bytes + own > fileBatchBytes) {
        await send({ kind: "files", output, files: batch });
        batch = [];
        bytes = 0;
      }
      batch.push(file);
      bytes += own;
    }
  }
  // A partitioned output of no rows has no file.
  if (!told) await send({ kind: "output", output, columns: written.columns });
  if (batch.length > 0) await send({ kind: "files", output, files: batch });
}

/** The columns of the files as they read back, and the files themselves, some at a time. */
async function* readFooters(
  engine: Engine,
  folder: string,
  { names, partitionColumn }: Written,
): AsyncGenerator<{ columns: readonly DuckColumn[]; files: ChildFile[] }> {
  const [first] = names;
  if (first === undefined) return;
  const shape = await shapeOf(engine, join(folder, first));
  const atOnce = Math.min(
    footerFilesAtOnce,
    Math.max(1, Math.floor(footerCellsMax / Math.max(1, shape.columns.length))),
  );
  for (let start = 0; start < names.length; start += atOnce) {
    const files = await filesOf(engine, folder, names.slice(start, start + atOnce), shape);
    if (partitionColumn !== undefined) {
      for (const file of files) file.partition = await keyOf(engine, join(folder, file.name), file, partitionColumn);
    }
    yield { columns: shape.columns, files };
  }
}

async function shapeOf(engine: Engine, file: string): Promise<Shape> {
  const columns = await engine.describe(`SELECT * FROM read_parquet(${literal(file)}, hive_partitioning = false)`);
  const leaves = topLeaves(await engine.rows(`SELECT num_children FROM parquet_schema(${literal(file)})`));
  return { columns, leaves };
}

/**
 * The schema is a tree in depth-first order; names cannot be used, a dotted or comma-ridden name looks like a path.
 */
function topLeaves(schema: readonly Row[]): (number | undefined)[] {
  const children = schema.map((row) => Number(row.num_children ?? 0));
  let position = 0;
  let leaf = 0;
  const skip = (): boolean => {
    const own = children[position] ?? 0;
    position += 1;
    if (own === 0) leaf += 1;
    for (let child = 0; child < own; child += 1) skip();
    return own === 0;
  };
  const columns = children[0] ?? 0;
  position = 1;
  return Array.from({ length: columns }, () => {
    const number = leaf;
    return skip() ? number : undefined;
  });
}

const nameOf = (path: string | null | undefined): string => /part-\d+\.parquet$/.exec(path ?? "")?.[0] ?? "";

async function filesOf(engine: Engine, folder: string, names: readonly string[], shape: Shape): Promise<ChildFile[]> {
  const paths = literals(names.map((name) => join(folder, name)));
  const heads = await engine.rows(`SELECT file_name, num_rows FROM parquet_file_metadata(${paths})`);
  const rows = new Map(heads.map((head) => [nameOf(head.file_name), Number(head.num_rows)]));
  await engine.rows(`CREATE OR REPLACE TEMP TABLE footer AS
    SELECT file_name, column_id, num_values, stats_null_count AS nulls,
      CASE WHEN coalesce(min_is_exact, true) THEN stats_min_value END AS low,
      CASE WHEN coalesce(max_is_exact, true) THEN stats_max_value END AS high
    FROM parquet_metadata(${paths})`);
  const found = new Map(names.map((name) => [name, shape.columns.map((column): DuckColumnStats => column)]));
  for (let start = 0; start < shape.columns.length; start += footerColumnsAtOnce) {
    const part = shape.columns.slice(start, start + footerColumnsAtOnce);
    for (const row of await statsOf(engine, part, shape.leaves.slice(start, start + footerColumnsAtOnce))) {
      const stats = found.get(nameOf(row.file_name));
      part.forEach((column, index) => {
        if (stats !== undefined) stats[start + index] = { ...column, ...boundsOf(row, index) };
      });
    }
  }
  return names.map((name) => ({ name, rows: rows.get(name) ?? Number.NaN, columns: found.get(name) ?? [] }));
}

/** A row for each file. A row group that has values but no exact bound leaves the whole column without it. */
async function statsOf(
  engine: Engine,
  columns: readonly DuckColumn[],
  leaves: readonly (number | undefined)[],
): Promise<Row[]> {
  const list: string[] = [];
  columns.forEach(({ type }, index) => {
    const leaf = leaves[index];
    if (leaf === undefined) return;
    const own = `FILTER (column_id = ${leaf})`;
    const filled = `FILTER (column_id = ${leaf} AND num_values > coalesce(nulls, 0))`;
    const bound = (name: string, pick: string) =>
      `CASE WHEN bool_and(TRY_CAST(${name} AS ${type}) IS NOT NULL) ${filled} THEN ${pick}(TRY_CAST(${name} AS ${type})) ${filled}::VARCHAR END`;
    list.push(
      `${bound("low", "min")} AS low${index}`,
      `${bound("high", "max")} AS high${index}`,
      `CASE WHEN bool_and(nulls IS NOT NULL) ${own} THEN sum(nulls) ${own}::VARCHAR END AS nulls${index}`,
    );
  });
  const numbers = leaves.filter((leaf) => leaf !== undefined);
  if (numbers.length === 0) return [];
  return engine.rows(`SELECT file_name, ${list.join(", ")} FROM temp.main.footer
    WHERE column_id IN (${numbers.join(", ")}) GROUP BY file_name`);
}

function boundsOf(row: Row, index: number): Partial<DuckColumnStats> {
  const short = (text: string | null | undefined): text is string =>
    typeof text === "string" && text.length <= statTextMax;
  const [low, high, nulls] = [row[`low${index}`], row[`high${index}`], row[`nulls${index}`]];
  return {
    ...(short(low) ? { min: low } : {}),
    ...(short(high) ? { max: high } : {}),
    ...(typeof nulls === "string" ? { nullCount: Number(nulls) } : {}),
  };
}

/** The one value of the partition column in a file: from its footer, or from its rows where the footer cannot say. */
async function keyOf(engine: Engine, path: string, file: ChildFile, column: string): Promise<string> {
  const stats = file.columns.find(({ name }) => name === column);
  let { min, max } = stats ?? {};
  if (min === undefined || max === undefined) {
    const key = identifier(column);
    const [row] = await engine.rows(
      `SELECT min(${key})::VARCHAR AS low, max(${key})::VARCHAR AS high FROM read_parquet(${literal(path)}, hive_partitioning = false)`,
    );
    [min, max] = [row?.low ?? undefined, row?.high ?? undefined];
  }
  // Two keys of one hash: never expected of 64 bits, unless somebody looked for them.
  if (min === undefined || min !== max) {
    throw new Refusal({ code: "TR-5210", detail: "Two partition keys came into one file." });
  }
  requireKey(min, column);
  return min;
}

function requireKey(key: string, column: string): void {
  if (key !== "" && key.length <= partitionKeyCharsMax && !key.includes("\0")) return;
  const what =
    key === ""
      ? "is an empty text in a row"
      : key.includes("\0")
        ? "holds a NUL character in a row"
        : `has a value of ${key.length} characters ('${key.slice(0, 40)}...')`;
  throw unusableKey(
    `The column '${column.slice(0, 100)}', by which the result is partitioned, ${what}.`,
    `A partition key is a text of 1 to ${partitionKeyCharsMax} characters: shorten, replace or leave out such values in the SQL.`,
  );
}
