/** `ingest` and `sql` on real files with the real DuckDB child, up to the manifest that the dispatcher would read. */
import { createHash } from "node:crypto";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Manifest, manifestSchema, type ResolvedDataset } from "@trace/contracts";
import { DuckRunner } from "@trace/duck";
import { silentLog } from "@trace/kit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type ContextOptions, ingestJob, sqlJob, type TestContext, testContext } from "../testing/context.ts";
import type { MemoryStore } from "../testing/memory-store.ts";
import { ingest } from "./ingest.ts";
import { sql } from "./sql.ts";

/** Data that the repository's example reads, too; nothing here imports the package. */
const vegaData = fileURLToPath(new URL("../../../../node_modules/vega-datasets/data", import.meta.url));
const quakesSql = "select mag::double as magnitude, place from source";

let folder: string;
let duck: DuckRunner;
let server: Server;
let origin: string;
const contexts: TestContext[] = [];

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "trace-worker-test-")));
  duck = new DuckRunner({ log: silentLog(), workFolder: join(folder, "duck"), limits: { threads: 1 } });
  await duck.start();
  server = createServer((request, response) => {
    if (request.url === "/data.csv") response.end("name,n\na,1\nb,2\n");
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await duck.stop();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const { remove } of contexts.splice(0)) await remove();
});

async function prepare(job: Parameters<typeof testContext>[0], options: ContextOptions = {}): Promise<TestContext> {
  const context = await testContext(job, { ...options, services: { duck, fileRoots: [folder], ...options.services } });
  contexts.push(context);
  return context;
}

function manifestOf(store: MemoryStore, prefix = "g1/l7/"): Manifest {
  return manifestSchema.parse(JSON.parse(store.text(`trace-datasets/${prefix}manifest.json`)));
}

/** What the dispatcher would answer after committing what was staged. */
function committed(store: MemoryStore, commit: number): ResolvedDataset {
  const { dataset, files, schema } = manifestOf(store);
  const at = { dataset, generation: 1, commit, committed_at: null, schema };
  return {
    ...at,
    files: files.map(({ key, bytes, rows, sha256 }) => ({ bucket: "trace-datasets", key, bytes, rows, sha256 })),
  };
}

describe("ingest", () => {
  it("takes 1,707 quakes of a GeoJSON file into Parquet and names them in a manifest, last", async () => {
    const job = ingestJob({ kind: "file", path: "earthquakes.json", format: "geojson" }, quakesSql);
    const { context, store } = await prepare(job, { services: { fileRoots: [vegaData] } });
    const [staged] = await ingest.run(context);
    expect(store.puts).toEqual(["trace-datasets/g1/l7/0.parquet", "trace-datasets/g1/l7/manifest.json"]);
    const manifest = manifestOf(store);
    const text = store.text("trace-datasets/g1/l7/manifest.json");
    expect(staged).toEqual({
      dataset: "quakes",
      manifest_key: "g1/l7/manifest.json",
      manifest_sha256: createHash("sha256").update(text).digest("hex"),
    });
    expect(manifest).toMatchObject({ dataset: "quakes", lease_no: 7, partition: null, rows: 1_707 });
    expect(manifest.schema.map(({ name }) => name)).toEqual(["magnitude", "place"]);
    const body = store.objects.get("trace-datasets/g1/l7/0.parquet");
    expect(body?.subarray(0, 4).toString()).toBe("PAR1");
    expect(manifest.files[0]).toMatchObject({
      bytes: body?.length,
      sha256: createHash("sha256")
        .update(body ?? "")
        .digest("hex"),
    });
    expect(manifest.files[0]?.columns[0]).toMatchObject({ name: "magnitude", type: "DOUBLE" });
  });

  it("takes every column of a CSV from an URL through the guard, where its address is an exception", async () => {
    const job = ingestJob({ kind: "url", url: `${origin}/data.csv?key=hidden`, format: "csv" });
    const url = ingestJob({ kind: "url", url: `${origin}/data.csv`, format: "csv" });
    const { context, progress, said, store } = await prepare(url, {
      services: { guardAllow: [new URL(origin).host] },
    });
    await ingest.run(context);
    expect(manifestOf(store)).toMatchObject({ rows: 2, schema: [{ name: "name" }, { name: "n", type: "BIGINT" }] });
    expect(progress).toContainEqual({ message: "downloading", done: 15, total: 15, unit: "bytes" });
    const other = await prepare(job, { services: { guardAllow: [new URL(origin).host] } });
    await expect(ingest.run(other.context)).rejects.toMatchObject({ code: "TR-5308" });
    expect([...said, ...other.said].join("\n")).not.toContain("hidden");
  });

  it("refuses an address that is not public, and stages nothing", async () => {
    for (const url of [
      `${origin}/data.csv`,
      "http://169.254.169.254/latest/meta-data",
      "http://[::1]/",
      "http://10.0.0.1/",
    ]) {
      const { context, store } = await prepare(ingestJob({ kind: "url", url, format: "csv" }));
      const error = await ingest.run(context).catch((error: unknown) => error);
      expect(error).toMatchObject({ name: "TraceError", code: expect.stringMatching(/^TR-530[24]$/) });
      expect(store.puts).toEqual([]);
    }
  });

  it("ends a download above the bound of bytes", async () => {
    const job = ingestJob({ kind: "url", url: `${origin}/data.csv`, format: "csv" });
    const services = { guardAllow: [new URL(origin).host], sourceBytesMax: 5 };
    const { context } = await prepare(job, { services });
    await expect(ingest.run(context)).rejects.toMatchObject({ code: "TR-5310" });
  });

  it("reads a CSV in the dialect that the job declares", async () => {
    await writeFile(join(folder, "dialect.csv"), "'a;b';-\n'c';7\n");
    const csv = { header: false, delimiter: ";", quote: "'", null_text: "-" };
    const source = {
      kind: "file",
      path: "dialect.csv",
      format: "csv",
      csv,
      columns: { column1: "INTEGER" },
    } as const;
    const { context, store } = await prepare(ingestJob(source));
    await ingest.run(context);
    const { rows, files } = manifestOf(store);
    expect(rows).toBe(2);
    expect(files[0]?.columns).toMatchObject([
      { name: "column0", min: "a;b", max: "c", null_count: 0 },
      { name: "column1", type: "INTEGER", min: "7", max: "7", null_count: 1 },
    ]);
  });

  it("passes on what is wrong with the file or the SQL, and stages nothing", async () => {
    await writeFile(join(folder, "bad.json"), "{ not json");
    const bad = await prepare(ingestJob({ kind: "file", path: "bad.json", format: "json" }));
    await expect(ingest.run(bad.context)).rejects.toMatchObject({ code: "TR-5206" });
    await writeFile(join(folder, "good.csv"), "n\n1\n");
    const typo = await prepare(ingestJob({ kind: "file", path: "good.csv", format: "csv" }, "select m from source"));
    await expect(ingest.run(typo.context)).rejects.toMatchObject({ code: "TR-5203" });
    expect([...bad.store.puts, ...typo.store.puts]).toEqual([]);
  });
});

describe("sql", () => {
  async function staged(): Promise<MemoryStore> {
    await writeFile(join(folder, "n.csv"), "k,n\na,1\na,2\nb,3\n");
    const { context, store } = await prepare(ingestJob({ kind: "file", path: "n.csv", format: "csv" }));
    await ingest.run(context);
    return store;
  }

  const pin = { dataset: "quakes", generation: 1, commit: 3 };
  const job = sqlJob(["quakes"], "select k, sum(n)::bigint as total from quakes group by k order by k");

  it("queries exactly the pinned files and stages what comes out", async () => {
    const from = await staged();
    const { context, store } = await prepare(job, {
      task: { inputs: [pin], staging: [{ dataset: "summary", bucket: "trace-datasets", prefix: "g2/l7/" }] },
      inputs: [committed(from, 3)],
      services: { objectStore: from },
    });
    await sql.run(context);
    expect(store.puts).toEqual([]);
    const manifest = manifestOf(from, "g2/l7/");
    expect(manifest).toMatchObject({ dataset: "summary", rows: 2 });
    expect(manifest.files[0]?.columns).toMatchObject([
      { name: "k", min: "a", max: "b", null_count: 0 },
      { name: "total", min: "3", max: "3" },
    ]);
  });

  it("refuses an input that has no commit yet", async () => {
    const { context } = await prepare(job, { task: { inputs: [{ ...pin, commit: 0 }] } });
    await expect(sql.run(context)).rejects.toMatchObject({ code: "TR-4012" });
  });

  it("refuses files of another commit than the one it was claimed with", async () => {
    const from = await staged();
    const { context } = await prepare(job, { task: { inputs: [pin] }, inputs: [committed(from, 4)] });
    await expect(sql.run(context)).rejects.toMatchObject({ code: "TR-5013" });
  });

  it("refuses an input file whose bytes are not those that were committed", async () => {
    const from = await staged();
    const body = from.objects.get("trace-datasets/g1/l7/0.parquet") ?? Buffer.alloc(0);
    for (const damaged of [
      Buffer.from(body).fill(0, 8, 12),
      body.subarray(0, body.length - 1),
      Buffer.concat([body, body]),
    ]) {
      from.objects.set("trace-datasets/g1/l7/0.parquet", damaged);
      const options = { task: { inputs: [pin] }, inputs: [committed(from, 3)], services: { objectStore: from } };
      const { context } = await prepare(job, options);
      await expect(sql.run(context)).rejects.toMatchObject({ code: "TR-5008" });
    }
  });

  it("refuses inputs that are larger than a worker takes", async () => {
    const from = await staged();
    const services = { objectStore: from, inputsBytesMax: 10 };
    const { context } = await prepare(job, { task: { inputs: [pin] }, inputs: [committed(from, 3)], services });
    await expect(sql.run(context)).rejects.toMatchObject({ code: "TR-5009" });
  });
});
