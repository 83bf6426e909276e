/** `trace task`: the commands below it, and `trace task list`. */
import { pageRowsDefault, pageRowsMax, type Task, taskStates } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import type { CliOf } from "../program.ts";
import { progressText } from "../runs/progress.ts";
import { shortTaskId } from "../runs/task-id.ts";
import { elapsedMs } from "../runs/view.ts";
import { waitingText } from "../runs/waiting.ts";
import { duration, plural, relative } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { examples, nameArgument, oneOf, wholeNumber } from "./arguments.ts";
import { unknownName } from "./dag-names.ts";
import { registerTaskActions } from "./task-actions.ts";
import { registerTaskCreate } from "./task-create.ts";
import { registerTaskLogs } from "./task-logs.ts";
import { paintOfState, registerTaskShow } from "./task-show.ts";
import { registerTaskWatch } from "./task-watch.ts";

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
    .summary("list, show, watch and create tasks; cancel, retry and replay them; read their logs")
    .helpCommand(false)
    .description("Looks at tasks, what runs, what failed and why, and does something about it.");
  task.addHelpText(
    "after",
    examples(
      ["trace task list --state dead", "what failed for good"],
      ["trace task show 3f9ac01b22d4", "every attempt with its error"],
      ["trace task watch 3f9ac01b22d4", "see it to its end"],
      ["trace task replay --state dead --dag quakes", "run again what failed, after a question"],
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
  registerTaskShow(task, cliOf);
  registerTaskLogs(task, cliOf);
  registerTaskWatch(task, cliOf);
  registerTaskCreate(task, cliOf);
  registerTaskActions(task, cliOf);
}

function happened(task: Task, nowMs: number): string {
  if (task.error !== null && task.state !== "completed") return `${task.error.code} ${task.error.detail}`;
  if (task.state === "running" && task.progress !== null) return progressText(task.progress);
  if (task.state === "queued") return waitingText(task, nowMs) ?? "";
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
    const unknown = await unknownName(client, { dag, jobs: job === undefined ? [] : [job] });
    if (unknown !== undefined) cli.say(`${unknown.message}: ${unknown.fix}`);
    if (!filtered) cli.sayNext([[cli.command("run", "<dag>"), "creates some"]]);
    return;
  }
  const nowMs = cli.io.clock.nowMs();
  const palette = cli.outColors;
  const wide = !cli.io.stdout.isTTY || cli.outWidth >= 120;
  // What a narrow terminal leaves of a result says nothing; `task show` has it whole.
  const results = cli.outWidth >= 100;
  const partitioned = page.tasks.some((task) => (task.partition ?? null) !== null);
  const { lines } = renderTable({
    columns: [
      { title: "task", whole: true },
      { title: "job" },
      ...(partitioned ? [{ title: "partition" }] : []),
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
        ...(partitioned ? [task.partition ?? ""] : []),
        { text: task.state, paint: paintOfState(task.state, palette) },
        String(task.attempt),
        relative(task.created_at, nowMs),
        took === undefined ? "" : duration(took),
        ...(results ? [happened(task, nowMs)] : []),
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
