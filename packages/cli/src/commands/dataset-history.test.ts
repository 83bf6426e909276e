/** What looks at a dataset's past: history, lineage, preview, partitions. */
import { stripVTControlCharacters } from "node:util";
import { type ResolvedFile, TraceError } from "@trace/contracts";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { lineageLines } from "../datasets/lineage-view.ts";
import { noColors } from "../terminal/ansi.ts";
import { columnsOf } from "../terminal/width.ts";
import { FakeEngine } from "../testing/fake-engine.ts";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { historyCommit, sampleDataset, sampleLineage, sampleNowMs } from "../testing/samples.ts";
import { filesFor } from "./dataset-preview.ts";

const stack = new FakeStack();
let engine = new FakeEngine();
let files: ResolvedFile[] = [];
const asked: unknown[] = [];
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, parts: { engine: async () => engine }, ...options });

beforeAll(() => stack.start());
beforeEach(() => {
  engine = new FakeEngine();
  asked.length = 0;
  files = [stack.addObject("quakes/part-0.parquet", Buffer.from("one"))];
  stack.fetched.length = 0;
  const { answers } = stack;
  answers.listDatasets = async () => ({ datasets: [sampleDataset()] });
  answers.listCommits = async ({ query }) => {
    asked.push(query);
    return {
      commits: [
        historyCommit({
          commit: 16,
          kind: "revert",
          reverted_to: 12,
          producer: null,
          task_id: null,
          actor: "owner",
          reason: "bad file",
          rows_delta: -96,
          bytes_delta: -4_211,
        }),
        historyCommit({
          commit: 15,
          inputs: [{ dataset: "raw", generation: 1, commit: 4 }],
          rows_delta: 0,
          bytes_delta: 0,
        }),
        historyCommit({
          commit: 14,
          kind: "append",
          purged_at: "2026-11-23T08:00:10.000Z",
          rows_delta: null,
          bytes_delta: null,
        }),
      ],
      next: "c2",
    };
  };
  answers.getLineage = async ({ query }) => {
    asked.push(query);
    return sampleLineage();
  };
  answers.resolveDatasets = async ({ body }) => {
    asked.push(body);
    const { schema } = sampleDataset();
    return {
      datasets: [
        { dataset: "quakes", generation: 1, commit: 12, committed_at: "2026-11-23T07:00:10.000Z", schema, files },
      ],
    };
  };
  answers.listPartitions = async ({ query }) => {
    asked.push(query);
    const one = { rows: 500_000, bytes: 2_100_000, files: 1, commit: 15, committed_at: "2026-11-23T07:00:10.000Z" };
    return {
      dataset: "quakes",
      generation: 1,
      commit: 15,
      partitions: [
        { ...one, partition: "2001-01" },
        { ...one, partition: "2001-02" },
      ],
      partitions_total: 2,
      missing: ["2001-03"],
      next: null,
    };
  };
});
afterAll(() => stack.stop());

test("history says of each commit what it did, changed, who made it, from what or why", async () => {
  const { code, stdout, stderr } = await harness().run("dataset", "history", "quakes", "--limit", "3");
  expect(code).toBe(0);
  expect(asked).toEqual([{ limit: 3 }]);
  expect(stdout.split("\n")).toEqual([
    "commit  what            when                      rows        size           made by               from, or why",
    "    16  revert to 12    2026-11-23 08:00:10 UTC  1,707  -96  84 kB  -4.2 kB  owner                 bad file",
    "    15  replace         2026-11-23 08:00:10 UTC  1,707   ±0  84 kB       ±0  quakes.ingest_quakes  raw 4",
    "    14  append, purged  2026-11-23 08:00:10 UTC  1,707       84 kB           quakes.ingest_quakes",
    "",
  ]);
  expect(stderr).toContain("3 commits, and there are more");
  expect(stderr).toContain("trace dataset history quakes --cursor c2");
});

test("on a narrow terminal the history still fits", async () => {
  const { stdout } = await harness({ columns: 80 }).run("dataset", "history", "quakes");
  for (const line of stripVTControlCharacters(stdout).split("\n")) expect(columnsOf(line)).toBeLessThanOrEqual(80);
});

test("lineage is a tree of commits with the code that made them, then who reads it", async () => {
  const { code, stdout } = await harness().run("dataset", "lineage", "by_region", "--commit", "9");
  expect(code).toBe(0);
  expect(asked).toEqual([{ commit: 9 }]);
  expect(stdout.split("\n")).toEqual([
    "by_region 9  replace, 12 rows, now",
    "│  by quakes.by_region, version 3 (abababababab), task 3f9ac01b22d4 attempt 1",
    "├─ quakes 12  revert, 1,707 rows, now",
    "│     by owner",
    "└─ regions 1  no longer known: purged, or too far up",
    "",
    "Read by",
    "  daily 4  now  by quakes.daily, version 3 (abababababab), task 3f9ac01b22d4 attempt 2",
    "",
  ]);
});

test("a commit that was read twice is told once, a circle ends, and a lonely commit has no readers", () => {
  const view = { nowMs: sampleNowMs, width: 80, palette: noColors };
  const lineage = sampleLineage();
  const [root, quakes] = lineage.nodes;
  if (root === undefined || quakes === undefined) throw new Error("sample");
  const twice = {
    ...lineage,
    readers: [],
    nodes: [
      { ...root, inputs: [quakes, quakes] },
      { ...quakes, inputs: [root] },
    ],
  };
  const lines = lineageLines(twice, view);
  expect(lines.filter((line) => line.includes("(see above)"))).toHaveLength(2);
  expect(lines.at(-1)).toBe("  nothing was made from it");
});

test("no line of a tree reaches the last column, and a thousand inputs are cut and counted", () => {
  const lineage = sampleLineage();
  const [root] = lineage.nodes;
  if (root === undefined) throw new Error("sample");
  const inputs = Array.from({ length: 1_000 }, (_, index) => ({ dataset: `raw_${index}`, generation: 1, commit: 1 }));
  fc.assert(
    fc.property(fc.integer({ min: 40, max: 160 }), (width) => {
      const lines = lineageLines(
        { ...lineage, nodes: [{ ...root, inputs }] },
        { nowMs: sampleNowMs, width, palette: noColors },
      );
      expect(lines.length).toBeLessThan(220);
      for (const line of lines) expect(columnsOf(line)).toBeLessThan(width);
    }),
    { numRuns: 20 },
  );
});

test.each([
  [[], { names: ["quakes"], presign: true }],
  [["--commit", "12"], { datasets: [{ dataset: "quakes", version: 12 }], presign: true }],
  [["--as-of", "12"], { datasets: [{ dataset: "quakes", version: 12 }], presign: true }],
  [["--as-of", "1h"], { datasets: [{ dataset: "quakes", timestamp: "2026-11-23T07:00:10.000Z" }], presign: true }],
])("a preview with %j asks for that version", async (argv, body) => {
  const { code, stdout, stderr } = await harness().run("dataset", "preview", "quakes", ...argv);
  expect(code).toBe(0);
  expect(asked).toEqual([body]);
  expect(engine.ran).toMatchObject({ sql: "SELECT * FROM quakes LIMIT 20" });
  expect(stdout).toContain("Japan, east");
  expect(stderr).toContain("commit 12 of quakes (2026-11-23 07:00:10 UTC)");
});

test("a preview fetches no more files than its rows need", () => {
  const file = (rows: number) => ({ bucket: "b", key: "k", bytes: 1, rows, sha256: "a" });
  expect(filesFor([file(5), file(0), file(15), file(9)], 20)).toHaveLength(3);
  expect(filesFor([file(5)], 20)).toHaveLength(1);
  expect(filesFor([], 20)).toEqual([]);
});

test("a preview takes a commit or a time, not both; an empty dataset says so", async () => {
  const both = await harness().run("dataset", "preview", "quakes", "--commit", "1", "--as-of", "1h");
  expect([both.code, both.stdout]).toEqual([2, ""]);
  stack.answers.resolveDatasets = async () => ({
    datasets: [{ dataset: "quakes", generation: 1, commit: 0, committed_at: null, schema: [], files: [] }],
  });
  expect((await harness().run("dataset", "preview", "quakes")).stderr).toContain("TR-4012");
});

test("partitions are listed with their sizes, and the missing ones with what makes them", async () => {
  const { code, stdout, stderr } = await harness().run("dataset", "partitions", "quakes");
  expect(code).toBe(0);
  expect(stdout.split("\n")).toEqual([
    "partition     rows    size  files  commit  committed",
    "2001-01    500,000  2.1 MB      1      15  1 h ago",
    "2001-02    500,000  2.1 MB      1      15  1 h ago",
    "",
    "missing: 2001-03",
    "",
  ]);
  expect(stderr).toContain("2 partitions, 1 missing");
  expect(stderr).toContain("trace dataset repair quakes");
});

test.each(["history", "lineage", "preview", "partitions"])(
  "%s of a mistyped name gets the one that was meant",
  async (command) => {
    const unknown = async () => {
      throw new TraceError("TR-1006", { detail: "no such dataset" });
    };
    Object.assign(stack.answers, {
      listCommits: unknown,
      getLineage: unknown,
      resolveDatasets: unknown,
      listPartitions: unknown,
    });
    const { code, stdout, stderr } = await harness().run("dataset", command, "quaks");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("did you mean 'quakes'?");
  },
);
