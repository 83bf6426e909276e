/** What an ingest does around its query: whether there is anything new, rows set aside, what it tells. */
import { createHash } from "node:crypto";
import { appendFile, mkdtemp, realpath, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Manifest, manifestSchema, type StagingPlace } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type ContextOptions, ingestJob, placeOf, type TestContext, testContext } from "../testing/context.ts";
import { FakeDuck } from "../testing/fake-duck.ts";
import type { MemoryStore } from "../testing/memory-store.ts";
import { SourceServer, status, whole } from "../testing/source-server.ts";
import { ingest } from "./ingest.ts";

const body = Buffer.from("n\n1\n2\n");
const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

let folder: string;
let source: SourceServer;
let duck: FakeDuck;
const contexts: TestContext[] = [];
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "trace-worker-test-")));
  source = await SourceServer.start();
});
afterAll(async () => {
  await source.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  duck = new FakeDuck();
  await writeFile(join(folder, "n.csv"), body);
});
afterEach(async () => {
  for (const { remove } of contexts.splice(0)) await remove();
});

type Job = ReturnType<typeof ingestJob>;
const fileJob = (sql?: string, parts = {}) => ingestJob({ kind: "file", path: "n.csv", format: "csv" }, sql, parts);
const urlJob = (sql?: string) => ingestJob({ kind: "url", url: source.url, format: "csv" }, sql);
const outputs = [
  { dataset: "quakes", strategy: "replace" },
  { dataset: "bad", strategy: "replace", bad_rows: true },
];

async function prepare(job: Job, task: ContextOptions["task"] = {}): Promise<TestContext> {
  const services = { duck, fileRoots: [folder], guardAllow: [source.host] };
  const current = await testContext(job, { task, services });
  contexts.push(current);
  return current;
}

function manifestOf(store: MemoryStore, prefix = "g1/l7/"): Manifest {
  return manifestSchema.parse(JSON.parse(store.text(`trace-datasets/${prefix}manifest.json`)));
}

/** Places as a claim names them when what is in the store was committed. */
function placesAfter(job: Job, store: MemoryStore): StagingPlace[] {
  return job.outputs.map(({ dataset }, index) => {
    const { fingerprint = "", source = null } = manifestOf(store, `g${index + 1}/l7/`);
    return { ...placeOf(dataset, index + 1), previous: { fingerprint, source } };
  });
}

/** Ingests, and answers what the next claim names. */
async function ingested(job: Job, task: ContextOptions["task"] = {}): Promise<StagingPlace[]> {
  const { context, store } = await prepare(job, task);
  await ingest.run(context);
  return placesAfter(job, store);
}

describe("a local file", () => {
  it("is not read again by SQL when the dataset holds it already", async () => {
    const job = fileJob();
    const staging = await ingested(job);
    expect(staging[0]?.previous?.source).toEqual({ kind: "file", bytes: body.length, sha256: sha256(body) });
    const { context, said, store } = await prepare(job, { staging });
    const fingerprint = staging[0]?.previous?.fingerprint;
    expect(await ingest.run(context)).toEqual([{ dataset: "quakes", unchanged: true, fingerprint }]);
    expect([duck.runs.length, store.puts]).toEqual([1, []]);
    expect(said.join("\n")).toContain("'quakes' holds already");
  });

  it("is ingested when its content, and not its size, is another", async () => {
    const staging = await ingested(fileJob());
    await writeFile(join(folder, "n.csv"), "n\n1\n3\n");
    const { context, store } = await prepare(fileJob(), { staging });
    await ingest.run(context);
    expect(manifestOf(store).source?.sha256).toBe(sha256(Buffer.from("n\n1\n3\n")));
    expect(manifestOf(store).fingerprint).not.toBe(staging[0]?.previous?.fingerprint);
  });

  it.each<[string, Job, ContextOptions["task"]]>([
    ["SQL", fileJob("select n + 1 as n from source"), {}],
    ["dialect", ingestJob({ kind: "file", path: "n.csv", format: "csv", csv: { header: false } }), {}],
    ["partition", fileJob(), { partition: "us" }],
    ["version of the output", fileJob(undefined, { outputs: [{ ...outputs[0], version: 2 }] }), {}],
  ])("is ingested again when the %s is another", async (_, job, task) => {
    const staging = await ingested(fileJob());
    const { context, store } = await prepare(job, { staging, ...task });
    await ingest.run(context);
    expect(duck.runs).toHaveLength(2);
    expect(manifestOf(store).source?.sha256).toBe(sha256(body));
  });

  it("is ingested again as long as one of the outputs does not hold it", async () => {
    const job = fileJob(undefined, { outputs, config: { on_bad_row: "set_aside" } });
    const [first, second] = await ingested(job);
    if (first === undefined || second === undefined) throw new Error("two outputs");
    for (const other of [placeOf("bad", 2), { ...second, previous: { fingerprint: "0".repeat(64), source: null } }]) {
      const { context, store } = await prepare(job, { staging: [first, other] });
      await ingest.run(context);
      expect(store.puts).toContain("trace-datasets/g2/l7/manifest.json");
    }
    const { context } = await prepare(job, { staging: [first, second] });
    expect((await ingest.run(context)).map((output) => "unchanged" in output)).toEqual([true, true]);
  });

  it("is not staged when it changed, or went, while it was read", async () => {
    for (const change of [() => appendFile(join(folder, "n.csv"), "3\n"), () => unlink(join(folder, "n.csv"))]) {
      await writeFile(join(folder, "n.csv"), body);
      duck.reading = change;
      const { context, store } = await prepare(fileJob());
      await expect(ingest.run(context)).rejects.toMatchObject({ code: "TR-5007" });
      expect(store.puts).toEqual([]);
    }
  });

  it("fails with what the query fails with", async () => {
    duck.reading = () => Promise.reject(new Error("no such column"));
    const { context, store } = await prepare(fileJob());
    await expect(ingest.run(context)).rejects.toThrow("no such column");
    expect(store.puts).toEqual([]);
  });
});

describe("a URL", () => {
  const headers = { etag: '"v1"', "last-modified": "Tue, 01 Dec 2026 10:00:00 GMT" };

  it("that says it is unchanged is neither downloaded nor read", async () => {
    source.reset(whole(body, headers), status(304));
    const staging = await ingested(urlJob());
    expect(staging[0]?.previous?.source).toEqual({
      kind: "url",
      etag: '"v1"',
      last_modified: headers["last-modified"],
      bytes: body.length,
      sha256: sha256(body),
    });
    const { context, store } = await prepare(urlJob(), { staging });
    expect(await ingest.run(context)).toMatchObject([{ dataset: "quakes", unchanged: true }]);
    expect(source.asked[1]).toMatchObject({ "if-none-match": '"v1"' });
    expect([duck.runs.length, store.puts]).toEqual([1, []]);
  });

  it("that sends the same again is not read", async () => {
    source.reset(whole(body, headers), whole(body, { etag: '"v2"' }));
    const staging = await ingested(urlJob());
    const { context } = await prepare(urlJob(), { staging });
    expect(await ingest.run(context)).toMatchObject([{ dataset: "quakes", unchanged: true }]);
    expect(duck.runs).toHaveLength(1);
  });

  it("is downloaded without a condition when the job would make something else of it", async () => {
    source.reset(whole(body, headers));
    const staging = await ingested(urlJob());
    const { context } = await prepare(urlJob("select n from source"), { staging });
    await ingest.run(context);
    expect(source.asked[1]).not.toHaveProperty("if-none-match");
    expect(duck.runs).toHaveLength(2);
  });

  it("that sends the same again is read as long as one of the outputs does not hold it", async () => {
    source.reset(whole(body, headers));
    const job = ingestJob({ kind: "url", url: source.url, format: "csv" }, undefined, {
      outputs,
      config: { on_bad_row: "set_aside" },
    });
    const [first] = await ingested(job);
    if (first === undefined) throw new Error("two outputs");
    const { context, store } = await prepare(job, { staging: [first, placeOf("bad", 2)] });
    await ingest.run(context);
    expect(store.puts).toContain("trace-datasets/g2/l7/manifest.json");
  });

  it("is downloaded without a condition when what the dataset holds came from a file", async () => {
    source.reset(whole(body, headers));
    const staging = (await ingested(urlJob())).map((place) => ({
      ...place,
      previous: {
        fingerprint: place.previous?.fingerprint ?? "",
        source: { kind: "file", etag: '"v1"', sha256: sha256(body) } as const,
      },
    }));
    const { context } = await prepare(urlJob(), { staging });
    await ingest.run(context);
    expect(source.asked[1]).not.toHaveProperty("if-none-match");
  });
});

describe("rows that cannot be read", () => {
  const job = fileJob(undefined, { outputs, config: { on_bad_row: "set_aside" } });

  it("are set aside into their output, and it is said how many", async () => {
    duck.badRowCount = 3;
    const { context, progress, said, store } = await prepare(job);
    const staged = await ingest.run(context);
    expect(staged.map(({ dataset }) => dataset)).toEqual(["quakes", "bad"]);
    expect(duck.runs[0]).toMatchObject({ inputs: [{ onBadRow: "set_aside" }], outputs: [{ kind: "parquet" }] });
    expect(manifestOf(store, "g2/l7/")).toMatchObject({
      dataset: "bad",
      rows: 3,
      schema: [{ name: "line" }, {}, {}, {}],
    });
    expect(said.join("\n")).toContain("3 rows could not be read and were set aside; 'bad'");
    expect(progress).toContainEqual({ message: "rows set aside", done: 3, unit: "rows" });
  });

  it("leave an empty output when there are none, so that readers see it", async () => {
    const { context, said, store } = await prepare(job);
    await ingest.run(context);
    expect(manifestOf(store, "g2/l7/")).toMatchObject({ dataset: "bad", rows: 0 });
    expect(said).toContain("no row was set aside");
  });

  it("fail the query where nothing is said of them", async () => {
    const { context } = await prepare(fileJob());
    await ingest.run(context);
    expect(duck.runs[0]?.badRows).toBeUndefined();
    expect(duck.runs[0]?.inputs[0]).not.toHaveProperty("onBadRow");
  });
});

describe("what SQL is given", () => {
  it("is the partition and its bounds, and the field ids that the dataset has", async () => {
    const partitions = { kind: "range", from: "2001-01", to: "2001-04", every: "month" };
    const staging = [
      {
        ...placeOf("quakes"),
        partition: "2001-02",
        schema: [
          { name: "n", type: "BIGINT", field_id: 3 },
          { name: "old", type: "BIGINT" },
        ],
      },
    ];
    const { context, store } = await prepare(fileJob(undefined, { partitions }), { partition: "2001-02", staging });
    await ingest.run(context);
    expect(duck.runs[0]).toMatchObject({
      params: {
        partition: "2001-02",
        partition_start: "2001-02-01T00:00:00",
        partition_end: "2001-03-01T00:00:00",
      },
      outputs: [{ fieldIds: { n: 3 } }],
    });
    expect(manifestOf(store).partition).toBe("2001-02");
  });

  it("is nothing of a partition where the task has none", async () => {
    const { context } = await prepare(fileJob());
    await ingest.run(context);
    expect(duck.runs[0]).not.toHaveProperty("params");
  });

  it("is each output's own SQL, and the column that partitions it", async () => {
    const several = [
      { dataset: "quakes", strategy: "replace", partition_by: "month" },
      { dataset: "large", strategy: "append", sql: "select * from source where n > 1" },
    ];
    const { context, store } = await prepare(fileJob("select 1 as n", { outputs: several }));
    duck.columns = [{ name: "month", type: "VARCHAR", fieldId: 1 }];
    await ingest.run(context).catch((error: unknown) => error);
    expect(duck.runs[0]?.outputs).toMatchObject([
      { sql: "select 1 as n", partitionBy: "month" },
      { sql: "select * from source where n > 1" },
    ]);
    expect(duck.runs[0]?.outputs?.[1]).not.toHaveProperty("partitionBy");
    expect(store.puts.filter((name) => name.endsWith("manifest.json"))).toHaveLength(2);
  });
});

it("tells what was found out about the source, a line for each column", async () => {
  const dialect = { delimiter: "\t", quote: '"', escape: "", header: true, skip: 2, comment: "#" };
  const columns = [
    { name: "n", type: "BIGINT" },
    { name: "place", type: "VARCHAR" },
  ];
  duck.inference = [{ input: "source", columns, lookedAt: "sample", compression: "gzip", dialect }];
  const { context, said } = await prepare(fileJob());
  await ingest.run(context);
  expect(said).toEqual(
    expect.arrayContaining([
      "'source' has 2 columns, gzip; types rest on a sample of the rows; declare them under `columns` to be sure",
      'CSV with delimiter tab, quote ", escape none, a header, 2 lines skipped, comments after #',
      "  n      BIGINT",
      "  place  VARCHAR",
    ]),
  );
});
