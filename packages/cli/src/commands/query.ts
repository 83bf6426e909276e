/**
 * `trace query SQL`: reads committed datasets here. The dispatcher pins them all in one snapshot and gives links to
 * their files; the SQL runs on this machine, in DuckDB's locked-down child.
 */
import { once } from "node:events";
import { createWriteStream, existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { finished } from "node:stream/promises";
import { namePattern, type ResolvedDataset, TraceError } from "@trace/contracts";
import type { DuckInput, DuckResult } from "@trace/duck";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { Interrupted } from "../exit.ts";
import {
  cacheBytesMax,
  queryBytesMax,
  queryDeadlineMs,
  queryRowsDefault,
  queryRowsMax,
  tableRowsDefault,
} from "../limits.ts";
import type { CliOf } from "../program.ts";
import { ObjectCache } from "../query/cache.ts";
import { fetchFiles } from "../query/download.ts";
import type { QueryEngine } from "../query/engine.ts";
import { dataLines, objectsOf, type QueryFormat, queryFormats, tableOf } from "../query/render.ts";
import { systemReason } from "../state/settings-file.ts";
import { count, duration, plural } from "../terminal/format.ts";
import { examples, oneOf, wholeNumber } from "./arguments.ts";
import { withMeantName } from "./dataset.ts";

export interface QueryOptions {
  readonly format?: QueryFormat;
  readonly limit?: number;
  readonly output?: string;
  readonly force?: boolean;
}

interface Answer {
  readonly result: DuckResult;
  readonly datasets: readonly ResolvedDataset[];
}

export function registerQuery(program: Command, cliOf: CliOf, engine: () => Promise<QueryEngine>): void {
  program
    .command("query")
    .summary("read datasets with SQL")
    .description(
      "Runs one SELECT over committed datasets. All of them are read as they were at one moment. The SQL is DuckDB's; it can read datasets and nothing else.",
    )
    .argument("<sql>", "one SELECT; datasets are tables")
    .option(
      "--format <format>",
      `how rows are written: ${queryFormats.join(", ")} (default: table)`,
      oneOf(queryFormats),
    )
    .option(
      "--limit <n>",
      `at most this many rows (default: ${tableRowsDefault} in a table, else ${count(queryRowsDefault)})`,
      wholeNumber(1, queryRowsMax),
    )
    .option("--output <file>", "write the rows to a file (default format: by its ending)")
    .option("--force", "replace the file if it exists")
    .addHelpText(
      "after",
      examples(
        ["trace query 'SELECT * FROM quakes LIMIT 10'", "a table"],
        ["trace query 'SELECT region, count(*) FROM quakes GROUP BY ALL' --format csv", "for a spreadsheet"],
        ["trace query 'FROM quakes' --limit 100000 --output quakes.csv", "into a file"],
        ["trace query 'FROM quakes' --json | jq '.rows[0]'", "with columns, commits and counts"],
      ),
    )
    .action(async (sql: string, options: QueryOptions, command: Command) => {
      const cli = cliOf(command);
      const format = formatOf(cli, options);
      const asked = options.limit ?? (format === "table" ? tableRowsDefault : queryRowsDefault);
      const target =
        options.output === undefined ? undefined : checkOutput(cli, options.output, options.force === true);
      const answer = await query(cli, { sql, rowsMax: asked, engine });
      if (target !== undefined) await writeFileOf(target, format === "table" ? "csv" : format, answer.result);
      answerQuery(cli, answer, { format, target });
    });
}

const formatsByEnding: Readonly<Record<string, QueryFormat>> = {
  csv: "csv",
  json: "json",
  jsonl: "jsonl",
  ndjson: "jsonl",
};

function formatOf(cli: Cli, options: QueryOptions): QueryFormat {
  if (cli.json && options.output === undefined && options.format !== undefined && options.format !== "json") {
    throw new TraceError("TR-7001", {
      detail: `--json and --format ${options.format} exclude each other`,
      why: "--json answers with one JSON document",
      fix: "leave one of them away",
    });
  }
  if (options.format !== undefined) return options.format;
  const ending = /\.([a-z]+)$/i.exec(options.output ?? "")?.[1]?.toLowerCase() ?? "";
  return formatsByEnding[ending] ?? (options.output !== undefined ? "csv" : cli.json ? "json" : "table");
}

/** Before any work: a long query should not end at a file that it may not write. */
function checkOutput(cli: Cli, output: string, force: boolean): string {
  const path = resolve(cli.io.cwd, output);
  if (force || !existsSync(path)) return path;
  throw new TraceError("TR-7005", {
    detail: "the output file exists already",
    where: path,
    fix: "name another file, or replace it with --force",
  });
}

function cacheFolder(cli: Cli): string {
  const { dir, exists } = cli.state;
  // No stack on this machine: a state folder is not made for a cache.
  const home = cli.io.env.XDG_CACHE_HOME || join(cli.io.env.HOME ?? homedir(), ".cache");
  return exists ? join(dir, "cache", "objects") : join(home, "trace", "objects");
}

interface QueryParts {
  readonly sql: string;
  readonly rowsMax: number;
  readonly engine: () => Promise<QueryEngine>;
}

async function query(cli: Cli, parts: QueryParts): Promise<Answer> {
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort());
  const engine = await parts.engine();
  try {
    const datasets = await pin(cli, namesOf(await engine.tables(parts.sql, abort.signal)), abort.signal);
    const inputs = await inputsOf(cli, datasets, abort.signal);
    const result = await engine.run({
      sql: parts.sql,
      inputs,
      output: { kind: "rows", rowsMax: parts.rowsMax, bytesMax: queryBytesMax },
      limits: { deadlineMs: queryDeadlineMs },
      signal: abort.signal,
    });
    return { result, datasets };
  } catch (error) {
    if (abort.signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    await engine.stop();
    release();
  }
}

/** SQL does not mind case, datasets are lower case. Throws TR-1006 for what can be no dataset. */
function namesOf(tables: readonly string[]): string[] {
  return [...new Set(tables.map((table) => table.toLowerCase()))].map((name) => {
    if (namePattern.test(name)) return name;
    throw new TraceError("TR-1006", {
      detail: `there is no dataset '${name.slice(0, 128)}'`,
      why: "a query reads datasets, and their names are lower-case letters, digits and _",
      fix: "see which there are: trace dataset list",
    });
  });
}

async function pin(cli: Cli, names: readonly string[], signal: AbortSignal): Promise<readonly ResolvedDataset[]> {
  if (names.length === 0) return [];
  return await cli.withClient(async (client) => {
    try {
      const { datasets } = await client.resolveDatasets({ body: { names: [...names], presign: true } }, { signal });
      return datasets;
    } catch (error) {
      throw await withMeantName(client, error, names);
    }
  });
}

async function inputsOf(cli: Cli, datasets: readonly ResolvedDataset[], signal: AbortSignal): Promise<DuckInput[]> {
  const files = datasets.flatMap((dataset) => dataset.files);
  const cache = new ObjectCache({ folder: cacheFolder(cli), bytesMax: cacheBytesMax, clock: cli.io.clock });
  let paths: ReadonlyMap<string, string> = new Map();
  if (files.length > 0) {
    await cache.open();
    ({ paths } = await fetchFiles(cache, files, signal));
    await cache.evict();
  }
  return datasets.map((dataset) => {
    if (dataset.files.length === 0 && dataset.schema.length === 0) throw nothingCommitted(dataset);
    return {
      name: dataset.dataset,
      files: dataset.files.map((file) => paths.get(file.sha256) ?? ""),
      format: "parquet",
      ...(dataset.files.length > 0
        ? {}
        : { columns: Object.fromEntries(dataset.schema.map((column) => [column.name, column.type])) }),
    };
  });
}

function nothingCommitted(dataset: ResolvedDataset): TraceError {
  return new TraceError("TR-4012", {
    detail: `nothing has been committed to '${dataset.dataset}' yet`,
    fix: `run the DAG that writes it; 'trace dataset show ${dataset.dataset}' names it`,
  });
}

/** Written beside and renamed, so that nobody reads half of it. Throws TR-7005. */
async function writeFileOf(path: string, format: Exclude<QueryFormat, "table">, result: DuckResult): Promise<void> {
  const partial = `${path}.part`;
  try {
    await rm(partial, { force: true });
    const stream = createWriteStream(partial, { flags: "wx" });
    const done = finished(stream);
    // Awaited below; until then a failure must not count as unhandled.
    done.catch(() => {});
    for (const line of dataLines(format, result.columns, result.rows ?? [])) {
      if (!stream.write(`${line}\n`) && !stream.errored) await Promise.race([once(stream, "drain"), done]);
    }
    stream.end();
    await done;
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true });
    const fix = "name a file in a folder that you can write to";
    throw new TraceError("TR-7005", {
      detail: "the output file cannot be written",
      where: path,
      why: systemReason(cause),
      fix,
      cause,
    });
  }
}

interface Shown {
  readonly format: QueryFormat;
  readonly target: string | undefined;
}

function answerQuery(cli: Cli, { result, datasets }: Answer, shown: Shown): void {
  const rows = result.rows ?? [];
  const cutOff = result.truncated === true;
  if (cli.json) {
    const pinned = datasets.map(({ dataset, generation, commit }) => ({ dataset, generation, commit }));
    const written = shown.target === undefined ? { rows: objectsOf(result.columns, rows) } : { output: shown.target };
    cli.printJson({
      columns: result.columns,
      ...written,
      row_count: rows.length,
      truncated: cutOff,
      datasets: pinned,
      elapsed_ms: result.elapsedMs,
    });
    return;
  }
  let hidden = 0;
  if (shown.target === undefined) {
    if (shown.format === "table") {
      const table = tableOf(result.columns, rows, cli.outWidth, cli.outColors);
      hidden = table.hidden;
      cli.print(...table.lines);
    } else {
      for (const line of dataLines(shown.format, result.columns, rows)) cli.print(line);
    }
  }
  const { dim } = cli.errColors;
  if (shown.format === "table") cli.say("");
  cli.say(dim(footer(result, datasets, shown)));
  if (hidden > 0) cli.say(dim(`${plural(hidden, "column")} did not fit: select fewer, or use --format json`));
  if (cutOff) {
    const text = `there are more rows: use --limit${shown.target === undefined ? " or --output FILE" : ""}`;
    if (shown.format === "table") cli.say(dim(text));
    else cli.warn(text);
  }
}

/** `1,707 rows, commit 3 of quakes, 42 ms`. */
export function footer(
  result: DuckResult,
  datasets: readonly ResolvedDataset[],
  shown: { target: string | undefined },
): string {
  const rows = result.rows?.length ?? 0;
  const parts = [`${result.truncated === true ? "first " : ""}${plural(rows, "row")}`];
  if (shown.target !== undefined) parts.push(`written to ${shown.target}`);
  for (const { dataset, commit } of datasets) parts.push(`commit ${commit} of ${dataset}`);
  parts.push(duration(result.elapsedMs));
  return parts.join(", ");
}
