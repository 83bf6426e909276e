/**
 * A completion that meets another change of its lease: a progress report or a start that commits while the completion waits
 * for the row. What the statement saw when it began is an older version of the row then.
 */
import { Database, newId, silentLog } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { saveProgress } from "./sql/statements.gen.ts";
import { noopDag, until, World, waitingForLocks } from "./testing/world.ts";

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

/** Tasks and their leases, as the tables have them: in one place each. */
async function places() {
  const [row] = await world.db.raw(
    "select (select count(*)::int from leases) as leases, (select count(*)::int from outcomes) as outcomes, (select count(*)::int from attempts) + (select count(*)::int from outcomes where token is not null) as attempts, (select count(*)::int from ready) as ready",
  );
  return row;
}

afterEach(async () => {
  // Whatever happened, the reaper finds nothing that it stumbles over.
  await world.expireSessions();
  await world.reap();
});

test.each(["success", "retryable", "terminal"] as const)(
  "a %s that waits for a progress report to commit ends the attempt, and its lease goes",
  async (kind) => {
    await world.create("plain", "noop", 3);
    const session = await world.session();
    const tasks = await world.claim(session, 3);
    const [first] = tasks;
    if (first === undefined) throw new Error("nothing was claimed");
    const holder = await other.session();
    try {
      await holder.raw("begin");
      const [row] = await world.db.raw<{ session_id: number }>("select session_id::int from sessions");
      const progress = JSON.stringify([{ lease_no: first.lease_no, progress: { message: "half" } }]);
      await holder.db.query(saveProgress, { session_id: row?.session_id ?? 0, progress });
      const result =
        kind === "success"
          ? { kind: "success" as const, outputs: [] }
          : {
              kind: "failure" as const,
              error: { code: kind === "terminal" ? ("TR-5200" as const) : ("TR-5306" as const), detail: "no" },
            };
      const answers = world.completions.complete(tasks.map(({ lease_token }) => ({ lease_token, result })));
      await until(async () => (await waitingForLocks(world.db)) > 0);
      await holder.raw("commit");
      expect((await answers).map(({ accepted }) => accepted)).toEqual([true, true, true]);
    } finally {
      holder.release(true);
    }
    const over = kind === "retryable" ? 0 : 3;
    expect(await places()).toEqual({ leases: 0, outcomes: over, attempts: 3, ready: 3 - over });
  },
);

test("a success that waits for the lease to be released by another call changes nothing", async () => {
  await world.create("plain", "noop");
  const task = await world.claimOne();
  const holder = await other.session();
  try {
    await holder.raw("begin");
    await holder.raw("delete from leases");
    const answer = world.complete(task, { kind: "success", outputs: [] });
    await until(async () => (await waitingForLocks(world.db)) > 0);
    await holder.raw("commit");
    expect(await answer).toMatchObject({ accepted: false, error: { code: "TR-3001" } });
  } finally {
    holder.release(true);
  }
  expect(await places()).toEqual({ leases: 0, outcomes: 0, attempts: 0, ready: 0 });
});

test("a success that waits for a start to commit ends the attempt", async () => {
  await world.create("plain", "noop");
  const task = await world.claimOne();
  const holder = await other.session();
  try {
    await holder.raw("begin");
    await holder.raw("update leases set nonce = $1", [newId()]);
    const answer = world.complete(task, { kind: "success", outputs: [] });
    await until(async () => (await waitingForLocks(world.db)) > 0);
    await holder.raw("commit");
    expect(await answer).toMatchObject({ accepted: true, task_state: "completed" });
  } finally {
    holder.release(true);
  }
  expect(await places()).toEqual({ leases: 0, outcomes: 1, attempts: 1, ready: 0 });
});
