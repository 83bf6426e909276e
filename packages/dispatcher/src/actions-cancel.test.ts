/** Cancel: wherever a task is, and whoever moves it at the same moment, it ends once, and what it held is free again. */
import type { Completion } from "@trace/contracts";
import { newId } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Actions } from "./actions.ts";
import { diamondDag, noopDag, until, World, waitingForLocks } from "./testing/world.ts";

let world: World;

const narrowDag = `dag: narrow
jobs:
  one: { operator: noop, retries: 2, max_concurrency: 1 }
`;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
  await world.deploy(narrowDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());
afterEach(() => world.race.resumeAll());

const person = () => ({ orgId: world.orgId, name: "on-call" });
const cancel = (...ids: string[]) => world.actions.cancel(person(), ids);
const canceled = (task_id: string) => ({ task_id, accepted: true, state: "canceled" });
const success: Completion["result"] = { kind: "success", outputs: [] };

async function one(dag = "plain", job = "noop", parts: { run_at?: string } = {}): Promise<string> {
  return (await world.create(dag, job, 1, parts))[0] ?? "";
}

/** Each task is in one place, and what hangs on tasks hangs on those that live. */
async function whole(): Promise<void> {
  const [row] = await world.db.raw(`
    select (select count(*)::int from tasks t where 1 <> (select count(*) from ready r where r.task_id = t.task_id) + (select count(*) from waiting w where w.task_id = t.task_id)
              + (select count(*) from leases l where l.task_id = t.task_id) + (select count(*) from outcomes o where o.task_id = t.task_id)) as misplaced,
           (select count(*)::int from live_outputs join outcomes using (task_id)) as outputs,
           (select count(*)::int from job_slots s where not exists (select 1 from ready r where r.task_id = s.task_id)
              and not exists (select 1 from leases l where l.task_id = s.task_id)) as slots`);
  expect(row).toEqual({ misplaced: 0, outputs: 0, slots: 0 });
}

describe("a task that is queued", () => {
  test.each([
    ["due now", {}],
    ["due later", { run_at: "2999-01-01T00:00:00Z" }],
  ])("%s ends without an attempt, and nobody claims it", async (_, parts) => {
    const id = await one("plain", "noop", parts);
    expect(await cancel(id)).toEqual([canceled(id)]);
    await world.makeDue();
    expect(await world.claim(await world.session(), 5, [id])).toEqual([]);
    expect(await world.task(id)).toMatchObject({
      state: "canceled",
      error: { code: "TR-3016" },
      attempt: 0,
      attempts: [],
    });
    await whole();
  });

  test("that waits for a slot ends, and the slot stays with the one that has it", async () => {
    const [first = "", second = ""] = await world.create("narrow", "one", 2);
    expect((await world.task(second)).waiting_for).toBe("slot");
    expect(await cancel(second)).toEqual([canceled(second)]);
    expect((await world.claim(await world.session(), 5)).map((task) => task.task_id)).toEqual([first]);
    await whole();
  });

  test("with a slot gives it to the next, whose wake-up is told at once", async () => {
    const [first = "", second = ""] = await world.create("narrow", "one", 2);
    world.wakeups.length = 0;
    await cancel(first);
    expect(world.wakeups.flatMap((row) => row.task_ids)).toEqual([second]);
    expect((await world.claim(await world.session(), 5)).map((task) => task.task_id)).toEqual([second]);
    await whole();
  });
});

describe("a task that is running", () => {
  test("ends at once: its worker hears of it with the next beat, and nothing it says counts", async () => {
    const id = await one();
    const session = await world.session();
    const [task] = await world.claim(session);
    if (task === undefined) throw new Error("nothing was claimed");
    expect(await world.sessions.beat(session, [task.lease_no], [])).toEqual([]);
    expect(await cancel(id)).toEqual([canceled(id)]);
    expect(await world.sessions.beat(session, [task.lease_no], [])).toEqual([task.lease_no]);
    const stale = { accepted: false, error: { code: "TR-3001" } };
    expect(await world.complete(task, success)).toMatchObject(stale);
    expect(await world.fail(task)).toMatchObject(stale);
    expect(await world.completions.release([task.lease_token])).toMatchObject([stale]);
    expect(await world.starts.start([{ lease_token: task.lease_token, nonce: newId() }])).toMatchObject([stale]);
    await world.expireSessions();
    await world.reap();
    expect(await world.task(id)).toMatchObject({
      state: "canceled",
      lease_losses: 0,
      attempts: [{ attempt: 1, state: "canceled", error: { code: "TR-3016" } }],
    });
    await whole();
  });

  test("under a session that is over, and not yet reaped, is canceled and not lost", async () => {
    const id = await one();
    await world.claimOne();
    await world.expireSessions();
    expect(await cancel(id)).toEqual([canceled(id)]);
    await world.reap();
    expect(await world.task(id)).toMatchObject({
      state: "canceled",
      lease_losses: 0,
      attempts: [{ state: "canceled" }],
    });
  });

  test("with an output publishes nothing, and frees it", async () => {
    const id = await one("diamond", "a");
    const task = await world.claimOne();
    const outputs = [world.stage(task)];
    await cancel(id);
    expect(await world.complete(task, { kind: "success", outputs })).toMatchObject({ accepted: false });
    expect(await world.count("commits")).toBe(0);
    expect(await one("diamond", "a")).not.toBe(id);
    await whole();
  });

  test("with a slot gives it to the next", async () => {
    const [first = "", second = ""] = await world.create("narrow", "one", 2);
    await world.claimOne();
    await cancel(first);
    expect((await world.claimOne()).task_id).toBe(second);
    await whole();
  });
});

describe("jobs that wait for the task that is canceled", () => {
  async function tasksOf(job: string): Promise<string[]> {
    return (await world.listing.list(world.orgId, { job, limit: 10 })).tasks.map((task) => task.state);
  }

  test.each(["running", "queued"])(
    "a reader that was %s with an older input is followed by one for the newer",
    async (state) => {
      await one("diamond", "a");
      await world.succeed(await world.claimOne());
      const session = await world.session();
      if (state === "running") await world.claim(session, 2);
      const [again] = await world.claim(session, 1, [await one("diamond", "a")]);
      if (again === undefined) throw new Error("a was not claimed");
      await world.succeed(again);
      const [b] = (await world.listing.list(world.orgId, { job: "b", limit: 10 })).tasks;
      expect(b?.state).toBe(state);
      await cancel(b?.task_id ?? "");
      expect(await tasksOf("b")).toEqual(["queued", "canceled"]);
      await whole();
    },
  );

  test("a job below starts when the last one upstream of it in the run is canceled", async () => {
    const finish = async (names: readonly string[]) => {
      const tasks = await world.claim(await world.session(), 10);
      for (const task of tasks.filter((one) => names.includes(one.job.name))) await world.succeed(task);
      return tasks;
    };
    await world.runs.start(world.orgId, "diamond", undefined);
    for (const names of [["a"], ["b", "c"], ["d"]]) await finish(names);
    const run = await world.runs.start(world.orgId, "diamond", undefined);
    await finish(["a"]);
    const left = (await finish(["b"])).find((task) => task.job.name === "c");
    expect((await world.runs.get(world.orgId, run.run_id)).tasks.map((task) => task.job)).toEqual(["a", "b", "c"]);
    await cancel(left?.task_id ?? "");
    const tasks = (await world.runs.get(world.orgId, run.run_id)).tasks;
    expect(tasks.map((task) => `${task.job} ${task.state}`)).toEqual([
      "a completed",
      "b completed",
      "c canceled",
      "d queued",
    ]);
    await whole();
  });
});

describe("a task that is over", () => {
  test("canceled already is accepted again, and neither counted nor recorded a second time", async () => {
    let counted = 0;
    const { db, random, outgoing } = world;
    const onCanceled = (tasks: number) => {
      counted += tasks;
    };
    const actions = new Actions({ db, random, outgoing, onReady: () => undefined, onCanceled });
    const id = await one();
    expect(await actions.cancel(person(), [id, id])).toEqual([canceled(id), canceled(id)]);
    expect(await actions.cancel(person(), [id])).toEqual([canceled(id)]);
    expect(counted).toBe(1);
    expect(await world.count("audit_log")).toBe(1);
  });

  test.each([
    ["completed", () => world.claimOne().then((task) => world.succeed(task))],
    ["dead", () => world.claimOne().then((task) => world.fail(task, "TR-5200"))],
  ])("%s stays so", async (state, end) => {
    const id = await one();
    await end();
    expect(await cancel(id)).toMatchObject([{ accepted: false, state, error: { code: "TR-3014" } }]);
    expect((await world.task(id)).state).toBe(state);
    expect(await world.count("audit_log")).toBe(0);
  });
});

describe("a task that moves while it is looked for", () => {
  /** Cancels, and does something between the look and the act, as often as there is something to do. */
  async function meanwhile(id: string, ...acts: (() => Promise<unknown>)[]) {
    let pause = world.race.pauseAt("cancel:looked");
    const answers = cancel(id);
    for (const act of acts) {
      const held = pause;
      await held.reached;
      await act();
      pause = world.race.pauseAt("cancel:looked");
      held.resume();
    }
    pause.resume();
    return answers;
  }

  test("claimed in between is found under its lease", async () => {
    const id = await one();
    const session = await world.session();
    expect(await meanwhile(id, () => world.claim(session))).toEqual([canceled(id)]);
    expect(await world.task(id)).toMatchObject({ state: "canceled", attempts: [{ attempt: 1, state: "canceled" }] });
    expect(world.race.timesReached("cancel:looked")).toBeGreaterThanOrEqual(2);
    await whole();
  });

  test("handed back in between is found among the queued", async () => {
    const id = await one();
    const task = await world.claimOne();
    expect(await meanwhile(id, () => world.completions.release([task.lease_token]))).toEqual([canceled(id)]);
    expect(await world.task(id)).toMatchObject({ state: "canceled", attempts: [{ state: "released" }] });
    await whole();
  });

  test("completed in between is left as it is", async () => {
    const id = await one();
    const task = await world.claimOne();
    const answers = await meanwhile(id, () => world.succeed(task));
    expect(answers).toMatchObject([{ accepted: false, state: "completed", error: { code: "TR-3014" } }]);
    await whole();
  });

  test("canceled in between by somebody else is canceled, and recorded once", async () => {
    const id = await one();
    const other = new Actions({
      db: world.db,
      random: world.random,
      outgoing: world.outgoing,
      onReady: () => undefined,
      onCanceled: () => undefined,
    });
    expect(await meanwhile(id, () => other.cancel(person(), [id]))).toEqual([canceled(id)]);
    expect(await world.count("audit_log")).toBe(1);
    await whole();
  });

  test("again and again is given up after eight looks, with what to do", async () => {
    const id = await one();
    const session = await world.session();
    let task = (await world.claim(session))[0];
    const move = async () => {
      if (task === undefined) task = (await world.claim(session))[0];
      else {
        await world.completions.release([task.lease_token]);
        task = undefined;
      }
    };
    const answers = await meanwhile(id, ...Array.from({ length: 8 }, () => move));
    expect(answers).toMatchObject([{ task_id: id, accepted: false, error: { code: "TR-1008" } }]);
    expect(await cancel(id)).toEqual([canceled(id)]);
    await whole();
  });
});

describe("a cancel that meets a completion", () => {
  test("waits for it, and is told what became of the task", async () => {
    const id = await one("diamond", "a");
    const task = await world.claimOne();
    const outputs = [world.stage(task)];
    const pause = world.race.pauseAt("complete:locked");
    const completion = world.complete(task, { kind: "success", outputs });
    await pause.reached;
    const answers = cancel(id);
    await until(async () => (await waitingForLocks(world.db)) === 1);
    pause.resume();
    expect(await completion).toMatchObject({ accepted: true });
    expect(await answers).toMatchObject([{ accepted: false, state: "completed", error: { code: "TR-3014" } }]);
    await whole();
  });

  test("waits for it, and cancels the task that a failure queued again", async () => {
    const id = await one();
    const task = await world.claimOne();
    const pause = world.race.pauseAt("complete:locked");
    const completion = world.fail(task);
    await pause.reached;
    const answers = cancel(id);
    await until(async () => (await waitingForLocks(world.db)) === 1);
    pause.resume();
    expect(await completion).toMatchObject({ accepted: true, task_state: "queued" });
    expect(await answers).toEqual([canceled(id)]);
    expect(await world.task(id)).toMatchObject({ state: "canceled", attempts: [{ state: "failed" }] });
    await whole();
  });

  test("and with a reaper, over and over: one end each, and whoever was refused changed nothing", async () => {
    const ends = { completed: 0, canceled: 0 };
    for (let round = 0; round < 40; round += 1) {
      const id = await one("narrow", "one");
      const task = await world.claimOne();
      // Each is first for sure now and then; in between they race.
      const early = round % 4 === 0 ? await cancel(id) : undefined;
      const completing = world.complete(task, success);
      if (round % 4 === 1) await completing;
      const [answers, completion] = await Promise.all([early ?? cancel(id), completing]);
      await world.reap();
      const state = (await world.task(id)).state as "completed" | "canceled";
      expect(completion.accepted).toBe(state === "completed");
      expect(answers[0]?.accepted).toBe(state === "canceled");
      ends[state] += 1;
      await whole();
    }
    expect(ends.completed).toBeGreaterThan(0);
    expect(ends.canceled).toBeGreaterThan(0);
  });
});

test("1,000 tasks in every state are canceled in one call, each answered in its place", async () => {
  const ids = await world.create("plain", "noop", 1_000);
  const tasks = await world.claim(await world.session(), 400);
  await world.completions.complete(
    tasks.slice(0, 200).map((task) => ({ lease_token: task.lease_token, result: success })),
  );
  const over = new Set(tasks.slice(0, 200).map((task) => task.task_id));
  const answers = await cancel(...ids);
  for (const [index, id] of ids.entries()) {
    expect(answers[index]).toMatchObject({ task_id: id, accepted: !over.has(id) });
  }
  expect(await world.count("outcomes", "state = 'canceled'")).toBe(800);
  expect(await world.count("attempts", "state = 'canceled'")).toBe(200);
  await whole();
});
