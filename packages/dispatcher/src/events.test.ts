/** Events are written by the transactions that decide what they tell, and by nobody else. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diamondDag, noopDag, World } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open({ events: true });
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

async function told(): Promise<{ type: string; detail: Record<string, unknown> }[]> {
  const rows = await world.db.raw<{ events: { type: string; detail: Record<string, unknown> }[] }>(
    "select events from outbox where lane = 'events' order by outbox_id",
  );
  return rows.flatMap((row) => row.events);
}

const caller = { orgId: 1, name: "test" };

describe("an event is written when", () => {
  test("tasks complete that publish nothing", async () => {
    await world.create("plain", "noop", 2);
    const tasks = await world.claim(await world.session(), 2);
    const items = tasks.map(({ lease_token }) => ({ lease_token, result: { kind: "success" as const, outputs: [] } }));
    await world.completions.complete(items);
    await world.completions.complete(items); // The same call again is the same event.
    const events = await told();
    expect(events.map(({ type }) => type)).toEqual(["task.completed", "task.completed"]);
    expect(events.map(({ detail }) => detail.task_id).sort()).toEqual(tasks.map((task) => task.task_id).sort());
    expect(events[0]?.detail).toMatchObject({ org: "main", dag: "plain", job: "noop", attempt: 1 });
  });

  test("a dataset gets a commit", async () => {
    await world.create("diamond", "a");
    const task = await world.claimOne();
    await world.succeed(task);
    const events = await told();
    expect(events.map(({ type }) => type).sort()).toEqual(["dataset.committed", "task.completed"]);
    expect(events.find(({ type }) => type === "dataset.committed")?.detail).toMatchObject({
      dataset: "ds_a",
      generation: 1,
      commit: 1,
      task_id: task.task_id,
    });
  });

  test("a task dies", async () => {
    await world.create("plain", "other");
    await world.fail(await world.claimOne());
    expect((await told()).map(({ type }) => type)).toEqual(["task.dead"]);
  });

  test("tasks are canceled, queued or running", async () => {
    const ids = await world.create("plain", "noop", 2);
    const running = await world.claimOne();
    await world.actions.cancel({ ...caller, orgId: world.orgId }, ids);
    const events = await told();
    expect(events.map(({ type }) => type)).toEqual(["task.canceled", "task.canceled"]);
    const attempts = new Map(events.map(({ detail }) => [detail.task_id, detail.attempt]));
    expect(attempts.get(running.task_id)).toBe(1);
    expect(attempts.get(ids.find((id) => id !== running.task_id))).toBe(0);
  });
});

describe("no event is written when", () => {
  test("an attempt fails and is tried again, or a stale call changes nothing", async () => {
    await world.create("plain", "noop");
    const task = await world.claimOne();
    await world.fail(task);
    await world.complete(task, { kind: "success", outputs: [] });
    expect(await told()).toEqual([]);
  });

  test("no bus is configured", async () => {
    const quiet = await World.open();
    try {
      await quiet.deploy(noopDag);
      await quiet.create("plain", "noop");
      await quiet.complete(await quiet.claimOne(), { kind: "success", outputs: [] });
      expect(await quiet.count("outbox", "lane = 'events'")).toBe(0);
    } finally {
      await quiet.close();
    }
  });
});
