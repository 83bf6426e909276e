import { type DatasetDiff, type ResolvedFile, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { FakeEngine, fakeResult } from "../testing/fake-engine.ts";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { partitionedDiff, sampleDataset, sampleDiff, sampleNowMs } from "../testing/samples.ts";

const stack = new FakeStack();
let engine = new FakeEngine();
let diff: DatasetDiff = sampleDiff();
let files: Record<number, ResolvedFile[]> = {};
const asked: unknown[] = [];
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, parts: { engine: async () => engine }, ...options });

/** Rows as the SELECT of the comparison answers them. */
const found = [
  ["+", 312, 12, 1, 0, "2026-11-23 07:59", 4.2, "Japan"],
  ["-", 312, 12, 1, 0, "2026-11-22 07:59", 1.2, null],
  ["<", 312, 12, 1, 0, "2026-11-23 07:00", 4.2, "Chile"],
  [">", 312, 12, 1, 0, "2026-11-23 07:00", 4.4, "Chile, coast"],
];

beforeAll(() => stack.start());
beforeEach(() => {
  engine = new FakeEngine();
  engine.answer = { ...fakeResult, rows: found };
  diff = sampleDiff();
  stack.fetched.length = 0;
  asked.length = 0;
  const shared = stack.addObject("quakes/shared.parquet", Buffer.from("shared"));
  files = {
    2: [shared, stack.addObject("quakes/old.parquet", Buffer.from("old"))],
    3: [shared, stack.addObject("quakes/new.parquet", Buffer.from("new"))],
  };
  stack.answers.listDatasets = async () => ({ datasets: [sampleDataset()] });
  stack.answers.diffDataset = async ({ params, query }) => {
    asked.push(query);
    if (params.name !== "quakes") throw new TraceError("TR-1006", { detail: "no such dataset" });
    return diff;
  };
  stack.answers.resolveDatasets = async ({ body }) => ({
    datasets: (body.datasets ?? []).map(({ dataset, version = 0 }) => {
      const { schema } = sampleDataset();
      return { dataset, generation: 1, commit: version, committed_at: null, schema, files: files[version] ?? [] };
    }),
  });
});
afterAll(() => stack.stop());

test("rows are compared over the files that only one version has, and the rest is not fetched", async () => {
  const { code, stdout } = await harness().run("dataset", "diff", "quakes", "--key", "time");
  expect(code).toBe(0);
  expect(stack.fetched.sort()).toEqual(["/trace-datasets/quakes/new.parquet", "/trace-datasets/quakes/old.parquet"]);
  expect(engine.read).toEqual(["old", "new"]);
  expect(stdout.split("\n")).toEqual([
    "quakes, commit 2 to 3",
    "  from  commit 2  2026-11-23 06:00:10 UTC (2 h ago)  1,611 rows, 80 kB in 1 file",
    "  to    commit 3  2026-11-23 08:00:10 UTC (now)  1,707 rows, 84 kB in 1 file",
    "  sum   +96 rows, +4.2 kB",
    "",
    "Rows  -12 removed, +312 added, ~1 changed",
    "     time              magnitude  place",
    "  -  2026-11-22 07:59        1.2  null",
    "  +  2026-11-23 07:59        4.2  Japan",
    "  ~  time 2026-11-23 07:00  magnitude 4.2 → 4.4, place Chile → Chile, coast",
    "  and 322 more",
    "",
  ]);
});

test("commits are passed on; without them the dispatcher decides", async () => {
  await harness().run("dataset", "diff", "quakes", "--no-rows");
  await harness().run("dataset", "diff", "quakes", "1", "--no-rows");
  await harness().run("dataset", "diff", "quakes", "1", "3", "--no-rows");
  expect(asked).toEqual([{}, { from: 1 }, { from: 1, to: 3 }]);
  expect(engine.ran).toBeUndefined();
});

test("columns and partitions that differ are shown with their sizes before and after", async () => {
  const { schema } = sampleDataset();
  const [time, magnitude, place] = schema;
  if (time === undefined || magnitude === undefined || place === undefined) throw new Error("sample");
  diff = partitionedDiff();
  diff.from.schema = [time, { name: "magnitude", type: "FLOAT" }, { name: "old", type: "DATE" }];
  diff.to.schema = [time, magnitude, place];
  const { stdout, stderr } = await harness({ columns: 100, env: { NO_COLOR: "1" } }).run(
    "dataset",
    "diff",
    "quakes",
    "--no-rows",
  );
  expect(stdout.split("\n").slice(5)).toEqual([
    "Schema",
    "     column     type",
    "  ~  magnitude  FLOAT → DOUBLE",
    "  +  place      VARCHAR",
    "  -  old        DATE",
    "",
    "Partitions  3 changed, 5 unchanged",
    "     partition  rows before    after            size before   after",
    "  -  2000-12        400,000           -400,000       1.6 MB",
    "  ~  2001-03        500,000  500,120      +120       2.0 MB  2.0 MB",
    "  +  2001-07                 600,000  +600,000               2.4 MB",
    "",
  ]);
  expect(stderr).toContain("rows were not compared: --no-rows");
});

test("too much to fetch is said with its size, and done when it is asked for", async () => {
  const [, one] = files[3] ?? [];
  if (one === undefined) throw new Error("sample");
  files[3] = [{ ...one, bytes: 3 * 1024 ** 3 }];
  const { code, stderr } = await harness().run("dataset", "diff", "quakes");
  expect(code).toBe(0);
  expect(stderr).toContain("3.2 GB of files differ, and at most 537 MB are fetched unasked");
  expect(stderr).toContain("compare them all the same with --rows");
  expect(stack.fetched).toEqual([]);
  // It is tried then: the object is not what the sizes say.
  expect((await harness().run("dataset", "diff", "quakes", "--rows")).stderr).toContain("TR-7006");
});

test("JSON has the dispatcher's answer, the columns and the rows, and nothing else is written", async () => {
  const { stdout, stderr } = await harness().run("dataset", "diff", "quakes", "--key", "time", "--json");
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toMatchObject({
    ...diff,
    column_changes: [],
    rows: {
      compared: true,
      key: ["time"],
      added: 312,
      removed: 12,
      changed: 1,
      sample: [
        { change: "removed", row: { magnitude: 1.2, place: null } },
        { change: "added", row: { place: "Japan" } },
        { change: "changed", before: { magnitude: 4.2 }, after: { magnitude: 4.4 } },
      ],
    },
  });
  const without = JSON.parse(
    (await harness().run("dataset", "diff", "quakes", "--no-rows", "--json")).stdout,
  ) as object;
  expect(without).toMatchObject({ rows: { compared: false, why: "--no-rows" } });
});

test("of a partitioned dataset only the files of partitions that differ are asked for", async () => {
  const bodies: unknown[] = [];
  const answer = stack.answers.resolveDatasets;
  stack.answers.resolveDatasets = (...call) => {
    bodies.push(call[0].body.datasets?.map((one) => one.partitions));
    if (answer === undefined) throw new Error("no answer");
    return answer(...call);
  };
  diff = partitionedDiff();
  await harness().run("dataset", "diff", "quakes");
  diff = { ...partitionedDiff(), partitions_changed: 30_000 };
  await harness().run("dataset", "diff", "quakes");
  diff = sampleDiff();
  await harness().run("dataset", "diff", "quakes");
  const keys = ["2000-12", "2001-03", "2001-07"];
  expect(bodies).toEqual([
    [keys, keys],
    [undefined, undefined],
    [undefined, undefined],
  ]);
});

test("more files than one answer takes are not compared, and the rest of the difference stands", async () => {
  stack.answers.resolveDatasets = async () => {
    throw new TraceError("TR-4026", { detail: "60,000 files are more than one call names" });
  };
  const { code, stdout, stderr } = await harness().run("dataset", "diff", "quakes");
  expect(code).toBe(0);
  expect(stdout).toContain("quakes, commit 2 to 3");
  expect(stderr).toContain("rows were not compared: 60,000 files are more than one call names");
});

test("the same files in both are no difference, and DuckDB is not started", async () => {
  files[3] = files[2] ?? [];
  const { stdout } = await harness().run("dataset", "diff", "quakes");
  expect(stdout).toContain("Rows  no row removed, no row added");
  expect(engine.ran).toBeUndefined();
});

test("a key that is no column gets the one that was meant, before anything is fetched", async () => {
  const { code, stderr } = await harness().run("dataset", "diff", "quakes", "--key", "tme");
  expect(code).toBe(2);
  expect(stderr).toContain("did you mean 'time'?");
  expect(stack.fetched).toEqual([]);
});

test("a key that several rows have is warned of, and a diff with neither asks for one", async () => {
  engine.answer = { ...fakeResult, rows: found.map((row) => row.with(4, 3)) };
  expect((await harness().run("dataset", "diff", "quakes", "--key", "time")).stderr).toContain("time is no key");
  expect((await harness().run("dataset", "diff", "quakes")).stderr).toContain("--key <columns>");
});

test.each([
  [["quaks"], 1, "did you mean 'quakes'"],
  [["quakes", "x"], 2, "whole number"],
  [["quakes", "-1"], 2, "TR-7001"],
])("%j ends with %i", async (argv, exit, text) => {
  const { code, stdout, stderr } = await harness().run("dataset", "diff", ...argv);
  expect({ code, stdout }).toEqual({ code: exit, stdout: "" });
  expect(stderr).toContain(text);
});

test("a version that was purged is told as the dispatcher tells it", async () => {
  stack.answers.diffDataset = async () => {
    throw new TraceError("TR-4021", { detail: "commit 1 of 'quakes' was purged" });
  };
  const { code, stderr } = await harness().run("dataset", "diff", "quakes", "1");
  expect([code, stderr.split("\n")[0]]).toEqual([1, "error TR-4021: commit 1 of 'quakes' was purged"]);
});
