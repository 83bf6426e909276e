/** Starts: an attempt that is handed on runs in one invocation, however often messages and events bring it. */
import { randomBytes } from "node:crypto";
import type { ClaimedTask } from "@trace/contracts";
import { newId } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diamondDag, noopDag, until, World, waitingForLocks } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

const accepted = { accepted: true };
const stale = { accepted: false, error: { code: "TR-3001" } };
const elsewhere = { accepted: false, error: { code: "TR-3013" } };

async function oneClaimed(): Promise<ClaimedTask> {
  await world.create("plain", "noop");
  return world.claimOne();
}

const start = (task: ClaimedTask, nonce: string) => world.starts.start([{ lease_token: task.lease_token, nonce }]);

async function remainingMs(): Promise<number> {
  const [row] = await world.db.raw<{ ms: number }>(
    "select (extract(epoch from deadline - clock_timestamp()) * 1000)::float8 as ms from leases",
  );
  return row?.ms ?? 0;
}

describe("an attempt", () => {
  test("belongs to the invocation that says its nonce first, which may say it again; another one ends", async () => {
    const task = await oneClaimed();
    const [mine, other] = [newId(), newId()];
    expect(await start(task, mine)).toEqual([accepted]);
    expect(await start(task, other)).toMatchObject([elsewhere]);
    expect(await start(task, mine)).toEqual([accepted]);
    expect(await world.succeed(task)).toMatchObject({ accepted: true });
  });

  test("started by 30 invocations at once runs in one of them", async () => {
    const task = await oneClaimed();
    const nonces = Array.from({ length: 30 }, newId);
    const answers = (await Promise.all(nonces.map((nonce) => start(task, nonce)))).flat();
    const winner = answers.findIndex((answer) => answer.accepted);
    expect(answers.filter((answer) => answer.accepted)).toHaveLength(1);
    expect(answers.filter((answer) => answer.error?.code === "TR-3013")).toHaveLength(29);
    expect(await start(task, nonces[winner] ?? "")).toEqual([accepted]);
  });

  test("has its whole time from when it starts, once: saying the nonce again does not prolong it", async () => {
    const task = await oneClaimed();
    await world.db.raw("update leases set deadline = clock_timestamp() + interval '5 seconds'");
    const nonce = newId();
    await start(task, nonce);
    expect(await remainingMs()).toBeGreaterThan(task.timeout_ms);
    await world.db.raw("update leases set deadline = clock_timestamp() + interval '5 seconds'");
    await start(task, nonce);
    await start(task, newId());
    expect(await remainingMs()).toBeLessThan(6_000);
  });

  test("of a job with an output is started like any other, and publishes", async () => {
    await world.create("diamond", "a");
    const task = await world.claimOne();
    expect(await start(task, newId())).toEqual([accepted]);
    expect(await world.succeed(task)).toMatchObject({ accepted: true, commits: [{ dataset: "ds_a", commit: 1 }] });
  });

  test("that comes after one that was started is nobody's: the nonce went with its lease", async () => {
    const first = await oneClaimed();
    const nonce = newId();
    await start(first, nonce);
    await world.fail(first);
    await world.makeDue();
    const second = await world.claimOne();
    expect(await start(first, nonce)).toMatchObject([stale]);
    expect(await start(second, newId())).toEqual([accepted]);
  });
});

describe("a token without a live lease starts nothing", () => {
  test.each<[string, (task: ClaimedTask) => Promise<unknown>]>([
    ["its session has expired", () => world.expireSessions()],
    ["its session was closed", () => world.db.raw("update sessions set closed_at = clock_timestamp()")],
    ["its deadline has passed", () => world.passDeadlines()],
    ["it was released", (task) => world.completions.release([task.lease_token])],
    ["it completed", (task) => world.succeed(task)],
    ["the task was canceled", (task) => world.actions.cancel({ orgId: world.orgId, name: "x" }, [task.task_id])],
  ])("%s", async (_, end) => {
    const task = await oneClaimed();
    await end(task);
    expect(await start(task, newId())).toMatchObject([stale]);
    expect(await world.count("leases", "nonce is not null")).toBe(0);
  });

  test("it was guessed", async () => {
    const task = await oneClaimed();
    const numbers = Buffer.from(task.lease_token, "base64url").subarray(0, 24);
    const guess = { ...task, lease_token: Buffer.concat([numbers, randomBytes(16)]).toString("base64url") };
    expect(await start(guess, newId())).toMatchObject([stale]);
    expect(await start(task, newId())).toEqual([accepted]);
  });

  test("its deadline passes while the call waits for the lease", async () => {
    const task = await oneClaimed();
    const holder = await world.db.session();
    try {
      await holder.raw("begin");
      await holder.raw("select 1 from leases for update");
      const answers = start(task, newId());
      await until(async () => (await waitingForLocks(world.db)) === 1);
      await holder.raw("update leases set deadline = clock_timestamp()");
      await holder.raw("commit");
      expect(await answers).toMatchObject([stale]);
    } finally {
      holder.release(true);
    }
  });
});

test("a batch is answered item by item, in order; of two items for one attempt the first counts", async () => {
  await world.create("plain", "noop", 3);
  const [a, b, c] = await world.claim(await world.session(), 3);
  if (a === undefined || b === undefined || c === undefined) throw new Error("three were to be claimed");
  await world.completions.release([c.lease_token]);
  const [first, second] = [newId(), newId()];
  const item = (task: ClaimedTask, nonce: string) => ({ lease_token: task.lease_token, nonce });
  const items = [item(a, first), item(c, first), item(a, second), item(b, second), item(a, first)];
  expect(await world.starts.start(items)).toMatchObject([accepted, stale, elsewhere, accepted, accepted]);
  expect(await world.starts.start([])).toEqual([]);
});
