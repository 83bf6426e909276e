/** What readers are given: at the head, at a commit, at a moment, of some partitions; and what they are refused. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { resolvedFilesMax, settleLockMs } from "./limits.ts";
import { caller, Registry } from "./testing/registry.ts";
import { until, waitingForLocks } from "./testing/world.ts";

let reg: Registry;
beforeAll(async () => {
  reg = await Registry.open();
});
afterAll(() => reg.world.close());
beforeEach(() => reg.world.clear());

const resolve = (asked: Parameters<typeof reg.world.resolver.resolve>[1]) =>
  reg.world.resolver.resolve(reg.world.orgId, asked, false);

async function timeOf(dataset: string, commit: number): Promise<string> {
  return (await reg.world.read(dataset, { version: commit })).committed_at ?? "";
}

/** Now by the database's clock, to the microsecond. */
async function now(): Promise<string> {
  const [row] = await reg.world.db.raw<{ at: string }>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`,
  );
  return row?.at ?? "";
}

/** A moment some microseconds from another. */
async function shifted(time: string, microseconds: number): Promise<string> {
  const [row] = await reg.world.db.raw<{ at: string }>(
    `select to_char(($1::timestamptz + $2 * interval '1 microsecond') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`,
    [time, microseconds],
  );
  return row?.at ?? "";
}

describe("a version", () => {
  test("is read as it was, whatever came later", async () => {
    const made = [await reg.commit("plain"), await reg.commit("plain"), await reg.commit("plain")];
    for (const [index, task] of made.entries()) {
      expect(await reg.leases("plain", { version: index + 1 })).toEqual([task.lease_no]);
    }
    expect(await reg.leases("plain")).toEqual([made[2]?.lease_no]);
  });

  test("that does not exist is refused with what there is", async () => {
    await reg.commit("plain");
    const asked = reg.world.read("plain", { version: 2 });
    await expect(asked).rejects.toMatchObject({ code: "TR-4020", message: expect.stringContaining("head is 1") });
    await expect(reg.world.read("plain", { generation: 7 })).rejects.toMatchObject({ code: "TR-4020" });
    await expect(reg.world.read("nowhere")).rejects.toMatchObject({ code: "TR-1006" });
  });

  test("of partitions has their files alone, each with its key, and nothing of keys that are not there", async () => {
    const p1 = await reg.commit("split", "p1");
    const p2 = await reg.commit("split", "p2");
    const again = await reg.commit("split", "p1");
    expect(await reg.leases("parts", { partitions: ["p1"] })).toEqual([again.lease_no]);
    expect(await reg.leases("parts", { partitions: ["p1", "p1"], version: 2 })).toEqual([p1.lease_no]);
    expect(await reg.leases("parts", { partitions: ["p2", "nothing"] })).toEqual([p2.lease_no]);
    const { files } = await reg.world.read("parts");
    expect(files.map((file) => file.partition)).toEqual(["p1", "p2"]);
  });

  test("before the first commit has no files, no schema and no time", async () => {
    expect(await reg.world.read("plain")).toMatchObject({ commit: 0, files: [], schema: [], committed_at: null });
  });
});

describe("a moment", () => {
  test("is exact to the microsecond, and what a commit says of its time is that time", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    const second = await timeOf("plain", 2);
    expect(second).toMatch(/\.\d{6}Z$/);
    expect((await reg.world.read("plain", { timestamp: second })).commit).toBe(2);
    expect((await reg.world.read("plain", { timestamp: await shifted(second, -1) })).commit).toBe(1);
    const { commits } = await reg.world.datasets.get(reg.world.orgId, "plain");
    expect(commits[0]?.committed_at).toBe(second);
  });

  test("before the first commit is refused, and so is one that is still to come", async () => {
    await reg.commit("plain");
    const early = reg.world.read("plain", { timestamp: await shifted(await timeOf("plain", 1), -1) });
    await expect(early).rejects.toMatchObject({ code: "TR-4020" });
    const late = reg.world.read("plain", { timestamp: "2999-01-01T00:00:00Z" });
    await expect(late).rejects.toMatchObject({ code: "TR-4022", why: expect.stringContaining("clock") });
    await expect(reg.world.read("other", { timestamp: "2999-01-01T00:00:00Z" })).rejects.toMatchObject({
      code: "TR-4022",
    });
  });

  test("after the head waits for a commit that is on its way and read the clock before it", async () => {
    await reg.commit("plain");
    const slow = reg.world.race.pauseAt("complete:published");
    const task = await reg.take("plain");
    const committing = reg.world.succeed(task);
    await slow.reached;
    // The commit has its time by now, and is not seen by anybody.
    const moment = await now();
    const reading = reg.world.read("plain", { timestamp: moment });
    await until(async () => (await waitingForLocks(reg.world.db)) > 0);
    slow.resume();
    await committing;
    expect(await reading).toMatchObject({ commit: 2 });
    expect(await reg.world.read("plain", { timestamp: moment })).toMatchObject({ commit: 2 });
  });

  test("that a commit keeps unsettled for too long is refused, and may be asked for again", async () => {
    await reg.commit("plain");
    const slow = reg.world.race.pauseAt("complete:published");
    const committing = reg.world.succeed(await reg.take("plain"));
    await slow.reached;
    const timestamp = await now();
    const beganAt = performance.now();
    await expect(reg.world.read("plain", { timestamp })).rejects.toMatchObject({ code: "TR-4022", retryable: true });
    expect(performance.now() - beganAt).toBeLessThan(settleLockMs + 5_000);
    slow.resume();
    await committing;
    expect(await reg.world.read("plain", { timestamp: await timeOf("plain", 2) })).toMatchObject({ commit: 2 });
  });

  test("of the head or before is answered while a commit is on its way", async () => {
    await reg.commit("plain");
    const first = await timeOf("plain", 1);
    const slow = reg.world.race.pauseAt("complete:published");
    const committing = reg.world.succeed(await reg.take("plain"));
    await slow.reached;
    expect(await reg.world.read("plain", { timestamp: first })).toMatchObject({ commit: 1 });
    slow.resume();
    await committing;
  });

  test("is settled for good: a commit that begins while it is read has a later time", async () => {
    await reg.commit("plain");
    const held = reg.world.race.pauseAt("resolve:settled");
    const timestamp = await now();
    const reading = reg.world.read("plain", { timestamp });
    await held.reached;
    const committing = reg.world.succeed(await reg.take("plain"));
    await until(async () => (await waitingForLocks(reg.world.db)) > 0);
    held.resume();
    expect(await reading).toMatchObject({ commit: 1 });
    await committing;
    expect((await timeOf("plain", 2)) > timestamp).toBe(true);
    expect(await reg.world.read("plain", { timestamp })).toMatchObject({ commit: 1 });
  });
});

describe("several datasets", () => {
  test("are answered in the order asked for, one at several versions too", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    await reg.commit("other");
    const seen = await resolve([
      { dataset: "plain", version: 1 },
      { dataset: "other" },
      { dataset: "plain", timestamp: await timeOf("plain", 2) },
    ]);
    expect(seen.map((one) => `${one.dataset} ${one.commit}`)).toEqual(["plain 1", "other 1", "plain 2"]);
  });

  test("at one moment are held together: what commits to either meanwhile comes after it", async () => {
    await reg.commit("plain");
    await reg.commit("other");
    const held = reg.world.race.pauseAt("resolve:settled");
    const timestamp = await now();
    const asked = ["other", "plain"].map((dataset) => ({ dataset, timestamp }));
    const reading = resolve(asked);
    await held.reached;
    const tasks = [await reg.take("plain"), await reg.take("other")];
    const committing = Promise.all(tasks.map((task) => reg.world.succeed(task)));
    await until(async () => (await waitingForLocks(reg.world.db)) > 1);
    held.resume();
    expect((await reading).map((one) => one.commit)).toEqual([1, 1]);
    await committing;
    expect((await resolve(asked)).map((one) => one.commit)).toEqual([1, 1]);
    expect((await resolve([{ dataset: "other" }, { dataset: "plain" }])).map((one) => one.commit)).toEqual([2, 2]);
  });

  test("with more files than one answer names are refused, and some partitions are not", async () => {
    const task = await reg.commit("split", "p1");
    const generation = await reg.generation("parts");
    await reg.world.db.raw(
      `insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns)
       select ${generation}, 'p2', 1, 'd/x/a/y/' || n, 1, 1, repeat('0', 64), '[]' from generate_series(1, ${resolvedFilesMax}) n`,
    );
    const refused = { code: "TR-4026", fix: expect.stringContaining("partitions") };
    await expect(reg.world.read("parts")).rejects.toMatchObject(refused);
    await expect(resolve([{ dataset: "parts", partitions: ["p1", "p2"] }])).rejects.toMatchObject(refused);
    expect(await reg.leases("parts", { partitions: ["p1"] })).toEqual([task.lease_no]);
  });
});

test("a link is given only when asked for", async () => {
  await reg.commit("plain");
  const [plain] = await resolve([{ dataset: "plain" }]);
  expect(plain?.files[0]).not.toHaveProperty("url");
  const [linked] = await reg.world.resolver.resolve(reg.world.orgId, [{ dataset: "plain" }], true);
  expect(linked?.files[0]?.url).toContain("signed");
});

describe("the inputs of an attempt", () => {
  test("are those it pinned, also when the dataset went on", async () => {
    const first = await reg.commit("plain");
    const reader = await reg.take("derived");
    await reg.commit("plain");
    const [input] = await reg.world.resolver.resolveForLease(reader.lease_no);
    expect(input).toMatchObject({
      dataset: "plain",
      commit: 1,
      files: [{ key: expect.stringContaining(first.staging[0]?.prefix ?? "-") }],
    });
  });

  test("of which the news are read are the files that came since, and none that a revert only brought back", async () => {
    await reg.commit("log");
    await reg.commit("news");
    const second = await reg.commit("log");
    const reader = await reg.take("news");
    const read = async (lease: number) =>
      (await reg.world.resolver.resolveForLease(lease))[0]?.files.map((file) => file.key);
    expect(await read(reader.lease_no)).toEqual([expect.stringContaining(second.staging[0]?.prefix ?? "-")]);
    await reg.world.succeed(reader);
    // Taken back to the first, and forward again: the second was read already.
    await reg.revert("log", 1);
    await reg.revert("log", 2);
    expect(await reg.leases("log")).toHaveLength(2);
    const after = await reg.take("news");
    expect(after.inputs[0]).toMatchObject({ from: 2, commit: 4 });
    expect(await read(after.lease_no)).toEqual([]);
  });
});

test("a purged version is refused, also when the purge comes between the look at it and its files", async () => {
  await reg.commit("plain");
  await reg.commit("plain");
  const held = reg.world.race.pauseAt("resolve:picked");
  const reading = reg.world.read("plain", { version: 1 });
  await held.reached;
  await reg.world.purges.purge(caller, "plain", { before: 2, dry_run: false });
  held.resume();
  await expect(reading).rejects.toMatchObject({ code: "TR-4021" });
  await expect(reg.world.read("plain", { version: 1 })).rejects.toMatchObject({ code: "TR-4021" });
  const moment = reg.world.read("plain", { timestamp: await shifted(await timeOf("plain", 2), -1) });
  await expect(moment).rejects.toMatchObject({ code: "TR-4021" });
  expect(await reg.world.read("plain")).toMatchObject({ commit: 2, files: [{ rows: 1 }] });
});
