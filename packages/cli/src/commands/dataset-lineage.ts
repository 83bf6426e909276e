/** `trace dataset lineage NAME`: commits, attempts and code that a commit came from, and what was made from it. */
import type { Command } from "commander";
import { lineageLines } from "../datasets/lineage-view.ts";
import type { CliOf } from "../program.ts";
import { commitArgument, examples, nameArgument } from "./arguments.ts";
import { named } from "./dataset-names.ts";

export function registerDatasetLineage(dataset: Command, cliOf: CliOf): void {
  dataset
    .command("lineage")
    .summary("show what it was made from, by what, and what was made from it")
    .description(
      "Shows where a commit came from: the task, attempt and version of the code that made it, the commits it read, and theirs in turn; then the commits that were made from it.",
    )
    .argument("<name>", "name of the dataset", nameArgument)
    .option("--commit <commit>", "of this commit (default: the newest)", commitArgument)
    .addHelpText(
      "after",
      examples(
        ["trace dataset lineage by_region", "of the newest commit"],
        ["trace dataset lineage by_region --commit 9 --json | jq '.nodes[].task.dag_version'", "for a script"],
      ),
    )
    .action(async (name: string, { commit }: { commit?: number }, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const lineage = await named(client, name, () => client.getLineage({ params: { name }, query: { commit } }));
        if (cli.json) {
          cli.printJson(lineage);
          return;
        }
        const options = { nowMs: cli.io.clock.nowMs(), width: cli.outWidth, palette: cli.outColors };
        cli.print(...lineageLines(lineage, options));
        if (lineage.more) cli.say("", "There is more than is shown here.");
      });
    });
}
