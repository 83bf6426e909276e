/**
 * Workers that do what a good worker never does, by hand and in hundreds: they go silent with leases in hand and come back
 * late, hand back, end twice, end what is not theirs, start twice, hold on past deadlines. Each is one short story.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import {
  type ClaimedTask,
  type Client,
  type Completion,
  claimedTasks,
  type taskRoutes,
  type userRoutes,
  type workerRoutes,
} from "@trace/contracts";
import type { SeededRandom } from "../../faults/random.ts";
import type { Ledger } from "./ledger.ts";
import { puppetDag, puppetQueue } from "./plan.ts";
import type { Tally } from "./tally.ts";

export interface Stage {
  readonly worker: Client<typeof workerRoutes>;
  readonly user: Client<typeof userRoutes>;
  readonly task: Client<typeof taskRoutes>;
  readonly ledger: Ledger;
  readonly random: SeededRandom;
  readonly tally: Tally;
  /** Aborted when the run has enough: nobody waits any longer. */
  readonly enough: AbortSignal;
}

interface Session {
  readonly session_id: string;
  readonly ttl_ms: number;
  readonly beat_ms: number;
}

/** Tasks are made for this many stories at once. */
const madeFor = 4;
/** How often the same tasks are played with in one story. */
const lateRounds = 2;
const backRounds = 4;
const success = { kind: "success" as const, outputs: [] };
/** Past the deadline of the job `brief`: its time limit and the grace that the dispatcher keeps, milliseconds. */
const briefMs = 11_000;

function wait({ enough }: Stage, ms: number): Promise<void> {
  return pause(ms, undefined, { signal: enough }).catch(() => undefined); // the run has enough
}

function open(stage: Stage): Promise<Session> {
  return stage.worker.openSession({ body: { worker: "puppet", host: "here", pid: process.pid, slots: 1 } });
}

/** Takes tasks of the puppets' queue; where there are too few, some are made for this time and the next ones. */
async function take(stage: Stage, session: Session, count: number): Promise<ClaimedTask[]> {
  const tasks = await claim(stage, session, count);
  if (tasks.length >= count / 2) return tasks;
  await make(stage, "pool", madeFor * count);
  return [...tasks, ...(await claim(stage, session, count - tasks.length))];
}

async function make(stage: Stage, job: "pool" | "brief", count: number): Promise<string[]> {
  const item = { dag: puppetDag, job, payload: { plan: "ok", ms: 0 } };
  const { items } = await stage.user.createTasks({ body: { items: Array.from({ length: count }, () => item) } });
  return items.flatMap(({ task_id }) => task_id ?? []);
}

/** Those named first, then the next ones. */
async function claim(stage: Stage, session: Session, max: number, ids: readonly string[] = []): Promise<ClaimedTask[]> {
  if (max === 0) return [];
  const body = { session_id: session.session_id, queue: puppetQueue, task_ids: [...ids], max };
  return claimedTasks(await stage.worker.claim({ body }));
}

function idsOf(tasks: readonly ClaimedTask[]): string[] {
  return tasks.map(({ task_id }) => task_id);
}

function ends(tasks: readonly ClaimedTask[], result: Completion["result"] = success): Completion[] {
  return tasks.map(({ lease_token }) => ({ lease_token, result }));
}

async function complete(stage: Stage, items: readonly Completion[]) {
  if (items.length === 0) return [];
  return (await stage.worker.complete({ body: { items: [...items] } })).items;
}

async function release(stage: Stage, tasks: readonly ClaimedTask[]): Promise<number> {
  if (tasks.length === 0) return 0;
  const { items } = await stage.worker.release({ body: { items: tasks.map(({ lease_token }) => ({ lease_token })) } });
  return items.filter((item) => item.accepted).length;
}

function close(stage: Stage, session: Session) {
  return stage.worker.closeSession({ params: { session_id: session.session_id } });
}

/** Goes silent with leases in hand, and says it all when the session has just expired: reaped, or not yet. Then once more. */
export async function comeBackLate(stage: Stage, count: number): Promise<void> {
  let session = await open(stage);
  let tasks = await take(stage, session, count);
  for (let round = 1; ; round += 1) {
    await wait(stage, session.ttl_ms + stage.random.integer(100, 1_500));
    stage.tally.add("late calls", tasks.length);
    const some = Math.floor(tasks.length / 5);
    const snooze = { kind: "snooze" as const, delay_ms: 0 };
    const answers = await complete(stage, [...ends(tasks.slice(some)), ...ends(tasks.slice(0, some), snooze)]);
    const letIn = answers.filter(({ accepted }) => accepted).length;
    stage.tally.add("late completions", answers.length - letIn);
    stage.tally.add("late completions let in", letIn);
    if (round === lateRounds || stage.enough.aborted) return;
    session = await open(stage);
    tasks = await claim(stage, session, count, idsOf(tasks));
  }
}

/** Goes silent until its session has just expired, reaped or not yet, and then goes on as if nothing had been. */
export async function speakLate(stage: Stage, count: number): Promise<void> {
  const { random, tally, task, worker } = stage;
  const session = await open(stage);
  const tasks = await take(stage, session, count);
  const [first] = tasks;
  if (first === undefined) return;
  await wait(stage, session.ttl_ms + random.integer(20, 800));
  const params = { session_id: session.session_id };
  const items = tasks.map(({ lease_token }) => ({ lease_token, nonce: randomUUID() }));
  const say = random.pick<() => Promise<unknown>>([
    () => worker.heartbeat({ params, body: { leases: tasks.map(({ lease_no }) => lease_no), progress: [] } }),
    () => claim(stage, session, count),
    () => task.describe({}, { token: first.lease_token }),
    () => worker.start({ body: { items } }),
    () => release(stage, tasks),
  ]);
  tally.add("calls of a session that is over");
  await say();
}

/** Hands most back, takes them again, and again; each time twice. Ends the rest, and then ends what was handed back. */
export async function handBack(stage: Stage, count: number): Promise<void> {
  const session = await open(stage);
  let tasks = await take(stage, session, count);
  for (let round = 1; round <= backRounds; round += 1) {
    const kept = tasks.slice(0, Math.floor(tasks.length / 10));
    const back = tasks.filter((task) => !kept.includes(task));
    stage.tally.add("releases", await release(stage, back));
    await complete(stage, ends(kept));
    if (round === 1) await release(stage, back);
    if (round === backRounds) await complete(stage, ends(back));
    else tasks = await claim(stage, session, back.length, idsOf(back));
  }
  await close(stage, session);
}

/** Closes its session with leases in hand. */
export async function closeEarly(stage: Stage, count: number): Promise<void> {
  const session = await open(stage);
  const tasks = await take(stage, session, count);
  await close(stage, session);
  await complete(stage, ends(tasks.slice(0, 10)));
  stage.tally.add("sessions closed with leases");
}

/** Snoozes some, ends others twice with the same words, and then with others. */
export async function endTwice(stage: Stage, count: number): Promise<void> {
  const session = await open(stage);
  const tasks = await take(stage, session, count);
  const half = Math.floor(tasks.length / 2);
  const first = [
    ...ends(tasks.slice(0, half), { kind: "snooze", delay_ms: stage.random.integer(0, 1_000) }),
    ...ends(tasks.slice(half)),
  ];
  await complete(stage, first);
  await complete(stage, first);
  const other = { kind: "failure" as const, error: { code: "TR-3007" as const, detail: "a second thought" } };
  await complete(stage, ends(tasks, other));
  stage.tally.add("completions made twice", first.length);
  await close(stage, session);
}

/** Starts attempts for one invocation, then for another. */
export async function startTwice(stage: Stage, count: number): Promise<void> {
  const session = await open(stage);
  const tasks = await take(stage, session, count);
  if (tasks.length === 0) return;
  const items = () => ({ items: tasks.map(({ lease_token }) => ({ lease_token, nonce: randomUUID() })) });
  const first = items();
  await stage.worker.start({ body: first });
  await stage.worker.start({ body: first });
  await stage.worker.start({ body: items() });
  await complete(stage, ends(tasks));
  await stage.worker.start({ body: first });
  stage.tally.add("starts made twice", tasks.length);
  await close(stage, session);
}

/** Holds short tasks past their deadline while its session lives, and then ends them. */
export async function holdTooLong(stage: Stage, count: number): Promise<void> {
  const session = await open(stage);
  const ids = await make(stage, "brief", count);
  const tasks = await claim(stage, session, count, ids);
  const untilMs = performance.now() + briefMs + stage.random.integer(20, 900);
  const beat = () =>
    stage.worker.heartbeat({
      params: { session_id: session.session_id },
      body: { leases: tasks.map(({ lease_no }) => lease_no), progress: [] },
    });
  while (performance.now() < untilMs && !stage.enough.aborted) {
    await wait(stage, Math.min(session.beat_ms, Math.max(0, untilMs - performance.now())));
    await beat();
  }
  await complete(stage, ends(tasks));
  stage.tally.add("attempts held past their deadline", tasks.length);
  await beat();
  await close(stage, session);
}

/** Ends what was never handed out: tokens of chance, and of real leases with another secret. */
export async function forge(stage: Stage): Promise<void> {
  const session = await open(stage);
  const tasks = await take(stage, session, 10);
  const forged = tasks.map(({ lease_token }) => {
    const bytes = Buffer.from(lease_token, "base64url");
    randomBytes(16).copy(bytes, 24);
    return { lease_token: bytes.toString("base64url"), result: success };
  });
  const made = Array.from({ length: 10 }, () => ({
    lease_token: randomBytes(40).toString("base64url"),
    result: success,
  }));
  const answers = await complete(stage, [...forged, ...made]);
  stage.tally.add("forged tokens", answers.length);
  await release(stage, tasks);
  await close(stage, session);
}

/** Asks the task API while the lease lives, and after the attempt has ended. */
export async function askOwnTask(stage: Stage): Promise<void> {
  const session = await open(stage);
  const tasks = await take(stage, session, 5);
  const ask = async () => {
    const asked = tasks.map(({ lease_token: token }) => stage.task.describe({}, { token }));
    return (await Promise.allSettled(asked)).filter(({ status }) => status === "fulfilled").length;
  };
  stage.tally.add("calls of the task API", await ask());
  await complete(stage, ends(tasks));
  await ask();
  await close(stage, session);
}

/** Cancels tasks under a running attempt, which then ends; replays some of them, and retries what waits. */
export async function cancelUnder(stage: Stage, count: number): Promise<void> {
  const session = await open(stage);
  const tasks = await take(stage, session, count);
  const ids = tasks.map(({ task_id }) => task_id);
  if (ids.length === 0) return;
  const { items } = await stage.user.cancelTasks({ body: { task_ids: ids.slice(0, Math.ceil(ids.length / 2)) } });
  stage.tally.add("cancels of running tasks", items.filter(({ accepted }) => accepted).length);
  await complete(stage, ends(tasks));
  await close(stage, session);
}

/** What people do: cancel some of what was created last, replay what is dead or canceled, hurry what waits. */
export async function actByHand(stage: Stage): Promise<void> {
  const { ledger, random, tally, user } = stage;
  const some = random.shuffle(ledger.newest(60));
  const accepted = (answer: { items: readonly { accepted: boolean }[] }) =>
    answer.items.filter((item) => item.accepted).length;
  if (some.length > 0) {
    tally.add("cancels", accepted(await user.cancelTasks({ body: { task_ids: some.slice(0, 10) } })));
    tally.add("retries", accepted(await user.retryTasks({ body: { task_ids: some } })));
  }
  const over = ledger.replayable.splice(0, 50);
  if (over.length > 0) tally.add("replays", accepted(await user.replayTasks({ body: { task_ids: over } })));
}
