/** Calls that are cut in the middle or meet something halfway: what exists is told of, and nothing is lost or said twice. */
import { payloadBytesMax } from "@trace/contracts";
import { Database, silentLog } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { claimPayloadBytesMax } from "./limits.ts";
import { noopDag, until, World, waitingForLocks } from "./testing/world.ts";

/** What a client reads of an answer (kit/src/limits.ts). */
const answerBytesMax = 64 * 1024 * 1024;

let world: World;
let other: Database;

beforeAll(async () => {
  world = await World.open();
  other = new Database({ url: world.url, name: "other", log: silentLog(), connectionsMax: 1 });
  await world.deploy(noopDag);
});
afterAll(async () => {
  await other.stop();
  await world.close();
});
beforeEach(() => world.clear());

const wanted = (parts: { dedupe_key?: string; run_at?: string; payload?: Record<string, unknown> } = {}) => ({
  dag: "plain",
  job: "noop",
  priority: 0,
  payload: {},
  ...parts,
});

describe("a claim of more than an answer can carry", () => {
  test("takes what fits, hands the rest back uncounted, and says that there is more", async () => {
    const count = Math.ceil(claimPayloadBytesMax / payloadBytesMax) + 20;
    const payload = { text: "x".repeat(payloadBytesMax - 20) };
    await world.tasks.create(
      world.orgId,
      Array.from({ length: count }, () => wanted({ payload })),
    );
    const session_id = await world.session();
    const seen = new Set<string>();
    for (let claims = 1; seen.size < count; claims += 1) {
      const answer = await world.claims.claim({ session_id, queue: "default", task_ids: [], max: count });
      expect(Buffer.byteLength(JSON.stringify(answer))).toBeLessThan(answerBytesMax);
      for (const task of answer.tasks) {
        expect(task.attempt).toBe(1);
        expect(seen.has(task.task_id)).toBe(false);
        seen.add(task.task_id);
      }
      if (claims === 1) expect([answer.more, answer.tasks.length < count]).toEqual([true, true]);
      expect(claims).toBeLessThan(10);
    }
    expect(await world.count("leases")).toBe(count);
  }, 60_000);
});

describe("a create whose second half fails", () => {
  test("answers with the tasks that exist and with the error of the others, so that nobody sends it again", async () => {
    const holder = await other.session();
    try {
      await holder.raw("begin");
      await holder.raw("lock table task_keys in access exclusive mode");
      const call = world.tasks.create(world.orgId, [wanted(), wanted({ dedupe_key: "k" })]);
      await until(async () => (await waitingForLocks(world.db)) > 0);
      await holder.raw(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      const [plain, keyed] = await call;
      expect(plain).toMatchObject({ created: true });
      expect(keyed).toMatchObject({ created: false, error: { code: "TR-1009" } });
      expect(await world.count("tasks")).toBe(1);
    } finally {
      holder.release(true);
    }
  });

  test("fails as a whole when nothing of it was done", async () => {
    const holder = await other.session();
    try {
      await holder.raw("begin");
      await holder.raw("lock table task_keys in access exclusive mode");
      const call = world.tasks.create(world.orgId, [wanted({ dedupe_key: "k" })]);
      const failed = expect(call).rejects.toMatchObject({ code: "TR-1009" });
      await until(async () => (await waitingForLocks(world.db)) > 0);
      await holder.raw(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      await failed;
    } finally {
      holder.release(true);
    }
  });
});

/** A lease whose session expires while a call waits for the lease's row, and is beaten in time meanwhile. */
describe("a call that waits past the end its session had when it began", () => {
  async function waitPastTheOldEnd<R>(token: string, call: () => Promise<R>, beat: boolean): Promise<R> {
    const holder = await other.session();
    try {
      await world.db.raw("update sessions set expires_at = clock_timestamp() + interval '300 ms'");
      await holder.raw("begin");
      await holder.raw("select 1 from leases where token = $1 for update", [Buffer.from(token, "base64url")]);
      const answer = call();
      await until(async () => (await waitingForLocks(world.db)) > 0);
      if (beat) await world.db.raw("update sessions set expires_at = clock_timestamp() + interval '1 hour'");
      await until(async () => {
        const [row] = await world.db.raw<{ over: boolean }>(
          "select clock_timestamp() > (select claimed_at + interval '1 second' from leases limit 1) as over",
        );
        return row?.over === true;
      });
      await holder.raw("commit");
      return await answer;
    } finally {
      holder.release(true);
    }
  }

  test.each(["success", "failure", "release", "start"] as const)("and was beaten is accepted: %s", async (kind) => {
    await world.create("plain", "noop");
    const task = await world.claimOne();
    const { lease_token } = task;
    const nonce = "0198c7a2-0000-7000-8000-000000000000";
    const calls = {
      success: async () => (await world.complete(task, { kind: "success", outputs: [] })).accepted,
      failure: async () => (await world.fail(task)).accepted,
      release: async () => (await world.completions.release([lease_token]))[0]?.accepted,
      start: async () => (await world.starts.start([{ lease_token, nonce }]))[0]?.accepted,
    };
    expect(await waitPastTheOldEnd<boolean | undefined>(lease_token, calls[kind], true)).toBe(true);
  });

  test("and was not beaten is refused, and nothing is changed", async () => {
    await world.create("plain", "noop");
    const task = await world.claimOne();
    const call = async () => (await world.complete(task, { kind: "success", outputs: [] })).accepted;
    expect(await waitPastTheOldEnd(task.lease_token, call, false)).toBe(false);
    expect(await world.count("leases")).toBe(1);
  });
});

describe("a wake-up", () => {
  test("of a task that is due in a moment is not sent before its time", async () => {
    world.wakeups.length = 0;
    await world.tasks.create(world.orgId, [wanted({ run_at: new Date(Date.now() + 400).toISOString() })]);
    expect(world.wakeups).toEqual([]);
    const [row] = await world.db.raw<{ early: boolean }>(
      "select o.due_at < t.run_at as early from outbox o join tasks t on t.public_id = o.task_ids[1]",
    );
    expect(row).toEqual({ early: false });
  });

  test("of a task that is due is its writer's to send at once", async () => {
    world.wakeups.length = 0;
    await world.create("plain", "noop");
    expect(world.wakeups).toHaveLength(1);
  });

  test("of a task that snoozes for a moment is not sent before its time either", async () => {
    await world.create("plain", "noop");
    const task = await world.claimOne();
    world.wakeups.length = 0;
    await world.complete(task, { kind: "snooze", delay_ms: 300 });
    expect(world.wakeups).toEqual([]);
  });
});
