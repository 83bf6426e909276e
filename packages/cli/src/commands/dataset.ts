/** `trace dataset`: list and show here, the others in files of their own. */
import type { Commit, Dataset } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { whatItDid } from "../datasets/delta.ts";
import type { CliOf } from "../program.ts";
import type { QueryEngine } from "../query/engine.ts";
import { shortTaskId } from "../runs/task-id.ts";
import { bytes, count, moment, plural, relative } from "../terminal/format.ts";
import { renderTable, type TableCell } from "../terminal/table.ts";
import { examples, nameArgument } from "./arguments.ts";
import { registerDatasetDiff } from "./dataset-diff.ts";
import { registerDatasetHistory } from "./dataset-history.ts";
import { registerDatasetLineage } from "./dataset-lineage.ts";
import { type DatasetDetail, getDataset } from "./dataset-names.ts";
import { registerDatasetPartitions } from "./dataset-partitions.ts";
import { registerDatasetPins } from "./dataset-pins.ts";
import { registerDatasetPreview } from "./dataset-preview.ts";
import { registerDatasetPurge } from "./dataset-purge.ts";
import { registerDatasetRevert } from "./dataset-revert.ts";

export function registerDataset(program: Command, cliOf: CliOf, engine: () => Promise<QueryEngine>): void {
  const dataset = program
    .command("dataset")
    .summary("look at datasets and their history; compare, revert, repair, pin and purge them")
    .helpCommand(false)
    .description(
      "Looks at datasets: what is committed, its schema, who made it and from what; compares and reverts versions.",
    );
  dataset.addHelpText(
    "after",
    examples(
      ["trace dataset list", "all of them"],
      ["trace dataset show quakes", "schema, size, newest commits"],
      ["trace dataset diff quakes", "what the newest commit changed"],
      ["trace dataset revert quakes --to 12", "make it what it was, after a question"],
    ),
  );
  dataset
    .command("list")
    .summary("list datasets at their newest commit")
    .description("Lists datasets at their newest commit.")
    .addHelpText(
      "after",
      examples(
        ["trace dataset list", "all of them"],
        ["trace dataset list --json | jq '.datasets[].name'", "for a script"],
      ),
    )
    .action(async (_options: unknown, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const answer = await client.listDatasets({});
        if (cli.json) cli.printJson(answer);
        else list(cli, answer.datasets);
      });
    });
  dataset
    .command("show")
    .summary("show schema, head, size and commits")
    .description("Shows a dataset: its schema, head, size, and the newest commits with what each was made from.")
    .argument("<name>", "name of the dataset", nameArgument)
    .addHelpText("after", examples(["trace dataset show quakes", "all there is to know about it"]))
    .action(async (name: string, _options: unknown, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const detail = await getDataset(client, name);
        if (cli.json) cli.printJson(detail);
        else show(cli, detail);
      });
    });
  registerDatasetHistory(dataset, cliOf);
  registerDatasetDiff(dataset, cliOf, engine);
  registerDatasetPreview(dataset, cliOf, engine);
  registerDatasetLineage(dataset, cliOf);
  registerDatasetPartitions(dataset, cliOf);
  registerDatasetRevert(dataset, cliOf);
  registerDatasetPins(dataset, cliOf);
  registerDatasetPurge(dataset, cliOf);
}

function list(cli: Cli, datasets: readonly Dataset[]): void {
  if (datasets.length === 0) {
    cli.say("There are no datasets yet: a deployed job makes them when it commits.");
    cli.sayNext([[cli.command("deploy", "<file>"), "deploys a DAG"]]);
    return;
  }
  const nowMs = cli.io.clock.nowMs();
  const wide = cli.outWidth >= 100;
  const { lines, hidden } = renderTable({
    columns: [
      { title: "dataset", whole: true },
      { title: "commit", align: "right" },
      { title: "rows", align: "right" },
      { title: "size", align: "right" },
      ...(wide ? [{ title: "columns", align: "right" as const }] : []),
      { title: "committed", whole: true },
      { title: "made by" },
    ],
    rows: datasets.map((dataset): TableCell[] => {
      const empty = dataset.head === 0;
      return [
        dataset.name,
        empty ? { text: "none", paint: cli.outColors.dim } : String(dataset.head),
        empty ? "" : count(dataset.rows),
        empty ? "" : bytes(dataset.bytes),
        ...(wide ? [empty ? "" : count(dataset.schema.length)] : []),
        dataset.committed_at === null ? "" : relative(dataset.committed_at, nowMs),
        dataset.producer === null ? "" : `${dataset.producer.dag}.${dataset.producer.job}`,
      ];
    }),
    width: cli.outWidth,
    palette: cli.outColors,
  });
  cli.print(...lines);
  cli.say("", `${plural(datasets.length, "dataset")}${hidden === 0 ? "" : `, ${plural(hidden, "column")} not shown`}`);
}

function show(cli: Cli, dataset: DatasetDetail): void {
  const palette = cli.outColors;
  const nowMs = cli.io.clock.nowMs();
  const fact = (name: string, value: string) => cli.print(`  ${palette.dim(name.padEnd(11))}${value}`);
  cli.print(palette.bold(dataset.name));
  if (dataset.head === 0) fact("head", "nothing committed yet");
  else {
    const when =
      dataset.committed_at === null
        ? ""
        : `, ${moment(dataset.committed_at)} (${relative(dataset.committed_at, nowMs)})`;
    fact("head", `commit ${dataset.head}${when}`);
    fact("size", `${plural(dataset.rows, "row")}, ${bytes(dataset.bytes)} in ${plural(dataset.files, "file")}`);
  }
  if (dataset.generation > 1) fact("generation", String(dataset.generation));
  if (dataset.producer !== null) fact("made by", `job ${dataset.producer.job} of DAG ${dataset.producer.dag}`);
  if (dataset.schema.length > 0) {
    const columns = [{ title: "column", whole: true }, { title: "type" }];
    const rows = dataset.schema.map((column) => [column.name, { text: column.type, paint: palette.cyan }]);
    cli.print("", ...indented(renderTable({ columns, rows, width: cli.outWidth - 2, palette }).lines));
  }
  if (dataset.commits.length > 0) cli.print("", ...indented(commitLines(cli, dataset.commits, nowMs)));
  cli.say("");
  cli.sayNext(
    dataset.head === 0
      ? [[cli.command("run", dataset.producer?.dag ?? "<dag>"), "makes its first commit"]]
      : [[cli.command("query", `SELECT * FROM ${dataset.name} LIMIT 10`), "look at it"]],
  );
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function commitLines(cli: Cli, commits: readonly Commit[], nowMs: number): readonly string[] {
  const wide = !cli.io.stdout.isTTY || cli.outWidth >= 132;
  return renderTable({
    columns: [
      { title: "commit", align: "right" },
      { title: "what", whole: true },
      { title: "when", whole: true },
      { title: "rows", align: "right" },
      { title: "size", align: "right" },
      { title: "task", whole: true },
      { title: "dag version", whole: true },
      { title: "made from" },
    ],
    rows: commits.map((commit) => [
      String(commit.commit),
      whatItDid(commit, cli.outColors),
      relative(commit.committed_at, nowMs),
      count(commit.rows),
      bytes(commit.bytes),
      commit.task_id === null ? (commit.actor ?? "") : wide ? commit.task_id : shortTaskId(commit.task_id),
      commit.dag_version?.slice(0, 12) ?? "",
      commit.inputs.map((input) => `${input.dataset} ${input.commit}`).join(", "),
    ]),
    width: cli.outWidth - 2,
    palette: cli.outColors,
  }).lines;
}
