/** `trace task watch`: a task live, to its end; the exit code tells how it ended. */
import { fromErrorRecord, type LogEvent, type TaskDetail } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { exitCodes, Interrupted } from "../exit.ts";
import { errorLines } from "../failure.ts";
import type { CliOf } from "../program.ts";
import { findTaskId } from "../runs/task-id.ts";
import { outcomeText } from "../runs/task-view.ts";
import { watchTask } from "../runs/watch-task.ts";
import { durationArgument, examples } from "./arguments.ts";
import { droppedText, logText } from "./task-logs.ts";
import { paintOfState } from "./task-show.ts";

interface WatchOptions {
  readonly timeout?: number;
  readonly logs?: boolean;
}

export function registerTaskWatch(task: Command, cliOf: CliOf): void {
  task
    .command("watch")
    .summary("watch a task to its end")
    .description(
      "Watches a task to its end: what it waits for, how far it is, how fast, and when it will be there. The task belongs to Trace, not to this command: Ctrl-C or a lost connection ends the watching only. Exit code 3 when it ends dead or canceled.",
    )
    .argument("<task>", "task id, or its last characters")
    .option("--logs", "show what it writes, too")
    .option("--timeout <time>", "stop watching after this, for example 10m (exit code 4)", durationArgument)
    .addHelpText(
      "after",
      examples(
        ["trace task watch 3f9ac01b22d4", "progress, speed and what is left"],
        ["trace task watch 3f9ac01b22d4 --logs", "with its log"],
        ["trace task watch 3f9ac01b22d4 --json", "the ended task, for a script"],
      ),
    )
    .action(async (id: string, options: WatchOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => watch(cli, client, await findTaskId(client, id), options));
    });
}

async function watch(cli: Cli, client: UserClient, taskId: string, options: WatchOptions): Promise<void> {
  const logLines = options.logs === true ? (event: LogEvent) => linesOf(cli, event) : undefined;
  let ended: TaskDetail;
  try {
    ended = await watchTask(cli, client, { taskId, timeoutMs: options.timeout, logLines });
  } catch (error) {
    if (error instanceof Interrupted) {
      cli.say("", `The task goes on without you: ${taskId}`);
      cli.sayNext([[cli.command("task", "show", taskId), "see how it does"]]);
    }
    throw error;
  }
  if (ended.state !== "completed") cli.endWith(exitCodes.endedBadly);
  if (cli.json) cli.printJson(ended);
  else answer(cli, ended);
}

function linesOf(cli: Cli, { dropped, lines }: LogEvent): string[] {
  const palette = cli.errColors;
  const lost = dropped > 0 ? [palette.yellow(droppedText(dropped))] : [];
  return [...lost, ...lines.map((line) => logText(line, palette))];
}

function answer(cli: Cli, task: TaskDetail): void {
  const palette = cli.outColors;
  cli.print(outcomeText(task, paintOfState(task.state, palette), palette.bold));
  const show = [cli.command("task", "show", task.task_id), "every attempt"] as const;
  const replay = [cli.command("task", "replay", task.task_id), "run it again"] as const;
  if (task.state === "dead" && task.error !== null) {
    const more = cli.command("explain", task.error.code);
    const error = fromErrorRecord(task.error);
    cli.say("", ...errorLines(error, { width: cli.errWidth, palette: cli.errColors, more }), "");
    cli.sayNext([[cli.command("task", "logs", task.task_id), "what it wrote"], show, replay]);
  } else if (task.state === "canceled") {
    cli.say("");
    cli.sayNext([show, replay]);
  } else {
    const [first] = task.commits;
    if (first === undefined) return;
    cli.say("");
    cli.sayNext([[cli.command("query", `SELECT * FROM ${first.dataset} LIMIT 10`), "look at it"]]);
  }
}
