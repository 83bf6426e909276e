/** Rules of what people do with tasks: create, cancel, retry, replay. */
import type { CallRules, OpenCall, Outcome } from "./calls.ts";
import { codeOf, type Fields, fieldsOf, listOf, textOf } from "./json.ts";
import { type Deed, markGone, type Task, type World } from "./world.ts";

export const createTasks: CallRules = {
  settle(world, call, outcome) {
    const items = listOf(fieldsOf(call.body).items).map(fieldsOf);
    if (outcome.kind === "unknown") world.maybeCreated += items.length;
    if (outcome.kind !== "answered") return;
    const answers = listOf(fieldsOf(outcome.body).items).map(fieldsOf);
    if (answers.length !== items.length) {
      const what = `${items.length} tasks to create got ${answers.length} answers`;
      world.verdict.add({ rule: "answers", what, why: "", lines: [call.line, outcome.line] });
    }
    for (const [index, item] of items.entries()) created(world, item, fieldsOf(answers[index]), outcome);
  },
};

function created(world: World, item: Fields, answer: Fields, { line }: Outcome): void {
  const id = textOf(answer.task_id);
  const made = answer.created === true;
  if (made) {
    const task = world.task(id);
    if (task.created > 0) {
      const what = `task ${id} was created twice`;
      world.verdict.add({
        rule: "created_once",
        what,
        why: "task ids are unique",
        task: id,
        lines: [task.created, line],
      });
    }
    task.created = line;
    world.verdict.count("tasks created");
  }
  const key = textOf(item.dedupe_key);
  // An answer with an error names the task that is in the way, and the key is given back.
  if (key === "" || id === "" || answer.error !== undefined) return;
  const name = `${textOf(item.dag)}.${textOf(item.job)}|${key}`;
  const known = world.keys.get(name);
  if (known === undefined) {
    world.keys.set(name, { task: id, created: made, line });
    return;
  }
  const at = { task: id, lines: [known.line, line] };
  if (known.task !== id) {
    const what = `dedupe key ${name} was answered with task ${known.task} and with task ${id}`;
    world.verdict.add({ rule: "created_once", what, why: "a key has one task", ...at });
  } else if (known.created && made) {
    const what = `dedupe key ${name} was told "created" twice`;
    world.verdict.add({ rule: "created_once", what, why: "only the first create makes the task", ...at });
  }
  known.created ||= made;
}

type Action = "cancel" | "retry" | "replay";

export const cancelTasks: CallRules = actionOf("cancel");
export const retryTasks: CallRules = actionOf("retry");
export const replayTasks: CallRules = actionOf("replay");

function deedsOf(task: Task, action: Action): Deed[] {
  if (action === "cancel") {
    task.cancels ??= [];
    return task.cancels;
  }
  task.replays ??= [];
  return task.replays;
}

function actionOf(action: Action): CallRules {
  const remembered = action !== "retry";
  return {
    begin(world, call) {
      if (!remembered) return;
      for (const id of idsOf(call)) {
        const task = world.task(id);
        deedsOf(task, action).push({ call: call.call, start: call.start, at: Number.POSITIVE_INFINITY });
      }
    },
    settle(world, call, outcome) {
      if (outcome.kind === "unknown") return;
      const answers = listOf(fieldsOf(outcome.body).items).map(fieldsOf);
      for (const [index, id] of idsOf(call).entries()) {
        const task = world.task(id);
        const answer = outcome.kind === "answered" ? fieldsOf(answers[index]) : { accepted: false };
        if (answer.accepted === true) done(world, { action, task, call, outcome, answer });
        else if (remembered) forget(task, action, call.call);
        if (outcome.kind === "answered" && answer.accepted !== true) {
          world.verdict.count(`${action} refused, ${codeOf(answer.error)}`);
        }
      }
    },
  };
}

function idsOf(call: OpenCall): string[] {
  return listOf(fieldsOf(call.body).task_ids).map(textOf);
}

function forget(task: Task, action: Action, call: number): void {
  const deeds = deedsOf(task, action);
  const left = deeds.filter((deed) => deed.call !== call);
  deeds.splice(0, deeds.length, ...left);
}

interface Done {
  readonly action: Action;
  readonly task: Task;
  readonly call: OpenCall;
  readonly outcome: Outcome;
  readonly answer: Fields;
}

function done(world: World, { action, task, call, outcome, answer }: Done): void {
  const { at, line } = outcome;
  world.verdict.count(`${action} accepted`);
  if (action !== "retry") for (const deed of deedsOf(task, action)) if (deed.call === call.call) deed.at = at;
  requireFits(world, { action, task, call, outcome, answer });
  if (action === "replay") {
    if (task.ended !== undefined && task.ended.start < at) task.ended = undefined;
    return;
  }
  if (action === "retry") return;
  const why = "its task was canceled";
  for (const lease of task.leases) if (lease.claimAt < call.start) markGone(lease, { at, line, why });
  if (task.replays?.some((replay) => replay.at > call.start)) return;
  task.ended = { state: "canceled", start: call.start, at, line, why: "the task is canceled" };
}

/** What is over for good stays so: completed is final, and of the rest only a replay makes a task live again. */
function requireFits(world: World, { action, task, call, outcome, answer }: Done): void {
  const { ended } = task;
  const wanted = action === "cancel" ? "canceled" : undefined;
  if (wanted !== undefined && answer.state !== wanted) {
    const what = `a ${action} of task ${task.id} was accepted and told state '${textOf(answer.state)}'`;
    world.verdict.add({ rule: "answers", what, why: "", task: task.id, lines: [call.line, outcome.line] });
  }
  if (ended === undefined || ended.at >= call.start) return;
  // Asked for once more: it is so already.
  if (action === "cancel" && ended.state === "canceled") return;
  if (action === "replay" ? ended.state !== "completed" : replayedSince(task, ended.start, outcome.at)) return;
  const what = `a ${action} of task ${task.id} was accepted`;
  const why = `the task was ${ended.state} before`;
  world.verdict.add({ rule: "ended_task", what, why, task: task.id, lines: [ended.line, call.line, outcome.line] });
}

function replayedSince(task: Task, start: number, at: number): boolean {
  return task.replays?.some((replay) => replay.at > start && replay.start < at) === true;
}
