/** `trace task list | show | logs`. */
import {
  type Attempt,
  fromErrorRecord,
  pageRowsDefault,
  pageRowsMax,
  type RouteAnswer,
  type Task,
  taskStates,
  type userRoutes,
} from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { errorLines } from "../failure.ts";
import type { CliOf } from "../program.ts";
import { findTaskId, shortTaskId } from "../runs/task-id.ts";
import { elapsedMs, progressText } from "../runs/view.ts";
import type { Paint, Palette } from "../terminal/ansi.ts";
import { duration, moment, plural, relative } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { printable } from "../terminal/width.ts";
import { examples, nameArgument, oneOf, wholeNumber } from "./arguments.ts";
import { registerTaskLogs } from "./task-logs.ts";

type TaskDetail = RouteAnswer<(typeof userRoutes)["getTask"]>;

interface ListOptions {
  readonly state?: Task["state"];
  readonly dag?: string;
  readonly job?: string;
  readonly limit: number;
  readonly cursor?: string;
}

export function registerTask(program: Command, cliOf: CliOf): void {
  const task = program
    .command("task")
    .summary("list and show tasks, read their logs")
    .description("Looks at tasks: what runs, what failed and why.");
  task.addHelpText(
    "after",
    examples(
      ["trace task list --state dead", "what failed for good"],
      ["trace task show 3f9ac01b22d4", "every attempt with its error"],
      ["trace task logs 3f9ac01b22d4 --follow", "what it writes"],
    ),
  );
  task
    .command("list")
    .summary("list tasks, newest first")
    .description("Lists tasks, newest first.")
    .option(
      "--state <state>",
      `only tasks in this state: ${taskStates.join(", ")} (the state folder goes before: trace --state FOLDER task list)`,
      oneOf(taskStates),
    )
    .option("--dag <dag>", "only tasks of this DAG", nameArgument)
    .option("--job <job>", "only tasks of this job", nameArgument)
    .option("--limit <n>", `at most this many, up to ${pageRowsMax}`, wholeNumber(1, pageRowsMax), pageRowsDefault)
    .option("--cursor <cursor>", "go on where a page before ended")
    .addHelpText(
      "after",
      examples(
        ["trace task list --dag quakes --limit 20", "the newest of a DAG"],
        ["trace task list --state dead --json | jq -r '.tasks[].task_id'", "for a script"],
      ),
    )
    .action(async (options: ListOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => list(cli, client, options));
    });
  task
    .command("show")
    .summary("show a task with every attempt")
    .description("Shows a task with every attempt: what went wrong, where, why, and what fixes it.")
    .argument("<task>", "task id, or its last characters")
    .addHelpText("after", examples(["trace task show 3f9ac01b22d4", "by the end of its id"]))
    .action(async (id: string, _options: unknown, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient(async (client) => {
        const detail = await client.getTask({ params: { task_id: await findTaskId(client, id) } });
        if (cli.json) cli.printJson(detail);
        else show(cli, detail);
      });
    });
  registerTaskLogs(task, cliOf);
}

export function paintOfState(state: string, palette: Palette): Paint {
  if (state === "completed" || state === "succeeded") return palette.green;
  if (state === "dead" || state === "failed" || state === "expired") return palette.red;
  if (state === "running") return palette.cyan;
  return state === "canceled" ? palette.yellow : palette.dim;
}

function happened(task: Task): string {
  if (task.error !== null && task.state !== "completed") return `${task.error.code} ${task.error.detail}`;
  if (task.state === "running" && task.progress !== null) return progressText(task.progress);
  return task.commits.map((commit) => `${commit.dataset} commit ${commit.commit}`).join(", ");
}

async function list(cli: Cli, client: UserClient, options: ListOptions): Promise<void> {
  const { state, dag, job, limit, cursor } = options;
  const page = await client.listTasks({ query: { state, dag, job, limit, cursor } });
  if (cli.json) {
    cli.printJson(page);
    return;
  }
  if (page.tasks.length === 0) {
    const filtered = state !== undefined || dag !== undefined || job !== undefined;
    cli.say(filtered ? "No task fits." : "There are no tasks yet.");
    if (!filtered) cli.sayNext([[cli.command("run", "<dag>"), "creates some"]]);
    return;
  }
  const nowMs = cli.io.clock.nowMs();
  const palette = cli.outColors;
  const wide = !cli.io.stdout.isTTY || cli.outWidth >= 120;
  // What a narrow terminal leaves of a result says nothing; `task show` has it whole.
  const results = cli.outWidth >= 100;
  const { lines } = renderTable({
    columns: [
      { title: "task", whole: true },
      { title: "job" },
      { title: "state", whole: true },
      { title: "try", align: "right" },
      { title: "created", whole: true },
      { title: "took", align: "right" },
      ...(results ? [{ title: "result" }] : []),
    ],
    rows: page.tasks.map((task) => {
      const took = elapsedMs(task, nowMs);
      return [
        wide ? task.task_id : shortTaskId(task.task_id),
        `${task.dag}.${task.job}`,
        { text: task.state, paint: paintOfState(task.state, palette) },
        String(task.attempt),
        relative(task.created_at, nowMs),
        took === undefined ? "" : duration(took),
        ...(results ? [happened(task)] : []),
      ];
    }),
    width: cli.outWidth,
    palette,
  });
  cli.print(...lines);
  cli.say("", `${plural(page.tasks.length, "task")}${page.next === null ? "" : ", and there are more"}`);
  if (page.next !== null) {
    const filters = Object.entries({ state, dag, job }).flatMap(([name, value]) => (value ? [`--${name}`, value] : []));
    cli.sayNext([[cli.command("task", "list", ...filters, "--cursor", page.next), "the next page"]]);
  }
}

function fact(palette: Palette, name: string, value: string): string {
  return `  ${palette.dim(name.padEnd(10))}${value}`;
}

function show(cli: Cli, task: TaskDetail): void {
  const palette = cli.outColors;
  const nowMs = cli.io.clock.nowMs();
  const took = elapsedMs(task, nowMs);
  const lines = [
    `${palette.bold(`${task.dag}.${task.job}`)}  ${paintOfState(task.state, palette)(task.state)}`,
    fact(palette, "task", task.task_id),
    fact(palette, "operator", `${printable(task.operator)}, queue ${task.queue}, priority ${task.priority}`),
    fact(palette, "created", `${moment(task.created_at)} (${relative(task.created_at, nowMs)})`),
  ];
  if (task.run_at !== null)
    lines.push(fact(palette, "due", `${moment(task.run_at)} (${relative(task.run_at, nowMs)})`));
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
  cli.sayNext([[cli.command("task", "logs", task.task_id), "what it wrote"]]);
}

function attemptLines(cli: Cli, attempt: Attempt, nowMs: number): string[] {
  const palette = cli.outColors;
  const endMs = attempt.ended_at === null ? nowMs : Date.parse(attempt.ended_at);
  const took = duration(Math.max(0, endMs - Date.parse(attempt.started_at)));
  const head = `${palette.bold(`attempt ${attempt.attempt}`)}  ${paintOfState(attempt.state, palette)(attempt.state)}`;
  const lines = [`${head}  ${took}  ${palette.dim(`on ${printable(attempt.worker)}, ${moment(attempt.started_at)}`)}`];
  if (attempt.error === null) return lines;
  const more = cli.command("explain", attempt.error.code);
  const width = cli.outWidth - 2;
  return [...lines, ...errorLines(fromErrorRecord(attempt.error), { width, palette, more }).map((line) => `  ${line}`)];
}
