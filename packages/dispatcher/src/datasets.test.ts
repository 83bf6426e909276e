/** How datasets came to be what they are: history, differences, lineage, partitions. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { caller, Registry } from "./testing/registry.ts";

let reg: Registry;
beforeAll(async () => {
  reg = await Registry.open();
});
afterAll(() => reg.world.close());
beforeEach(() => reg.world.clear());

const history = (name: string, query: { limit: number; cursor?: string } = { limit: 50 }) =>
  reg.world.datasets.history(reg.world.orgId, name, query);
const diff = (name: string, asked: { from?: number; to?: number } = {}) =>
  reg.world.diffs.diff(reg.world.orgId, name, asked);

describe("history", () => {
  test("is newest first, each commit with who made it of what, and what it added and took away", async () => {
    await reg.commit("plain");
    const reader = await reg.commit("derived");
    await reg.commit("plain");
    await reg.revert("plain", 1);
    const { commits, next } = await history("plain");
    expect(next).toBeNull();
    expect(commits.map((one) => [one.commit, one.kind, one.rows_delta])).toEqual([
      [3, "revert", 0],
      [2, "replace", 0],
      [1, "replace", 1],
    ]);
    expect(commits[0]).toMatchObject({ actor: "ada", reverted_to: 1, task_id: null, producer: null, inputs: [] });
    expect(commits[2]).toMatchObject({ producer: { dag: "reg", job: "plain" }, actor: null, purged_at: null });
    const [made] = (await history("derived")).commits;
    expect(made).toMatchObject({
      task_id: reader.task_id,
      lease_no: reader.lease_no,
      inputs: [{ dataset: "plain", generation: 1, commit: 1 }],
    });
  });

  test("comes in pages that new commits do not move", async () => {
    for (let n = 0; n < 5; n += 1) await reg.commit("plain");
    const first = await history("plain", { limit: 2 });
    expect(first.commits.map((one) => one.commit)).toEqual([5, 4]);
    await reg.commit("plain");
    const second = await history("plain", { limit: 2, cursor: first.next ?? "" });
    const third = await history("plain", { limit: 2, cursor: second.next ?? "" });
    expect([...second.commits, ...third.commits].map((one) => one.commit)).toEqual([3, 2, 1]);
    expect(third.next).toBeNull();
  });

  test("says what was purged; of that, and of the first that is kept, nobody knows any more what it took away", async () => {
    for (let n = 0; n < 3; n += 1) await reg.commit("plain");
    await reg.world.purges.purge(caller, "plain", { before: 2, dry_run: false });
    const { commits } = await history("plain");
    expect(commits.map((one) => [one.commit, one.purged_at !== null, one.rows_delta])).toEqual([
      [3, false, 0],
      [2, false, null],
      [1, true, null],
    ]);
  });

  test("of a dataset that is not there, or from a cursor that is none of ours, is refused", async () => {
    await expect(history("nowhere")).rejects.toMatchObject({ code: "TR-1006" });
    await reg.commit("plain");
    for (const cursor of [
      "x",
      "!!",
      Buffer.from("0").toString("base64url"),
      Buffer.from("a\0").toString("base64url"),
    ]) {
      await expect(history("plain", { limit: 2, cursor })).rejects.toMatchObject({ code: "TR-1002" });
    }
  });
});

describe("a difference", () => {
  test("names the partitions whose files are others, with what each side has, and counts the rest", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    await reg.commit("split", "p1");
    await reg.commit("split", "p3");
    const seen = await diff("parts", { from: 2, to: 4 });
    expect(seen).toMatchObject({
      dataset: "parts",
      from: { generation: 1, commit: 2, rows: 2, files: 2 },
      to: { commit: 4, rows: 3, files: 3 },
      partitions_changed: 2,
      partitions_unchanged: 1,
    });
    expect(seen.partitions).toEqual([
      {
        partition: "p1",
        before: { rows: 1, bytes: expect.any(Number), files: 1 },
        after: expect.objectContaining({ rows: 1 }),
      },
      { partition: "p3", before: null, after: expect.objectContaining({ files: 1 }) },
    ]);
  });

  test("the other way round says the same with the sides changed", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    const back = await diff("parts", { from: 2, to: 1 });
    expect(back).toMatchObject({
      from: { commit: 2 },
      to: { commit: 1 },
      partitions_changed: 1,
      partitions_unchanged: 1,
    });
    expect(back.partitions).toEqual([{ partition: "p2", before: expect.objectContaining({ rows: 1 }), after: null }]);
  });

  test("across a revert is none: the files are the same again", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p1");
    await reg.commit("split", "p2");
    await reg.revert("parts", 1);
    expect(await diff("parts", { from: 1, to: 4 })).toMatchObject({
      partitions: [],
      partitions_changed: 0,
      partitions_unchanged: 1,
    });
    expect((await diff("parts", { from: 3, to: 4 })).partitions.map((one) => one.partition)).toEqual(["p1", "p2"]);
  });

  test("is of the head with the commit before it unless told, and commit 0 is before the first", async () => {
    await reg.commit("plain");
    expect(await diff("plain")).toMatchObject({ from: { commit: 0, rows: 0, schema: [] }, to: { commit: 1, rows: 1 } });
    await reg.commit("plain");
    expect(await diff("plain")).toMatchObject({ from: { commit: 1 }, to: { commit: 2 }, partitions_changed: 1 });
    expect(await diff("plain", { from: 2, to: 2 })).toMatchObject({ partitions_changed: 0, partitions_unchanged: 1 });
  });

  test("with a commit that is not there, or that was purged, is refused", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    await expect(diff("plain", { from: 1, to: 3 })).rejects.toMatchObject({ code: "TR-4020" });
    await reg.world.purges.purge(caller, "plain", { before: 2, dry_run: false });
    await expect(diff("plain", { from: 1, to: 2 })).rejects.toMatchObject({ code: "TR-4021" });
    await expect(diff("nowhere")).rejects.toMatchObject({ code: "TR-1006" });
  });
});

describe("lineage", () => {
  const lineage = (name: string, commit?: number) => reg.world.lineages.get(reg.world.orgId, name, commit);

  test("goes up to the sources, by attempt and code, and down to what was made of the commit", async () => {
    const source = await reg.commit("plain");
    const reader = await reg.commit("derived");
    const up = await lineage("derived");
    expect(up.root).toEqual({ dataset: "derived", generation: 1, commit: 1 });
    expect(up.nodes.map((node) => [node.dataset, node.commit, node.task?.task_id])).toEqual([
      ["derived", 1, reader.task_id],
      ["plain", 1, source.task_id],
    ]);
    expect(up.nodes[0]).toMatchObject({
      kind: "replace",
      task: { attempt: 1, lease_no: reader.lease_no, dag: "reg", job: "derived", dag_number: 1 },
      inputs: [{ dataset: "plain", generation: 1, commit: 1 }],
    });
    expect(up.nodes[0]?.task?.dag_version).toMatch(/^[0-9a-f]{64}$/);
    expect(up).toMatchObject({ readers: [], more: false });
    const down = await lineage("plain", 1);
    expect(down.readers.map((node) => [node.dataset, node.commit])).toEqual([["derived", 1]]);
  });

  test("of a revert goes on with the commit that it brought back", async () => {
    await reg.commit("plain");
    await reg.commit("plain");
    await reg.revert("plain", 1);
    const { nodes } = await lineage("plain");
    expect(nodes.map((node) => [node.commit, node.kind, node.actor])).toEqual([
      [3, "revert", "ada"],
      [1, "replace", null],
    ]);
    expect(nodes[0]?.task).toBeNull();
  });

  test("of what is not there is refused", async () => {
    await expect(lineage("plain")).rejects.toMatchObject({ code: "TR-4012" });
    await expect(lineage("nowhere")).rejects.toMatchObject({ code: "TR-1006" });
    await reg.commit("plain");
    await expect(lineage("plain", 2)).rejects.toMatchObject({ code: "TR-4020" });
  });
});

describe("partitions", () => {
  const partitions = (name: string, query: { limit: number; cursor?: string } = { limit: 50 }) =>
    reg.world.datasets.partitions(reg.world.orgId, name, query);

  test("come by key in pages, with the commit that changed each last, and those that are missing", async () => {
    await reg.commit("split", "p1");
    await reg.commit("split", "p3");
    await reg.commit("split", "p1");
    const first = await partitions("parts", { limit: 1 });
    expect(first).toMatchObject({ dataset: "parts", generation: 1, commit: 3, partitions_total: 2, missing: ["p2"] });
    expect(first.partitions).toMatchObject([{ partition: "p1", commit: 3, rows: 1, files: 1 }]);
    const second = await partitions("parts", { limit: 1, cursor: first.next ?? "" });
    expect(second.partitions).toMatchObject([{ partition: "p3", commit: 2 }]);
    expect(second.next).toBeNull();
  });

  test("of a dataset that has none are one without a name, and none is missing", async () => {
    expect(await partitions("plain")).toMatchObject({ commit: 0, partitions: [], partitions_total: 0, missing: [] });
    await reg.commit("plain");
    expect(await partitions("plain")).toMatchObject({ partitions: [{ partition: "", commit: 1 }], missing: [] });
    await expect(partitions("nowhere")).rejects.toMatchObject({ code: "TR-1006" });
  });
});
