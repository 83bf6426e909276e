/** `trace up`, `trace start` and one command per role. */
import type { Command } from "commander";
import { Cli } from "../cli.ts";
import { examples, wholeNumber } from "../commands/arguments.ts";
import { globalOptionsOf } from "../globals.ts";
import { processIo } from "../io.ts";
import type { RoleName } from "./roles.ts";
import type { StartOptions } from "./start.ts";
import type { UpOptions } from "./up.ts";

const slotsMax = 256;

/** The roles that run as processes of their own. Listed here, since loading what they are made of takes half a second. */
const roleNames: readonly RoleName[] = ["dispatcher", "worker", "localcloud"];

/** Runs a command that lives as long as its stack, with the exit code it ends with. */
async function foreground(command: Command, work: (cli: Cli) => Promise<void>): Promise<void> {
  const cli = new Cli(processIo(process.env), globalOptionsOf(command));
  await work(cli);
  process.exitCode = cli.exitCode;
}

function stackOptions(command: Command): Command {
  return command
    .option("--root <folder...>", "folders that 'ingest' may read files from")
    .option(
      "--allow <host:port...>",
      "addresses that are not public and 'ingest' may reach all the same: for development",
    )
    .option("--slots <n>", "tasks that the worker runs at once", wholeNumber(1, slotsMax));
}

/** Adds the commands to the program. */
export function registerUp(program: Command): void {
  stackOptions(program.command("up"))
    .summary("start a stack on this machine")
    .description(
      "Starts two Postgres servers, the S3 and SQS endpoints, the dispatcher and a worker, and keeps them running until Ctrl-C. Data stays in the state folder.",
    )
    .addHelpText(
      "after",
      examples(
        ["trace up", "state in .trace"],
        ["trace up --state /data/trace --root /data/incoming", "elsewhere, and files to read"],
      ),
    )
    .action(async (options: UpOptions, command: Command) => {
      const { up } = await import("./up.ts");
      await foreground(command, (cli) => up(cli, options, process.env));
    });
  stackOptions(program.command("start"))
    .summary("start a stack and run the example")
    .description(
      "What 'npm start' does: starts a stack, deploys and runs the example 'quakes', and stays up until Ctrl-C.",
    )
    .option("--once", "end when the example has committed")
    .action(async (options: StartOptions, command: Command) => {
      const { startExample } = await import("./start.ts");
      await foreground(command, (cli) => startExample(cli, options, process.env));
    });
  for (const role of roleNames) registerRole(program, role);
}

function registerRole(program: Command, role: RoleName): void {
  program
    .command(role, { hidden: true })
    .summary(`run the ${role} role`)
    .description(
      `Runs the ${role} role until SIGTERM. It is configured by environment variables; 'trace up' sets them.`,
    )
    .action(async () => {
      const { runRoleProcess } = await import("./roles.ts");
      // A role has said why in its log; nothing may keep the process alive once it has stopped.
      process.exit(await runRoleProcess(role, process.env));
    });
}
