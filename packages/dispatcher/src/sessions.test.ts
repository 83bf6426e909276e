/** Sessions and the reaper: who beats keeps its leases, who does not loses them once, and nobody comes back from the dead. */
import { Database, newId, silentLog } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { leaseLossesMax, reaperLeasesMax } from "./limits.ts";
import { diamondDag, noopDag, until, World, waitingForLocks } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

describe("a beat", () => {
  test("extends the session and says which leases are lost, every time", async () => {
    await world.create("plain", "noop", 3);
    const session = await world.session();
    const [kept, ended, other] = await world.claim(session, 3);
    if (kept === undefined || ended === undefined || other === undefined) throw new Error("not claimed");
    await world.succeed(ended);
    const asked = [kept.lease_no, ended.lease_no, 987_654];
    expect(await world.sessions.beat(session, asked, [])).toEqual([ended.lease_no, 987_654]);
    expect(await world.sessions.beat(session, asked, [])).toEqual([ended.lease_no, 987_654]);
    expect(await world.sessions.beat(session, [], [])).toEqual([]);
  });

  test("counts a lease past its deadline as lost, reaped or not", async () => {
    await world.create("plain", "noop");
    const session = await world.session();
    const [task] = await world.claim(session);
    await world.passDeadlines();
    expect(await world.sessions.beat(session, [task?.lease_no ?? 0], [])).toEqual([task?.lease_no]);
    await world.reap();
    expect(await world.sessions.beat(session, [task?.lease_no ?? 0], [])).toEqual([task?.lease_no]);
  });

  test("does not count the leases of another session as live", async () => {
    await world.create("plain", "noop");
    const task = await world.claimOne();
    expect(await world.sessions.beat(await world.session(), [task.lease_no], [])).toEqual([task.lease_no]);
  });

  test.each([
    ["expired and not reaped", () => world.expireSessions()],
    ["expired and reaped", () => world.expireSessions().then(() => world.reap())],
    ["closed", (session: string) => world.sessions.close(session)],
  ])("on a session that is %s is refused and does not revive it", async (_, end) => {
    const session = await world.session();
    await end(session);
    await expect(world.sessions.beat(session, [], [])).rejects.toMatchObject({ code: "TR-3002" });
    await expect(world.sessions.beat(session, [], [])).rejects.toMatchObject({ code: "TR-3002" });
    expect(await world.count("sessions", "closed_at is null and expires_at > clock_timestamp()")).toBe(0);
  });

  test("on a session that never was is refused", async () => {
    await expect(world.sessions.beat(newId(), [], [])).rejects.toMatchObject({ code: "TR-3002" });
  });

  test("that waited for its row is judged by the time it got it", async () => {
    const session = await world.session();
    const other = new Database({ url: world.url, name: "other", log: silentLog(), connectionsMax: 1 });
    const holder = await other.session();
    try {
      await holder.raw("begin");
      await holder.raw("update sessions set expires_at = clock_timestamp() - interval '1 millisecond'");
      const beat = world.sessions.beat(session, [], []);
      beat.catch(() => undefined); // Awaited below; this keeps Node from calling it unhandled until then.
      await until(async () => (await waitingForLocks(world.db)) === 1);
      await holder.raw("commit");
      await expect(beat).rejects.toMatchObject({ code: "TR-3002" });
    } finally {
      holder.release(true);
      await other.stop();
    }
  });

  test("saves progress of its own leases only, whatever its words hold", async () => {
    await world.create("plain", "noop", 2);
    const [mine, foreign] = [await world.session(), await world.session()];
    const [own] = await world.claim(mine);
    const [others] = await world.claim(foreign);
    const progress = { message: "row\0s \ud800", done: 1 };
    await world.sessions.beat(
      mine,
      [],
      [own, others].map((task) => ({ lease_no: task?.lease_no ?? 0, progress })),
    );
    expect((await world.task(own?.task_id ?? "")).progress).toEqual({ message: "row\ufffds \ufffd", done: 1 });
    expect((await world.task(others?.task_id ?? "")).progress).toBeNull();
  });
});

describe("closing a session", () => {
  test("asks the reaper to look at once, and the leases go back", async () => {
    const [id] = await world.create("plain", "noop");
    const session = await world.session();
    await world.claim(session);
    const nudges = world.reaperNudges;
    await world.sessions.close(session);
    expect(world.reaperNudges).toBe(nudges + 1);
    await world.reap();
    expect((await world.claimOne()).task_id).toBe(id);
  });

  test("twice, or of one that never was, does nothing", async () => {
    const session = await world.session();
    await world.sessions.close(session);
    const nudges = world.reaperNudges;
    await world.sessions.close(session);
    await world.sessions.close(newId());
    expect(world.reaperNudges).toBe(nudges);
  });

  test("and forgetting it never gives its number to another", async () => {
    await world.session();
    const [before] = await world.db.raw<{ id: number }>("select max(session_id) as id from sessions");
    await world.db.raw("delete from sessions");
    await world.session();
    const [after] = await world.db.raw<{ id: number }>("select max(session_id) as id from sessions");
    expect(after?.id).toBeGreaterThan(before?.id ?? 0);
  });
});

describe("the reaper", () => {
  test("requeues a lost lease at once and counts it apart from failures", async () => {
    const [id = ""] = await world.create("plain", "noop");
    await world.claimOne();
    await world.expireSessions();
    await world.reap();
    const task = await world.task(id);
    expect(task).toMatchObject({ state: "queued", failures: 0, lease_losses: 1, attempt: 1 });
    expect(task.attempts).toMatchObject([{ state: "expired", error: { code: "TR-3004" } }]);
    expect((await world.claimOne()).attempt).toBe(2);
    expect(await world.count("outbox")).toBe(2);
  });

  test("gives a task up when its lease was lost ten times, whatever its failures", async () => {
    const [id = ""] = await world.create("plain", "other"); // no retries: one failure would kill it
    for (let loss = 1; loss <= leaseLossesMax; loss += 1) {
      expect((await world.task(id)).state).toBe("queued");
      await world.claimOne();
      await world.expireSessions();
      await world.reap();
    }
    const task = await world.task(id);
    expect(task).toMatchObject({ state: "dead", failures: 0, lease_losses: 10, error: { code: "TR-3006" } });
    expect(task.attempts).toHaveLength(leaseLossesMax);
    expect(await world.count("ready")).toBe(0);
  });

  test("counts an attempt past its deadline as a failure with a backoff", async () => {
    const [id = ""] = await world.create("plain", "noop");
    await world.claimOne();
    await world.passDeadlines();
    await world.reap();
    const task = await world.task(id);
    expect(task).toMatchObject({ state: "queued", failures: 1, lease_losses: 0, error: { code: "TR-3005" } });
    const waitMs = Date.parse(task.run_at ?? "") - Date.now();
    expect(waitMs).toBeGreaterThan(25_000);
    expect(waitMs).toBeLessThan(35_000);
  });

  test("looks for deadlines at its first pass and then in their own rhythm, for sessions that are over at every pass", async () => {
    await world.create("plain", "noop", 3);
    const reaper = world.reaper(world.db, 3_600_000);
    await world.claimOne();
    await world.passDeadlines();
    await reaper.pass();
    expect(await world.count("attempts", "error ->> 'code' = 'TR-3005'")).toBe(1);
    await world.claimOne();
    await world.passDeadlines();
    await reaper.pass();
    expect(await world.count("leases")).toBe(1);
    await world.expireSessions();
    await reaper.pass();
    expect(await world.count("leases")).toBe(0);
    expect(await world.count("attempts")).toBe(2);
  });

  test("that finds a full pass of lost leases looks for deadlines again at the next", async () => {
    await world.create("plain", "noop", reaperLeasesMax + 1);
    await world.claim(await world.session(), reaperLeasesMax);
    await world.expireSessions();
    await world.claim(await world.session());
    await world.passDeadlines();
    // It goes on at once after a full pass.
    await world.reaper(world.db, 3_600_000).pass();
    expect(await world.count("leases")).toBe(0);
  });

  test("kills a task whose deadlines use up its attempts", async () => {
    const [id = ""] = await world.create("plain", "other");
    await world.claimOne();
    await world.passDeadlines();
    await world.reap();
    expect(await world.task(id)).toMatchObject({ state: "dead", failures: 1, error: { code: "TR-3005" } });
  });

  test("leaves alone what lives", async () => {
    await world.create("plain", "noop", 2);
    const session = await world.session();
    await world.claim(session, 2);
    await world.reap();
    expect(await world.count("leases")).toBe(2);
    expect(await world.count("attempts")).toBe(0);
  });

  test("skips a lease that is being completed and does not wait for it", async () => {
    await world.create("plain", "noop", 2);
    const tasks = await world.claim(await world.session(), 2);
    await world.expireSessions();
    const other = new Database({ url: world.url, name: "other", log: silentLog(), connectionsMax: 1 });
    const completion = await other.session();
    try {
      await completion.raw("begin");
      await completion.raw(`select 1 from leases where lease_no = ${tasks[0]?.lease_no} for update`);
      await world.reap();
      expect(await world.count("leases")).toBe(1);
      await completion.raw("rollback");
      await world.reap();
      expect(await world.count("leases")).toBe(0);
    } finally {
      completion.release(true);
      await other.stop();
    }
  });

  test("runs side by side with others: 1,200 lost leases end once each", async () => {
    await world.create("plain", "noop", 1_200);
    await world.claim(await world.session(), 1_200);
    await world.expireSessions();
    while ((await world.count("leases")) > 0) await Promise.all([world.reap(), world.reap(), world.reap()]);
    expect(await world.count("attempts")).toBe(1_200);
    expect(await world.count("ready", "lease_losses = 1")).toBe(1_200);
    const [told] = await world.db.raw("select count(distinct id)::int as n from outbox, unnest(task_ids) as id");
    expect(told).toEqual({ n: 1_200 });
  });

  test("frees the output of a task it gives up, and starts who waited for it", async () => {
    await world.create("diamond", "a");
    await world.db.raw("update tasks set lease_losses_max = 1");
    await world.claimOne();
    await world.expireSessions();
    await world.reap();
    expect(await world.count("live_outputs")).toBe(0);
    expect(await world.count("outcomes", "state = 'dead'")).toBe(1);
    await world.create("diamond", "a");
  });
});
