/** Each call as the model sees it: checks the answers that the dispatcher gave, and moves the model on. */
import assert from "node:assert/strict";
import type { ClaimedTask } from "@trace/contracts";
import {
  type Answer,
  assertTurn,
  type Ending,
  type JobName,
  jobRules,
  type Model,
  type ModelLease,
  type ModelSession,
  type ModelTask,
} from "./model.ts";

export interface CreateItem {
  readonly job: JobName | "nothing";
  readonly priority: number;
  readonly payload: number;
  readonly key: string | undefined;
  /** When it is to run, as an order: of the past, now, or later. */
  readonly due: "now" | "later" | number;
}

interface CreateAnswer {
  readonly task_id?: string | undefined;
  readonly created: boolean;
  readonly error?: { readonly code: string } | undefined;
}

export function created(model: Model, items: readonly CreateItem[], answers: readonly CreateAnswer[]): void {
  assert.equal(answers.length, items.length);
  for (const [index, item] of items.entries()) createdOne(model, item, answers[index] ?? { created: false });
}

function createdOne(model: Model, item: CreateItem, answer: CreateAnswer): void {
  const told = { created: answer.created, task_id: answer.task_id, code: answer.error?.code };
  const key = item.key === undefined ? undefined : `${item.job} ${item.key}`;
  const refused = refusedCreate(model, item, key);
  if (refused !== undefined || item.job === "nothing") {
    assert.deepEqual(told, { created: false, ...refused });
    return;
  }
  assert.ok(told.created && told.task_id !== undefined && told.code === undefined, JSON.stringify(answer));
  const task = model.addTask(told.task_id, item.job, item.priority, item.payload);
  if (typeof item.due === "number") model.queue(task, item.due);
  else if (item.due === "now") model.queue(task, model.now);
  else model.queue(task, Number.POSITIVE_INFINITY, laterMs);
  if (key !== undefined) model.keys.set(key, task.id);
}

function refusedCreate(model: Model, { job }: CreateItem, key: string | undefined) {
  if (job === "nothing") return { task_id: undefined, code: "TR-3010" };
  const known = key === undefined ? undefined : model.keys.get(key);
  if (known !== undefined) return { task_id: known, code: undefined };
  const holder = model.holderOf(job);
  return holder === undefined ? undefined : { task_id: holder.id, code: "TR-3011" };
}

/** A time that no test reaches. */
export const laterMs = 3_600_000;

export interface ClaimCall {
  readonly session: ModelSession;
  readonly ids: readonly string[];
  readonly max: number;
  /** Others claim at the same time: a row that one of them holds is passed over. */
  readonly crowded?: boolean;
  /** Made by a dispatcher that does not hear of what the other one creates: it may pass over a task for a while. */
  readonly deaf?: boolean;
}

export function claimed(
  model: Model,
  call: ClaimCall,
  answer: { readonly tasks: readonly ClaimedTask[]; readonly more: boolean },
): void {
  const { session, ids, max, crowded = false, deaf = false } = call;
  const due = model.all("ready").filter((task) => task.due <= model.now);
  const named = due.filter((task) => ids.includes(task.id));
  const taken = answer.tasks.map((task) => model.get(task.task_id));
  assert.equal(new Set(taken).size, taken.length);
  for (const task of taken) assert.ok(due.includes(task), `task ${task.id} is not there to be claimed`);
  if (crowded) assert.ok(taken.length <= Math.min(max, due.length));
  else {
    assert.equal(taken.length, Math.min(max, due.length), "a claim takes what it can");
    if (named.length >= max) assertTurn(named, taken);
    else {
      for (const task of named) assert.ok(taken.includes(task), `task ${task.id} was named and passed over`);
      const rest = (tasks: readonly ModelTask[]) => tasks.filter((task) => !named.includes(task));
      if (!deaf) assertTurn(rest(due), rest(taken));
    }
    // Exactly as many as were asked for: it may say either.
    if (due.length !== max) assert.equal(answer.more, due.length > max);
  }
  for (const task of answer.tasks) begin(model, session, task);
}

function begin(model: Model, session: ModelSession, claimedTask: ClaimedTask): void {
  const task = model.get(claimedTask.task_id);
  assert.ok(!model.tokens.has(claimedTask.lease_token), "a token is never used again");
  model.tokens.add(claimedTask.lease_token);
  assert.ok(claimedTask.lease_no > model.leaseNoBefore, "lease numbers grow");
  Object.assign(task, { place: "leased", attempt: task.attempt + 1 });
  const { reads, writes } = jobRules[task.job];
  const pinned = reads === undefined ? undefined : model.heads[reads];
  assert.deepEqual(
    {
      attempt: claimedTask.attempt,
      job: claimedTask.job.name,
      payload: claimedTask.payload,
      inputs: claimedTask.inputs,
      outputs: claimedTask.staging.map((place) => place.dataset),
    },
    {
      attempt: task.attempt,
      job: task.job,
      payload: task.payload === undefined ? {} : { n: task.payload },
      inputs: reads === undefined ? [] : [{ dataset: reads, generation: 1, commit: pinned }],
      outputs: writes === undefined ? [] : [writes],
    },
  );
  const { lease_token: token, lease_no: leaseNo } = claimedTask;
  model.leases.push({ token, leaseNo, task, session, pinned, overdue: false, nonce: undefined });
}

/** A completion of a token by a call; what it publishes is right, unless `wrong`. */
export interface CompleteItem {
  readonly token: string;
  readonly ending: Ending;
  readonly wrong?: boolean;
}

export function completed(model: Model, items: readonly CompleteItem[], answers: readonly Answer[]): void {
  assert.equal(answers.length, items.length);
  // Of two items of one call for one attempt either may be the one that ends it.
  const order = [...items.keys()].sort((a, b) => Number(answers[b]?.accepted) - Number(answers[a]?.accepted) || a - b);
  const live = new Set(model.leases.filter((lease) => model.isLive(lease)).map((lease) => lease.token));
  for (const index of order) {
    const [item, answer] = [items[index] as CompleteItem, answers[index] as Answer];
    // What cannot be published was looked at before the other item ended the attempt, or was not looked at any more.
    if (item.wrong && live.has(item.token) && answer.error?.code !== "TR-3003") assertWrong(answer);
    else completedOne(model, item, answer);
  }
}

function assertWrong(answer: Answer): void {
  assert.equal(answer.accepted, false);
  assert.match(answer.error?.code ?? "", /^TR-4/);
}

function completedOne(model: Model, { token, ending }: CompleteItem, answer: Answer): void {
  const past = model.ended.get(token);
  const lease = model.leases.find((one) => one.token === token);
  if (past !== undefined && past.text === ending.text) assert.deepEqual(answer, past.answer);
  else if (past !== undefined) {
    const { error, ...rest } = answer;
    assert.equal(error?.code, "TR-3003");
    assert.deepEqual(rest, { ...past.answer, accepted: false });
  } else if (lease === undefined || !model.isLive(lease)) assertRefused(answer, "TR-3001");
  else {
    const { writes } = jobRules[lease.task.job];
    const states = model.end(lease, ending.word, ending.delayMs);
    const published = writes !== undefined && ending.word === "success";
    const made = { generation: 1, commit: model.heads[writes ?? "ds_x"], outcome: "committed" };
    const commits = published ? [{ dataset: writes, ...made }] : [];
    assert.deepEqual(answer, { accepted: true, ...states, commits });
    model.ended.set(token, { text: ending.text, answer });
  }
}

function assertRefused(answer: Answer, code: string): void {
  assert.deepEqual({ accepted: answer.accepted, code: answer.error?.code }, { accepted: false, code });
}

export function released(model: Model, tokens: readonly string[], answers: readonly Answer[]): void {
  assert.equal(answers.length, tokens.length);
  const live = model.leases.filter((lease) => model.isLive(lease));
  for (const [index, token] of tokens.entries()) {
    const lease = live.find((one) => one.token === token);
    if (lease === undefined) assertRefused(answers[index] as Answer, "TR-3001");
    else assert.deepEqual(answers[index], { accepted: true });
  }
  for (const lease of live.filter((one) => tokens.includes(one.token))) model.end(lease, "release");
}

export function startedBy(model: Model, token: string, nonce: string, answer: Answer): void {
  const lease = model.leases.find((one) => one.token === token);
  if (lease === undefined || !model.isLive(lease)) assertRefused(answer, "TR-3001");
  else if (lease.nonce !== undefined && lease.nonce !== nonce) assertRefused(answer, "TR-3013");
  else {
    lease.nonce = nonce;
    assert.deepEqual(answer, { accepted: true });
  }
}

/** Sessions that stopped beating are over, and what no live session holds in time is taken away. */
export function reaped(model: Model): void {
  for (const session of model.sessions) if (session.state === "expired") session.state = "closed";
  for (const lease of [...model.leases]) {
    if (lease.session.state === "closed") model.end(lease, "lost");
    else if (lease.overdue) model.end(lease, "overdue");
  }
}

export type ActionName = "cancel" | "retry" | "replay";

interface ActionAnswer {
  readonly task_id: string;
  readonly accepted: boolean;
  readonly state?: string | undefined;
  readonly error?: { readonly code: string } | undefined;
}

export function acted(
  model: Model,
  action: ActionName,
  ids: readonly string[],
  answers: readonly ActionAnswer[],
): void {
  assert.deepEqual(
    answers.map((answer) => answer.task_id),
    ids,
  );
  const byId = new Map(answers.map((answer) => [answer.task_id, answer]));
  for (const answer of answers) assert.deepEqual(answer, byId.get(answer.task_id), "one task, one answer");
  const moved: string[] = [];
  // Of two tasks for one output either may be the one that is replayed.
  const order = [...byId.values()].sort((a, b) => Number(b.accepted) - Number(a.accepted));
  for (const { task_id, accepted, state, error } of order) {
    const expected = act(model, action, task_id);
    assert.deepEqual({ accepted, state, code: error?.code }, expected.answer, `${action} of ${task_id}`);
    if (expected.moved) moved.push(task_id);
  }
  if (moved.length > 0) model.audit.push([`task.${action}`, moved.sort()]);
}

interface Expected {
  readonly moved: boolean;
  readonly answer: { accepted: boolean; state: string | undefined; code: string | undefined };
}

function act(model: Model, action: ActionName, id: string): Expected {
  const task = model.tasks.get(id);
  if (task === undefined) return refused(undefined, "TR-1006");
  const queued = task.place === "ready" || task.place === "waiting";
  const state = queued ? "queued" : task.place === "leased" ? "running" : task.place;
  if (action === "cancel") {
    if (state === "completed" || state === "dead") return refused(state, "TR-3014");
    if (state === "canceled") return accepted(state, false);
    cancel(model, task);
    return accepted("canceled", true);
  }
  if (action === "retry") {
    if (state === "running") return accepted(state, false);
    if (state !== "queued") return refused(state, "TR-3014");
    task.due = Math.min(task.due, model.now);
    if (task.place === "ready") model.readied.add(id);
    if (jobRules[task.job].limited) model.admitting.add(task.job);
    return accepted("queued", true);
  }
  if (state === "completed") return refused(state, "TR-3014");
  if (state === "queued" || state === "running") return refused(state, "TR-3015");
  if (model.holderOf(task.job) !== undefined) return refused(state, "TR-3011");
  Object.assign(task, { failures: 0, losses: 0 });
  model.queue(task, model.now);
  return accepted("queued", true);
}

/** A queued task ends at once; of a running one the attempt ends, too, whatever its session is doing. */
function cancel(model: Model, task: ModelTask): void {
  const lease = model.leases.find((one) => one.task === task);
  if (lease !== undefined) {
    model.end(lease, "cancel");
    return;
  }
  Object.assign(task, { place: "canceled", code: "TR-3016" });
  if (jobRules[task.job].limited) model.admitting.add(task.job);
}

function accepted(state: string, moved: boolean): Expected {
  return { moved, answer: { accepted: true, state, code: undefined } };
}

function refused(state: string | undefined, code: string): Expected {
  return { moved: false, answer: { accepted: false, state, code } };
}

export function beaten(
  model: Model,
  session: ModelSession,
  leases: readonly ModelLease[],
  lost: readonly number[],
): void {
  const dead = leases.filter((lease) => lease.session !== session || !model.isLive(lease));
  assert.deepEqual(
    lost,
    dead.map((lease) => lease.leaseNo),
  );
}
