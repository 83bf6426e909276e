/** Claims that fail after their leases were committed: nobody would hear of those, so they are told or go back. */
import { TraceError } from "@trace/contracts";
import type { Database, Queryable } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Claims } from "./claims.ts";
import { Jobs } from "./jobs.ts";
import { diamondDag, noopDag, World } from "./testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

const away = new TraceError("TR-1009", { detail: "Postgres is away" });

/** Claims over a database that is away for these statements, `passed` times not. */
function broken(statement: string, passed = 0): Claims {
  let calls = 0;
  const over = (to: Queryable) => ({
    query: (asked: { name: string }, params: never) => {
      if (asked.name === statement) calls += 1;
      if (asked.name === statement && calls > passed) return Promise.reject(away);
      return to.query(asked as never, params);
    },
  });
  const db = {
    ...over(world.db),
    transaction: (work: (tx: unknown) => Promise<unknown>) => world.db.transaction((tx) => work(over(tx))),
  } as unknown as Database;
  return new Claims({
    db,
    orgId: world.orgId,
    datasetsBucket: "datasets",
    jobs: new Jobs(db),
    watermarks: { lagMs: 0, sweepEveryMs: 0, sweepShare: 0 },
    release: (tokens) => world.completions.release(tokens),
  });
}

async function claim(claims: Claims, taskIds: readonly string[], max: number) {
  return claims.claim({ session_id: await world.session(), queue: "default", task_ids: taskIds, max });
}

test("a sweep that fails does not take what was claimed before it", async () => {
  const [first = ""] = await world.create("plain", "noop", 3);
  const { tasks } = await claim(broken("firstReady"), [first], 3);
  expect(tasks.map((task) => task.task_id)).toEqual([first]);
  expect(await world.count("leases")).toBe(1);
});

test("nor does a claim of the next ones after it", async () => {
  const [first = ""] = await world.create("plain", "noop", 3);
  const { tasks } = await claim(broken("claimTasks", 1), [first], 3);
  expect(tasks.map((task) => task.task_id)).toEqual([first]);
  expect(await world.count("leases")).toBe(1);
});

test("a sweep that fails and nothing claimed fails the claim", async () => {
  await world.create("plain", "noop");
  await expect(claim(broken("firstReady"), [], 1)).rejects.toBe(away);
  expect(await world.count("leases")).toBe(0);
});

test.each(["jobsOfVersions", "holdInputs", "pinInputs", "describeLeases"])(
  "leases that cannot be described go back: %s",
  async (statement) => {
    const [id = ""] =
      statement === "jobsOfVersions" ? await world.create("plain", "noop") : await world.create("diamond", "a");
    await expect(claim(broken(statement), [id], 1)).rejects.toBe(away);
    expect(await world.count("leases")).toBe(0);
    expect(await world.count("ready")).toBe(1);
    const { tasks } = await claim(broken("none"), [], 1);
    expect(tasks.map((task) => [task.task_id, task.attempt])).toEqual([[id, 1]]);
  },
);

test("large payloads make the next claims smaller, and small ones larger again", async () => {
  const claims = broken("none");
  const payload = { text: "x".repeat(250_000) };
  const item = { dag: "plain", job: "noop", priority: 0, payload };
  for (let call = 0; call < 4; call += 1) {
    await world.tasks.create(
      world.orgId,
      Array.from({ length: 75 }, () => item),
    );
  }
  const first = await claim(claims, [], 150);
  expect(first.tasks.length).toBeLessThan(150);
  expect(first.more).toBe(true);
  const handedBack = await world.count("attempts");
  expect(handedBack).toBeGreaterThan(0);
  const second = await claim(claims, [], 150);
  expect(await world.count("attempts")).toBe(handedBack);
  expect(second.tasks.length).toBeLessThanOrEqual(134);
  expect(second.more).toBe(true);
  await world.clear();
  await world.create("plain", "noop", 500);
  let taken = 0;
  for (let round = 0; taken < 500 && round < 20; round += 1) taken += (await claim(claims, [], 500)).tasks.length;
  expect(taken).toBe(500);
});
