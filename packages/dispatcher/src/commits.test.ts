/** Commits: a manifest is believed in nothing; numbers have no gap; readers see an attempt's files whole or not at all. */
import { manifestBytesMax } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { datasetsBucket, diamondDag, World } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

type Change = Parameters<World["stage"]>[2];
type Manifest = Parameters<NonNullable<Change>>[0];

async function claimA() {
  const [id = ""] = await world.create("diamond", "a");
  const [task] = await world.claim(await world.session(), 1, [id]);
  if (task === undefined) throw new Error("a was not claimed");
  return task;
}

/** Changes the one file that the manifest names. */
function file(change: (file: Manifest["files"][number], manifest: Manifest) => object): Change {
  return (manifest) => {
    const [only] = manifest.files;
    if (only === undefined) throw new Error("no file");
    const changed = { ...only, ...change(only, manifest) };
    return { ...manifest, bytes: changed.bytes, rows: changed.rows, files: [changed] };
  };
}

describe("a manifest that lies is refused, nothing is published, and the lease is kept", () => {
  const lies: [string, string, Change][] = [
    ["names a file that is not there", "TR-4002", file((f) => ({ key: f.key.replace("0.parquet", "1.parquet") }))],
    ["names a file of another prefix", "TR-4003", file(() => ({ key: "d/other/a/x/0.parquet" }))],
    ["names its own prefix as a file", "TR-4003", file((f) => ({ key: f.key.replace("data/0.parquet", "") }))],
    ["climbs out by ..", "TR-4003", file((f) => ({ key: f.key.replace("data/", "data/../../other/") }))],
    ["names an empty part", "TR-4003", file((f) => ({ key: f.key.replace("data/", "data//") }))],
    ["names a dot part", "TR-4003", file((f) => ({ key: f.key.replace("data/", "./") }))],
    ["starts like the prefix and is another", "TR-4003", file((f) => ({ key: f.key.replace("/data/", "x/data/") }))],
    ["says another size", "TR-4004", file((f) => ({ bytes: f.bytes + 1 }))],
    ["says another checksum", "TR-4004", file(() => ({ sha256: "0".repeat(64) }))],
    ["is for another dataset", "TR-4001", (m) => ({ ...m, dataset: "ds_b" })],
    ["is for another task", "TR-4001", (m) => ({ ...m, task_id: "0198c7a2-0000-7000-8000-000000000000" })],
    ["is for another lease", "TR-4001", (m) => ({ ...m, lease_no: m.lease_no + 1 })],
    ["names a partition", "TR-4001", (m) => ({ ...m, partition: "p" })],
    ["has wrong rows in total", "TR-4001", (m) => ({ ...m, rows: m.rows + 1 })],
    ["has wrong bytes in total", "TR-4001", (m) => ({ ...m, bytes: m.bytes - 1 })],
    ["names a file twice", "TR-4001", (m) => ({ ...m, bytes: m.bytes * 2, rows: 2, files: [...m.files, ...m.files] })],
    ["names no file", "TR-4001", (m) => ({ ...m, bytes: 0, rows: 0, files: [] })],
    ["has a column with NUL in its name", "TR-4001", (m) => ({ ...m, schema: [{ name: "a\0", type: "BIGINT" }] })],
    ["has negative rows", "TR-4001", file(() => ({ rows: -1 }))],
    ["is of an unknown format", "TR-4001", (m) => ({ ...m, format: "trace-manifest-2" })],
    ["is not JSON", "TR-4001", () => "{"],
    ["is JSON and no manifest", "TR-4001", () => "[]"],
    ["is too large", "TR-4009", () => `"${"x".repeat(manifestBytesMax)}"`],
  ];
  test.each(lies)("%s (%s)", async (_, code, change) => {
    const task = await claimA();
    const staged = world.stage(task, undefined, change);
    const answer = await world.complete(task, { kind: "success", outputs: [staged] });
    expect(answer).toMatchObject({ accepted: false, error: { code } });
    expect(answer.error?.detail).not.toContain("\0");
    expect(await world.count("commits")).toBe(0);
    expect(await world.count("leases")).toBe(1);
    expect(await world.succeed(task)).toMatchObject({ accepted: true });
  });

  test("is not the one that the caller named", async () => {
    const task = await claimA();
    const staged = { ...world.stage(task), manifest_sha256: "0".repeat(64) };
    expect(await world.complete(task, { kind: "success", outputs: [staged] })).toMatchObject({
      error: { code: "TR-4001" },
    });
  });

  test("lies under another attempt's prefix, or is not there", async () => {
    const task = await claimA();
    const staged = world.stage(task);
    const foreign = { ...staged, manifest_key: "d/other/manifest.json" };
    expect(await world.complete(task, { kind: "success", outputs: [foreign] })).toMatchObject({
      error: { code: "TR-4003" },
    });
    const missing = { ...staged, manifest_key: staged.manifest_key.replace("manifest", "other") };
    expect((await world.complete(task, { kind: "success", outputs: [missing] })).accepted).toBe(false);
    expect(await world.count("commits")).toBe(0);
  });

  test("names a file that the store holds without a checksum", async () => {
    const task = await claimA();
    const staged = world.stage(task);
    const place = task.staging[0];
    world.store.put(datasetsBucket, `${place?.prefix}data/0.parquet`, `rows of lease ${task.lease_no}`, {
      checksum: false,
    });
    expect(await world.complete(task, { kind: "success", outputs: [staged] })).toMatchObject({
      error: { code: "TR-4004" },
    });
  });
});

describe("the outputs named", () => {
  test("must be exactly those of the job", async () => {
    const task = await claimA();
    const staged = world.stage(task);
    for (const outputs of [
      [],
      [staged, staged],
      [{ ...staged, dataset: "ds_b" }],
      [staged, { ...staged, dataset: "ds_b" }],
    ]) {
      expect(await world.complete(task, { kind: "success", outputs })).toMatchObject({ error: { code: "TR-4005" } });
    }
    expect(await world.count("commits")).toBe(0);
  });
});

test("a store that is away is retryable and keeps the lease; the same call later commits", async () => {
  const task = await claimA();
  const outputs = [world.stage(task)];
  world.store.away = true;
  const answer = await world.complete(task, { kind: "success", outputs });
  expect(answer).toMatchObject({ accepted: false, error: { code: "TR-4006" } });
  expect(await world.count("leases")).toBe(1);
  expect(await world.count("attempts")).toBe(0);
  world.store.away = false;
  expect(await world.complete(task, { kind: "success", outputs })).toMatchObject({ accepted: true });
});

test("values that Postgres cannot keep in a column's bounds become unknown, and the commit stands", async () => {
  const task = await claimA();
  const columns = [{ name: "x", type: "VARCHAR", min: "\0a", max: "z", null_count: 0 }];
  const staged = world.stage(
    task,
    undefined,
    file(() => ({ columns })),
  );
  expect(await world.complete(task, { kind: "success", outputs: [staged] })).toMatchObject({ accepted: true });
  const [kept] = await world.db.raw<{ columns: unknown }>("select columns from commit_files");
  expect(kept?.columns).toEqual([{ name: "x", type: "VARCHAR", min: null, max: "z", null_count: 0 }]);
});

describe("what readers see", () => {
  const resolve = async () => (await world.datasets.resolve(world.orgId, ["ds_a"], false))[0];

  test("of an attempt that failed, or was late, is nothing", async () => {
    const failed = await claimA();
    world.stage(failed);
    await world.fail(failed);
    await world.makeDue();
    const late = await world.claimOne();
    const outputs = [world.stage(late)];
    await world.expireSessions();
    await world.reap();
    expect((await world.complete(late, { kind: "success", outputs })).error?.code).toBe("TR-3001");
    expect(await resolve()).toMatchObject({ commit: 0, files: [] });
    const good = await world.claimOne();
    await world.succeed(good);
    const seen = await resolve();
    expect(seen?.commit).toBe(1);
    expect(seen?.files.map((one) => one.key)).toEqual([`${good.staging[0]?.prefix}data/0.parquet`]);
  });

  test("after a replace is the new files and none of the old, while the old commit keeps its own", async () => {
    await world.succeed(await claimA());
    const old = (await resolve())?.files[0]?.key;
    const reader = (await world.claim(await world.session(), 5)).find((task) => task.job.name === "b");
    const second = await claimA();
    await world.succeed(second);
    const seen = await resolve();
    expect(seen?.files).toHaveLength(1);
    expect(seen?.files[0]?.key).toContain(second.staging[0]?.prefix);
    expect((await world.datasets.resolveForLease(reader?.lease_no ?? 0))[0]?.files[0]?.key).toBe(old);
    expect(await world.datasets.get(world.orgId, "ds_a")).toMatchObject({ head: 2, files: 1, rows: 1 });
  });

  test("a link is given only when asked for", async () => {
    await world.succeed(await claimA());
    expect((await resolve())?.files[0]).not.toHaveProperty("url");
    expect((await world.datasets.resolve(world.orgId, ["ds_a"], true))[0]?.files[0]?.url).toContain("signed");
  });

  test("of a dataset that does not exist is a refusal that names it", async () => {
    const asked = world.datasets.resolve(world.orgId, ["ds_a", "nowhere"], false);
    await expect(asked).rejects.toMatchObject({ code: "TR-1006", message: expect.stringContaining("nowhere") });
    await expect(world.datasets.get(world.orgId, "nowhere")).rejects.toMatchObject({ code: "TR-1006" });
  });

  test("of several datasets is one snapshot: never a derived one newer than its source", async () => {
    let running = true;
    const writer = (async () => {
      for (let n = 0; n < 6; n += 1) {
        await world.runs.start(world.orgId, "diamond", undefined);
        for (;;) {
          const tasks = await world.claim(await world.session(), 5);
          if (tasks.length === 0) break;
          for (const task of tasks) await world.succeed(task);
        }
      }
      running = false;
    })();
    let looks = 0;
    while (running) {
      const seen = await world.datasets.resolve(world.orgId, ["ds_d", "ds_b", "ds_a"], false);
      const [d = 0, b = 0, a = 0] = seen.map((one) => one.commit);
      expect(a).toBeGreaterThanOrEqual(b);
      expect(b).toBeGreaterThanOrEqual(d);
      looks += 1;
    }
    await writer;
    expect(looks).toBeGreaterThan(3);
  });
});

test("commits of many writers at once are numbered without a gap, at times that strictly increase", async () => {
  // One dataset with several attempts about to commit: different jobs cannot write it, so the tasks are of one job and
  // their outputs are freed of the rule that one is live.
  const tasks = [];
  for (let n = 0; n < 15; n += 1) {
    tasks.push(await claimA());
    await world.db.raw("delete from live_outputs");
  }
  const answers = await Promise.all(tasks.map((task) => world.succeed(task)));
  expect(answers.every((answer) => answer.accepted)).toBe(true);
  const numbers = answers.map((answer) => answer.commits?.[0]?.commit ?? 0).sort((x, y) => x - y);
  expect(numbers).toEqual(Array.from({ length: 15 }, (_, n) => n + 1));
  const rows = await world.db.raw<{ later: boolean }>(
    "select committed_at > lag(committed_at) over (order by commit_no) as later from commits order by commit_no offset 1",
  );
  expect(rows).toHaveLength(14);
  expect(rows.every((row) => row.later)).toBe(true);
  expect(await world.count("commit_files", "removed_commit is null")).toBe(1);
});

test("a commit time does not go back when the clock does", async () => {
  await world.succeed(await claimA());
  await world.db.raw("update generations set head_committed_at = '2999-01-01'");
  await world.succeed(await claimA());
  const [row] = await world.db.raw<{ after: boolean }>(
    "select committed_at > '2999-01-01' as after from commits where commit_no = 2",
  );
  expect(row).toEqual({ after: true });
});
