/** `trace dataset purge NAME --before COMMIT`: gives commits up for good. It counts first, and asks for the name. */
import type { PurgeAnswer } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { exitCodes } from "../exit.ts";
import type { CliOf } from "../program.ts";
import { bytes, plural } from "../terminal/format.ts";
import { commitArgument, examples, nameArgument } from "./arguments.ts";
import { named } from "./dataset-names.ts";

interface PurgeOptions {
  readonly before: number;
  readonly generation?: number;
  readonly dryRun?: boolean;
  readonly confirm?: string;
}

export function registerDatasetPurge(dataset: Command, cliOf: CliOf): void {
  dataset
    .command("purge")
    .summary("give up old commits and their files, for good")
    .description(
      "Gives up the commits before one of them, and the files that only they have. They can no longer be read, compared or gone back to. Pinned commits stay.",
    )
    .argument("<name>", "name of the dataset", nameArgument)
    .requiredOption("--before <commit>", "commits below this one go", commitArgument)
    .option("--generation <n>", "of this generation (default: the current one)", commitArgument)
    .option("--dry-run", "only count what would go")
    .option("--confirm <name>", "the dataset's name once more: do not ask for it")
    .addHelpText(
      "after",
      examples(
        ["trace dataset purge quakes --before 12 --dry-run", "what would go"],
        ["trace dataset purge quakes --before 12", "do it; asks for the name"],
      ),
    )
    .action(async (name: string, options: PurgeOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => named(client, name, () => purge(cli, client, name, options)));
    });
}

function countText({ commits, files, bytes: size }: PurgeAnswer): string {
  return `${plural(commits, "commit")} and ${plural(files, "file")}, ${bytes(size)}`;
}

function sayKept(cli: Cli, { kept }: PurgeAnswer): void {
  if (kept > 0)
    cli.say(`${plural(kept, "commit")} before that ${kept === 1 ? "stays" : "stay"}: pinned, or being read.`);
}

async function purge(cli: Cli, client: UserClient, name: string, options: PurgeOptions): Promise<void> {
  const { before, generation } = options;
  const call = (dry_run: boolean) =>
    client.purgeDataset({
      params: { name },
      body: { before, dry_run, ...(generation === undefined ? {} : { generation }) },
    });
  const plan = await call(true);
  if (options.dryRun === true) {
    if (cli.json) cli.printJson(plan);
    else cli.print(`would give up ${countText(plan)}, before commit ${before} of ${name}`);
    sayKept(cli, plan);
    cli.say("Nothing was changed.");
    return;
  }
  if (plan.commits === 0) {
    if (cli.json) cli.printJson({ ...plan, dry_run: false });
    cli.say(`There is nothing before commit ${before} of ${name} to give up.`);
    sayKept(cli, plan);
    return;
  }
  cli.say(`This gives up ${countText(plan)}, before commit ${before} of ${name}. It cannot be undone.`);
  sayKept(cli, plan);
  if (!(await cli.confirmName(`the dataset's name`, name, options.confirm))) {
    cli.say("That is another name; nothing was changed.");
    cli.endWith(exitCodes.failed);
    return;
  }
  const done = await call(false);
  if (cli.json) cli.printJson(done);
  else cli.print(`${cli.outColors.green("gave up")} ${countText(done)}, before commit ${before} of ${name}`);
}
