/** `trace dataset history NAME`: its commits, newest first, each with what it changed and who made it. */
import { type HistoryCommit, pageRowsDefault, pageRowsMax } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { deltaCell, whatItDid } from "../datasets/delta.ts";
import type { CliOf } from "../program.ts";
import { shortTaskId } from "../runs/task-id.ts";
import { bytes, count, moment, plural, relative } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { examples, nameArgument, wholeNumber } from "./arguments.ts";
import { named } from "./dataset-names.ts";

interface HistoryOptions {
  readonly limit: number;
  readonly cursor?: string;
}

export function registerDatasetHistory(dataset: Command, cliOf: CliOf): void {
  dataset
    .command("history")
    .summary("list commits, newest first")
    .description(
      "Lists the commits of a dataset, newest first: what each did, what it added or took away, who made it and from what.",
    )
    .argument("<name>", "name of the dataset", nameArgument)
    .option("--limit <n>", `at most this many, up to ${pageRowsMax}`, wholeNumber(1, pageRowsMax), pageRowsDefault)
    .option("--cursor <cursor>", "go on where a page before ended")
    .addHelpText(
      "after",
      examples(
        ["trace dataset history quakes", "the newest commits"],
        ["trace dataset history quakes --limit 1 --json | jq '.commits[0].commit'", "the head, for a script"],
      ),
    )
    .action(async (name: string, options: HistoryOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => named(client, name, () => history(cli, client, name, options)));
    });
}

async function history(cli: Cli, client: UserClient, name: string, options: HistoryOptions): Promise<void> {
  const { limit, cursor } = options;
  const page = await client.listCommits({ params: { name }, query: { limit, cursor } });
  if (cli.json) {
    cli.printJson(page);
    return;
  }
  if (page.commits.length === 0) {
    cli.say(`Nothing has been committed to '${name}' yet.`);
    cli.sayNext([[cli.command("dataset", "show", name), "which job makes it"]]);
    return;
  }
  cli.print(...commitTable(cli, page.commits));
  const more = page.next === null ? "" : ", and there are more";
  cli.say("", `${plural(page.commits.length, "commit")}${more}`);
  const [newest, before] = page.commits;
  cli.sayNext([
    ...(page.next === null
      ? []
      : [[cli.command("dataset", "history", name, "--cursor", page.next), "the next page"] as const]),
    ...(newest === undefined || before === undefined || before.purged_at !== null
      ? []
      : [[cli.command("dataset", "diff", name), `what commit ${newest.commit} changed`] as const]),
  ]);
}

/** `quakes.ingest_quakes`, or the person of a revert. */
function madeBy(commit: HistoryCommit): string {
  if (commit.producer !== null) return `${commit.producer.dag}.${commit.producer.job}`;
  return commit.actor ?? "";
}

function commitTable(cli: Cli, commits: readonly HistoryCommit[]): readonly string[] {
  const palette = cli.outColors;
  const nowMs = cli.io.clock.nowMs();
  const sizes = cli.outWidth >= 100;
  const tasks = cli.outWidth >= 132;
  // A log is read later than it was written: there, "3 min ago" says nothing.
  const when = (time: string) => (cli.io.stdout.isTTY ? relative(time, nowMs) : moment(time));
  const partitioned = sizes && commits.some((commit) => commit.partitions > 1);
  const generations = new Set(commits.map((commit) => commit.generation)).size > 1;
  return renderTable({
    columns: [
      { title: "commit", align: "right" },
      ...(generations ? [{ title: "generation", align: "right" as const }] : []),
      { title: "what", whole: true },
      { title: "when", whole: true },
      { title: "rows", align: "right" },
      { title: "", align: "right" },
      ...(sizes
        ? [
            { title: "size", align: "right" as const },
            { title: "", align: "right" as const },
          ]
        : []),
      ...(partitioned ? [{ title: "partitions", align: "right" as const }] : []),
      { title: "made by" },
      ...(tasks ? [{ title: "task", whole: true }] : []),
      { title: "from, or why" },
    ],
    rows: commits.map((commit) => [
      String(commit.commit),
      ...(generations ? [String(commit.generation)] : []),
      whatItDid(commit, palette),
      when(commit.committed_at),
      count(commit.rows),
      deltaCell(commit.rows_delta, "rows", palette),
      ...(sizes ? [bytes(commit.bytes), deltaCell(commit.bytes_delta, "bytes", palette)] : []),
      ...(partitioned ? [commit.partitions === 0 ? "" : count(commit.partitions)] : []),
      madeBy(commit),
      ...(tasks ? [commit.task_id === null ? "" : shortTaskId(commit.task_id)] : []),
      commit.reason ?? commit.inputs.map((input) => `${input.dataset} ${input.commit}`).join(", "),
    ]),
    width: cli.outWidth,
    palette,
  }).lines;
}
