import { TraceError } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness } from "../testing/harness.ts";
import { sampleCommit, sampleDataset, sampleNowMs } from "../testing/samples.ts";

const stack = new FakeStack();
const harness = () => new Harness({ cwd: stack.cwd, nowMs: sampleNowMs });
const empty = sampleDataset({
  name: "by_region",
  head: 0,
  committed_at: null,
  rows: 0,
  bytes: 0,
  files: 0,
  schema: [],
});
const detail = {
  ...sampleDataset(),
  commits: [sampleCommit({ inputs: [{ dataset: "raw", generation: 1, commit: 12 }] }), sampleCommit({ commit: 2 })],
};

const getDataset = async ({ params }: { readonly params: { readonly name: string } }) => {
  if (params.name === "quakes") return detail;
  throw new TraceError("TR-1006", { detail: `no dataset ${params.name}` });
};

beforeAll(async () => {
  await stack.start();
  stack.answers.listDatasets = async () => ({ datasets: [sampleDataset(), empty] });
  stack.answers.getDataset = getDataset;
});
afterAll(() => stack.stop());

test("a list shows head, size and who makes it; an empty one says so", async () => {
  const { code, stdout, stderr } = await harness().run("dataset", "list");
  expect(code).toBe(0);
  expect(stdout.split("\n")).toEqual([
    "dataset    commit   rows   size  columns  committed  made by",
    "quakes          3  1,707  84 kB        3  now        quakes.ingest_quakes",
    "by_region    none                                    quakes.ingest_quakes",
    "",
  ]);
  expect(stderr).toContain("2 datasets");
});

test("show gives schema, head, size and the lineage of each commit", async () => {
  const { code, stdout } = await harness().run("dataset", "show", "quakes");
  expect(code).toBe(0);
  expect(stdout).toContain("commit 3, 2026-11-23 08:00:10 UTC (now)");
  expect(stdout).toContain("1,707 rows, 84 kB in 1 file");
  expect(stdout).toContain("magnitude  DOUBLE");
  expect(stdout).toMatch(/3 {2}replace {2}now +1,707 {2}84 kB {2}\S+ {2}abababababab {2}raw 12/);
});

test("show marks commits that were given up", async () => {
  const purged = sampleCommit({ commit: 2, purged_at: "2026-11-23T08:00:10.000Z" });
  const reverted = sampleCommit({ commit: 1, kind: "revert", reverted_to: 0, purged_at: "2026-11-23T08:00:10.000Z" });
  stack.answers.getDataset = async () => ({ ...detail, commits: [...detail.commits, purged, reverted] });
  const { stdout } = await harness().run("dataset", "show", "quakes");
  stack.answers.getDataset = getDataset;
  expect(stdout).toMatch(/3 {2}replace {2,}now/);
  expect(stdout).toMatch(/2 {2}replace, purged {2,}now/);
  expect(stdout).toMatch(/1 {2}revert to 0, purged {2,}now/);
});

test("both answer as JSON with nothing else on standard output", async () => {
  const list = await harness().run("dataset", "list", "--json");
  expect(JSON.parse(list.stdout)).toEqual({ datasets: [sampleDataset(), empty] });
  const show = await harness().run("dataset", "show", "quakes", "--json");
  expect(JSON.parse(show.stdout)).toEqual(detail);
  expect(list.stderr + show.stderr).toBe("");
});

test("a mistyped name gets the one that was meant", async () => {
  const { code, stdout, stderr } = await harness().run("dataset", "show", "quaks");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("error TR-1006: there is no dataset 'quaks'");
  expect(stderr).toContain("fix:   did you mean 'quakes'? 'trace dataset list' shows the 2 there are");
  expect(stderr).not.toContain("why:");
});

test.each(["a b", "Quakes", "1st", "", "x".repeat(129), "a/../b"])(
  "%j is no name: said before any call",
  async (name) => {
    const { code, stderr } = await new Harness({ cwd: "/" }).run("dataset", "show", name);
    expect(code).toBe(2);
    expect(stderr).toContain("TR-7001");
    expect(stderr.replaceAll(/\s+/g, " ")).toContain("lower-case letters, digits and _");
    expect(stderr).not.toContain("openapi");
  },
);

test("a name like no other gets the way to the list", async () => {
  expect((await harness().run("dataset", "show", "weather")).stderr).toContain("trace dataset list");
});
