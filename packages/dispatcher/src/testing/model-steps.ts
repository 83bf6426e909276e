/** Each call of a random life as a step: makes it on the real services, and lets the model check what came of it. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type AttemptResult, type ClaimedTask, claimedTasks } from "@trace/contracts";
import { newId, silentLog } from "@trace/kit";
import fc from "fast-check";
import { Claims } from "../claims.ts";
import { Jobs } from "../jobs.ts";
import { createAdmission } from "../loops/admission.ts";
import { Sessions } from "../sessions.ts";
import { Tasks } from "../tasks.ts";
import {
  type Ending,
  jobRules,
  type Model,
  type ModelLease,
  type ModelSession,
  modelDag,
  modelLossesMax,
} from "./model.ts";
import * as calls from "./model-calls.ts";
import { agree, makeAllDue } from "./model-state.ts";
import { datasetsBucket, pass, type World } from "./world.ts";

/** Two dispatchers on one database; the second one does not hear of what is created through the first one. */
export class Real {
  readonly world: World;
  readonly sessions: Sessions;
  readonly claims: readonly [Claims, Claims];
  readonly tasks: Tasks;
  readonly priorities: ReadonlySet<number>;
  readonly claimed = new Map<string, ClaimedTask>();
  /** Where the outbox ended after the last call. */
  outbox = 0;
  payloads = 0;

  constructor(world: World, priorities: readonly number[]) {
    const { db, orgId } = world;
    this.world = world;
    this.sessions = new Sessions(db, () => undefined, 3_600_000);
    const watermarks = { lagMs: 0, sweepEveryMs: 0, sweepShare: 0 };
    const release = (tokens: readonly string[]) => world.completions.release(tokens);
    const claims = () => new Claims({ db, orgId, datasetsBucket, jobs: new Jobs(db), watermarks, release });
    this.claims = [claims(), claims()];
    this.priorities = new Set(priorities);
    const onAdded = (added: ReadonlySet<number>, early: boolean) => this.claims[0].added(added, early);
    this.tasks = new Tasks(db, { onReady: () => undefined, onAdded });
  }
}

export type Step = fc.AsyncCommand<Model, Real> & fc.WithToStringMethod;

function step(name: string, check: (model: Model) => boolean, run: (model: Model, real: Real) => Promise<void>): Step {
  return {
    check,
    run: async (model, real) => {
      model.tick();
      try {
        await run(model, real);
        model.settle();
        real.outbox = await agree(real.world.db, model, real.outbox);
      } catch (cause) {
        // What comes after it in the sequence was not made any more.
        throw new Error(`after ${name}, call ${model.now} of this life`, { cause });
      }
    },
    toString: () => name,
    [fc.toStringMethod]: () => name,
  };
}

const always = () => true;
const hasLease = (model: Model) => model.leases.length > 0;
const hasTask = (model: Model) => model.tasks.size > 0;
const hasSession = (model: Model) => model.sessions.length > 0;

function at<T>(items: readonly T[], pick: number): T {
  const item = items[pick % items.length];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

// -------------------- Creating and claiming

export interface ItemChoice {
  readonly job: calls.CreateItem["job"];
  readonly priority: number;
  readonly key: number | undefined;
  readonly due: "now" | "later" | number;
}

export function create(items: readonly ItemChoice[]): Step {
  const words = items.map(
    ({ job, priority, key, due }) => `${job}${key === undefined ? "" : `/k${key}`} p${priority} ${due}`,
  );
  return step(`create(${words.join(", ")})`, always, async (model, real) => {
    const asked = items.map((item, at) => ({
      ...item,
      key: item.key === undefined ? undefined : `k${item.key}`,
      payload: real.payloads + at,
    }));
    real.payloads += items.length;
    const inOneHour = new Date(Date.now() + calls.laterMs).toISOString();
    const answers = await real.tasks.create(
      real.world.orgId,
      asked.map(({ job, priority, key, due, payload }) => ({
        dag: "model",
        job,
        priority,
        payload: { n: payload },
        ...(key === undefined ? {} : { dedupe_key: key }),
        ...(due === "now" ? {} : { run_at: due === "later" ? inOneHour : `2020-01-01T00:00:0${due}Z` }),
      })),
    );
    // Fewer losses than in production, so that a short life reaches the bound.
    await real.world.db.raw("update tasks set lease_losses_max = $1", [modelLossesMax]);
    calls.created(
      model,
      asked.map((item) => ({ ...item, due: typeof item.due === "number" ? item.due - 10 : item.due })),
      answers,
    );
  });
}

export const open: Step = step("open", always, async (model, real) => {
  const { session_id } = await real.sessions.open({ worker: "w", host: "h", pid: 1, slots: 4 });
  model.sessions.push({ id: session_id, state: "live" });
});

async function ask(real: Real, dispatcher: number, session: ModelSession, ids: readonly string[], max: number) {
  // As if it had created tasks of each: one that a commit or a free slot makes ready is otherwise met at the next look ahead.
  real.claims[0].added(real.priorities, false);
  const answer = await at(real.claims, dispatcher).claim({
    session_id: session.id,
    queue: "default",
    task_ids: ids,
    max,
  });
  const tasks = claimedTasks(answer);
  for (const task of tasks) real.claimed.set(task.lease_token, task);
  return { tasks, more: answer.more };
}

export const claim = (pick: number, named: readonly number[], max: number, dispatcher: number) =>
  step(`claim(${[pick, `[${named}]`, max, dispatcher]})`, hasSession, async (model, real) => {
    const session = at(model.sessions, pick);
    const known = [...model.tasks.keys()];
    const ids = named.map((one) => (one === 0 || known.length === 0 ? newId() : at(known, one)));
    const asked = ask(real, dispatcher, session, ids, max);
    if (session.state !== "live") await assert.rejects(asked, { code: "TR-3002" });
    else calls.claimed(model, { session, ids, max, deaf: dispatcher === 1 }, await asked);
  });

export const claimTogether = (max: number) =>
  step(
    `claimTogether(${max})`,
    (model) => model.sessions.some(isLive),
    async (model, real) => {
      const sessions = model.sessions.filter(isLive);
      const answers = await Promise.all(sessions.map((session, at) => ask(real, at % 2, session, [], max)));
      for (const [at, session] of sessions.entries()) {
        calls.claimed(model, { session, ids: [], max, crowded: true }, answers[at] ?? { tasks: [], more: false });
      }
    },
  );

function isLive(session: ModelSession): boolean {
  return session.state === "live";
}

// -------------------- Ending attempts

export type Kind = "success" | "wrong" | "retryable" | "terminal" | "snooze" | "snooze later";

function resultOf(real: Real, kind: Kind, task: ClaimedTask | undefined): AttemptResult {
  switch (kind) {
    case "success":
      return {
        kind: "success",
        outputs: (task?.staging ?? []).map((place) => real.world.stage(task as ClaimedTask, place)),
      };
    case "wrong":
      return { kind: "success", outputs: [{ dataset: "ds_z", manifest_key: "d/z", manifest_sha256: "0".repeat(64) }] };
    case "retryable":
      return { kind: "failure", error: { code: "TR-5306", detail: "no route" } };
    case "terminal":
      return { kind: "failure", error: { code: "TR-5200", detail: "no SQL" } };
    case "snooze":
      return { kind: "snooze", delay_ms: 0 };
    case "snooze later":
      return { kind: "snooze", delay_ms: calls.laterMs };
  }
}

/** A token that is held, was held, or was guessed, by what there is. */
function tokenAt(model: Model, pick: number): string {
  if (pick === 0) return randomBytes(40).toString("base64url");
  const held = model.leases.map((lease) => lease.token);
  if (pick === 1 && held.length > 0) {
    const guess = Buffer.from(at(held, pick), "base64url");
    guess.fill(0, 24);
    return guess.toString("base64url");
  }
  const over = [...model.tokens].filter((token) => !held.includes(token)).reverse();
  return at(pick % 3 === 0 && over.length > 0 ? over : held.length > 0 ? held : over, pick);
}

const hasToken = (model: Model) => model.tokens.size > 0;

function itemOf(real: Real, token: string, kind: Kind) {
  const result = resultOf(real, kind, real.claimed.get(token));
  const words = { "snooze later": "snooze", wrong: "success" } as const;
  const word: Ending["word"] = kind === "snooze later" || kind === "wrong" ? words[kind] : kind;
  const ending = { word, text: JSON.stringify(result), delayMs: kind === "snooze later" ? calls.laterMs : 0 };
  return { asked: { lease_token: token, result }, told: { token, ending, wrong: kind === "wrong" } };
}

export const complete = (items: readonly (readonly [pick: number, kind: Kind])[]) =>
  step(`complete(${items.map(([pick, kind]) => `${pick} ${kind}`).join(", ")})`, hasToken, async (model, real) => {
    const made = items.map(([pick, kind]) => itemOf(real, tokenAt(model, pick), kind));
    const answers = await real.world.completions.complete(made.map(({ asked }) => asked));
    calls.completed(
      model,
      made.map(({ told }) => told),
      answers,
    );
  });

/** The same call many times at once, as by a caller who did not hear its answer. */
export const completeTogether = (pick: number, kind: Kind) =>
  step(`completeTogether(${pick} ${kind})`, hasToken, async (model, real) => {
    const { asked, told } = itemOf(real, tokenAt(model, pick), kind);
    const answers = (await Promise.all([1, 2, 3, 4].map(() => real.world.completions.complete([asked])))).flat();
    calls.completed(
      model,
      answers.map(() => told),
      answers,
    );
  });

/** A person cancels what is just being completed: one of the two is first. */
export const cancelWhileCompleting = (pick: number) =>
  step(`cancelWhileCompleting(${pick})`, hasLease, async (model, real) => {
    const lease = at(model.leases, pick);
    const { asked, told } = itemOf(real, lease.token, "success");
    const caller = { orgId: real.world.orgId, name: "person" };
    const [canceled, answers] = await Promise.all([
      real.world.actions.cancel(caller, [lease.task.id]),
      real.world.completions.complete([asked]),
    ]);
    const inOrder = [
      () => calls.completed(model, [told], answers),
      () => calls.acted(model, "cancel", [lease.task.id], canceled),
    ];
    if (answers[0]?.accepted === false) inOrder.reverse();
    for (const call of inOrder) call();
  });

export const release = (picks: readonly number[]) =>
  step(`release(${picks})`, hasToken, async (model, real) => {
    const tokens = [...new Set(picks.map((pick) => tokenAt(model, pick)))];
    calls.released(model, tokens, await real.world.completions.release(tokens));
  });

const nonces = ["0198c7a2-0000-7000-8000-000000000001", "0198c7a2-0000-7000-8000-000000000002"];

export const start = (pick: number, nonce: number) =>
  step(`start(${pick}, ${nonce})`, hasToken, async (model, real) => {
    const token = tokenAt(model, pick);
    const [answer] = await real.world.starts.start([{ lease_token: token, nonce: at(nonces, nonce) }]);
    calls.startedBy(model, token, at(nonces, nonce), answer ?? { accepted: false });
  });

// -------------------- People, time, and the loops

export const act = (action: calls.ActionName, picks: readonly number[]) =>
  step(`${action}(${picks})`, hasTask, async (model, real) => {
    const known = [...model.tasks.keys()].reverse();
    const ids = picks.map((pick) => (pick === 0 ? newId() : at(known, pick)));
    const answers = await real.world.actions[action]({ orgId: real.world.orgId, name: "person" }, ids);
    calls.acted(model, action, ids, answers);
  });

export const beat = (pick: number) =>
  step(`beat(${pick})`, hasSession, async (model, real) => {
    const session = at(model.sessions, pick);
    const leases: ModelLease[] = model.leases;
    const asked = real.sessions.beat(
      session.id,
      leases.map((lease) => lease.leaseNo),
      [],
    );
    if (session.state !== "live") await assert.rejects(asked, { code: "TR-3002" });
    else calls.beaten(model, session, leases, await asked);
  });

export const loseSession = (pick: number, how: "expires" | "closes") =>
  step(`session ${pick} ${how}`, hasSession, async (model, real) => {
    const session = at(model.sessions, pick);
    if (how === "closes") await real.sessions.close(session.id);
    else
      await real.world.db.raw("update sessions set expires_at = clock_timestamp() where public_id = $1", [session.id]);
    if (how === "closes" || session.state === "closed") session.state = "closed";
    else session.state = "expired";
  });

export const passDeadline = (pick: number) =>
  step(`deadline of ${pick} passes`, hasLease, async (model, real) => {
    const lease = at(model.leases, pick);
    await real.world.db.raw("update leases set deadline = clock_timestamp() where lease_no = $1", [lease.leaseNo]);
    lease.overdue = true;
  });

export const reap = step("reap", always, async (model, real) => {
  await real.world.reap();
  calls.reaped(model);
});

export const makeDue = step("time passes", always, async (model, real) => {
  await makeAllDue(real.world.db);
  for (const task of model.all("ready", "waiting")) task.due = Math.min(task.due, model.now);
});

export const admission = step("admission passes", always, async (model, real) => {
  await pass(createAdmission({ db: real.world.db, log: silentLog(), onReady: () => undefined }));
  for (const { job } of model.all("waiting")) model.admitting.add(job);
});

export const deploy = (narrowMax: number) =>
  step(`deploy(${narrowMax})`, always, async (model, real) => {
    await real.world.deploy(modelDag(narrowMax));
    model.narrowMax = narrowMax;
  });

/** What people see of each state, page by page, and of one task. */
export const look = (pick: number) =>
  step(`look(${pick})`, hasTask, async (model, real) => {
    const places = { queued: ["ready", "waiting"], running: ["leased"] } as const;
    for (const state of ["queued", "running", "completed", "canceled", "dead"] as const) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await real.world.listing.list(real.world.orgId, { state, limit: 2, cursor });
        seen.push(...page.tasks.map((task) => task.task_id));
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      const wanted = model.all(...(state === "queued" || state === "running" ? places[state] : [state]));
      assert.deepEqual(seen.sort(), wanted.map((task) => task.id).sort(), `tasks that are ${state}`);
    }
    const task = at([...model.tasks.values()], pick);
    const why = task.due === Number.POSITIVE_INFINITY ? "due" : task.place === "waiting" ? "slot" : "worker";
    const seen = await real.world.task(task.id);
    const now = task.place === "leased" ? [[task.attempt, "running"]] : [];
    assert.deepEqual(
      [
        seen.attempt,
        seen.failures,
        seen.failures_max,
        seen.lease_losses,
        seen.waiting_for,
        seen.attempts.map((one) => [one.attempt, one.state]),
      ],
      [
        task.attempt,
        task.failures,
        jobRules[task.job].failuresMax,
        task.losses,
        task.place === "ready" || task.place === "waiting" ? why : null,
        [...task.history.map(([attempt, state]) => [attempt, state]), ...now],
      ],
    );
  });
