/** `trace dataset partitions | repair NAME`: what partitions there are, which are missing, and tasks that make those. */
import { type Partition, pageRowsDefault, pageRowsMax, type RepairAnswer } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { exitCodes } from "../exit.ts";
import { partitionsNamedMax } from "../limits.ts";
import type { CliOf } from "../program.ts";
import { bytes, count, plural, relative } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { printable, wrap } from "../terminal/width.ts";
import { examples, keyArguments, nameArgument, wholeNumber } from "./arguments.ts";
import { named } from "./dataset-names.ts";

interface PartitionsOptions {
  readonly limit: number;
  readonly cursor?: string;
}

interface RepairOptions {
  readonly partition?: readonly string[];
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export function registerDatasetPartitions(dataset: Command, cliOf: CliOf): void {
  dataset
    .command("partitions")
    .summary("list partitions, and which are missing")
    .description("Lists the partitions of a dataset by key, and those of its job that nothing was committed for.")
    .argument("<name>", "name of the dataset", nameArgument)
    .option("--limit <n>", `at most this many, up to ${pageRowsMax}`, wholeNumber(1, pageRowsMax), pageRowsDefault)
    .option("--cursor <cursor>", "go on where a page before ended")
    .addHelpText(
      "after",
      examples(
        ["trace dataset partitions flights", "all of them, with their sizes"],
        ["trace dataset partitions flights --json | jq -r '.missing[]'", "missing ones, for a script"],
      ),
    )
    .action(async (name: string, options: PartitionsOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => named(client, name, () => partitions(cli, client, name, options)));
    });
  dataset
    .command("repair")
    .summary("make missing partitions")
    .description("Creates a task for each partition of the dataset's job that nothing was committed for.")
    .argument("<name>", "name of the dataset", nameArgument)
    .option("--partition <key...>", "only these of the missing ones", keyArguments)
    .option("--dry-run", "only show what is missing")
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      examples(
        ["trace dataset repair flights --dry-run", "what is missing"],
        ["trace dataset repair flights", "make it, after a question"],
      ),
    )
    .action(async (name: string, options: RepairOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => named(client, name, () => repair(cli, client, name, options)));
    });
}

async function partitions(cli: Cli, client: UserClient, name: string, options: PartitionsOptions): Promise<void> {
  const { limit, cursor } = options;
  const page = await client.listPartitions({ params: { name }, query: { limit, cursor } });
  if (cli.json) {
    cli.printJson(page);
    return;
  }
  if (page.partitions.length > 0) cli.print(...partitionTable(cli, page.partitions));
  const missing = page.missing.length === 0 ? "none is missing" : `${count(page.missing.length)} missing`;
  cli.say("", `${plural(page.partitions_total, "partition")}, ${missing}`);
  if (page.missing.length > 0) {
    const lines = wrap(keysText("missing", page.missing), cli.outWidth - 1);
    cli.print(...(page.partitions.length > 0 ? [""] : []), ...lines.map(cli.outColors.yellow));
  }
  cli.sayNext([
    ...(page.next === null
      ? []
      : [[cli.command("dataset", "partitions", name, "--cursor", page.next), "the next page"] as const]),
    ...(page.missing.length === 0 ? [] : [[cli.command("dataset", "repair", name), "make what is missing"] as const]),
  ]);
}

/** `missing: 2001-03, 2001-04 and 12 more`. */
function keysText(what: string, keys: readonly string[]): string {
  const shown = keys.slice(0, partitionsNamedMax).map(printable);
  const left = keys.length - shown.length;
  return `${what}: ${shown.join(", ")}${left > 0 ? ` and ${count(left)} more` : ""}`;
}

function partitionTable(cli: Cli, rows: readonly Partition[]): readonly string[] {
  const nowMs = cli.io.clock.nowMs();
  return renderTable({
    columns: [
      { title: "partition", whole: true },
      { title: "rows", align: "right" },
      { title: "size", align: "right" },
      { title: "files", align: "right" },
      { title: "commit", align: "right" },
      { title: "committed", whole: true },
    ],
    rows: rows.map((one) => [
      one.partition === "" ? { text: "(none)", paint: cli.outColors.dim } : one.partition,
      count(one.rows),
      bytes(one.bytes),
      count(one.files),
      String(one.commit),
      relative(one.committed_at, nowMs),
    ]),
    width: cli.outWidth,
    palette: cli.outColors,
  }).lines;
}

async function repair(cli: Cli, client: UserClient, name: string, options: RepairOptions): Promise<void> {
  const call = (dry_run: boolean) =>
    client.repairPartitions({
      params: { name },
      body: { dry_run, ...(options.partition === undefined ? {} : { partitions: [...options.partition] }) },
    });
  const asked = options.dryRun === true || options.yes !== true;
  const plan = asked ? await call(true) : undefined;
  if (plan !== undefined && (options.dryRun === true || plan.missing.length === 0)) {
    answer(cli, plan);
    return;
  }
  if (plan !== undefined) {
    cli.say(...wrap(keysText("missing", plan.missing), cli.errWidth - 1));
    if (!(await cli.confirm(`Create ${plural(plan.missing.length, "task")}?`, "--yes"))) {
      cli.say("Nothing was changed.");
      cli.endWith(exitCodes.failed);
      return;
    }
  }
  answer(cli, await call(false));
}

function answer(cli: Cli, { dataset, missing, tasks, dry_run }: RepairAnswer): void {
  if (cli.json) {
    cli.printJson({ dataset, missing, tasks, dry_run });
    return;
  }
  if (missing.length === 0) {
    cli.say(`No partition of '${dataset}' is missing.`);
    return;
  }
  if (dry_run) {
    cli.print(...missing.map(printable));
    cli.say("", `${plural(missing.length, "partition")} missing. Nothing was changed.`);
    cli.sayNext([[cli.command("dataset", "repair", dataset), `create ${plural(missing.length, "task")}`]]);
    return;
  }
  for (const task of tasks) cli.print(`${task.task_id}  ${printable(task.partition)}`);
  cli.say("", `Created ${plural(tasks.length, "task")}.`);
  const [first] = tasks;
  if (first !== undefined) cli.sayNext([[cli.command("task", "watch", first.task_id), "watch the first of them"]]);
}
