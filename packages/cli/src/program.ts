/** The commands, their global flags and help, and what a wrong command line is told. Each command is in a file of its own. */
import { TraceError } from "@trace/contracts";
import { Command, CommanderError } from "commander";
import { Cli } from "./cli.ts";
import { registerCompletion } from "./commands/completion.ts";
import { registerDataset } from "./commands/dataset.ts";
import { registerDeploy } from "./commands/deploy.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerExplain } from "./commands/explain.ts";
import { registerInit } from "./commands/init.ts";
import { registerOutbox } from "./commands/outbox.ts";
import { registerQuery } from "./commands/query.ts";
import { registerRun } from "./commands/run.ts";
import { registerSchema } from "./commands/schema.ts";
import { registerTask } from "./commands/task.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { fail } from "./failure.ts";
import { addGlobalOptions, globalOptionsOf } from "./globals.ts";
import { ExamplesFirst } from "./help.ts";
import type { CliIo } from "./io.ts";
import { nearest } from "./nearest.ts";
import { type QueryEngine, startEngine } from "./query/engine.ts";
import { ansiColors } from "./terminal/ansi.ts";
import { traceVersion } from "./version.ts";

/** A command's action gets the context of this very call: its flags, its terminal. */
export type CliOf = (command: Command) => Cli;

/** Flags that errors and help must know before (or although) the command line could be read. */
function flagsOf(argv: readonly string[]): { json: boolean; color: boolean; debug: boolean; quiet: boolean } {
  const end = argv.indexOf("--");
  const flags = end === -1 ? argv : argv.slice(0, end);
  return {
    json: flags.includes("--json"),
    color: !flags.includes("--no-color"),
    debug: flags.includes("--debug"),
    quiet: flags.includes("--quiet") || flags.includes("-q"),
  };
}

const exitCodeHelp = `
Exit codes:
  0  ok
  1  failed: something must be changed first
  2  wrong use
  3  the run or task ended badly
  4  a service cannot be reached, or another error that may pass: try again
  130  interrupted with Ctrl-C

All of it: docs/cli.md. An error code: trace explain TR-1007`;

export interface Program {
  readonly command: Command;
  /** Runs one command line (without node and the script) and returns the exit code. Never throws. */
  run(argv: readonly string[]): Promise<ExitCode>;
}

/** What a test puts in the place of the real thing. */
export interface ProgramParts {
  readonly engine?: () => Promise<QueryEngine>;
}

/** The whole `trace` but for what `up` adds. */
export function createProgram(io: CliIo, parts: ProgramParts = {}): Program {
  const command = new Command("trace");
  let cli = new Cli(io, flagsOf([]));
  const cliOf: CliOf = (of) => {
    cli = new Cli(io, globalOptionsOf(of));
    return cli;
  };
  const examplesFirst = new ExamplesFirst();
  command
    .description("A durable data platform: versioned datasets, SQL, runs that survive a crash.")
    .enablePositionalOptions()
    .configureHelp({ styleTitle: ansiColors.bold, formatHelp: examplesFirst.formatHelp })
    .helpOption("-h, --help", "show help")
    .helpCommand(false)
    .version(`trace ${traceVersion}`, "-V, --version", "show the version")
    .exitOverride()
    .showSuggestionAfterError(true)
    .addHelpText(
      "after",
      `
Examples:
  trace up                                    start a stack on this machine
  trace deploy examples/quakes/quakes.yaml    check and deploy a DAG file
  trace run quakes                            run it and watch
  trace query 'SELECT * FROM quakes LIMIT 5'  look at what it committed`,
    )
    .addHelpText("after", exitCodeHelp);
  const styled = () => io.stdout.isTTY && !io.env.NO_COLOR && io.env.TERM !== "dumb" && cli.options.color;
  command.configureOutput({
    writeOut: (text) => {
      if (!examplesFirst.shown(text)) io.stdout.write(text);
    },
    // Errors and the help that goes with them are shown by `fail`, in the form that was asked for.
    writeErr: () => {},
    getOutHelpWidth: () => cli.outWidth,
    getOutHasColors: styled,
  });
  registerInit(command, cliOf, parts.engine ?? startEngine);
  registerDeploy(command, cliOf);
  registerRun(command, cliOf);
  registerTask(command, cliOf);
  registerDataset(command, cliOf, parts.engine ?? startEngine);
  registerOutbox(command, cliOf);
  registerQuery(command, cliOf, parts.engine ?? startEngine);
  registerDoctor(command, cliOf);
  registerExplain(command, cliOf);
  registerSchema(command, cliOf);
  registerCompletion(command, cliOf, io);
  const run = async (argv: readonly string[]): Promise<ExitCode> => {
    cli = new Cli(io, flagsOf(argv));
    // Now, when every command is there, those of `up` too.
    addGlobalOptions(command);
    try {
      await command.parseAsync([...argv], { from: "user" });
      return cli.exitCode;
    } catch (error) {
      if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok;
      return fail(cli, error instanceof CommanderError ? wrongUse(error, command, argv) : error);
    }
  };
  return { command, run };
}

/** The command that a command line names, as far as it is right. */
function commandMeant(root: Command, argv: readonly string[]): Command {
  let at = root;
  for (const word of argv) {
    const next = at.commands.find((candidate) => candidate.name() === word || candidate.aliases().includes(word));
    if (next !== undefined) at = next;
  }
  return at;
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** Commands of another area by that name: `history` of `trace history` is one of datasets. */
function elsewhere(root: Command, word: string): string[] {
  const help = root.createHelp();
  const below = root.commands.flatMap((area) => help.visibleCommands(area));
  const meant = nearest(
    word,
    below.map((command) => command.name()),
  );
  return below.filter((command) => command.name() === meant).map((command) => `'${pathOf(command)}'`);
}

/** Commander's refusal as an error of ours. */
function wrongUse(error: CommanderError, root: Command, argv: readonly string[]): TraceError {
  const meant = commandMeant(root, argv);
  const help = `${pathOf(meant)} --help`;
  if (error.code === "commander.help") {
    const names = meant.commands.map((command) => command.name()).join(", ");
    return new TraceError("TR-7001", {
      detail: `'${pathOf(meant)}' needs a command`,
      why: `it has these: ${names}`,
      fix: `see '${help}'`,
    });
  }
  const [what = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const word = error.code === "commander.unknownCommand" ? /'([^']*)'/.exec(what)?.[1] : undefined;
  const suggestion =
    /\(Did you mean (?:one of )?([^)]*?)\?\)/.exec(rest.join(" "))?.[1] ??
    (word === undefined ? undefined : elsewhere(root, word).join(" or ") || undefined);
  return new TraceError("TR-7001", {
    detail: what,
    fix: suggestion === undefined ? `see '${help}'` : `did you mean ${suggestion}? See '${help}'`,
  });
}
