/**
 * A result as one Parquet file, and what its footer says: rows, columns, minimum, maximum and nulls per column. The
 * figures come from the file as written, not from the query, so they are true of the bytes that are published.
 */
import { columnsMax, statTextMax } from "../limits.ts";
import type { DuckColumnStats } from "../types.ts";
import type { Engine } from "./engine.ts";
import { identifier, literal } from "./quote.ts";
import { tooManyColumns } from "./rows.ts";

export interface ParquetDone {
  readonly rowCount: number;
  readonly stats: readonly DuckColumnStats[];
}

/** `sql`: one SELECT that passed the gate, regenerated. `file`: inside the private output folder. */
export async function writeParquet(engine: Engine, sql: string, file: string): Promise<ParquetDone> {
  const columns = await engine.describe(sql);
  if (columns.length > columnsMax) throw tooManyColumns(columns.length);
  // Parquet has no 128-bit integer and DuckDB would write a double. A sum of BIGINTs is one, so keep it exact.
  const wide = columns.filter(({ type }) => type === "HUGEINT" || type === "UHUGEINT");
  const casts = wide.map(({ name }) => `CAST(${identifier(name)} AS DECIMAL(38, 0)) AS ${identifier(name)}`);
  const query = wide.length === 0 ? sql : `SELECT * REPLACE (${casts.join(", ")}) FROM (${sql})`;
  await engine.rows(`COPY (${query}) TO ${literal(file)} (FORMAT parquet, COMPRESSION zstd)`);
  return readFooter(engine, file);
}

async function readFooter(engine: Engine, file: string): Promise<ParquetDone> {
  const [head] = await engine.rows(`SELECT num_rows FROM parquet_file_metadata(${literal(file)})`);
  const columns = await engine.describe(`SELECT * FROM read_parquet(${literal(file)}, hive_partitioning = false)`);
  const leaves = topLeaves(await engine.rows(`SELECT num_children FROM parquet_schema(${literal(file)})`));
  await engine.rows(`CREATE TEMP TABLE footer AS
    SELECT column_id, num_values, stats_null_count AS nulls,
      CASE WHEN coalesce(min_is_exact, true) THEN stats_min_value END AS low,
      CASE WHEN coalesce(max_is_exact, true) THEN stats_max_value END AS high
    FROM parquet_metadata(${literal(file)})`);
  const stats: DuckColumnStats[] = [];
  for (const [index, column] of columns.entries()) {
    const leaf = leaves[index];
    stats.push(leaf === undefined ? column : { ...column, ...(await statsOf(engine, leaf, column.type)) });
  }
  return { rowCount: Number(head?.num_rows), stats };
}

/**
 * For each top-level column the number of its leaf in the footer, or undefined when it is nested. The schema is a tree
 * in depth-first order; names cannot be used, a dotted or comma-ridden name looks like a path.
 */
function topLeaves(schema: readonly Record<string, string | null>[]): (number | undefined)[] {
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

async function statsOf(engine: Engine, leaf: number, type: string): Promise<Partial<DuckColumnStats>> {
  // A row group that has values but no exact bound leaves the whole column without it.
  const [row] = await engine.rows(`
    SELECT CASE WHEN bool_and(low IS NOT NULL) FILTER (filled) THEN min(low) FILTER (filled)::VARCHAR END AS low,
      CASE WHEN bool_and(high IS NOT NULL) FILTER (filled) THEN max(high) FILTER (filled)::VARCHAR END AS high,
      CASE WHEN bool_and(nulls IS NOT NULL) THEN sum(nulls)::VARCHAR END AS nulls
    FROM (SELECT TRY_CAST(low AS ${type}) AS low, TRY_CAST(high AS ${type}) AS high, nulls,
        num_values > coalesce(nulls, 0) AS filled
      FROM temp.main.footer WHERE column_id = ${leaf})`);
  const short = (text: string | null | undefined): text is string =>
    typeof text === "string" && text.length <= statTextMax;
  return {
    ...(short(row?.low) ? { min: row.low } : {}),
    ...(short(row?.high) ? { max: row.high } : {}),
    ...(typeof row?.nulls === "string" ? { nullCount: Number(row.nulls) } : {}),
  };
}
