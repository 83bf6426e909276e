/** Retry and replay, and what every action has in common: one answer for each task, and a record of who moved what. */
import { newId } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diamondDag, noopDag, World } from "./testing/world.ts";

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
const retry = (...ids: string[]) => world.actions.retry(person(), ids);
const replay = (...ids: string[]) => world.actions.replay(person(), ids);
const queued = (task_id: string) => ({ task_id, accepted: true, state: "queued" });
const refused = (task_id: string, state: string, code: string) => ({
  task_id,
  accepted: false,
  state,
  error: { code },
});

async function one(dag = "plain", job = "noop", parts: { run_at?: string } = {}): Promise<string> {
  return (await world.create(dag, job, 1, parts))[0] ?? "";
}

async function dead(dag = "plain", job = "noop"): Promise<string> {
  const id = await one(dag, job);
  await world.fail(await world.claimOne(), "TR-5200");
  return id;
}

const failWith = async (detail: string, code: "TR-5306" | "TR-5200" = "TR-5306") => {
  await world.makeDue();
  return world.complete(await world.claimOne(), { kind: "failure", error: { code, detail } });
};

describe("retry", () => {
  test("makes a task that waits for its next try due now, and says so at once", async () => {
    const id = await one();
    await failWith("no route");
    expect((await world.task(id)).waiting_for).toBe("due");
    world.wakeups.length = 0;
    expect(await retry(id)).toEqual([queued(id)]);
    expect(world.wakeups.flatMap((row) => row.task_ids)).toEqual([id]);
    expect(await world.claimOne()).toMatchObject({ task_id: id, attempt: 2 });
  });

  test("makes a task of the future due now", async () => {
    const id = await one("plain", "noop", { run_at: "2999-01-01T00:00:00Z" });
    expect(await retry(id)).toEqual([queued(id)]);
    expect((await world.claimOne()).task_id).toBe(id);
  });

  test("of a task that is due already does not send it back in the queue", async () => {
    const [first = "", second = ""] = await world.create("plain", "noop", 2);
    expect(await retry(first)).toEqual([queued(first)]);
    const session = await world.session();
    expect([...(await world.claim(session)), ...(await world.claim(session))].map((task) => task.task_id)).toEqual([
      first,
      second,
    ]);
  });

  test("of a task of a limited job gives it the slot that is free, and not one that is taken", async () => {
    const id = await one("narrow", "one");
    await failWith("no route");
    expect(await retry(id)).toEqual([queued(id)]);
    await failWith("again");
    const other = await one("narrow", "one");
    expect(await retry(id)).toEqual([queued(id)]);
    expect((await world.task(id)).waiting_for).toBe("slot");
    expect((await world.claim(await world.session(), 5)).map((task) => task.task_id)).toEqual([other]);
  });

  test("of a running task changes nothing: it runs already", async () => {
    const id = await one();
    const task = await world.claimOne();
    expect(await retry(id)).toEqual([{ task_id: id, accepted: true, state: "running" }]);
    expect(await world.succeed(task)).toMatchObject({ accepted: true });
    expect(await world.count("audit_log")).toBe(0);
  });

  test("that meets a claim answers that the task runs", async () => {
    const id = await one();
    const pause = world.race.pauseAt("retry:looked");
    const answers = retry(id);
    await pause.reached;
    await world.claimOne();
    pause.resume();
    expect(await answers).toEqual([{ task_id: id, accepted: true, state: "running" }]);
    expect(await world.count("audit_log")).toBe(0);
  });
});

describe("replay", () => {
  test("of a dead task keeps every error, goes on with its attempt numbers and begins to count anew", async () => {
    const id = await one();
    for (const detail of ["first", "second", "third"]) await failWith(detail);
    expect(await world.task(id)).toMatchObject({ state: "dead", attempt: 3, failures: 3, error: { detail: "third" } });
    world.wakeups.length = 0;
    expect(await replay(id)).toEqual([queued(id)]);
    expect(world.wakeups.flatMap((row) => row.task_ids)).toEqual([id]);
    expect(await world.task(id)).toMatchObject({ state: "queued", attempt: 3, failures: 0, ended_at: null });
    await failWith("fourth");
    expect(await world.task(id)).toMatchObject({ state: "queued", attempt: 4, failures: 1 });
    await failWith("fifth", "TR-5200");
    expect(await replay(id)).toEqual([queued(id)]);
    expect(await world.succeed(await world.claimOne())).toMatchObject({ accepted: true });
    const task = await world.task(id);
    expect(task).toMatchObject({ state: "completed", attempt: 6, failures: 0 });
    expect(task.attempts.map((attempt) => [attempt.attempt, attempt.state, attempt.error?.detail])).toEqual([
      [1, "failed", "first"],
      [2, "failed", "second"],
      [3, "failed", "third"],
      [4, "failed", "fourth"],
      [5, "failed", "fifth"],
      [6, "succeeded", undefined],
    ]);
  });

  test("of a task that lost its lease too often forgives the losses", async () => {
    const id = await one();
    for (let losses = 0; losses < 10; losses += 1) {
      await world.claimOne();
      await world.expireSessions();
      await world.reap();
    }
    expect(await world.task(id)).toMatchObject({ state: "dead", lease_losses: 10, error: { code: "TR-3006" } });
    expect(await replay(id)).toEqual([queued(id)]);
    await world.claimOne();
    await world.expireSessions();
    await world.reap();
    expect(await world.task(id)).toMatchObject({ state: "queued", lease_losses: 1, attempt: 11 });
  });

  test("of a task that was canceled before it ever ran begins with attempt 1", async () => {
    const id = await one();
    await world.actions.cancel(person(), [id]);
    expect(await replay(id)).toEqual([queued(id)]);
    expect(await world.claimOne()).toMatchObject({ task_id: id, attempt: 1 });
  });

  test("publishes the output that the dead task owed, under a prefix of its own", async () => {
    const id = await one("diamond", "a");
    const first = await world.claimOne();
    await world.fail(first, "TR-5200");
    expect(await replay(id)).toEqual([queued(id)]);
    const second = await world.claimOne();
    expect(second.staging[0]?.prefix).not.toBe(first.staging[0]?.prefix);
    expect(await world.succeed(second)).toMatchObject({ accepted: true, commits: [{ dataset: "ds_a", commit: 1 }] });
  });

  test("while another task of its output is live is refused with that task's id, and accepted when that has ended", async () => {
    const id = await dead("diamond", "a");
    const live = await one("diamond", "a");
    const [answer] = await replay(id);
    expect(answer).toMatchObject(refused(id, "dead", "TR-3011"));
    expect(answer?.error?.detail).toContain(live);
    await world.succeed(await world.claimOne());
    expect(await replay(id)).toEqual([queued(id)]);
  });

  test("of two tasks of one output accepts one", async () => {
    const ids = [await dead("diamond", "a"), await dead("diamond", "a")];
    const answers = await replay(...ids);
    expect(answers.map((answer) => answer.error?.code ?? answer.state).sort()).toEqual(["TR-3011", "queued"]);
    expect(await world.count("live_outputs")).toBe(1);
  });

  test("of tasks of a limited job lets as many run as the limit says", async () => {
    const ids = [await dead("narrow", "one"), await dead("narrow", "one"), await dead("narrow", "one")];
    expect(await replay(...ids)).toEqual(ids.map(queued));
    expect(await world.claim(await world.session(), 5)).toHaveLength(1);
    expect(await world.count("waiting")).toBe(2);
  });

  test("raced by ten people moves the task once, and one of them is told that it was he", async () => {
    const id = await dead();
    const answers = (await Promise.all(Array.from({ length: 10 }, () => replay(id)))).flat();
    expect(answers.filter((answer) => answer.accepted)).toEqual([queued(id)]);
    expect(answers.filter((answer) => answer.error?.code === "TR-3015")).toHaveLength(9);
    expect(await world.count("ready")).toBe(1);
    expect(await world.count("audit_log")).toBe(1);
  });

  test("leaves the dedupe key with its task", async () => {
    const keyed = { dag: "plain", job: "noop", priority: 0, payload: {}, dedupe_key: "k" };
    const [made] = await world.tasks.create(world.orgId, [keyed]);
    await world.fail(await world.claimOne(), "TR-5200");
    await replay(made?.task_id ?? "");
    expect(await world.tasks.create(world.orgId, [keyed])).toEqual([{ task_id: made?.task_id, created: false }]);
  });
});

describe("a state that refuses", () => {
  const ends = {
    completed: () => world.claimOne().then((task) => world.succeed(task)),
    dead: () => world.claimOne().then((task) => world.fail(task, "TR-5200")),
    canceled: async () =>
      world.actions.cancel(
        person(),
        (await world.listing.list(world.orgId, { limit: 1 })).tasks.map((task) => task.task_id),
      ),
    running: () => world.claimOne(),
    queued: () => Promise.resolve(),
  };
  test.each([
    ["retry", "completed", "TR-3014"],
    ["retry", "dead", "TR-3014"],
    ["retry", "canceled", "TR-3014"],
    ["replay", "completed", "TR-3014"],
    ["replay", "running", "TR-3015"],
    ["replay", "queued", "TR-3015"],
  ] as const)("%s of a task that is %s: %s, and it stays so", async (action, state, code) => {
    const id = await one();
    await ends[state]();
    const audited = await world.count("audit_log");
    expect(await world.actions[action](person(), [id])).toMatchObject([refused(id, state, code)]);
    expect((await world.task(id)).state).toBe(state);
    expect(await world.count("audit_log")).toBe(audited);
  });
});

describe.each(["cancel", "retry", "replay"] as const)("%s", (action) => {
  test("of tasks that are unknown, or of another organisation, tells so for each and moves nothing", async () => {
    const id = await one();
    const nobody = newId();
    const none = (task_id: string) => ({ task_id, accepted: false, error: { code: "TR-1006" } });
    expect(await world.actions[action]({ orgId: world.orgId + 1, name: "stranger" }, [id])).toMatchObject([none(id)]);
    const [answer] = await world.actions[action](person(), [nobody]);
    expect(answer).toMatchObject(none(nobody));
    expect(answer).not.toHaveProperty("state");
    expect((await world.task(id)).state).toBe("queued");
    expect(await world.count("audit_log")).toBe(0);
  });

  test("records who moved which tasks, those that it did not move left out", async () => {
    const over = action === "replay" ? undefined : await dead();
    const moved = action === "replay" ? [await dead(), await dead()] : [await one(), await one()];
    const left = over ?? (await one());
    const answers = await world.actions[action](person(), [
      moved[0] ?? "",
      left,
      moved[1] ?? "",
      newId(),
      moved[0] ?? "",
    ]);
    expect(answers.map((answer) => answer.accepted)).toEqual([true, false, true, false, true]);
    const rows = await world.db.raw(
      "select actor, action, org_id, array(select unnest(task_ids) order by 1) as ids from audit_log",
    );
    expect(rows).toEqual([{ actor: "on-call", action: `task.${action}`, org_id: world.orgId, ids: moved.toSorted() }]);
  });
});
