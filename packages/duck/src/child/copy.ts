/**
 * A result as Parquet files. DuckDB writes into a folder of names that are ours: large results roll into several files, a
 * partitioned one is told apart by a hash of its key, never by the key, so that no value of a stranger becomes a path.
 */
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  columnsMax,
  dictionaryBytes,
  outputFilesMax,
  partitionFilesSlack,
  partitionLookKeysMax,
  partitionLookMs,
  partitionLookRows,
  partitionsDirectMax,
  partitionsMax,
  rollBytes,
  rowGroupBytes,
  rowGroupRows,
  rowGroupRowsMin,
} from "../limits.ts";
import type { ChildOutput } from "../messages.ts";
import type { DuckColumn, DuckWrittenColumn } from "../types.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { nearestName } from "./place.ts";
import { identifier, literal } from "./quote.ts";
import { tooManyColumns } from "./rows.ts";

type Output = Extract<ChildOutput, { kind: "parquet" }>;

export interface Written {
  readonly columns: readonly DuckWrittenColumn[];
  /** In `output.folder`. */
  readonly names: readonly string[];
  readonly partitionColumn?: string | undefined;
}

/** `sql`: one SELECT that passed the gate, regenerated. `rowBytes`: about what a row of the sources weighs, `bytes`: all of them. */
export async function writeParquet(
  engine: Engine,
  sql: string,
  output: Output,
  { rowBytes, bytes }: { readonly rowBytes: number; readonly bytes: number },
): Promise<Written> {
  const columns = await engine.describe(sql);
  if (columns.length > columnsMax) throw tooManyColumns(columns.length);
  // Parquet has no 128-bit integer and DuckDB would write a double. A sum of BIGINTs is one, so keep it exact.
  const wide = columns.filter(({ type }) => type === "HUGEINT" || type === "UHUGEINT");
  const casts = wide.map(({ name }) => `CAST(${identifier(name)} AS DECIMAL(38, 0)) AS ${identifier(name)}`);
  const query = wide.length === 0 ? sql : `SELECT * REPLACE (${casts.join(", ")}) FROM (${sql})`;
  const written = withFieldIds(columns, output.fieldIds);
  const options = [
    "FORMAT parquet",
    "COMPRESSION zstd",
    `ROW_GROUP_SIZE ${groupRows(rowBytes, columns.length)}`,
    `STRING_DICTIONARY_PAGE_SIZE_LIMIT ${dictionaryBytes}`,
  ];
  if (output.fieldIds !== undefined) {
    options.push(`FIELD_IDS {${written.map(({ name, fieldId }) => `${literal(name)}: ${fieldId}`).join(", ")}}`);
  }
  const work = join(output.folder, "writing");
  if (output.partitionBy === undefined && bytes < rollBytes) {
    // One file, and less memory: rolling holds more beside a source that is one large object.
    const name = "part-0.parquet";
    await engine.rows(`COPY (${query}) TO ${literal(join(output.folder, name))} (${options.join(", ")})`);
    return { columns: written, names: [name] };
  }
  if (output.partitionBy === undefined) {
    await engine.rows(
      `COPY (${query}) TO ${literal(work)} (${[...options, `FILE_SIZE_BYTES ${rollBytes}`].join(", ")})`,
    );
    return { columns: written, names: collect(output.folder, work, readdirSync(work)) };
  }
  const partitionColumn = columnOf(columns, output.partitionBy);
  await copyPartitioned(engine, query, { columns, partitionColumn, options, work });
  const found = readdirSync(work).flatMap((part) => readdirSync(join(work, part)).map((name) => join(part, name)));
  return { columns: written, names: collect(output.folder, work, found), partitionColumn };
}

/** Rows of a row group: DuckDB's own number, and fewer where that many would be more than a writer should hold. */
function groupRows(rowBytes: number, columns: number): number {
  const rows = Math.floor(rowGroupBytes / Math.max(rowBytes, columns * 8));
  return Math.min(rowGroupRows, Math.max(rowGroupRowsMin, rows));
}

/** Those that are known keep their id; new ones get the next. */
function withFieldIds(
  columns: readonly DuckColumn[],
  ids: Readonly<Record<string, number>> | undefined,
): DuckWrittenColumn[] {
  if (ids === undefined) return [...columns];
  const known = new Map(Object.entries(ids).map(([name, id]) => [name.toLowerCase(), id]));
  let last = Math.max(0, ...known.values());
  return columns.map((column) => {
    const own = known.get(column.name.toLowerCase());
    if (own !== undefined) return { ...column, fieldId: own };
    last += 1;
    return { ...column, fieldId: last };
  });
}

/** Types whose equal values have equal texts. */
const keyTypes =
  /^(?:VARCHAR|BOOLEAN|U?(?:TINYINT|SMALLINT|INTEGER|BIGINT)|DATE|TIMESTAMP(?: WITH TIME ZONE|_S|_MS)?|DECIMAL\(.*\)|UUID|ENUM\(.*\))$/;

function columnOf(columns: readonly DuckColumn[], wanted: string): string {
  const found =
    columns.find(({ name }) => name === wanted) ??
    columns.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (found === undefined) {
    const near = nearestName(
      wanted.toLowerCase(),
      columns.map(({ name }) => name),
    );
    throw unusableKey(
      `The result has no column '${wanted.slice(0, 100)}' to partition by.`,
      near === undefined ? "Select the column in the SQL." : `Did you mean '${near}'?`,
    );
  }
  if (!keyTypes.test(found.type)) {
    throw unusableKey(
      `The column '${wanted.slice(0, 100)}' has the type ${found.type.slice(0, 100)}, which is no partition key.`,
      "Partition by a text, a whole number, a date or a time: cast the column in the SQL.",
    );
  }
  return found.name;
}

export function unusableKey(detail: string, fix: string): Refusal {
  return new Refusal({ code: "TR-5214", detail, fix });
}

interface Partitioning {
  readonly columns: readonly DuckColumn[];
  readonly partitionColumn: string;
  readonly options: readonly string[];
  readonly work: string;
}

const nullKey = "a partition key is NULL";

/**
 * In one pass while there are few keys, which is as fast as DuckDB is. Rows of many partitions in no order would become
 * thousands of small files, and each thread reserves a block for every one: then sorted by the key's hash. How many there
 * are is estimated before where the first rows have many, from the key alone: memory that a first try has filled is not given
 * back. Where they have few, the first try is given up as soon as it meets more.
 */
async function copyPartitioned(engine: Engine, query: string, to: Partitioning): Promise<void> {
  const taken = new Set(to.columns.map(({ name }) => name.toLowerCase()));
  let key = "key_hash";
  while (taken.has(key)) key += "_";
  const column = identifier(to.partitionColumn);
  const hashed = `SELECT *, CASE WHEN ${column} IS NULL THEN error(${literal(nullKey)}) ELSE hash(${column}) END AS ${key} FROM (${query})`;
  const target = `TO ${literal(to.work)} (${[...to.options, `PARTITION_BY (${key})`].join(", ")})`;
  const count = async (rows: string) => {
    const [found] = await engine.rows(`SELECT approx_count_distinct(${column}) AS keys FROM (${rows})`);
    return Number(found?.keys ?? 0);
  };
  const first = await count(`SELECT ${column} FROM (${query}) LIMIT ${partitionLookRows}`);
  const keys = first > partitionLookKeysMax ? await count(query) : first;
  // An estimate may be off by some hundredths.
  if (keys > 2 * partitionsMax) throw tooManyKeys(to.partitionColumn);
  if (keys <= partitionsDirectMax) {
    if (await direct(engine, `COPY (${hashed}) ${target}`, to)) return;
    rmSync(to.work, { recursive: true, force: true });
  }
  // Numbered, so that one thread writes and each partition is one file; the filter keeps the number from being optimized away.
  const sorted = `SELECT * EXCLUDE (${key}_n) FROM (SELECT *, row_number() OVER () AS ${key}_n FROM (${hashed} ORDER BY ${key})) WHERE ${key}_n > 0`;
  const watch = watchFolders(to.work, ({ folders }) => folders > partitionsMax, engine);
  try {
    await guarded(engine.rows(`COPY (${sorted}) ${target}`), to.partitionColumn, watch);
  } finally {
    watch.stop();
  }
}

/** False where sorting is better; everything else that goes wrong is thrown. */
async function direct(engine: Engine, copy: string, to: Partitioning): Promise<boolean> {
  const scattered = ({ folders, files }: Count) => files - folders > partitionFilesSlack + folders / 10;
  const watch = watchFolders(to.work, (count) => count.folders > 2 * partitionsDirectMax || scattered(count), engine);
  try {
    await guarded(engine.rows(copy), to.partitionColumn, watch);
    return !scattered(watch.look());
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (watch.interrupted) return false;
    const text = error instanceof Error ? error.message : String(error);
    if (/^Out of Memory Error/i.test(text) && !text.includes("max_temp_directory_size")) return false;
    throw error;
  } finally {
    watch.stop();
  }
}

function tooManyKeys(column: string): Refusal {
  return unusableKey(
    `The column '${column.slice(0, 100)}' has more than ${partitionsMax} values; as many partitions are written at most.`,
    "Partition by a coarser value: a month instead of a day, a country instead of a customer.",
  );
}

async function guarded(work: Promise<unknown>, column: string, watch: Watch): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error && error.message.includes(nullKey)) {
      throw unusableKey(
        `The column '${column.slice(0, 100)}', by which the result is partitioned, is NULL in a row.`,
        "Leave such rows out (WHERE ... IS NOT NULL), or give them a value: coalesce(..., 'unknown').",
      );
    }
    if (watch.interrupted && watch.look().folders > partitionsMax) throw tooManyKeys(column);
    throw error;
  }
  if (watch.look().folders > partitionsMax) throw tooManyKeys(column);
}

interface Count {
  readonly folders: number;
  readonly files: number;
}

interface Watch {
  /** Whether the statement was ended because `ends` said so. */
  readonly interrupted: boolean;
  look(): Count;
  stop(): void;
}

/** Counts partitions while they are written, and interrupts the statement when they are not as they should be. */
function watchFolders(work: string, ends: (count: Count) => boolean, engine: Engine): Watch {
  let interrupted = false;
  let timer: NodeJS.Timeout | undefined;
  const look = (): Count => {
    const folders = namesIn(work);
    const files = folders.reduce((sum, name) => sum + namesIn(join(work, name)).length, 0);
    return { folders: folders.length, files };
  };
  const again = () => {
    const started = performance.now();
    if (ends(look())) {
      interrupted = true;
      engine.interrupt();
      return;
    }
    // Ten thousand folders take a while to list: no more than a tenth of the time is spent on it.
    timer = setTimeout(again, Math.max(partitionLookMs, 9 * (performance.now() - started)));
  };
  timer = setTimeout(again, partitionLookMs);
  return {
    get interrupted() {
      return interrupted;
    },
    look,
    stop: () => clearTimeout(timer),
  };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    // Not made yet.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

const numberOf = (path: string): number => Number(/(\d+)\.parquet$/.exec(path)?.[1] ?? 0);

/** Moves what was written to where it stays, under names that say nothing of what is in it. */
function collect(folder: string, work: string, paths: readonly string[]): string[] {
  if (paths.length > outputFilesMax) {
    throw new Refusal({
      code: "TR-5209",
      detail: `The result has ${paths.length} files; at most ${outputFilesMax} are written.`,
      fix: "Select fewer rows, or partition by a coarser value.",
    });
  }
  const names = [...paths]
    .sort((a, b) => numberOf(a) - numberOf(b) || (a < b ? -1 : 1))
    .map((path, index) => {
      const name = `part-${index}.parquet`;
      renameSync(join(work, path), join(folder, name));
      return name;
    });
  mkdirSync(work, { recursive: true });
  for (const part of readdirSync(work)) rmdirSync(join(work, part));
  rmdirSync(work);
  return names;
}
