/**
 * `trace task cancel | retry | replay`: tasks by id, or by the filters of `list`. What filters find is counted and asked for
 * before it is done; what becomes of each task is told.
 */
import { type Task, type TaskActionAnswer, TraceError } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { exitCodes } from "../exit.ts";
import { actionTasksMax, answersShownMax } from "../limits.ts";
import type { CliOf } from "../program.ts";
import { findTaskId } from "../runs/task-id.ts";
import { count, plural } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { type Example, examples, nameArgument, oneOf, wholeNumber } from "./arguments.ts";
import { unknownName } from "./dag-names.ts";
import { endWithRefusals, sayRefusals } from "./refusals.ts";
import { type Found, findTasks, jobLines } from "./task-find.ts";
import { paintOfState } from "./task-show.ts";

type State = Task["state"];

interface Action {
  readonly name: "cancel" | "retry" | "replay";
  /** Has been done: `Canceled 3 tasks`. */
  readonly done: string;
  readonly summary: string;
  readonly description: string;
  /** States that filters find; the first is what they find when none is named. */
  readonly states: readonly [State, ...State[]];
  /** Without --state: all of them, not the first alone. */
  readonly all: boolean;
  call(client: UserClient, body: { task_ids: string[] }): Promise<{ items: TaskActionAnswer[] }>;
  readonly examples: readonly Example[];
}

const actions: readonly Action[] = [
  {
    name: "cancel",
    done: "Canceled",
    summary: "cancel tasks that are queued or running",
    description:
      "Cancels tasks. A queued one ends at once; a running one loses its lease, so that nothing it does counts any more, and its worker aborts it within seconds.",
    states: ["queued", "running"],
    all: true,
    call: (client, body) => client.cancelTasks({ body }),
    examples: [
      ["trace task cancel 3f9ac01b22d4", "one"],
      ["trace task cancel --dag quakes --state queued", "what waits, after a question"],
    ],
  },
  {
    name: "retry",
    done: "Retried",
    summary: "run queued tasks now instead of when they are due",
    description: "Makes queued tasks due now: those that wait for their next attempt, or for a time of their own.",
    states: ["queued"],
    all: true,
    call: (client, body) => client.retryTasks({ body }),
    examples: [
      ["trace task retry 3f9ac01b22d4", "one"],
      ["trace task retry --dag quakes --yes", "all that wait, without a question"],
    ],
  },
  {
    name: "replay",
    done: "Replayed",
    summary: "run tasks again that are dead or canceled",
    description:
      "Queues dead or canceled tasks again, with their counts of failures at zero. Their attempts and errors stay. Filters find dead tasks unless --state canceled is said.",
    states: ["dead", "canceled"],
    all: false,
    call: (client, body) => client.replayTasks({ body }),
    examples: [
      ["trace task replay 3f9ac01b22d4", "one"],
      ["trace task replay --state dead --dag quakes --dry-run", "which would be"],
      ["trace task replay --state dead --dag quakes", "all of them, after a question"],
    ],
  },
];

interface ActionOptions {
  readonly state?: State;
  readonly dag?: string;
  readonly job?: string;
  readonly limit: number;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export function registerTaskActions(task: Command, cliOf: CliOf): void {
  for (const action of actions) {
    task
      .command(action.name)
      .summary(action.summary)
      .description(action.description)
      .argument("[tasks...]", "task ids, or their last characters")
      .option(
        "--state <state>",
        `tasks in this state: ${action.states.join(", ")} (the state folder goes before: trace --state FOLDER task ${action.name})`,
        oneOf(action.states),
      )
      .option("--dag <dag>", "tasks of this DAG", nameArgument)
      .option("--job <job>", "tasks of this job", nameArgument)
      .option(
        "--limit <n>",
        `of what the filters find, the newest so many, up to ${count(actionTasksMax)}`,
        wholeNumber(1, actionTasksMax),
        actionTasksMax,
      )
      .option("-y, --yes", "do not ask")
      .option("--dry-run", "show which tasks it would be, and change nothing")
      .addHelpText("after", examples(...action.examples))
      .action(async (ids: readonly string[], options: ActionOptions, command: Command) => {
        const cli = cliOf(command);
        checkUse(action, ids, options);
        await cli.withClient((client) =>
          ids.length > 0 ? byId(cli, client, action, ids, options) : byFilter(cli, client, action, options),
        );
      });
  }
}

/** Throws TR-7001. */
function checkUse(action: Action, ids: readonly string[], { state, dag, job }: ActionOptions): void {
  const filtered = state !== undefined || dag !== undefined || job !== undefined;
  if (filtered !== ids.length > 0) return;
  const fix = `name tasks, 'trace task ${action.name} TASK...', or say which: --dag, --job, --state`;
  throw new TraceError(
    "TR-7001",
    filtered
      ? { detail: "task ids and filters exclude each other", why: "ids say already which tasks are meant", fix }
      : { detail: `'trace task ${action.name}' does not say which tasks`, fix },
  );
}

async function byId(
  cli: Cli,
  client: UserClient,
  action: Action,
  given: readonly string[],
  { dryRun }: ActionOptions,
): Promise<void> {
  const ids: string[] = [];
  for (const id of given) ids.push(await findTaskId(client, id));
  if (dryRun !== true) return act(cli, client, action, [...new Set(ids)]);
  const tasks: Task[] = [];
  for (const task_id of new Set(ids)) tasks.push(await client.getTask({ params: { task_id } }));
  showDry(cli, action, { tasks, more: false });
}

async function byFilter(cli: Cli, client: UserClient, action: Action, options: ActionOptions): Promise<void> {
  const { state, dag, job, limit } = options;
  const [first] = action.states;
  const states = state !== undefined ? [state] : action.all ? action.states : [first];
  const found = await findTasks(client, { states, dag, job, limit });
  if (found.tasks.length === 0) {
    const unknown = await unknownName(client, { dag, jobs: job === undefined ? [] : [job] });
    if (unknown !== undefined) throw unknown;
    if (cli.json) cli.printJson(options.dryRun === true ? { dry_run: true, tasks: [] } : { items: [] });
    cli.say(`No task fits; there is nothing to ${action.name}.`);
    return;
  }
  if (options.dryRun === true) return showDry(cli, action, found);
  if (options.yes !== true) {
    cli.say(...jobLines(found.tasks, cli.errColors));
    if (found.more) cli.say(`There are more; these are the newest ${count(found.tasks.length)}.`);
    if (!(await cli.confirm(`${verb(action)} ${plural(found.tasks.length, "task")}?`, "--yes"))) {
      cli.say("Nothing was changed.");
      cli.endWith(exitCodes.failed);
      return;
    }
  }
  await act(
    cli,
    client,
    action,
    found.tasks.map((task) => task.task_id),
  );
  if (found.more) cli.say("There were more than that: run it again for the next ones.");
}

function verb(action: Action): string {
  return action.name[0]?.toUpperCase() + action.name.slice(1);
}

function showDry(cli: Cli, action: Action, { tasks, more }: Found): void {
  const fits = tasks.filter((task) => action.states.includes(task.state));
  if (cli.json) {
    cli.printJson({ dry_run: true, tasks });
    return;
  }
  const palette = cli.outColors;
  const shown = tasks.slice(0, answersShownMax);
  const { lines } = renderTable({
    columns: [{ title: "task", whole: true }, { title: "job" }, { title: "state", whole: true }],
    rows: shown.map((task) => [
      task.task_id,
      `${task.dag}.${task.job}`,
      { text: task.state, paint: paintOfState(task.state, palette) },
    ]),
    width: cli.outWidth,
    palette,
  });
  cli.print(...lines);
  if (shown.length < tasks.length) cli.say(`and ${count(tasks.length - shown.length)} more`);
  const others = tasks.length - fits.length;
  const refused =
    others === 0 ? "" : `; ${plural(others, "task")} would be refused for ${others === 1 ? "its" : "their"} state`;
  cli.say("", `Would ${action.name} ${plural(fits.length, "task")}${refused}. Nothing was changed.`);
  if (more) cli.say("There are more: the next ones would need another call.");
}

async function act(cli: Cli, client: UserClient, action: Action, ids: readonly string[]): Promise<void> {
  const answer = await action.call(client, { task_ids: [...ids] });
  const refused = answer.items.flatMap(({ error }) => (error === undefined ? [] : [error]));
  endWithRefusals(cli, refused);
  if (cli.json) {
    cli.printJson(answer);
    return;
  }
  showAnswers(cli, answer.items);
  const accepted = answer.items.length - refused.length;
  const of = refused.length === 0 ? "" : ` of ${count(answer.items.length)}`;
  if (accepted === 0) cli.say(`No task was ${action.done.toLowerCase()}.`);
  else cli.say(`${action.done} ${count(accepted)}${of} ${answer.items.length === 1 ? "task" : "tasks"}.`);
  sayRefusals(cli, refused, "task");
  const [first] = answer.items;
  if (accepted === 0 || first === undefined || action.name === "cancel") return;
  cli.sayNext([
    answer.items.length === 1
      ? [cli.command("task", "watch", first.task_id), "see it to its end"]
      : [cli.command("task", "list", "--state", "running"), "see what runs of them"],
  ]);
}

/** One line per task; of many, those that were refused. */
function showAnswers(cli: Cli, items: readonly TaskActionAnswer[]): void {
  const palette = cli.outColors;
  const few = items.length <= answersShownMax;
  const shown = few ? items : items.filter((item) => !item.accepted).slice(0, answersShownMax);
  for (const { task_id, accepted, state, error } of shown) {
    const word = state === undefined ? "" : paintOfState(state, palette)(state);
    const why = accepted || error === undefined ? "" : palette.red(error.code);
    cli.print([task_id, word, why].filter((part) => part !== "").join("  "));
  }
}
