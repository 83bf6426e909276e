/** `trace task logs`: the log of one attempt, once or followed to its end. */
import type { LogEvent, LogLine, RouteAnswer, TraceError, userRoutes } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { Interrupted } from "../exit.ts";
import type { CliOf } from "../program.ts";
import { findTaskId } from "../runs/task-id.ts";
import { waitingText } from "../runs/waiting.ts";
import type { Palette } from "../terminal/ansi.ts";
import { plural } from "../terminal/format.ts";
import { printable } from "../terminal/width.ts";
import { examples, wholeNumber } from "./arguments.ts";

type Logs = RouteAnswer<(typeof userRoutes)["getTaskLogs"]>;

interface LogOptions {
  readonly attempt?: number;
  readonly follow?: boolean;
}

export function registerTaskLogs(task: Command, cliOf: CliOf): void {
  task
    .command("logs")
    .summary("show what an attempt wrote")
    .description(
      "Shows the log of an attempt, the newest one unless told otherwise. With --json and --follow: one JSON document per line.",
    )
    .argument("<task>", "task id, or its last characters")
    .option("--attempt <n>", "number of the attempt", wholeNumber(1, 1_000_000))
    .option("-f, --follow", "go on until the task has ended")
    .addHelpText(
      "after",
      examples(
        ["trace task logs 3f9ac01b22d4", "of the newest attempt"],
        ["trace task logs 3f9ac01b22d4 --attempt 1", "of the first one"],
        ["trace task logs 3f9ac01b22d4 --follow", "until it ends"],
      ),
    )
    .action(async (id: string, options: LogOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const taskId = await findTaskId(client, id);
        if (options.follow === true) await follow(cli, client, taskId, options.attempt);
        else
          answer(cli, await client.getTaskLogs({ params: { task_id: taskId }, query: { attempt: options.attempt } }));
      });
    });
}

function answer(cli: Cli, logs: Logs): void {
  if (cli.json) {
    cli.printJson(logs);
    return;
  }
  if (logs.attempt === null) {
    cli.say("The task has not been tried yet, so there is no log.");
    return;
  }
  cli.say(cli.errColors.dim(`attempt ${logs.attempt}${logs.state === null ? "" : `, ${logs.state}`}`));
  if (logs.dropped > 0) cli.warn(droppedText(logs.dropped));
  if (logs.lines.length === 0) cli.say("It wrote nothing.");
  cli.print(...logs.lines.map((line) => logText(line, cli.outColors)));
}

/** `07:39:12.123 warn  message`. */
export function logText(line: LogLine, palette: Palette): string {
  const paints = { debug: palette.dim, info: palette.cyan, warn: palette.yellow, error: palette.red };
  const time = new Date(line.time).toISOString().slice(11, 23);
  return `${palette.dim(time)} ${paints[line.level](line.level.padEnd(5))} ${printable(line.message)}`;
}

/** Follows from attempt to attempt until the task is over, or the one attempt that was asked for. */
async function follow(cli: Cli, client: UserClient, taskId: string, attempt: number | undefined): Promise<void> {
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort());
  const onTrouble = (error: TraceError | undefined) => {
    if (error !== undefined) cli.say(cli.errColors.yellow(`! no news (${error.code}); trying again`));
  };
  let lease: number | undefined;
  try {
    const request = { params: { task_id: taskId }, query: { attempt } };
    for await (const event of client.watchTask(request, { signal: abort.signal, onTrouble })) {
      if (event.event === "task" && event.data.attempts.length === 0 && lease === undefined) {
        cli.say(`The task has not been tried yet: it ${waitingText(event.data, cli.io.clock.nowMs())}.`);
      }
      if (event.event !== "log") continue;
      if (event.data.lease_no !== lease) cli.say(cli.errColors.dim(`attempt ${event.data.attempt}`));
      lease = event.data.lease_no;
      printNew(cli, event.data);
    }
  } catch (error) {
    if (abort.signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    release();
  }
}

function printNew(cli: Cli, { attempt, dropped, lines }: LogEvent): void {
  if (dropped > 0) cli.warn(droppedText(dropped));
  cli.print(...lines.map((line) => (cli.json ? JSON.stringify({ attempt, ...line }) : logText(line, cli.outColors))));
}

export function droppedText(dropped: number): string {
  return `${plural(dropped, "older line")} dropped: the log grew past its bound`;
}
