/** Claims: ids first, then the next ones; each task to one claimer; nothing for a session that is over. */
import { Database, newId, silentLog } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { lockGenerations } from "./sql/statements.gen.ts";
import { diamondDag, noopDag, World } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

const ids = (tasks: readonly { task_id: string }[]) => tasks.map((task) => task.task_id).sort();

describe("a claim", () => {
  test("takes the tasks named first and fills up with the next ones", async () => {
    const all = await world.create("plain", "noop", 5);
    const named = [all[4] ?? "", all[3] ?? ""];
    const session = await world.session();
    const claimed = await world.claim(session, 3, named);
    expect(ids(claimed)).toEqual([...named, all[0] ?? ""].sort());
    expect(ids(await world.claim(session, 10, named))).toEqual([all[1], all[2]].sort());
  });

  test("says whether the queue had more than was asked for", async () => {
    await world.create("plain", "noop", 3);
    const session_id = await world.session();
    const ask = (max: number) => world.claims.claim({ session_id, queue: "default", task_ids: [], max });
    expect(await ask(2)).toMatchObject({ more: true });
    expect(await ask(2)).toMatchObject({ more: false });
    expect(await ask(1)).toEqual({ tasks: [], jobs: [], more: false });
  });

  test("passes over ids that are unknown, claimed, of the future or named twice", async () => {
    const [first = ""] = await world.create("plain", "noop");
    const [later = ""] = await world.create("plain", "noop", 1, { run_at: "2999-01-01T00:00:00Z" });
    const session = await world.session();
    expect(ids(await world.claim(session, 10, [first, first, newId(), later]))).toEqual([first]);
    expect(await world.claim(session, 10, [first, later])).toEqual([]);
  });

  test("takes a lower priority number first, then the longest due", async () => {
    const [late = ""] = await world.create("plain", "noop", 1, { priority: 5 });
    const [newer = ""] = await world.create("plain", "noop", 1, { run_at: "2020-01-02T00:00:00Z" });
    const [older = ""] = await world.create("plain", "noop", 1, { run_at: "2020-01-01T00:00:00Z" });
    const [urgent = ""] = await world.create("plain", "noop", 1, { priority: -100 });
    const session = await world.session();
    const order: string[] = [];
    for (let n = 0; n < 4; n += 1) order.push(...ids(await world.claim(session, 1)));
    expect(order).toEqual([urgent, older, newer, late]);
  });

  test("takes a task when its time has come and not before", async () => {
    const [id] = await world.create("plain", "noop", 1, { run_at: "2999-01-01T00:00:00Z" });
    const session = await world.session();
    expect(await world.claim(session, 1, [id ?? ""])).toEqual([]);
    await world.makeDue();
    expect(ids(await world.claim(session, 1))).toEqual([id]);
  });

  test("passes over a task that another transaction holds, and does not wait for it", async () => {
    const [held = "", free] = await world.create("plain", "noop", 2);
    const other = new Database({ url: world.url, name: "other", log: silentLog(), connectionsMax: 1 });
    const holder = await other.session();
    try {
      await holder.raw("begin");
      await holder.raw("select 1 from ready join tasks using (task_id) where public_id = $1 for update of ready", [
        held,
      ]);
      const session = await world.session();
      expect(ids(await world.claim(session, 2))).toEqual([free]);
      expect(await world.claim(session, 2, [held])).toEqual([]);
    } finally {
      holder.release(true);
      await other.stop();
    }
  });

  test("of a queue that does not exist is refused by name", async () => {
    const claim = world.claims.claim({ session_id: await world.session(), queue: "nope", task_ids: [], max: 1 });
    await expect(claim).rejects.toMatchObject({ code: "TR-1006" });
  });
});

test("20 claimers racing for 2,000 tasks take each exactly once", async () => {
  const all = await world.create("plain", "noop", 2_000);
  const taken: string[] = [];
  await Promise.all(
    Array.from({ length: 20 }, async (_, claimer) => {
      const session = await world.session();
      for (;;) {
        // Every claimer is hinted at the same tasks, as after a message that was delivered twice.
        const tasks = await world.claim(session, 7 + claimer, all.slice(claimer * 40, claimer * 40 + 80));
        if (tasks.length === 0) return;
        taken.push(...tasks.map((task) => task.task_id));
      }
    }),
  );
  // SKIP LOCKED may leave a row to a claimer who then finds nothing: what is left is ready still, and claimed by nobody.
  const left = (await world.claim(await world.session(), 2_000)).map((task) => task.task_id);
  expect([...taken, ...left].sort()).toEqual([...all].sort());
  expect(await world.count("leases")).toBe(2_000);
  expect(await world.count("ready")).toBe(0);
  const [numbers] = await world.db.raw(
    "select count(distinct lease_no)::int as n, count(distinct token)::int as t from leases",
  );
  expect(numbers).toEqual({ n: 2_000, t: 2_000 });
});

describe("a session that is over", () => {
  const over: [string, (session: string) => Promise<unknown>][] = [
    ["expired and not yet reaped", () => world.expireSessions()],
    ["expired and reaped", () => world.expireSessions().then(() => world.reap())],
    ["closed", (session) => world.sessions.close(session)],
  ];
  test.each(over)("%s claims nothing and is told so", async (_, end) => {
    const [id = ""] = await world.create("plain", "noop");
    const session = await world.session();
    await end(session);
    for (const task_ids of [[], [id]]) {
      const claim = world.claims.claim({ session_id: session, queue: "default", task_ids, max: 5 });
      await expect(claim).rejects.toMatchObject({ code: "TR-3002" });
    }
    expect(await world.count("leases")).toBe(0);
    expect(await world.count("ready")).toBe(1);
  });

  test("never opened claims nothing and is told so", async () => {
    await world.create("plain", "noop");
    const claim = world.claims.claim({ session_id: newId(), queue: "default", task_ids: [], max: 5 });
    await expect(claim).rejects.toMatchObject({ code: "TR-3002" });
    expect(await world.count("ready")).toBe(1);
  });
});

describe("inputs", () => {
  test("are pinned at the claim: a commit made afterwards is not read by that attempt", async () => {
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const b = (await world.claim(await world.session(), 2)).find((task) => task.job.name === "b");
    expect(b?.inputs).toEqual([{ dataset: "ds_a", generation: 1, commit: 1 }]);
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const [resolved] = await world.resolver.resolveForLease(b?.lease_no ?? 0);
    expect(resolved).toMatchObject({ dataset: "ds_a", commit: 1 });
    expect(resolved?.files).toHaveLength(1);
    expect((await world.read("ds_a")).commit).toBe(2);
  });

  test("are pinned anew by the next attempt", async () => {
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const first = (await world.claim(await world.session(), 2)).find((task) => task.job.name === "b");
    if (first === undefined) throw new Error("b did not start");
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    await world.fail(first);
    await world.makeDue();
    const second = await world.claimOne();
    expect(second).toMatchObject({ task_id: first.task_id, attempt: 2, inputs: [{ commit: 2 }] });
    expect(second.staging[0]?.prefix).not.toBe(first.staging[0]?.prefix);
  });

  test("can be pinned while a commit to them is under way: a claim waits for no commit", async () => {
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const other = new Database({ url: world.url, name: "other", log: silentLog(), connectionsMax: 1 });
    const commit = await other.session();
    try {
      await commit.raw("begin");
      const ids = await world.db.raw<{ id: number }>("select generation_id as id from generations");
      // The commit's own lock, held as if its transaction hung.
      await commit.db.query(lockGenerations, { generation_ids: ids.map((row) => row.id) });
      await commit.raw("update generations set head_commit = head_commit + 1");
      expect((await world.claimOne()).inputs[0]?.commit).toBe(1);
      // Fails if the claim only went on because Postgres had cut this transaction for idling.
      await commit.raw("rollback");
    } finally {
      commit.release(true);
      await other.stop();
    }
  });
});
