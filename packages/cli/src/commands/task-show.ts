/** `trace task show`: a task with every attempt. */
import { type Attempt, fromErrorRecord, type Task, type TaskDetail } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { errorLines } from "../failure.ts";
import type { CliOf } from "../program.ts";
import { progressText } from "../runs/progress.ts";
import { findTaskId } from "../runs/task-id.ts";
import { elapsedMs } from "../runs/view.ts";
import { waitingText } from "../runs/waiting.ts";
import type { Paint, Palette } from "../terminal/ansi.ts";
import { duration, moment, plural, relative } from "../terminal/format.ts";
import { printable } from "../terminal/width.ts";
import { examples } from "./arguments.ts";

export function registerTaskShow(task: Command, cliOf: CliOf): void {
  task
    .command("show")
    .summary("show a task with every attempt")
    .description("Shows a task with every attempt: what it waits for, what went wrong, where, why, and what fixes it.")
    .argument("<task>", "task id, or its last characters")
    .addHelpText("after", examples(["trace task show 3f9ac01b22d4", "by the end of its id"]))
    .action(async (id: string, _options: unknown, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const detail = await client.getTask({ params: { task_id: await findTaskId(client, id) } });
        if (cli.json) cli.printJson(detail);
        else show(cli, detail, await concurrencyOf(client, detail));
      });
    });
}

export function paintOfState(state: string, palette: Palette): Paint {
  if (state === "completed" || state === "succeeded") return palette.green;
  if (state === "dead" || state === "failed" || state === "expired") return palette.red;
  if (state === "running") return palette.cyan;
  return state === "canceled" ? palette.yellow : palette.dim;
}

/** How many tasks the job runs at once, asked only where a task waits for that. */
async function concurrencyOf(client: UserClient, task: Task): Promise<number | undefined> {
  if (task.waiting_for !== "slot") return undefined;
  const { dags } = await client.listDags({});
  return dags.find(({ dag }) => dag === task.dag)?.jobs.find(({ name }) => name === task.job)?.max_concurrency;
}

function fact(palette: Palette, name: string, value: string): string {
  return `  ${palette.dim(name.padEnd(10))}${value}`;
}

function show(cli: Cli, task: TaskDetail, concurrency: number | undefined): void {
  const palette = cli.outColors;
  const nowMs = cli.io.clock.nowMs();
  const took = elapsedMs(task, nowMs);
  const lines = [
    `${palette.bold(`${task.dag}.${task.job}`)}  ${paintOfState(task.state, palette)(task.state)}`,
    fact(palette, "task", task.task_id),
    ...((task.partition ?? null) === null ? [] : [fact(palette, "partition", printable(task.partition ?? ""))]),
    fact(palette, "operator", `${printable(task.operator)}, queue ${task.queue}, priority ${task.priority}`),
    fact(palette, "created", `${moment(task.created_at)} (${relative(task.created_at, nowMs)})`),
  ];
  const waiting = waitingText(task, nowMs, concurrency);
  if (waiting !== undefined) lines.push(fact(palette, "now", waiting));
  if (took !== undefined) lines.push(fact(palette, "took", duration(took)));
  const losses = task.lease_losses === 0 ? "" : `, its worker was lost ${plural(task.lease_losses, "time")}`;
  lines.push(
    fact(palette, "attempts", `${task.attempt}, ${task.failures} of at most ${task.failures_max} failed${losses}`),
  );
  if (task.progress !== null && task.state === "running")
    lines.push(fact(palette, "progress", progressText(task.progress)));
  for (const commit of task.commits)
    lines.push(fact(palette, "committed", `${commit.dataset} commit ${commit.commit}`));
  for (const attempt of task.attempts) lines.push("", ...attemptLines(cli, attempt, nowMs));
  cli.print(...lines);
  cli.say("");
  cli.sayNext(nextOf(cli, task));
}

/** What one is likely to do about a task in its state. */
function nextOf(cli: Cli, task: TaskDetail): (readonly [command: string, what: string])[] {
  const logs = [cli.command("task", "logs", task.task_id), "what it wrote"] as const;
  const written = task.attempts.length > 0 ? [logs] : [];
  if (task.state === "dead" || task.state === "canceled") {
    return [...written, [cli.command("task", "replay", task.task_id), "run it again"]];
  }
  if (task.state === "completed") return [logs];
  const watch = [cli.command("task", "watch", task.task_id), "see it to its end"] as const;
  if (task.waiting_for !== "due") return [...written, watch];
  return [...written, [cli.command("task", "retry", task.task_id), "run it now"], watch];
}

function attemptLines(cli: Cli, attempt: Attempt, nowMs: number): string[] {
  const palette = cli.outColors;
  const endMs = attempt.ended_at === null ? nowMs : Date.parse(attempt.ended_at);
  const took = duration(Math.max(0, endMs - Date.parse(attempt.started_at)));
  const head = `${palette.bold(`attempt ${attempt.attempt}`)}  ${paintOfState(attempt.state, palette)(attempt.state)}`;
  const lines = [
    `${head}  ${took}  ${palette.dim(`on ${printable(attempt.worker)}, lease ${attempt.lease_no}, ${moment(attempt.started_at)}`)}`,
  ];
  if (attempt.error === null) return lines;
  const more = cli.command("explain", attempt.error.code);
  const width = cli.outWidth - 2;
  return [...lines, ...errorLines(fromErrorRecord(attempt.error), { width, palette, more }).map((line) => `  ${line}`)];
}
