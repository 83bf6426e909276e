/** Going back to an earlier commit: what readers, writers and other datasets see of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { caller, Registry } from "./testing/registry.ts";
import { until, waitingForLocks } from "./testing/world.ts";

let reg: Registry;
beforeAll(async () => {
  reg = await Registry.open({ events: true });
});
afterAll(() => reg.world.close());
beforeEach(() => reg.world.clear());

const revert = (dataset: string, request: Parameters<typeof reg.world.reverts.revert>[2]) =>
  reg.world.reverts.revert(caller, dataset, request);

describe("a revert", () => {
  test("is a commit with the files of the one it goes back to, and every version stays what it was", async () => {
    const made = [await reg.commit("plain"), await reg.commit("plain"), await reg.commit("plain")];
    const commit = await revert("plain", { to: 1, expected_head: 3, reason: "wrong source" });
    expect(commit).toMatchObject({
      commit: 4,
      kind: "revert",
      reverted_to: 1,
      actor: "ada",
      reason: "wrong source",
      rows: 1,
      files: 1,
      task_id: null,
      lease_no: null,
      dag_version: null,
      inputs: [],
    });
    expect(await reg.leases("plain")).toEqual([made[0]?.lease_no]);
    for (const [index, task] of made.entries()) {
      expect(await reg.leases("plain", { version: index + 1 })).toEqual([task.lease_no]);
    }
    const forward = await revert("plain", { to: 3, expected_head: 4 });
    expect(forward.commit).toBe(5);
    expect(await reg.leases("plain")).toEqual([made[2]?.lease_no]);
    expect(await reg.leases("plain", { version: 4 })).toEqual([made[0]?.lease_no]);
    expect((await reg.world.datasets.get(reg.world.orgId, "plain")).commits).toHaveLength(5);
  });

  test("is recorded with who did it, and told outside", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    await reg.world.db.raw("delete from outbox");
    await revert("plain", { to: 1, expected_head: 2, reason: "why not" });
    const audit = await reg.world.db.raw("select actor, action, detail from audit_log");
    const detail = { dataset: "plain", generation: 1, commit: 3, to: 1, reason: "why not" };
    expect(audit).toEqual([{ actor: "ada", action: "dataset.revert", detail }]);
    const [row] = await reg.world.db.raw<{ events: unknown }>("select events from outbox where lane = 'events'");
    expect(row?.events).toMatchObject([
      { type: "dataset.reverted", detail: { org: "main", dataset: "plain", generation: 1, commit: 3 } },
    ]);
  });

  test("to 0 empties the dataset and keeps its columns", async () => {
    await reg.commit("plain");
    await revert("plain", { to: 0, expected_head: 1 });
    expect(await reg.world.read("plain")).toMatchObject({ commit: 2, files: [], schema: [{ name: "x" }] });
    const again = await reg.commit("plain");
    expect(await reg.leases("plain")).toEqual([again.lease_no]);
  });

  test("starts the readers of the dataset, which read what it brought back", async () => {
    const first = await reg.commit("plain");
    await reg.commit("derived");
    await reg.commit("plain");
    await reg.commit("derived");
    expect(await reg.world.count("ready")).toBe(0);
    reg.world.wakeups.length = 0;
    await revert("plain", { to: 1, expected_head: 2 });
    expect(await reg.world.count("ready")).toBe(1);
    expect(reg.world.wakeups).toHaveLength(1);
    const reader = await reg.take("derived");
    expect(reader.inputs).toMatchObject([{ dataset: "plain", commit: 3 }]);
    const [input] = await reg.world.resolver.resolveForLease(reader.lease_no);
    expect(input?.files[0]?.key).toContain(first.staging[0]?.prefix);
    expect(await reg.world.succeed(reader)).toMatchObject({ commits: [{ outcome: "committed" }] });
  });
});

describe("of some partitions", () => {
  test("leaves the others as they are, and only what changed is touched", async () => {
    const p1 = await reg.commit("split", "p1");
    const p2 = await reg.commit("split", "p2");
    await reg.commit("split", "p1");
    const p2b = await reg.commit("split", "p2");
    const commit = await revert("parts", { to: 2, expected_head: 4, partitions: ["p1", "p3"] });
    expect(commit).toMatchObject({ commit: 5, partitions: 1 });
    expect(await reg.leases("parts")).toEqual([p1.lease_no, p2b.lease_no]);
    await revert("parts", { to: 2, expected_head: 5 });
    expect(await reg.leases("parts")).toEqual([p1.lease_no, p2.lease_no]);
    const rows = await reg.world.db.raw(
      "select partition_key, head_commit, reverted_commit, lease_no from partitions order by 1",
    );
    expect(rows).toEqual([
      { partition_key: "p1", head_commit: 5, reverted_commit: 5, lease_no: p1.lease_no },
      { partition_key: "p2", head_commit: 6, reverted_commit: 6, lease_no: p2.lease_no },
    ]);
  });

  test("that did not exist then takes them away, and they are missing again", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    await revert("parts", { to: 1, expected_head: 2 });
    const { partitions, missing } = await reg.world.datasets.partitions(reg.world.orgId, "parts", { limit: 10 });
    expect(partitions.map((one) => one.partition)).toEqual(["p1"]);
    expect(missing).toEqual(["p2", "p3"]);
  });

  test("that would be the whole of a commit made from one attempt carries its fingerprint, one of several does not", async () => {
    const fingerprint = "f".repeat(64);
    const task = await reg.take("plain");
    const output = reg.world.stage(task, undefined, (manifest) => ({ ...manifest, fingerprint }));
    await reg.world.complete(task, { kind: "success", outputs: [output] });
    await reg.commit("plain");
    await revert("plain", { to: 1, expected_head: 2 });
    const again = await reg.take("plain");
    expect(again.staging[0]?.previous?.fingerprint).toBe(fingerprint);
    const unchanged = { dataset: "plain", unchanged: true as const, fingerprint };
    expect(await reg.world.complete(again, { kind: "success", outputs: [unchanged] })).toMatchObject({
      accepted: true,
      commits: [{ commit: 3, outcome: "unchanged" }],
    });
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    await revert("parts", { to: 0, expected_head: 2 });
    expect(await reg.world.count("commits", "kind = 'revert' and fingerprint is not null")).toBe(1);
  });
});

describe("of an append", () => {
  test("takes its slices away for good, until they are asked for by hand", async () => {
    const first = await reg.commit("log");
    const second = await reg.take("log");
    await reg.world.succeed(second);
    await revert("log", { to: 1, expected_head: 2 });
    expect(await reg.leases("log")).toEqual([first.lease_no]);
    const keys = await reg.world.db.raw("select reverted_commit from append_keys order by commit_no");
    expect(keys).toEqual([{ reverted_commit: null }, { reverted_commit: 3 }]);
    await revert("log", { to: 2, expected_head: 3 });
    expect(await reg.leases("log")).toEqual([first.lease_no, second.lease_no]);
    const back = await reg.world.db.raw(
      "select commit_no, lease_no, reverted_commit from append_keys order by commit_no",
    );
    expect(back).toEqual([
      { commit_no: 1, lease_no: first.lease_no, reverted_commit: null },
      { commit_no: 2, lease_no: second.lease_no, reverted_commit: null },
    ]);
  });

  test("that was claimed before it and commits after it adds its slice once", async () => {
    await reg.commit("log");
    await reg.commit("log");
    const running = await reg.take("log");
    await revert("log", { to: 1, expected_head: 2 });
    expect(await reg.world.succeed(running)).toMatchObject({ accepted: true, commits: [{ outcome: "committed" }] });
    expect(await reg.leases("log")).toHaveLength(2);
  });
});

describe("an attempt claimed before a revert of its partition", () => {
  test("does not overwrite what was brought back, and its task runs again", async () => {
    const first = await reg.commit("plain");
    await reg.commit("plain");
    const running = await reg.take("plain");
    await revert("plain", { to: 1, expected_head: 2 });
    expect(await reg.world.succeed(running)).toMatchObject({ accepted: true, commits: [{ outcome: "superseded" }] });
    expect(await reg.leases("plain")).toEqual([first.lease_no]);
    const again = await reg.take("plain");
    expect(again.task_id).toBe(running.task_id);
    expect(await reg.world.succeed(again)).toMatchObject({ commits: [{ outcome: "committed" }] });
  });

  test("nor when it waits for the lock that the revert holds", async () => {
    const first = await reg.commit("plain");
    await reg.commit("plain");
    const running = await reg.take("plain");
    const held = reg.world.race.pauseAt("revert:locked");
    const reverting = revert("plain", { to: 1, expected_head: 2 });
    await held.reached;
    const completing = reg.world.succeed(running);
    await until(async () => (await waitingForLocks(reg.world.db)) > 0);
    held.resume();
    await reverting;
    expect(await completing).toMatchObject({ commits: [{ outcome: "superseded" }] });
    expect(await reg.leases("plain")).toEqual([first.lease_no]);
  });

  test("nor when the revert took the whole partition away", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    const running = await reg.take("split", "p2");
    await revert("parts", { to: 1, expected_head: 2 });
    expect(await reg.world.succeed(running)).toMatchObject({ commits: [{ outcome: "superseded" }] });
    expect(await reg.world.read("parts")).toMatchObject({ files: [{ partition: "p1" }] });
  });
});

describe("a revert is refused", () => {
  test("when the head moved on, and nothing is changed", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    const commit = reg.world.succeed(await reg.take("plain"));
    await commit;
    await expect(revert("plain", { to: 1, expected_head: 2 })).rejects.toMatchObject({
      code: "TR-4023",
      message: expect.stringContaining("commit 3, not 2"),
    });
    expect(await reg.world.count("commits", "kind = 'revert'")).toBe(0);
    expect(await reg.world.count("audit_log")).toBe(0);
  });

  test("when a commit that it meets at the lock is first", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    const slow = reg.world.race.pauseAt("complete:published");
    const committing = reg.world.succeed(await reg.take("plain"));
    await slow.reached;
    const reverting = revert("plain", { to: 1, expected_head: 2 }).catch((error: unknown) => error);
    await until(async () => (await waitingForLocks(reg.world.db)) > 0);
    slow.resume();
    await committing;
    expect(await reverting).toMatchObject({ code: "TR-4023" });
  });

  test.each([
    ["to the head", { to: 2, expected_head: 2 }, "TR-4027"],
    ["to what is beyond the head", { to: 3, expected_head: 2 }, "TR-4020"],
    ["of partitions that are not there", { to: 1, expected_head: 2, partitions: ["nothing", ""] }, "TR-4033"],
  ])("%s", async (_, request, code) => {
    await reg.commit("plain");
    await reg.commit("plain");
    await expect(revert("plain", request)).rejects.toMatchObject({ code });
    expect(await reg.world.count("commits")).toBe(2);
  });

  test("of a partition that is mistyped, with the one that was meant, beside others that are right", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    const head = { to: 1, expected_head: 2 };
    await expect(revert("parts", { ...head, partitions: ["p2", "pp1"] })).rejects.toMatchObject({
      code: "TR-4033",
      message: "dataset 'parts' has no partition 'pp1'",
      fix: "did you mean 'p1'? 'trace dataset partitions parts' lists those there are",
    });
    await expect(revert("parts", { ...head, partitions: ["p1"] })).rejects.toMatchObject({
      code: "TR-4027",
      message: "partition 'p1' of 'parts' at the head, commit 2, and at commit 1 hold the same files",
    });
    expect(await reg.world.count("commits")).toBe(2);
    await revert("parts", { ...head, partitions: ["p2"] });
    // It is not there any more, but was: a revert brings it back.
    await revert("parts", { to: 2, expected_head: 3, partitions: ["p2"] });
    expect(await reg.world.count("partitions")).toBe(2);
  });

  test("to a commit with the same files, to one that was purged, and of a dataset that is not there", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    await reg.commit("plain");
    await revert("plain", { to: 2, expected_head: 3 });
    await expect(revert("plain", { to: 2, expected_head: 4 })).rejects.toMatchObject({ code: "TR-4027" });
    await reg.world.purges.purge(caller, "plain", { before: 2, dry_run: false });
    await expect(revert("plain", { to: 1, expected_head: 4 })).rejects.toMatchObject({ code: "TR-4021" });
    await expect(revert("nowhere", { to: 1, expected_head: 1 })).rejects.toMatchObject({ code: "TR-1006" });
  });
});

describe("the same call again, because its answer was lost", () => {
  test("is answered with the commit that the first one made, also when the dataset went on", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    const lost = reg.world.race.pauseAt("revert:committed");
    const first = revert("plain", { to: 1, expected_head: 2 }).catch((error: unknown) => error);
    await lost.reached;
    lost.fail(new Error("the connection broke"));
    expect(await first).toMatchObject({ message: "the connection broke" });
    expect(await revert("plain", { to: 1, expected_head: 2 })).toMatchObject({ commit: 3, kind: "revert" });
    await reg.commit("plain");
    expect(await revert("plain", { to: 1, expected_head: 2 })).toMatchObject({ commit: 3 });
    expect(await reg.world.count("commits", "kind = 'revert'")).toBe(1);
  });

  test("but another call is not: of somebody else, to another commit, for another reason, of other partitions", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    await revert("parts", { to: 2, expected_head: 4, partitions: ["p1"] });
    const moved = { code: "TR-4023" };
    const same = { to: 2, expected_head: 4, partitions: ["p1"] };
    expect(await revert("parts", same)).toMatchObject({ commit: 5 });
    await expect(reg.world.reverts.revert({ orgId: 1, name: "bob" }, "parts", same)).rejects.toMatchObject(moved);
    await expect(revert("parts", { ...same, to: 1 })).rejects.toMatchObject(moved);
    await expect(revert("parts", { ...same, reason: "x" })).rejects.toMatchObject(moved);
    await expect(revert("parts", { ...same, partitions: ["p2"] })).rejects.toMatchObject(moved);
    await expect(revert("parts", { to: 2, expected_head: 4 })).rejects.toMatchObject(moved);
  });

  test("two at once make one commit", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    const request = { to: 1, expected_head: 2 };
    const both = await Promise.all([revert("plain", request), revert("plain", request)]);
    expect(both.map((commit) => commit.commit)).toEqual([3, 3]);
    expect(await reg.world.count("commits")).toBe(3);
  });
});

describe("columns", () => {
  const columns = (...names: string[]) => names.map((name) => ({ name, type: "BIGINT" }));

  async function commitWith(job: string, partition: string | undefined, names: string[]): Promise<void> {
    const task = await reg.take(job, partition);
    const output = reg.world.stage(task, undefined, (manifest) => ({ ...manifest, schema: columns(...names) }));
    expect(await reg.world.complete(task, { kind: "success", outputs: [output] })).toMatchObject({ accepted: true });
  }

  const names = async (dataset: string) => (await reg.world.read(dataset)).schema.map((column) => column.name);

  test("go back with the data, and a column that comes anew gets an id of its own", async () => {
    await commitWith("plain", undefined, ["x"]);
    await commitWith("plain", undefined, ["x", "y"]);
    await revert("plain", { to: 1, expected_head: 2 });
    expect(await names("plain")).toEqual(["x"]);
    await commitWith("plain", undefined, ["x", "z"]);
    const { schema } = await reg.world.read("plain");
    expect(schema.map((column) => column.field_id)).toEqual([1, 3]);
  });

  test("of partitions that go back alone are those of both, with the ids they had", async () => {
    await commitWith("split", "p1", ["x"]);
    await commitWith("split", "p2", ["x", "y"]);
    await commitWith("split", "p1", ["x", "y"]);
    await revert("parts", { to: 1, expected_head: 3 });
    await commitWith("split", "p3", ["x", "z"]);
    await revert("parts", { to: 3, expected_head: 5, partitions: ["p2"] });
    const { schema } = await reg.world.read("parts");
    expect(schema.map((column) => [column.name, column.field_id])).toEqual([
      ["x", 1],
      ["z", 3],
      ["y", 2],
    ]);
  });
});
