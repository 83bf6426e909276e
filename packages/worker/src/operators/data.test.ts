/** `ingest` of real files with the real DuckDB child, up to the manifest that the dispatcher would read. */
import { createHash } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ingestJob } from "../testing/context.ts";
import { DataWorld, manifestOf } from "../testing/data-world.ts";
import { ingest } from "./ingest.ts";

/** Data that the repository's example reads, too; nothing here imports the package. */
const vegaData = fileURLToPath(new URL("../../../../node_modules/vega-datasets/data", import.meta.url));
const quakesSql = "select mag::double as magnitude, place from source";

let world: DataWorld;
let server: Server;
let origin: string;
let served: (response: ServerResponse) => void;
beforeAll(async () => {
  world = await DataWorld.start();
  server = createServer((request, response) => {
    if (request.url === "/served") served(response);
    else if (request.url === "/data.csv") response.end("name,n\na,1\nb,2\n");
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await world.stop();
});
afterEach(() => world.clean());

describe("ingest", () => {
  it("takes 1,707 quakes of a GeoJSON file into Parquet and names them in a manifest, last", async () => {
    const job = ingestJob({ kind: "file", path: "earthquakes.json", format: "geojson" }, quakesSql);
    const { context, store } = await world.prepare(job, { services: { fileRoots: [vegaData] } });
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
    const { context, progress, said, store } = await world.prepare(url, {
      services: { guardAllow: [new URL(origin).host] },
    });
    await ingest.run(context);
    expect(manifestOf(store)).toMatchObject({ rows: 2, schema: [{ name: "name" }, { name: "n", type: "BIGINT" }] });
    expect(progress).toContainEqual({ message: "downloading", done: 15, total: 15, unit: "bytes" });
    const other = await world.prepare(job, { services: { guardAllow: [new URL(origin).host] } });
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
      const { context, store } = await world.prepare(ingestJob({ kind: "url", url, format: "csv" }));
      const error = await ingest.run(context).catch((error: unknown) => error);
      expect(error).toMatchObject({ name: "TraceError", code: expect.stringMatching(/^TR-530[24]$/) });
      expect(store.puts).toEqual([]);
    }
  });

  it("ends a download above the bound of bytes", async () => {
    const job = ingestJob({ kind: "url", url: `${origin}/data.csv`, format: "csv" });
    const services = { guardAllow: [new URL(origin).host], sourceBytesMax: 5 };
    const { context } = await world.prepare(job, { services });
    await expect(ingest.run(context)).rejects.toMatchObject({ code: "TR-5310" });
  });

  it("reads a CSV in the dialect that the job declares", async () => {
    await world.write("dialect.csv", "'a;b';-\n'c';7\n");
    const csv = { header: false, delimiter: ";", quote: "'", null_text: "-" };
    const source = {
      kind: "file",
      path: "dialect.csv",
      format: "csv",
      csv,
      columns: { column1: "INTEGER" },
    } as const;
    const { context, store } = await world.prepare(ingestJob(source));
    await ingest.run(context);
    const { rows, files } = manifestOf(store);
    expect(rows).toBe(2);
    expect(files[0]?.columns).toMatchObject([
      { name: "column0", min: "a;b", max: "c", null_count: 0 },
      { name: "column1", type: "INTEGER", min: "7", max: "7", null_count: 1 },
    ]);
  });

  it("passes on what is wrong with the file or the SQL, and stages nothing", async () => {
    await world.write("bad.json", "{ not json");
    const bad = await world.prepare(ingestJob({ kind: "file", path: "bad.json", format: "json" }));
    await expect(ingest.run(bad.context)).rejects.toMatchObject({ code: "TR-5206" });
    await world.write("good.csv", "n\n1\n");
    const typo = await world.prepare(
      ingestJob({ kind: "file", path: "good.csv", format: "csv" }, "select m from source"),
    );
    await expect(ingest.run(typo.context)).rejects.toMatchObject({ code: "TR-5203" });
    expect([...bad.store.puts, ...typo.store.puts]).toEqual([]);
  });
});

it("a source that is packed is read as it was sent, from a file and from a URL that says so", async () => {
  const packed = gzipSync("n\n1\n2\n");
  await world.write("packed.csv.gz", packed);
  served = (response) => response.writeHead(200, { "content-encoding": "gzip" }).end(packed);
  for (const source of [
    { kind: "file", path: "packed.csv.gz", format: "csv" },
    { kind: "url", url: `${origin}/served`, format: "csv" },
  ] as const) {
    const { context, store } = await world.prepare(ingestJob(source), {
      services: { guardAllow: [new URL(origin).host] },
    });
    await ingest.run(context);
    expect(manifestOf(store)).toMatchObject({ rows: 2, source: { bytes: packed.length } });
  }
});
