/**
 * `trace dataset diff NAME [FROM [TO]]`: schema, partitions and sizes as the dispatcher tells them; rows compared here, in
 * DuckDB's locked-down process, over the files that only one of the two versions has.
 */
import {
  type DatasetDiff,
  type ResolvedDataset,
  type ResolvedFile,
  type RouteAnswer,
  TraceError,
  type userRoutes,
} from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import {
  afterTable,
  beforeTable,
  planRows,
  type RowChange,
  type RowDiff,
  type RowPlan,
  readRows,
} from "../datasets/diff-rows.ts";
import { columnChanges, diffLines, rowLines } from "../datasets/diff-view.ts";
import { Interrupted } from "../exit.ts";
import { diffBytesMax, diffSampleBytesMax, diffSampleRows, queryDeadlineMs } from "../limits.ts";
import { nearest } from "../nearest.ts";
import type { CliOf } from "../program.ts";
import type { QueryEngine } from "../query/engine.ts";
import { fetchAll } from "../query/fetching.ts";
import { bytes, plural } from "../terminal/format.ts";
import { ProgressReport } from "../terminal/report.ts";
import { commitArgument, examples, listArgument, nameArgument } from "./arguments.ts";
import { named } from "./dataset-names.ts";

interface DiffOptions {
  readonly key?: readonly string[];
  /** True: whatever it weighs. False: not at all. */
  readonly rows?: boolean;
}

export function registerDatasetDiff(dataset: Command, cliOf: CliOf, engine: () => Promise<QueryEngine>): void {
  dataset
    .command("diff")
    .summary("compare two commits: schema, partitions, rows")
    .description(
      "Compares two commits of a dataset: columns, partitions with their sizes, and rows added, removed and, with --key, changed. Rows are compared on this machine, and only those of files that differ are fetched.",
    )
    .argument("<name>", "name of the dataset", nameArgument)
    .argument("[from]", "the earlier commit (default: the one before <to>)", commitArgument)
    .argument("[to]", "the later commit (default: the newest)", commitArgument)
    .option("--key <columns>", "columns that name a row, with commas between: tells changed rows apart", listArgument)
    .option("--rows", `compare rows even when more than ${bytes(diffBytesMax)} of files differ`)
    .option("--no-rows", "do not compare rows: nothing is fetched")
    .addHelpText(
      "after",
      examples(
        ["trace dataset diff quakes", "what the newest commit changed"],
        ["trace dataset diff quakes 12 --key id", "from commit 12 to the newest, with changed rows"],
        ["trace dataset diff quakes 12 15 --no-rows", "schema and sizes alone"],
      ),
    )
    .action(
      async (
        name: string,
        from: number | undefined,
        to: number | undefined,
        options: DiffOptions,
        command: Command,
      ) => {
        const cli = cliOf(command);
        const found = await cli.withClient((client) =>
          named(client, name, async () => {
            const answer = await client.diffDataset({ params: { name }, query: { from, to } });
            const noRows: NotCompared = { why: "--no-rows" };
            return { answer, rows: options.rows === false ? noRows : await pinBoth(client, answer) };
          }),
        );
        const compared =
          "why" in found.rows
            ? found.rows
            : await compareRows(cli, found.answer, { pins: found.rows, options, engine });
        show(cli, found.answer, compared);
      },
    );
}

interface BothVersions {
  readonly before: ResolvedDataset | undefined;
  readonly after: ResolvedDataset | undefined;
}

/** Partitions whose files are worth asking for; undefined: all, because some that differ are not named, or have no name. */
function worthAsking({ partitions, partitions_changed: changed }: DatasetDiff): string[] | undefined {
  const keys = partitions.map((one) => one.partition);
  return keys.length === changed && changed > 0 && !keys.includes("") ? keys : undefined;
}

/** Files of both sides, in partitions that differ. Commit 0 has none. More than one answer takes are not compared. */
async function pinBoth(client: UserClient, diff: DatasetDiff): Promise<BothVersions | NotCompared> {
  const { from, to } = diff;
  const asked = [from, to].filter((side) => side.commit > 0);
  if (asked.length === 0) return { before: undefined, after: undefined };
  const keys = worthAsking(diff);
  const datasets = asked.map(({ dataset, generation, commit }) => ({
    dataset,
    generation,
    version: commit,
    ...(keys === undefined ? {} : { partitions: keys }),
  }));
  let answer: RouteAnswer<(typeof userRoutes)["resolveDatasets"]>;
  try {
    answer = await client.resolveDatasets({ body: { datasets, presign: true } });
  } catch (error) {
    if (error instanceof TraceError && error.code === "TR-4026") return { why: error.message };
    throw error;
  }
  const side = ({ generation, commit }: { generation: number; commit: number }) =>
    answer.datasets.find((one) => one.generation === generation && one.commit === commit);
  return { before: side(from), after: side(to) };
}

interface Compared {
  readonly plan: RowPlan;
  readonly found: RowDiff;
}

/** Rows that were not compared, and why. */
interface NotCompared {
  readonly why: string;
  readonly fix?: string;
}

interface CompareParts {
  readonly pins: BothVersions;
  readonly options: DiffOptions;
  readonly engine: () => Promise<QueryEngine>;
}

/** Throws TR-7001 for a key that is no column, and what fetching and DuckDB throw. */
async function compareRows(cli: Cli, diff: DatasetDiff, parts: CompareParts): Promise<Compared | NotCompared> {
  const { pins, options } = parts;
  // Nothing is compared with the columns of the other side where one side is empty.
  const [before, after] = diff.from.commit === 0 ? [diff.to, diff.to] : [diff.from, diff.to];
  const plan = planRows(before.schema, after.schema, checkedKey(diff, options.key ?? []));
  if (plan === undefined) return { why: "the two have no column in common" };
  const only = (files: readonly ResolvedFile[], others: readonly ResolvedFile[]) => {
    const shared = new Set(others.map((file) => file.sha256));
    return files.filter((file) => !shared.has(file.sha256));
  };
  const [old, now] = [pins.before?.files ?? [], pins.after?.files ?? []];
  const removed = only(old, now);
  const added = only(now, old);
  const weight = [...removed, ...added].reduce((sum, file) => sum + file.bytes, 0);
  if (weight === 0) return { plan, found: readRows(plan, []) };
  if (weight > diffBytesMax && options.rows !== true) {
    const why = `${bytes(weight)} of files differ, and at most ${bytes(diffBytesMax)} are fetched unasked`;
    return { why, fix: "compare them all the same with --rows" };
  }
  const sides = [
    { name: beforeTable, files: removed, schema: before.schema },
    { name: afterTable, files: added, schema: after.schema },
  ];
  const rows = await runDiff(cli, plan, { sides, engine: parts.engine });
  return { plan, found: readRows(plan, rows) };
}

/** Throws TR-7001 with the column that was meant. */
function checkedKey({ from, to }: DatasetDiff, key: readonly string[]): readonly string[] {
  const [before, after] = [from, to].map((side) => side.schema.map((column) => column.name.toLowerCase()));
  const shared = from.commit === 0 ? (after ?? []) : (after ?? []).filter((name) => before?.includes(name));
  const wrong = key.find((name) => !shared.includes(name.toLowerCase()));
  if (wrong === undefined) return key;
  const meant = nearest(wrong, shared);
  throw new TraceError("TR-7001", {
    detail: `--key names '${wrong}', which is no column that both commits have`,
    fix: `${meant === undefined ? "" : `did you mean '${meant}'? `}Columns: ${shared.slice(0, 20).join(", ")}`,
  });
}

interface DiffRun {
  readonly sides: readonly {
    readonly name: string;
    readonly files: readonly ResolvedFile[];
    readonly schema: DatasetDiff["to"]["schema"];
  }[];
  readonly engine: () => Promise<QueryEngine>;
}

async function runDiff(cli: Cli, plan: RowPlan, run: DiffRun): Promise<readonly (readonly unknown[])[]> {
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort());
  const { signal } = abort;
  const engine = await run.engine();
  const report = new ProgressReport(cli, "comparing rows");
  try {
    const files = run.sides.flatMap((side) => side.files);
    const { paths } = await fetchAll(cli, files, signal);
    const result = await engine.run({
      sql: plan.sql,
      inputs: run.sides.map(({ name, files: own, schema }) => ({
        name,
        format: "parquet",
        files: own.map((file) => paths.get(file.sha256) ?? ""),
        schema: schema.map((column) => ({ name: column.name, type: column.type })),
      })),
      output: { kind: "rows", rowsMax: 4 * diffSampleRows, bytesMax: diffSampleBytesMax },
      limits: { deadlineMs: queryDeadlineMs },
      signal,
      onProgress: ({ percent }) => {
        if (percent !== undefined) report.show({ done: Math.floor(percent), total: 100 });
      },
    });
    return result.rows ?? [];
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    report.end();
    await engine.stop();
    release();
  }
}

function objectOf(plan: RowPlan, row: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(plan.columns.map((name, index) => [name, row[index] ?? null]));
}

function sampleJson(plan: RowPlan, change: RowChange): unknown {
  if (change.change !== "changed") return { change: change.change, row: objectOf(plan, change.row) };
  return { change: "changed", before: objectOf(plan, change.before), after: objectOf(plan, change.after) };
}

function rowsJson(compared: Compared | NotCompared): unknown {
  if ("why" in compared) return { compared: false, why: compared.why };
  const { plan, found } = compared;
  const { added, removed, changed } = found;
  return {
    compared: true,
    columns: plan.columns,
    key: plan.key,
    added,
    removed,
    ...(changed === undefined ? {} : { changed }),
    sample: found.sample.map((change) => sampleJson(plan, change)),
  };
}

function show(cli: Cli, diff: DatasetDiff, compared: Compared | NotCompared): void {
  if (cli.json) {
    const columns = columnChanges(diff.from.schema, diff.to.schema);
    cli.printJson({ ...diff, column_changes: columns, rows: rowsJson(compared) });
    return;
  }
  const options = { nowMs: cli.io.clock.nowMs(), width: cli.outWidth, palette: cli.outColors };
  cli.print(...diffLines(diff, options));
  if ("why" in compared) {
    cli.say("", cli.errColors.dim(`rows were not compared: ${compared.why}`));
    if (compared.fix !== undefined) cli.say(`  ${cli.errColors.green(compared.fix)}`);
    return;
  }
  const { plan, found } = compared;
  cli.print(...rowLines(plan, found, options));
  if (found.doubles > 0) {
    cli.warn(
      `${plan.key.join(", ")} is no key: several rows that differ have the same one, so changes are counted by key`,
    );
  }
  const aside = diff.from.commit === 0 ? 0 : columnChanges(diff.from.schema, diff.to.schema).length;
  if (aside > 0)
    cli.say("", cli.errColors.dim(`rows are compared by the ${plural(plan.columns.length, "column")} that both have`));
  if (plan.key.length === 0 && found.added > 0 && found.removed > 0) {
    cli.say("");
    const { dataset, from, to } = diff;
    const command = cli.command("dataset", "diff", dataset, `${from.commit}`, `${to.commit}`, "--key", "<columns>");
    cli.sayNext([[command, "tell changed rows from removed and added ones"]]);
  }
}
