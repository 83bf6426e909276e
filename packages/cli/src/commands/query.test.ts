import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DatasetRequest, type ResolvedFile, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { FakeEngine, fakeResult as result } from "../testing/fake-engine.ts";
import { FakeStack, linkSecret } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { sampleDataset, sampleNowMs } from "../testing/samples.ts";

const stack = new FakeStack();
const cache = join(stack.state, "cache", "objects");
const content = Buffer.from("PAR1 first file PAR1");
let files: ResolvedFile[] = [];
let file = { sha256: "" } as ResolvedFile & { url: string };

/** Commits of a dataset, by what is asked for; the answer is in the order of the questions. */
const asked: DatasetRequest[][] = [];
function resolveVersions(): void {
  asked.length = 0;
  stack.answers.resolveDatasets = async ({ body }) => {
    asked.push(body.datasets ?? []);
    return {
      datasets: (body.datasets ?? []).map(({ dataset, version, timestamp }) => {
        const commit = version ?? (timestamp === undefined ? 15 : 12);
        return { dataset, generation: 1, commit, committed_at: null, schema: sampleDataset().schema, files };
      }),
    };
  };
}

let engine = new FakeEngine();
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, parts: { engine: async () => engine }, ...options });

beforeAll(() => stack.start());
beforeEach(() => {
  engine = new FakeEngine();
  file = stack.addObject("quakes/part-0.parquet", content);
  files = [file];
  stack.fetched.length = 0;
  stack.answers.listDatasets = async () => ({ datasets: [sampleDataset()] });
  stack.answers.resolveDatasets = async ({ body }) => ({
    datasets: (body.names ?? []).map((dataset) => {
      if (dataset !== "quakes") throw new TraceError("TR-1006", { detail: `no dataset ${dataset}` });
      return { dataset, generation: 1, commit: 3, committed_at: null, schema: sampleDataset().schema, files };
    }),
  });
});
afterAll(() => stack.stop());

test("a query fetches the files of the datasets it names, once, and runs over them", async () => {
  engine.names = ["Quakes", "quakes"];
  const { code, stdout, stderr } = await harness().run("query", "FROM quakes");
  expect(code).toBe(0);
  const { schema } = sampleDataset();
  expect(engine.ran?.inputs).toEqual([
    { name: "quakes", files: [join(cache, file.sha256)], format: "parquet", schema },
  ]);
  expect(engine.read).toEqual([content.toString()]);
  expect(stdout.split("\n")).toEqual([
    "place        quakes",
    "varchar      bigint",
    "Japan, east    1707",
    "null              3",
    "",
  ]);
  expect(stderr.trim()).toBe("2 rows, commit 3 of quakes, 20 B fetched, 42 ms");
  expect(engine.stopped).toBe(1);
  await harness().run("query", "FROM quakes");
  expect(stack.fetched).toEqual(["/trace-datasets/quakes/part-0.parquet"]);
});

test("the same rows as csv, json, jsonl and one JSON document", async () => {
  const out = async (...argv: string[]) => (await harness().run("query", "FROM quakes", ...argv)).stdout;
  const rows = [
    { place: "Japan, east", quakes: 1707 },
    { place: null, quakes: 3 },
  ];
  expect(await out("--format", "csv")).toBe('place,quakes\n"Japan, east",1707\n,3\n');
  expect(JSON.parse(await out("--format", "json"))).toEqual(rows);
  expect(
    (await out("--format", "jsonl"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual(rows);
  expect(JSON.parse(await out("--json"))).toEqual({
    columns: result.columns,
    rows,
    row_count: 2,
    truncated: false,
    datasets: [{ dataset: "quakes", generation: 1, commit: 3 }],
    elapsed_ms: 42,
  });
});

test("no rows are still a valid document in every format", async () => {
  engine.answer = { ...result, rows: [], rowCount: 0 };
  expect(JSON.parse((await harness().run("query", "FROM quakes", "--format", "json")).stdout)).toEqual([]);
  expect(JSON.parse((await harness().run("query", "FROM quakes", "--json")).stdout)).toMatchObject({ rows: [] });
});

test("rows left out are told on standard error", async () => {
  engine.answer = { ...result, truncated: true };
  const table = await harness().run("query", "FROM quakes", "--limit", "2");
  expect(engine.ran?.output).toMatchObject({ kind: "rows", rowsMax: 2 });
  expect(table.stderr).toContain("first 2 rows, commit 3");
  const csv = await harness().run("query", "FROM quakes", "--format", "csv");
  expect(csv.stderr).toContain("warning there are more rows: use --limit or --output FILE");
});

test("a query of no dataset needs no stack", async () => {
  engine.names = [];
  expect((await harness({ cwd: "/" }).run("query", "SELECT 1")).code).toBe(0);
});

test("--output writes the file whole, in the format of its ending, and replaces nothing unasked", async () => {
  const path = join(stack.cwd, "out.jsonl");
  const first = await harness().run("query", "FROM quakes", "--output", "out.jsonl");
  expect(first).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining(`written to ${path}`) });
  expect(readFileSync(path, "utf8").split("\n")[0]).toBe('{"place":"Japan, east","quakes":1707}');
  const second = await harness().run("query", "FROM quakes", "--output", "out.jsonl");
  expect(second).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("error TR-7005: the output file exists already"),
  });
  expect((await harness().run("query", "FROM quakes", "--output", "out.jsonl", "--force", "--json")).code).toBe(0);
  const nowhere = await harness().run("query", "FROM quakes", "--output", "no/such/folder/out.csv");
  expect(nowhere).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("TR-7005: the output file cannot be written"),
  });
});

test("a dataset without a commit is empty with its columns, or says that it has none", async () => {
  files = [];
  expect((await harness().run("query", "FROM quakes")).code).toBe(0);
  expect(engine.ran?.inputs[0]).toMatchObject({ files: [], schema: sampleDataset().schema });
  stack.answers.resolveDatasets = async () => ({
    datasets: [{ dataset: "quakes", generation: 1, commit: 0, committed_at: null, schema: [], files: [] }],
  });
  const { code, stderr } = await harness().run("query", "FROM quakes");
  expect(code).toBe(4);
  expect(stderr).toContain("error TR-4012: nothing has been committed to 'quakes' yet");
});

test("an unknown dataset gets the name that was meant", async () => {
  engine.names = ["quaks"];
  const { code, stderr } = await harness().run("query", "FROM quaks");
  expect(code).toBe(1);
  expect(stderr).toContain("did you mean 'quakes'?");
});

test("an error in the SQL keeps its place, and the child is stopped", async () => {
  engine.onRun = () => {
    throw new TraceError("TR-5200", { detail: "syntax error at 'FORM'", where: "line 1, column 10" });
  };
  const { code, stderr } = await harness().run("query", "SELECT * FORM quakes");
  expect(code).toBe(1);
  expect(stderr).toContain("where: line 1, column 10");
  expect(engine.stopped).toBe(1);
});

test("Ctrl-C stops the query, exit code 130", async () => {
  const asking = harness();
  engine.onRun = () => void asking.interrupt();
  const { code, stdout } = await asking.run("query", "FROM quakes");
  expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
  expect(engine.stopped).toBe(1);
});

/** Every way in which a file can fail to come. The cache is emptied by a new content each time. */
const failures: readonly [string, string, () => Promise<void> | void][] = [
  ["refused by the store", "TR-7007", () => void stack.objects.set("/trace-datasets/bad/refused", 403)],
  ["gone", "TR-7007", () => void stack.objects.delete("/trace-datasets/bad/gone")],
  ["altered", "TR-7006", () => void stack.objects.set("/trace-datasets/bad/altered", Buffer.from("altered altered"))],
  ["cut short", "TR-7006", () => void stack.objects.set("/trace-datasets/bad/cut short", Buffer.from("x"))],
  ["too long", "TR-7006", () => void stack.objects.set("/trace-datasets/bad/too long", Buffer.alloc(100_000))],
];

test.each(failures)(
  "a file that is %s is error %s, exit code 4, shows no link and leaves nothing",
  async (name, expected, spoil) => {
    const path = name === "refused by the store" ? "refused" : name;
    const damaged = stack.addObject(`bad/${path}`, Buffer.from(`bad ${path}`.padEnd(15)));
    damaged.url = damaged.url.replaceAll(" ", "%20");
    stack.objects.set(`/trace-datasets/bad/${path.replaceAll(" ", "%20")}`, Buffer.alloc(0));
    await spoil();
    stack.objects.set(
      encodeURI(`/trace-datasets/bad/${path}`),
      stack.objects.get(`/trace-datasets/bad/${path}`) ?? 404,
    );
    files = [damaged];
    for (const argv of [[], ["--debug"], ["--json"]]) {
      const { code, stdout, stderr } = await harness().run("query", "FROM quakes", ...argv);
      expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
      expect(stderr).toContain(expected);
      expect(stderr).not.toContain(linkSecret);
      expect(stderr).not.toContain(stack.storeUrl);
    }
    expect(readdirSync(cache).filter((entry) => entry.startsWith(damaged.sha256))).toEqual([]);
  },
);

test("a link that leads elsewhere is not followed", async () => {
  const moved = stack.addObject("bad/moved", Buffer.from("moved"));
  files = [{ ...moved, url: `http://127.0.0.1:9/x?${linkSecret}` }];
  const { code, stderr } = await harness().run("query", "FROM quakes", "--debug");
  expect(code).toBe(4);
  expect(stderr).toMatch(/error TR-7007/);
  expect(stderr).not.toContain(linkSecret);
});

test("a damaged file in the cache is fetched again", async () => {
  await harness().run("query", "FROM quakes");
  writeFileSync(join(cache, file.sha256), "half");
  expect((await harness().run("query", "FROM quakes")).code).toBe(0);
  expect(engine.read).toEqual([content.toString()]);
});

test("without a state folder the cache is in the user's own cache folder, and none is made here", async () => {
  const token = join(stack.state, "secrets", "api-token");
  const elsewhere = join(stack.cwd, "home");
  const { code } = await harness({ env: { HOME: elsewhere, TRACE_STATE: join(stack.cwd, "none") } }).run(
    "query",
    "FROM quakes",
    "--url",
    stack.url,
    "--token-file",
    token,
  );
  expect(code).toBe(0);
  expect(readdirSync(join(elsewhere, ".cache", "trace", "objects"))).toEqual([file.sha256]);
  expect(existsSync(join(stack.cwd, "none"))).toBe(false);
});

test("--json with another format is wrong use, before anything is asked", async () => {
  expect((await harness().run("query", "FROM quakes", "--json", "--format", "csv")).code).toBe(2);
  expect(engine.ran).toBeUndefined();
});

const at12 = { unit: "version", value: 12 } as const;
const atSeven = { unit: "timestamp", value: "2026-11-24T07:00:00.000000Z" } as const;

test("versions in the SQL are settled by one call, and one view answers all that name the same commit", async () => {
  resolveVersions();
  engine.versions = [
    { name: "Quakes" },
    { name: "quakes", at: at12 },
    { name: "quakes", at: atSeven },
    { name: "quakes", at: { unit: "version", value: 3 } },
  ];
  const { code, stdout } = await harness().run("query", "FROM quakes", "--json");
  expect(code).toBe(0);
  expect(asked).toEqual([
    [
      { dataset: "quakes" },
      { dataset: "quakes", version: 12 },
      { dataset: "quakes", timestamp: "2026-11-24T07:00:00.000000Z" },
      { dataset: "quakes", version: 3 },
    ],
  ]);
  expect(engine.ran?.inputs.map(({ name, at }) => ({ name, at }))).toEqual([
    { name: "quakes", at: undefined },
    { name: "quakes", at: [at12, atSeven] },
    { name: "quakes", at: [{ unit: "version", value: 3 }] },
  ]);
  const { datasets } = JSON.parse(stdout) as { datasets: { commit: number }[] };
  expect(datasets.map((dataset) => dataset.commit)).toEqual([15, 12, 3]);
});

test.each([
  ["12", { version: 12 }],
  ["2026-11-24 07:00", { timestamp: "2026-11-24T07:00:00.000000Z" }],
  ["2026-11-24T08:00:00+01:00", { timestamp: "2026-11-24T07:00:00.000000Z" }],
  ["2h", { timestamp: "2026-11-23T06:00:10.000Z" }],
])("--as-of %s is what the head stands for, and AT goes before it", async (text, version) => {
  resolveVersions();
  engine.versions = [{ name: "quakes" }, { name: "quakes", at: { unit: "version", value: 3 } }];
  expect((await harness({ nowMs: sampleNowMs }).run("query", "FROM quakes", "--as-of", text)).code).toBe(0);
  expect(asked).toEqual([
    [
      { dataset: "quakes", ...version },
      { dataset: "quakes", version: 3 },
    ],
  ]);
});

test.each(["yesterday", "0", "-1", "2026-02-30", "2 fortnights"])(
  "--as-of %j is wrong use, said before any call",
  async (text) => {
    const { code, stderr } = await harness({ cwd: "/" }).run("query", "FROM quakes", "--as-of", text);
    expect(code).toBe(2);
    expect(stderr.replaceAll(/\s+/g, " ")).toContain("how long ago (30m, 2h, 1d)");
  },
);

test("a commit's number for a query of two datasets is refused with the AT to write", async () => {
  engine.names = ["quakes", "by_region"];
  const { code, stderr } = await harness().run("query", "FROM quakes, by_region", "--as-of", "12");
  expect(code).toBe(2);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain("FROM quakes AT (VERSION => 12)");
});

test.each([
  ["TR-4020", 1],
  ["TR-4021", 1],
  ["TR-4022", 4],
] as const)("a version that cannot be had (%s) is told as the dispatcher tells it", async (code, exit) => {
  stack.answers.resolveDatasets = async () => {
    throw new TraceError(code, {
      detail: "commit 99 of 'quakes' is not there",
      fix: "see: trace dataset history quakes",
    });
  };
  engine.versions = [{ name: "quakes", at: { unit: "version", value: 99 } }];
  const outcome = await harness().run("query", "FROM quakes AT (VERSION => 99)");
  expect({ code: outcome.code, stdout: outcome.stdout }).toEqual({ code: exit, stdout: "" });
  expect(outcome.stderr).toContain(`error ${code}: commit 99`);
});

test("an answer that tells of another dataset is not taken for the one that was asked for", async () => {
  stack.answers.resolveDatasets = async () => ({
    datasets: [{ dataset: "other", generation: 1, commit: 3, committed_at: null, schema: [], files: [] }],
  });
  expect((await harness().run("query", "FROM quakes")).stderr).toContain("TR-1010");
});
