/** Partitions of history: there is always room for what ends next, and where there is none nothing is lost. */
import { Database, silentLog } from "@trace/kit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { historyPartitionsAhead } from "../limits.ts";
import { noopDag, pass, until, World } from "../testing/world.ts";
import { addPartitions, createHistory } from "./history.ts";

let world: World;

/** As in the function of the schema. */
const partitionRows = 4_000_000;

beforeEach(async () => {
  world = await World.open();
  await world.deploy(noopDag);
});
afterEach(() => world.close());

async function partitions(parent: "attempts" | "outcomes"): Promise<string[]> {
  const rows = await world.db.raw<{ name: string }>(
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass order by 1",
    [parent],
  );
  return rows.map((row) => row.name);
}

/** As many numbers as that have been used. */
async function use(sequence: "lease_numbers" | "tasks_task_id_seq", last: number): Promise<void> {
  await world.db.raw("select setval($1::regclass, $2)", [sequence, last]);
}

const names = (parent: string, count: number) =>
  Array.from({ length: count }, (_, n) => `${parent}_${String(n).padStart(6, "0")}`);

describe("partitions", () => {
  test("of a new database are the one in use and as many ahead as the loop keeps", async () => {
    expect(await partitions("attempts")).toEqual(names("attempts", 1 + historyPartitionsAhead));
    expect(await partitions("outcomes")).toEqual(names("outcomes", 1 + historyPartitionsAhead));
  });

  test("are added as numbers are used, for each table by its own numbers, and no more than are needed", async () => {
    await use("lease_numbers", partitionRows - 1);
    await pass(createHistory({ db: world.db, log: silentLog() }));
    expect(await partitions("attempts")).toHaveLength(1 + historyPartitionsAhead);
    await use("lease_numbers", partitionRows);
    await pass(createHistory({ db: world.db, log: silentLog() }));
    expect(await partitions("attempts")).toEqual(names("attempts", 2 + historyPartitionsAhead));
    expect(await partitions("outcomes")).toEqual(names("outcomes", 1 + historyPartitionsAhead));
    await use("tasks_task_id_seq", 3 * partitionRows + 5);
    await pass(createHistory({ db: world.db, log: silentLog() }));
    expect(await partitions("outcomes")).toEqual(names("outcomes", 4 + historyPartitionsAhead));
    expect(await partitions("attempts")).toEqual(names("attempts", 2 + historyPartitionsAhead));
  });

  test("that are there already are left alone", async () => {
    const before = await partitions("attempts");
    for (let n = 0; n < 3; n += 1) await addPartitions(world.db, silentLog());
    expect(await partitions("attempts")).toEqual(before);
  });

  test("asked for by many dispatchers at once are made once", async () => {
    await use("lease_numbers", 5 * partitionRows);
    await use("tasks_task_id_seq", 5 * partitionRows);
    await Promise.all(Array.from({ length: 10 }, () => addPartitions(world.db, silentLog())));
    expect(await partitions("attempts")).toEqual(names("attempts", 6 + historyPartitionsAhead));
    expect(await partitions("outcomes")).toEqual(names("outcomes", 6 + historyPartitionsAhead));
  });

  test("are added while attempts end and are read: neither waits for the other", async () => {
    const other = new Database({ url: world.url, name: "other", log: silentLog(), connectionsMax: 1 });
    const busy = await other.session();
    try {
      await world.create("plain", "noop");
      await world.succeed(await world.claimOne());
      await busy.raw("begin");
      await busy.raw("update attempts set worker = 'w'");
      await busy.raw("update outcomes set attempt = 1");
      await use("lease_numbers", 2 * partitionRows);
      await addPartitions(world.db, silentLog());
      expect(await partitions("attempts")).toHaveLength(3 + historyPartitionsAhead);
      await busy.raw("commit");
    } finally {
      busy.release(true);
      await other.stop();
    }
  });
});

describe("an attempt that ends", () => {
  const beyond = (1 + historyPartitionsAhead) * partitionRows;

  test("on both sides of a border finds its place, and is found again", async () => {
    await world.create("plain", "noop", 2);
    await use("lease_numbers", partitionRows - 2);
    const tasks = await world.claim(await world.session(), 2);
    expect(tasks.map((task) => task.lease_no).sort()).toEqual([partitionRows - 1, partitionRows]);
    for (const task of tasks) expect(await world.fail(task)).toMatchObject({ accepted: true });
    expect(await world.count("attempts_000000")).toBe(1);
    expect(await world.count("attempts_000001")).toBe(1);
    for (const task of tasks) expect(await world.fail(task)).toMatchObject({ accepted: true });
    for (const task of tasks) expect((await world.task(task.task_id)).attempts).toHaveLength(1);
  });

  test("with its task on both sides of a border finds its place, and is found again", async () => {
    await use("tasks_task_id_seq", partitionRows - 2);
    await world.create("plain", "noop", 2);
    const tasks = await world.claim(await world.session(), 2);
    for (const task of tasks) expect(await world.succeed(task)).toMatchObject({ accepted: true });
    expect(await world.count("outcomes_000000")).toBe(1);
    expect(await world.count("outcomes_000001")).toBe(1);
    for (const task of tasks) expect(await world.succeed(task)).toMatchObject({ accepted: true });
    for (const task of tasks) expect((await world.task(task.task_id)).attempts).toHaveLength(1);
  });

  test.each(["failure", "release"] as const)(
    "by %s where there is no partition is refused and not lost: it ends when there is one",
    async (how) => {
      await world.create("plain", "noop");
      await use("lease_numbers", beyond);
      const task = await world.claimOne();
      const ends = {
        failure: () => world.fail(task),
        release: () => world.completions.release([task.lease_token]),
      };
      await expect(ends[how]()).rejects.toThrow(/no partition/);
      expect(await world.count("leases")).toBe(1);
      expect((await world.count("ready")) + (await world.count("outcomes"))).toBe(0);
      await addPartitions(world.db, silentLog());
      await ends[how]();
      expect(await world.count("leases")).toBe(0);
      expect(await world.count("attempts")).toBe(1);
    },
  );

  test("by expiry where there is no partition is tried again until there is one", async () => {
    await world.create("plain", "noop");
    await use("lease_numbers", beyond);
    await world.claimOne();
    await world.expireSessions();
    const reaper = world.reaper();
    const passed = reaper.passed.next(20_000);
    await reaper.start();
    try {
      await until(() => Promise.resolve(world.race.timesReached("reap:locked") >= 2)); // the first pass has failed
      expect(await world.count("leases")).toBe(1);
      await addPartitions(world.db, silentLog());
      await passed;
    } finally {
      await reaper.stop();
    }
    expect(await world.count("attempts", "state = 'expired'")).toBe(1);
    expect(await world.count("ready")).toBe(1);
  });

  test("of a task beyond the last partition of outcomes keeps its lease until there is one", async () => {
    await use("tasks_task_id_seq", beyond);
    await world.create("plain", "noop");
    const task = await world.claimOne();
    await expect(world.succeed(task)).rejects.toThrow(/no partition/);
    expect(await world.count("leases")).toBe(1);
    expect(await world.count("attempts")).toBe(0);
    await addPartitions(world.db, silentLog());
    expect(await world.succeed(task)).toMatchObject({ accepted: true, task_state: "completed" });
  });
});
