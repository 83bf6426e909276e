/** `trace dataset revert NAME --to COMMIT`: shows what it would do, asks, and makes the commit. */
import { type Commit, type DatasetDiff, pageRowsMax, TraceError } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { diffLines } from "../datasets/diff-view.ts";
import { exitCodes } from "../exit.ts";
import { nearest } from "../nearest.ts";
import type { CliOf } from "../program.ts";
import { plural } from "../terminal/format.ts";
import { commitArgument, examples, keyArguments, nameArgument, reasonArgument } from "./arguments.ts";
import { named } from "./dataset-names.ts";

interface RevertOptions {
  readonly to: number;
  readonly partition?: readonly string[];
  readonly expectedHead?: number;
  readonly reason?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export function registerDatasetRevert(dataset: Command, cliOf: CliOf): void {
  dataset
    .command("revert")
    .summary("make it what it was at an earlier commit")
    .description(
      "Makes a dataset, or some of its partitions, what they were at an earlier commit. It makes a commit of its own: nothing is lost, and a revert can be reverted. Attempts that began before it do not overwrite what it brought back.",
    )
    .argument("<name>", "name of the dataset", nameArgument)
    .requiredOption("--to <commit>", "the commit to go back to; 0 is the empty dataset", commitArgument)
    .option("--partition <key...>", "only these partitions", keyArguments)
    .option(
      "--expected-head <commit>",
      "refuse unless this is the newest commit (default: the one shown)",
      commitArgument,
    )
    .option("--reason <text>", "why; kept in the history", reasonArgument)
    .option("--dry-run", "only show what would change")
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      examples(
        ["trace dataset revert quakes --to 12 --dry-run", "what would change"],
        ["trace dataset revert quakes --to 12 --reason 'bad source file'", "do it, after a question"],
        ["trace dataset revert flights --to 12 --partition 2001-03 2001-04", "two partitions of it"],
      ),
    )
    .action(async (name: string, options: RevertOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => named(client, name, () => revert(cli, client, name, options)));
    });
}

async function revert(cli: Cli, client: UserClient, name: string, options: RevertOptions): Promise<void> {
  const { head } = await client.getDataset({ params: { name } });
  if (options.expectedHead !== undefined && options.expectedHead !== head)
    throw movedOn(name, options.expectedHead, head);
  const whole = await client.diffDataset({ params: { name }, query: { from: head, to: options.to } });
  if (options.partition !== undefined && (options.yes !== true || options.dryRun === true))
    await refuseUnknown(client, whole, options.partition, head);
  const change = narrowed(whole, options.partition);
  if (cli.json && options.dryRun === true) {
    cli.printJson({ dry_run: true, to: options.to, expected_head: head, change });
    return;
  }
  if (options.yes !== true || options.dryRun === true) {
    if (!cli.json) {
      const view = { nowMs: cli.io.clock.nowMs(), width: cli.errWidth, palette: cli.errColors };
      if (options.dryRun === true)
        cli.print(...diffLines(change, { ...view, width: cli.outWidth, palette: cli.outColors }));
      else cli.say(...diffLines(change, view), "");
    }
    if (options.dryRun === true) {
      cli.say("", "Nothing was changed.");
      return;
    }
    const what = options.partition === undefined ? name : `${plural(options.partition.length, "partition")} of ${name}`;
    if (!(await cli.confirm(`Revert ${what} from commit ${head} to commit ${options.to}?`, "--yes"))) {
      cli.say("Nothing was changed.");
      cli.endWith(exitCodes.failed);
      return;
    }
  }
  const commit = await client.revertDataset({
    params: { name },
    body: {
      to: options.to,
      expected_head: head,
      ...(options.partition === undefined ? {} : { partitions: [...options.partition] }),
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    },
  });
  if (cli.json) cli.printJson(commit);
  else answer(cli, name, { commit, to: options.to });
}

/** The same before the call, so that what is shown is what was meant. */
function movedOn(name: string, expected: number, head: number): TraceError {
  return new TraceError("TR-4023", {
    detail: `'${name}' is at commit ${head}, not at ${expected}; nothing was changed`,
    fix: `see what came since: trace dataset diff ${name} ${Math.min(expected, head)} ${Math.max(expected, head)}`,
  });
}

/**
 * A key that is not there would be shown as a partition that is as it was. Those that differ are there; of the others the head says
 * so. Where more differ than the answer lists, the call itself has to tell.
 */
async function refuseUnknown(
  client: UserClient,
  diff: DatasetDiff,
  keys: readonly string[],
  head: number,
): Promise<void> {
  const { dataset, partitions, partitions_changed } = diff;
  const changed = new Set(partitions.map((one) => one.partition));
  const others = keys.filter((key) => !changed.has(key));
  if (others.length === 0 || partitions_changed > partitions.length) return;
  const body = { datasets: [{ dataset, version: head, partitions: others }], presign: false };
  const [resolved] = (await client.resolveDatasets({ body })).datasets;
  const there = new Set(resolved?.files.map((file) => file.partition ?? ""));
  const absent = others.filter((key) => !there.has(key));
  if (absent.length === 0) return;
  const page = await client.listPartitions({ params: { name: dataset }, query: { limit: pageRowsMax } });
  // Those that the job has yet to make are no slips.
  const known = [...page.partitions.map((one) => one.partition), ...page.missing];
  const unknown = absent.find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const near = nearest(unknown, [...changed, ...known]);
  throw new TraceError("TR-4033", {
    detail: `dataset '${dataset}' has no partition '${unknown}'`,
    fix: `${near === undefined ? "" : `did you mean '${near}'? `}'trace dataset partitions ${dataset}' lists those there are`,
  });
}

/** The difference with the partitions that are meant alone. */
function narrowed(diff: DatasetDiff, keys: readonly string[] | undefined): DatasetDiff {
  if (keys === undefined) return diff;
  const meant = diff.partitions.filter((one) => keys.includes(one.partition));
  return {
    ...diff,
    partitions: meant,
    partitions_changed: meant.length,
    partitions_unchanged: keys.length - meant.length,
  };
}

function answer(cli: Cli, name: string, { commit, to }: { commit: Commit; to: number }): void {
  const { green } = cli.outColors;
  cli.print(`${green("reverted")} ${name} to commit ${to}, as commit ${commit.commit}`);
  cli.sayNext([
    [cli.command("dataset", "history", name), "see it"],
    [cli.command("dataset", "revert", name, "--to", String(commit.commit - 1)), "undo it"],
  ]);
}
