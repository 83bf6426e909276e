/**
 * `trace query SQL`: reads committed datasets here. The dispatcher pins them all in one snapshot and gives links to
 * their files; the SQL runs on this machine, in DuckDB's locked-down child.
 */
import { once } from "node:events";
import { createWriteStream, existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { finished } from "node:stream/promises";
import { TraceError } from "@trace/contracts";
import type { DuckResult } from "@trace/duck";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { Interrupted } from "../exit.ts";
import { queryBytesMax, queryDeadlineMs, queryRowsDefault, queryRowsMax, tableRowsDefault } from "../limits.ts";
import type { CliOf } from "../program.ts";
import type { QueryEngine } from "../query/engine.ts";
import { fetchAll, inputsOf } from "../query/fetching.ts";
import { type AsOf, askedTables, type PinnedTable, pinTables, readAsOf } from "../query/pinning.ts";
import { dataLines, objectsOf, type QueryFormat, queryFormats, tableOf } from "../query/render.ts";
import { systemReason } from "../state/settings-file.ts";
import { bytes, count, duration, plural } from "../terminal/format.ts";
import { ProgressReport } from "../terminal/report.ts";
import { examples, oneOf, wholeNumber } from "./arguments.ts";

export interface QueryOptions {
  readonly format?: QueryFormat;
  readonly limit?: number;
  readonly output?: string;
  readonly force?: boolean;
  readonly asOf?: string;
}

interface Answer {
  readonly result: DuckResult;
  readonly tables: readonly PinnedTable[];
  readonly fetchedBytes: number;
}

export function registerQuery(program: Command, cliOf: CliOf, engine: () => Promise<QueryEngine>): void {
  program
    .command("query")
    .summary("read datasets with SQL")
    .description(
      "Runs one SELECT over committed datasets. All of them are read as they were at one moment, or each as AT says. The SQL is DuckDB's; it can read datasets and nothing else.",
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
    .option("--as-of <time|commit>", "datasets as they were then: a moment, how long ago (2h), or a commit's number")
    .option("--output <file>", "write the rows to a file (default format: by its ending)")
    .option("--force", "replace the file if it exists")
    .addHelpText(
      "after",
      examples(
        ["trace query 'SELECT * FROM quakes LIMIT 10'", "a table"],
        ["trace query 'SELECT region, count(*) FROM quakes GROUP BY ALL' --format csv", "for a spreadsheet"],
        ["trace query 'FROM quakes' --limit 100000 --output quakes.csv", "into a file"],
        ["trace query 'SELECT count(*) FROM quakes' --as-of 2h", "as it was two hours ago"],
        ["trace query 'FROM quakes AT (VERSION => 12) EXCEPT FROM quakes'", "two versions in one query"],
        ["trace query 'FROM quakes' --json | jq '.rows[0]'", "with columns, commits and counts"],
      ),
    )
    .action(async (sql: string, options: QueryOptions, command: Command) => {
      const cli = cliOf(command);
      const format = formatOf(cli, options);
      const asked = options.limit ?? (format === "table" ? tableRowsDefault : queryRowsDefault);
      const target =
        options.output === undefined ? undefined : checkOutput(cli, options.output, options.force === true);
      const asOf = options.asOf === undefined ? undefined : await asOfOption(options.asOf);
      const answer = await query(cli, { sql, rowsMax: asked, asOf, engine });
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

/** `--as-of` as it is meant. Loaded when it is given: DuckDB's package knows how a moment is written. Throws TR-7001. */
export async function asOfOption(text: string): Promise<AsOf> {
  const { momentOf } = await import("@trace/duck");
  const asOf = readAsOf(text, momentOf);
  if (asOf !== undefined) return asOf;
  throw new TraceError("TR-7001", {
    detail: `--as-of '${text.slice(0, 100)}' is no time and no commit`,
    fix: "a commit (12), a moment ('2026-11-24 07:00', UTC unless it says otherwise), or how long ago (30m, 2h, 1d)",
  });
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

interface QueryParts {
  readonly sql: string;
  readonly rowsMax: number;
  readonly asOf?: AsOf | undefined;
  readonly engine: () => Promise<QueryEngine>;
}

/** Runs one SELECT over what it names. Throws what settling, fetching and DuckDB throw, Interrupted on Ctrl-C. */
export async function query(cli: Cli, parts: QueryParts): Promise<Answer> {
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort());
  const { signal } = abort;
  const engine = await parts.engine();
  const report = new ProgressReport(cli, "running the query");
  try {
    const asked = askedTables(await engine.tables(parts.sql, signal));
    const tables = await pinTables(cli, asked, { asOf: parts.asOf, signal });
    const files = tables.flatMap((table) => table.dataset.files);
    const fetched = await fetchAll(cli, files, signal);
    const result = await engine.run({
      sql: parts.sql,
      inputs: inputsOf(tables, fetched.paths),
      output: { kind: "rows", rowsMax: parts.rowsMax, bytesMax: queryBytesMax },
      limits: { deadlineMs: queryDeadlineMs },
      signal,
      onProgress: ({ percent }) => {
        if (percent !== undefined) report.show({ done: Math.floor(percent), total: 100 });
      },
    });
    return { result, tables, fetchedBytes: fetched.bytes };
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    report.end();
    await engine.stop();
    release();
  }
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

/** Each dataset and version that was read, once. */
function pinned(tables: readonly PinnedTable[]): { dataset: string; generation: number; commit: number }[] {
  const refs = tables.map(({ dataset: { dataset, generation, commit } }) => ({ dataset, generation, commit }));
  return [...new Map(refs.map((ref) => [JSON.stringify(ref), ref])).values()];
}

function answerQuery(cli: Cli, answer: Answer, shown: Shown): void {
  const { result } = answer;
  const rows = result.rows ?? [];
  const cutOff = result.truncated === true;
  if (cli.json) {
    const written = shown.target === undefined ? { rows: objectsOf(result.columns, rows) } : { output: shown.target };
    cli.printJson({
      columns: result.columns,
      ...written,
      row_count: rows.length,
      truncated: cutOff,
      datasets: pinned(answer.tables),
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
  cli.say(dim(footer(answer, shown)));
  if (hidden > 0) cli.say(dim(`${plural(hidden, "column")} did not fit: select fewer, or use --format json`));
  if (cutOff) {
    const text = `there are more rows: use --limit${shown.target === undefined ? " or --output FILE" : ""}`;
    if (shown.format === "table") cli.say(dim(text));
    else cli.warn(text);
  }
}

/** `1,707 rows, commit 3 of quakes, 84 kB fetched, 42 ms`. */
function footer({ result, tables, fetchedBytes }: Answer, shown: { target: string | undefined }): string {
  const rows = result.rows?.length ?? 0;
  const parts = [`${result.truncated === true ? "first " : ""}${plural(rows, "row")}`];
  if (shown.target !== undefined) parts.push(`written to ${shown.target}`);
  for (const { dataset, commit } of pinned(tables)) parts.push(`commit ${commit} of ${dataset}`);
  if (fetchedBytes > 0) parts.push(`${bytes(fetchedBytes)} fetched`);
  parts.push(duration(result.elapsedMs));
  return parts.join(", ");
}
