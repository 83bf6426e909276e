/** Giving up old commits: what goes, what stays, and what is in the way. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { garbageFilesGraceMs, purgeCommitsMax, purgeFilesMax } from "./limits.ts";
import { caller, leaseOf, Registry } from "./testing/registry.ts";
import { until, waitingForLocks } from "./testing/world.ts";

let reg: Registry;
beforeAll(async () => {
  reg = await Registry.open();
});
afterAll(() => reg.world.close());
beforeEach(() => reg.world.clear());

const purge = (dataset: string, before: number, parts: { generation?: number; dry_run?: boolean } = {}) =>
  reg.world.purges.purge(caller, dataset, { before, dry_run: false, ...parts });
const garbage = async () =>
  (await reg.world.db.raw<{ object_key: string }>("select object_key from garbage_files order by 1")).map((row) =>
    leaseOf(row.object_key),
  );

async function commits(count: number): Promise<number[]> {
  const made: number[] = [];
  for (let n = 0; n < count; n += 1) made.push((await reg.commit("plain")).lease_no);
  return made;
}

describe("a purge", () => {
  test("gives up what is below the bound, its files wait for their readers, and the rest is as it was", async () => {
    const made = await commits(4);
    const dry = await purge("plain", 3, { dry_run: true });
    expect(dry).toMatchObject({
      dataset: "plain",
      generation: 1,
      before: 3,
      commits: 2,
      kept: 0,
      files: 2,
      dry_run: true,
    });
    expect(dry.bytes).toBeGreaterThan(0);
    expect(await reg.world.count("commits", "purged_at is not null")).toBe(0);
    expect(await purge("plain", 3)).toEqual({ ...dry, dry_run: false });
    expect(await garbage()).toEqual(made.slice(0, 2));
    const [row] = await reg.world.db.raw<{ ms: number }>(
      "select min(extract(epoch from not_before - clock_timestamp()) * 1000)::float8 as ms from garbage_files",
    );
    expect(row?.ms).toBeGreaterThan(garbageFilesGraceMs - 60_000);
    await expect(reg.world.read("plain", { version: 2 })).rejects.toMatchObject({ code: "TR-4021" });
    expect(await reg.leases("plain", { version: 3 })).toEqual([made[2]]);
    expect(await reg.leases("plain")).toEqual([made[3]]);
    const audit = await reg.world.db.raw("select actor, action, detail from audit_log");
    expect(audit).toEqual([
      { actor: "ada", action: "dataset.purge", detail: { dataset: "plain", generation: 1, before: 3, commits: 2 } },
    ]);
  });

  test("does not take away what is committed between its steps", async () => {
    const held = reg.world.race.pauseAt("purge:marked");
    const purging = purge("plain", 1);
    await held.reached;
    const [made] = await commits(1);
    held.resume();
    expect(await purging).toMatchObject({ commits: 0, files: 0 });
    expect(await reg.leases("plain")).toEqual([made]);
  });

  test("again has nothing left to do, and says so", async () => {
    await commits(3);
    await purge("plain", 3);
    expect(await purge("plain", 3)).toMatchObject({ commits: 0, kept: 0, files: 0, bytes: 0 });
    expect(await reg.world.count("audit_log")).toBe(1);
  });

  test("leaves a file that a kept commit has, whichever commit made it", async () => {
    const p1 = await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    await reg.commit("split", "p2");
    expect(await purge("parts", 3)).toMatchObject({ commits: 2, files: 1 });
    expect(await reg.leases("parts", { partitions: ["p1"] })).toEqual([p1.lease_no]);
  });

  test("leaves an object that a revert named again, until that commit goes too", async () => {
    const made = await commits(2);
    await reg.revert("plain", 1);
    expect(await purge("plain", 3)).toMatchObject({ commits: 2, files: 1 });
    expect(await garbage()).toEqual([made[1]]);
    expect(await reg.leases("plain")).toEqual([made[0]]);
    await commits(1);
    expect(await purge("plain", 4)).toMatchObject({ commits: 1, files: 1 });
    expect(await garbage()).toEqual([made[0], made[1]]);
  });

  test("of more than one transaction takes is done all the same, and counts each object once", async () => {
    await commits(1);
    const generation = await reg.generation("plain");
    const many = purgeCommitsMax + 5;
    await reg.world.db.raw(`
      insert into commits (generation_id, commit_no, org_id, kind, committed_at, task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count)
      select generation_id, commit_no + n, org_id, kind, committed_at + n * interval '1 ms', task_id, lease_no + 1000 + n, dag_version_id, schema, 1, 1, 1
        from commits, generate_series(1, ${many}) n;
      update generations set head_commit = ${many + 1} where generation_id = ${generation};
      update commit_files set removed_commit = 2;
      insert into commit_files (generation_id, partition_key, added_commit, removed_commit, object_key, byte_count, row_count, sha256, columns)
      select ${generation}, 'f' || f, n, n + 1, 'd/x/a/y/' || n || '-' || f, 1, 1, repeat('0', 64), '[]'
        from generate_series(2, ${many}) n, generate_series(1, ${Math.ceil(purgeFilesMax / many) + 1}) f`);
    const files = (many - 1) * (Math.ceil(purgeFilesMax / many) + 1) + 1;
    expect(files).toBeGreaterThan(purgeFilesMax);
    expect(await purge("plain", many + 1)).toMatchObject({ commits: many, files });
    expect(await reg.world.count("garbage_files")).toBe(files);
    expect(await reg.world.count("commits", "purged_at is null")).toBe(1);
  });

  test("that broke off after it marked the commits is taken up by the next call", async () => {
    await commits(3);
    const broken = reg.world.race.pauseAt("purge:marked");
    const first = purge("plain", 3).catch((error: unknown) => error);
    await broken.reached;
    broken.fail(new Error("killed"));
    expect(await first).toMatchObject({ message: "killed" });
    await expect(reg.world.read("plain", { version: 1 })).rejects.toMatchObject({ code: "TR-4021" });
    expect(await reg.world.count("garbage_files")).toBe(0);
    expect(await purge("plain", 3)).toMatchObject({ commits: 0, files: 2 });
  });
});

describe("what is held is kept and counted", () => {
  test("by a pin, until it is taken away", async () => {
    const made = await commits(4);
    const pin = await reg.world.pins.create(caller, { dataset: "plain", commit: 2, holder: "report" });
    const dry = await purge("plain", 4, { dry_run: true });
    expect(dry).toMatchObject({ commits: 2, kept: 1, files: 2 });
    expect(await purge("plain", 4)).toEqual({ ...dry, dry_run: false });
    expect(await reg.leases("plain", { version: 2 })).toEqual([made[1]]);
    await reg.world.pins.drop(caller, pin.pin_id);
    expect(await purge("plain", 4)).toMatchObject({ commits: 1, kept: 0, files: 1 });
  });

  test("by a pin only as long as it lasts", async () => {
    await commits(2);
    await reg.world.pins.create(caller, { dataset: "plain", commit: 1, expires_at: "2999-01-01T00:00:00Z" });
    expect(await purge("plain", 2)).toMatchObject({ commits: 0, kept: 1, files: 0 });
    await reg.world.db.raw("update pins set expires_at = clock_timestamp() - interval '1 second'");
    expect(await reg.world.pins.list(1, undefined)).toEqual([]);
    expect(await purge("plain", 2)).toMatchObject({ commits: 1, kept: 0, files: 1 });
  });

  test("by an attempt that reads it, until it ends", async () => {
    const made = await commits(1);
    const reader = await reg.take("derived");
    await commits(1);
    expect(await purge("plain", 2)).toMatchObject({ commits: 0, kept: 1 });
    const [input] = await reg.world.resolver.resolveForLease(reader.lease_no);
    expect(input?.files.map((file) => leaseOf(file.key))).toEqual(made);
    await reg.world.succeed(reader);
    expect(await purge("plain", 2)).toMatchObject({ commits: 1, kept: 0 });
  });

  test("by a claim that pins it while the purge waits", async () => {
    await commits(1);
    const generation = await reg.generation("plain");
    const session = await reg.world.db.session();
    await session.raw("begin");
    await session.raw("select 1 from generations where generation_id = $1 for key share", [generation]);
    await commits(1);
    const purging = purge("plain", 2);
    await until(async () => (await waitingForLocks(reg.world.db)) > 0);
    await session.raw(
      "insert into attempt_inputs (lease_no, generation_id, commit_no) select lease_no, $1, 1 from leases limit 1",
      [generation],
    );
    await session.raw(
      "insert into pins (public_id, org_id, holder, generation_id, commit_no) values (gen_random_uuid(), 1, 'x', $1, 1)",
      [generation],
    );
    await session.raw("commit");
    session.release();
    expect(await purging).toMatchObject({ commits: 0, kept: 1 });
  });
});

describe("a purge is refused", () => {
  test("where it would give up the head, and of what is not there", async () => {
    await commits(2);
    await expect(purge("plain", 3)).rejects.toMatchObject({
      code: "TR-4024",
      message: expect.stringContaining("head, 2"),
    });
    await expect(purge("plain", 3, { dry_run: true })).rejects.toMatchObject({ code: "TR-4024" });
    await expect(purge("nowhere", 1)).rejects.toMatchObject({ code: "TR-1006" });
    await expect(purge("plain", 1, { generation: 9 })).rejects.toMatchObject({ code: "TR-4020" });
    expect(await reg.world.count("commits", "purged_at is not null")).toBe(0);
  });

  test("of an old generation is not: it goes whole, head and all", async () => {
    await commits(2);
    const old = await reg.generation("plain");
    await reg.world.db.raw(`
      insert into generations (org_id, dataset_id, number, storage_id, strategy)
      select org_id, dataset_id, 2, 'zzzzzzzzzzzzzzzzzzzz', 'replace' from generations where generation_id = ${old};
      update datasets d set current_generation_id = g.generation_id from generations g where g.dataset_id = d.dataset_id and g.number = 2`);
    try {
      const dry = await purge("plain", 3, { generation: 1, dry_run: true });
      expect(dry).toMatchObject({ commits: 2, files: 2 });
      expect(await purge("plain", 3, { generation: 1 })).toEqual({ ...dry, dry_run: false });
      await expect(reg.world.read("plain", { generation: 1 })).rejects.toMatchObject({ code: "TR-4021" });
      expect(await reg.world.count("commit_files", `generation_id = ${old}`)).toBe(0);
    } finally {
      await reg.world.db.raw(`
        update datasets set current_generation_id = ${old} where name = 'plain';
        delete from generations where number = 2`);
    }
  });
});

describe("a pin", () => {
  test("is of the head unless a commit is named, shows in a list and is recorded", async () => {
    await commits(2);
    const head = await reg.world.pins.create(caller, { dataset: "plain" });
    expect(head).toMatchObject({ dataset: "plain", generation: 1, commit: 2, holder: "ada", expires_at: null });
    const first = await reg.world.pins.create(caller, { dataset: "plain", commit: 1, holder: "report" });
    expect(await reg.world.pins.list(1, "plain")).toEqual([first, head]);
    expect(await reg.world.pins.list(1, "other")).toEqual([]);
    await reg.world.pins.drop(caller, head.pin_id);
    expect(await reg.world.pins.list(1, undefined)).toEqual([first]);
    const actions = await reg.world.db.raw<{ action: string }>("select action from audit_log order by audit_id");
    expect(actions.map((row) => row.action)).toEqual(["dataset.pin", "dataset.pin", "dataset.unpin"]);
  });

  test("is refused of what is not there, not yet there, or gone", async () => {
    await expect(reg.world.pins.create(caller, { dataset: "plain" })).rejects.toMatchObject({ code: "TR-4012" });
    await commits(2);
    await expect(reg.world.pins.create(caller, { dataset: "plain", commit: 3 })).rejects.toMatchObject({
      code: "TR-4020",
    });
    await expect(reg.world.pins.create(caller, { dataset: "nowhere" })).rejects.toMatchObject({ code: "TR-1006" });
    await purge("plain", 2);
    await expect(reg.world.pins.create(caller, { dataset: "plain", commit: 1 })).rejects.toMatchObject({
      code: "TR-4021",
    });
    await expect(reg.world.pins.drop(caller, "0198c7a2-0000-7000-8000-000000000000")).rejects.toMatchObject({
      code: "TR-1006",
    });
  });

  test("that ended before it began, or that is one too many, is refused", async () => {
    await commits(1);
    const ended = reg.world.pins.create(caller, { dataset: "plain", expires_at: "2001-01-01T00:00:00Z" });
    await expect(ended).rejects.toMatchObject({ code: "TR-1002" });
    await reg.world.db.raw(`
      insert into pins (public_id, org_id, holder, generation_id, commit_no)
      select gen_random_uuid(), 1, 'x', ${await reg.generation("plain")}, 1 from generate_series(1, 10000)`);
    await expect(reg.world.pins.create(caller, { dataset: "plain" })).rejects.toMatchObject({ code: "TR-4028" });
  });
});
