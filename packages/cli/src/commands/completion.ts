/** `trace completion bash|zsh|fish`, and the hidden command that the scripts call at each Tab. */
import type { Command } from "commander";
import { Cli } from "../cli.ts";
import { candidateLines, complete, type Shell, shells } from "../completion/candidates.ts";
import { completionScript } from "../completion/scripts.ts";
import type { CliIo } from "../io.ts";
import type { CliOf } from "../program.ts";
import { examples, oneOf } from "./arguments.ts";

const install: Readonly<Record<Shell, string>> = {
  bash: 'add to ~/.bashrc: eval "$(trace completion bash)"',
  zsh: 'add to ~/.zshrc, after compinit: eval "$(trace completion zsh)"',
  fish: "add to ~/.config/fish/config.fish: trace completion fish | source",
};

export function registerCompletion(program: Command, cliOf: CliOf, io: CliIo): void {
  program
    .command("completion")
    .summary("complete commands and names with Tab")
    .description(
      "Prints a script for your shell. It completes commands, options, and names of datasets, DAGs, jobs, tasks and commits as the running stack knows them; without a stack, the rest.",
    )
    .argument("<shell>", shells.join(", "), oneOf(shells))
    .addHelpText(
      "after",
      examples(
        [`eval "$(trace completion bash)"`, "in ~/.bashrc"],
        [`eval "$(trace completion zsh)"`, "in ~/.zshrc, after compinit"],
        ["trace completion fish | source", "in ~/.config/fish/config.fish"],
      ),
    )
    .action((shell: Shell, _options: unknown, command: Command) => {
      const cli = cliOf(command);
      const script = completionScript(shell, io.command);
      if (cli.json) cli.printJson({ shell, script });
      else io.stdout.write(script);
      if (io.stdout.isTTY) cli.say("", `${cli.errColors.dim("to install it,")} ${install[shell]}`);
    });
  program
    .command("__complete", { hidden: true })
    .description("Answers what fits at the end of a command line: for the scripts of 'trace completion'.")
    .argument("[words...]")
    .helpOption(false)
    .action(async (words: readonly string[]) => {
      const quiet = { json: false, color: false, quiet: true, debug: false };
      const cliFor = (options: ReadonlyMap<string, string>) =>
        new Cli(io, {
          ...quiet,
          state: options.get("--state"),
          url: options.get("--url"),
          tokenFile: options.get("--token-file"),
        });
      const lines = candidateLines(await complete(program, words, cliFor));
      if (lines.length > 0) io.stdout.write(`${lines.join("\n")}\n`);
    });
}
