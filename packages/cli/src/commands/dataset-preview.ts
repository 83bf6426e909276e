/** `trace dataset preview NAME`: the first rows of a dataset at any version; only as many files are fetched as they need. */
import { type DatasetRequest, type ResolvedDataset, type ResolvedFile, TraceError } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { Interrupted } from "../exit.ts";
import { previewRowsDefault, previewRowsMax, queryBytesMax, queryDeadlineMs } from "../limits.ts";
import type { CliOf } from "../program.ts";
import type { QueryEngine } from "../query/engine.ts";
import { fetchAll, inputsOf } from "../query/fetching.ts";
import type { AsOf } from "../query/pinning.ts";
import { objectsOf, tableOf } from "../query/render.ts";
import { count, moment, plural } from "../terminal/format.ts";
import { commitArgument, examples, nameArgument, wholeNumber } from "./arguments.ts";
import { named } from "./dataset-names.ts";
import { asOfOption } from "./query.ts";

interface PreviewOptions {
  readonly commit?: number;
  readonly asOf?: string;
  readonly limit: number;
}

export function registerDatasetPreview(dataset: Command, cliOf: CliOf, engine: () => Promise<QueryEngine>): void {
  dataset
    .command("preview")
    .summary("show the first rows, of any version")
    .description("Shows the first rows of a dataset as it is, or as it was at a commit or a moment.")
    .argument("<name>", "name of the dataset", nameArgument)
    .option("--commit <commit>", "as of this commit", commitArgument)
    .option("--as-of <time|commit>", "as it was then: a moment, how long ago (2h), or a commit")
    .option("--limit <n>", "rows", wholeNumber(1, previewRowsMax), previewRowsDefault)
    .addHelpText(
      "after",
      examples(
        ["trace dataset preview quakes", `the first ${previewRowsDefault} rows`],
        ["trace dataset preview quakes --commit 12", "of commit 12"],
        ["trace dataset preview quakes --as-of '2026-11-24 07:00' --limit 5", "as it was that morning (UTC)"],
      ),
    )
    .action(async (name: string, options: PreviewOptions, command: Command) => {
      const cli = cliOf(command);
      const asOf = await versionOf(options);
      const pinned = await cli.withClient((client) =>
        named(client, name, async () => {
          const body = { ...bodyOf(name, asOf, cli.io.clock.nowMs()), presign: true };
          return (await client.resolveDatasets({ body })).datasets[0];
        }),
      );
      if (pinned === undefined) throw new TraceError("TR-1010", { detail: `the answer does not tell of '${name}'` });
      await preview(cli, pinned, { limit: options.limit, engine });
    });
}

/** Throws TR-7001. */
async function versionOf({ commit, asOf }: PreviewOptions): Promise<AsOf | undefined> {
  if (commit !== undefined && asOf !== undefined) {
    throw new TraceError("TR-7001", {
      detail: "--commit and --as-of exclude each other",
      fix: "leave one of them out",
    });
  }
  if (commit !== undefined) return { kind: "commit", commit };
  return asOf === undefined ? undefined : await asOfOption(asOf);
}

function bodyOf(
  dataset: string,
  asOf: AsOf | undefined,
  nowMs: number,
): { names: string[] } | { datasets: DatasetRequest[] } {
  if (asOf === undefined) return { names: [dataset] };
  if (asOf.kind === "commit") return { datasets: [{ dataset, version: asOf.commit }] };
  const timestamp = asOf.kind === "moment" ? asOf.moment : new Date(nowMs - asOf.ms).toISOString();
  return { datasets: [{ dataset, timestamp }] };
}

/** The first files that together have so many rows. */
export function filesFor(files: readonly ResolvedFile[], rows: number): readonly ResolvedFile[] {
  let sum = 0;
  const needed = files.findIndex((file) => {
    sum += file.rows;
    return sum >= rows;
  });
  return needed === -1 ? files : files.slice(0, needed + 1);
}

interface PreviewParts {
  readonly limit: number;
  readonly engine: () => Promise<QueryEngine>;
}

async function preview(cli: Cli, whole: ResolvedDataset, { limit, engine: start }: PreviewParts): Promise<void> {
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort());
  const { signal } = abort;
  const dataset = { ...whole, files: [...filesFor(whole.files, limit)] };
  const total = whole.files.reduce((sum, file) => sum + file.rows, 0);
  const engine = await start();
  try {
    const { paths } = await fetchAll(cli, dataset.files, signal);
    const result = await engine.run({
      sql: `SELECT * FROM ${dataset.dataset} LIMIT ${limit}`,
      inputs: inputsOf([{ name: dataset.dataset, at: undefined, dataset }], paths),
      output: { kind: "rows", rowsMax: limit, bytesMax: queryBytesMax },
      limits: { deadlineMs: queryDeadlineMs },
      signal,
    });
    const rows = result.rows ?? [];
    if (cli.json) {
      const { generation, commit } = dataset;
      const ref = { dataset: dataset.dataset, generation, commit };
      cli.printJson({ ...ref, columns: result.columns, rows: objectsOf(result.columns, rows), rows_total: total });
      return;
    }
    const { lines, hidden } = tableOf(result.columns, rows, cli.outWidth, cli.outColors);
    cli.print(...lines);
    const when = dataset.committed_at === null ? "" : ` (${moment(dataset.committed_at)})`;
    const shown = rows.length < total ? `first ${count(rows.length)} of ${plural(total, "row")}` : plural(total, "row");
    cli.say("", cli.errColors.dim(`${shown}, commit ${dataset.commit} of ${dataset.dataset}${when}`));
    if (hidden > 0)
      cli.say(
        cli.errColors.dim(`${plural(hidden, "column")} did not fit: use --json, or select fewer with 'trace query'`),
      );
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    await engine.stop();
    release();
  }
}
