/** What is deleted, when, and what never is: places that were abandoned, files that were purged, old logs. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { caller, leaseOf, Registry } from "../testing/registry.ts";
import { datasetsBucket, scratchBucket } from "../testing/world.ts";
import type { Emptied } from "./garbage-places.ts";

let reg: Registry;
beforeAll(async () => {
  reg = await Registry.open();
});
afterAll(() => reg.world.close());
beforeEach(() => reg.world.clear());
afterEach(() => reg.world.race.resumeAll());

const leases = () => [...new Set(reg.keys().map(leaseOf))];

describe("the place of an attempt", () => {
  test("that failed goes once nobody may write there any more, with its unfinished uploads, and counts", async () => {
    const good = await reg.commit("plain");
    const failed = await reg.take("plain");
    reg.world.stage(failed);
    const prefix = failed.staging[0]?.prefix ?? "";
    reg.world.store.uploads.push(
      { key: `${prefix}data/1.parquet`, uploadId: "u" },
      { key: "d/else/a/x", uploadId: "v" },
    );
    await reg.world.fail(failed);
    await reg.world.collect();
    expect(leases()).toEqual([good.lease_no, failed.lease_no]);
    await reg.later();
    const deleted: [string, Emptied][] = [];
    await reg.world.collect({ onDeleted: (kind, what) => deleted.push([kind, what]) });
    expect(leases()).toEqual([good.lease_no]);
    expect(deleted).toEqual([["staging", { objects: 2, bytes: expect.any(Number) }]]);
    expect(deleted[0]?.[1].bytes).toBeGreaterThan(0);
    expect(reg.world.store.uploads).toEqual([{ key: "d/else/a/x", uploadId: "v" }]);
    expect(await reg.world.count("staging")).toBe(0);
  });

  test.each([
    [
      "expired",
      async () => {
        await reg.world.expireSessions();
        await reg.world.reap();
      },
    ],
    [
      "was canceled",
      async (taskId: string) => {
        await reg.world.actions.cancel(caller, [taskId]);
      },
    ],
  ])("that %s goes too", async (_, end) => {
    const task = await reg.take("plain");
    reg.world.stage(task);
    await end(task.task_id);
    await reg.later();
    await reg.world.collect();
    expect(reg.keys()).toEqual([]);
  });

  test("that was superseded goes, and what superseded it stays", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    const running = await reg.take("plain");
    await reg.revert("plain", 1);
    await reg.world.succeed(running);
    expect(leases()).toContain(running.lease_no);
    await reg.later();
    await reg.world.collect();
    expect(leases()).not.toContain(running.lease_no);
    expect(leases()).toHaveLength(2);
  });

  test("that published no file goes too, and the commit it made can be read", async () => {
    const task = await reg.take("months");
    const empty = (manifest: object) => ({ ...manifest, rows: 0, bytes: 0, files: [] });
    const outputs = [reg.world.stage(task, task.staging[0], empty)];
    expect(await reg.world.complete(task, { kind: "success", outputs })).toMatchObject({ accepted: true });
    await reg.world.collect();
    expect(leases()).toEqual([task.lease_no]);
    await reg.later();
    await reg.world.collect();
    expect(leases()).toEqual([]);
    expect(await reg.world.count("staging")).toBe(0);
    expect(await reg.world.read("months")).toMatchObject({ commit: 1, files: [] });
  });

  test("that holds its lease is left alone, however late it is", async () => {
    const task = await reg.take("plain");
    reg.world.stage(task);
    await reg.world.db.raw("update staging set write_until = clock_timestamp() - interval '1 day'");
    await reg.world.collect();
    expect(leases()).toEqual([task.lease_no]);
    expect(await reg.world.succeed(task)).toMatchObject({ accepted: true });
    await reg.world.collect();
    expect(leases()).toEqual([task.lease_no]);
  });

  test("waits for the time beyond `write_until` that late requests may take", async () => {
    const task = await reg.take("plain");
    reg.world.stage(task);
    await reg.world.fail(task);
    await reg.later();
    await reg.world.collect({ stagingGraceMs: 60_000 });
    expect(leases()).toEqual([task.lease_no]);
  });

  test("is never one that a commit names an object of, whatever a row says", async () => {
    const task = await reg.commit("plain");
    const prefix = task.staging[0]?.prefix ?? "";
    // As a defect elsewhere would leave it: a row that says the place was abandoned.
    await reg.world.db.raw(
      `insert into staging (lease_no, generation_id, prefix, head_commit, write_until)
       select $1, generation_id, $2, 0, clock_timestamp() - interval '1 day' from generations g join datasets d using (dataset_id) where d.name = 'other'`,
      [task.lease_no, prefix],
    );
    const before = reg.keys();
    await reg.world.collect();
    expect(reg.keys()).toEqual(before);
    expect(await reg.world.count("staging")).toBe(1);
  });

  test("that two dispatchers take at once goes once", async () => {
    for (let n = 0; n < 6; n += 1) {
      const task = await reg.take("plain");
      reg.world.stage(task);
      await reg.world.fail(task, "TR-5200");
    }
    await reg.later();
    let objects = 0;
    const onDeleted = (_: string, what: Emptied) => {
      objects += what.objects;
    };
    await Promise.all([reg.world.collect({ onDeleted }), reg.world.collect({ onDeleted })]);
    await reg.world.collect({ onDeleted });
    expect(reg.keys()).toEqual([]);
    expect(objects).toBe(12);
    expect(await reg.world.count("staging")).toBe(0);
  });
});

describe("when something breaks in between", () => {
  async function abandoned(): Promise<void> {
    const task = await reg.take("plain");
    reg.world.stage(task);
    await reg.world.fail(task);
    await reg.later();
  }

  test("the store being away loses nothing: the rows wait, and the next pass goes on", async () => {
    await abandoned();
    const paused: boolean[] = [];
    const options = { onPaused: (is: boolean) => paused.push(is) };
    const loop = reg.world.garbage(options);
    reg.world.store.away = true;
    const failing = loop.passed.next(10_000);
    await loop.start();
    await expect.poll(() => paused.length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(await reg.world.count("staging", "deleting_since is null")).toBe(1);
    expect(leases()).toHaveLength(1);
    reg.world.store.away = false;
    await failing;
    await loop.stop();
    expect(paused.at(-1)).toBe(false);
    expect(reg.keys()).toEqual([]);
  });

  test("a dispatcher that dies after it deleted the objects leaves a row that another one deletes", async () => {
    await abandoned();
    const dying = reg.world.race.pauseAt("garbage:deleted");
    const loop = reg.world.garbage();
    await loop.start();
    await dying.reached;
    expect(reg.keys()).toEqual([]);
    // Others leave it alone until it is plain that nobody is at it.
    await reg.world.collect();
    expect(await reg.world.count("staging")).toBe(1);
    await reg.world.db.raw("update staging set deleting_since = clock_timestamp() - interval '1 hour'");
    await reg.world.collect();
    expect(await reg.world.count("staging")).toBe(0);
    dying.fail(new Error("killed"));
    await loop.stop();
  });
});

describe("files of purged commits", () => {
  const purge = (before: number) => reg.world.purges.purge(caller, "plain", { before, dry_run: false });

  test("go when their time has come, with what the attempt left beside them", async () => {
    const made = [await reg.commit("plain"), await reg.commit("plain")];
    await purge(2);
    await reg.world.collect();
    expect(leases()).toEqual(made.map((task) => task.lease_no));
    await reg.later();
    const deleted: [string, Emptied][] = [];
    await reg.world.collect({ onDeleted: (kind, what) => deleted.push([kind, what]) });
    expect(leases()).toEqual([made[1]?.lease_no]);
    expect(reg.keys()).toHaveLength(2);
    expect(deleted).toEqual([["purged", { objects: 1, bytes: expect.any(Number) }]]);
    expect(await reg.world.count("garbage_files")).toBe(0);
  });

  test("stay with their manifest as long as another file of the attempt is named or waits", async () => {
    const task = await reg.take("plain");
    const place = task.staging[0];
    const second = `${place?.prefix}data/1.parquet`;
    const sha256 = reg.world.store.put(datasetsBucket, second, "more");
    const output = reg.world.stage(task, place, (manifest) => ({
      ...manifest,
      rows: 2,
      bytes: manifest.bytes + 4,
      files: [...manifest.files, { ...manifest.files[0], key: second, bytes: 4, sha256 }],
    }));
    await reg.world.complete(task, { kind: "success", outputs: [output] });
    await reg.commit("plain");
    await purge(2);
    await reg.world.db.raw(
      "update garbage_files set not_before = clock_timestamp() - interval '1 second' where object_key <> $1",
      [second],
    );
    await reg.world.collect();
    expect(reg.keys().filter((key) => key.includes(place?.prefix ?? "-"))).toHaveLength(2);
    await reg.later();
    await reg.world.collect();
    expect(reg.keys().filter((key) => key.includes(place?.prefix ?? "-"))).toEqual([]);
  });

  test("are kept when a commit names them after all, and their row goes", async () => {
    const task = await reg.commit("plain");
    const key = `${task.staging[0]?.prefix}data/0.parquet`;
    await reg.world.db.raw("insert into garbage_files values ($1, 1, clock_timestamp() - interval '1 second')", [key]);
    await reg.world.collect();
    expect(reg.keys()).toContain(`${datasetsBucket}/${key}`);
    expect(await reg.world.count("garbage_files")).toBe(0);
  });

  test("that were deleted by a dispatcher that died before it said so are counted once", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    await purge(2);
    await reg.later();
    const dying = reg.world.race.pauseAt("garbage:deleted");
    const loop = reg.world.garbage();
    await loop.start();
    await dying.reached;
    let objects = 0;
    await reg.world.collect({
      onDeleted: (_, what) => {
        objects += what.objects;
      },
    });
    dying.fail(new Error("killed"));
    await loop.stop();
    expect(objects).toBe(1);
    expect(await reg.world.count("garbage_files")).toBe(0);
  });
});

test("pins that ended go by themselves, others stay", async () => {
  await reg.commit("plain");
  await reg.world.pins.create(caller, { dataset: "plain", holder: "long" });
  await reg.world.pins.create(caller, { dataset: "plain", holder: "short", expires_at: "2999-01-01T00:00:00Z" });
  await reg.world.db.raw("update pins set expires_at = clock_timestamp() - interval '1 second' where holder = 'short'");
  await reg.world.collect();
  expect(await reg.world.db.raw("select holder from pins")).toEqual([{ holder: "long" }]);
});

describe("logs in scratch", () => {
  const week = 8 * 24 * 3_600_000;
  const old = () => new Date(Date.now() - week);
  const log = (task: { task_id: string; lease_no: number }) => `logs/${task.task_id}/${task.lease_no}.jsonl`;

  test("go after a week, unless their task has not ended or they are none of ours", async () => {
    const done = await reg.commit("plain");
    const young = await reg.commit("plain");
    const running = await reg.take("plain");
    reg.world.store.put(scratchBucket, log(done), "x", { modifiedAt: old() });
    reg.world.store.put(scratchBucket, log(young), "x");
    reg.world.store.put(scratchBucket, log(running), "x", { modifiedAt: old() });
    reg.world.store.put(scratchBucket, `logs/0198c7a2-0000-7000-8000-000000000000/7.jsonl`, "x", { modifiedAt: old() });
    reg.world.store.put(scratchBucket, "logs/notes.txt", "x", { modifiedAt: old() });
    reg.world.store.put(scratchBucket, "elsewhere/1.jsonl", "x", { modifiedAt: old() });
    const deleted: [string, Emptied][] = [];
    await reg.world.collect({ onDeleted: (kind, what) => deleted.push([kind, what]) });
    const kept = [log(young), log(running), "logs/notes.txt", "elsewhere/1.jsonl"];
    expect(reg.keys(scratchBucket)).toEqual(kept.map((key) => `${scratchBucket}/${key}`).sort());
    expect(deleted).toEqual([["scratch", { objects: 2, bytes: 2 }]]);
  });

  test("are looked at in pages, and after the last of them not again for a while", async () => {
    const task = await reg.commit("plain");
    for (let n = 1; n <= 1_500; n += 1) {
      const key = `logs/${task.task_id}/${String(n).padStart(5, "0")}.jsonl`;
      reg.world.store.put(scratchBucket, key, "x", { modifiedAt: n % 2 === 0 ? old() : new Date() });
    }
    const loop = reg.world.garbage();
    await loop.pass();
    expect(reg.keys(scratchBucket)).toHaveLength(1_000);
    await loop.pass();
    expect(reg.keys(scratchBucket)).toHaveLength(750);
    reg.world.store.put(scratchBucket, `logs/${task.task_id}/00001.jsonl`, "x", { modifiedAt: old() });
    await loop.pass();
    expect(reg.keys(scratchBucket)).toHaveLength(750);
  });
});
