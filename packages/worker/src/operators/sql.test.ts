/** `sql` over pinned inputs with the real DuckDB child. */
import type { Manifest, ResolvedDataset } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ingestJob, placeOf, sqlJob } from "../testing/context.ts";
import { columnsOf, DataWorld, manifestOf } from "../testing/data-world.ts";
import type { MemoryStore } from "../testing/memory-store.ts";
import { ingest } from "./ingest.ts";
import { sql } from "./sql.ts";

let world: DataWorld;
beforeAll(async () => {
  world = await DataWorld.start();
});
afterEach(() => world.clean());
afterAll(() => world.stop());

/** What the dispatcher would answer after committing what was staged. */
function committed(store: MemoryStore, commit: number): ResolvedDataset {
  const { dataset, files, schema } = manifestOf(store);
  const at = { dataset, generation: 1, commit, committed_at: null, schema };
  return {
    ...at,
    files: files.map(({ key, bytes, rows, sha256 }) => ({ bucket: "trace-datasets", key, bytes, rows, sha256 })),
  };
}

describe("sql", () => {
  async function staged(): Promise<MemoryStore> {
    await world.write("n.csv", "k,n\na,1\na,2\nb,3\n");
    const { context, store } = await world.prepare(ingestJob({ kind: "file", path: "n.csv", format: "csv" }));
    await ingest.run(context);
    return store;
  }

  const pin = { dataset: "quakes", generation: 1, commit: 3 };
  const job = sqlJob(["quakes"], "select k, sum(n)::bigint as total from quakes group by k order by k");

  it("queries exactly the pinned files and stages what comes out", async () => {
    const from = await staged();
    const { context, said, store } = await world.prepare(job, {
      task: { inputs: [pin], staging: [{ dataset: "summary", bucket: "trace-datasets", prefix: "g2/l7/" }] },
      inputs: [committed(from, 3)],
      services: { objectStore: from },
    });
    await sql.run(context);
    expect(said.join("\n")).toMatch(/fetched 1 input files.*\n.*SQL made rows, 2 for 'summary'/);
    const manifest = manifestOf(store, "g2/l7/");
    expect(manifest).toMatchObject({ dataset: "summary", rows: 2 });
    expect(manifest.files[0]?.columns).toMatchObject([
      { name: "k", min: "a", max: "b", null_count: 0 },
      { name: "total", min: "3", max: "3" },
    ]);
  });

  it("refuses an input that has no commit yet", async () => {
    const { context } = await world.prepare(job, { task: { inputs: [{ ...pin, commit: 0 }] } });
    await expect(sql.run(context)).rejects.toMatchObject({ code: "TR-4012" });
  });

  it("refuses files of another commit than the one it was claimed with", async () => {
    const from = await staged();
    const { context } = await world.prepare(job, { task: { inputs: [pin] }, inputs: [committed(from, 4)] });
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
      const { context } = await world.prepare(job, options);
      await expect(sql.run(context)).rejects.toMatchObject({ code: "TR-5008" });
    }
  });

  it("refuses inputs that are larger than a worker takes", async () => {
    const from = await staged();
    const services = { objectStore: from, inputsBytesMax: 10 };
    const { context } = await world.prepare(job, { task: { inputs: [pin] }, inputs: [committed(from, 3)], services });
    await expect(sql.run(context)).rejects.toMatchObject({ code: "TR-5009" });
  });
});

describe("inputs of sql", () => {
  const pin = { dataset: "quakes", generation: 1, commit: 3 };

  /** Two commits of one dataset: the second one has a column more, and a wider type. */
  async function grown(): Promise<{ store: MemoryStore; dataset: ResolvedDataset }> {
    const stores: MemoryStore[] = [];
    const files: ResolvedDataset["files"] = [];
    for (const [n, text] of ["k,n\na,1\nb,2\n", "k,n,x\na,1.5,true\nc,2.5,false\n"].entries()) {
      await world.write("grown.csv", text);
      const task = { staging: [{ ...placeOf("quakes"), prefix: `g1/l${n}/` }] };
      const { context, store } = await world.prepare(ingestJob({ kind: "file", path: "grown.csv", format: "csv" }), {
        task,
      });
      await ingest.run(context);
      stores.push(store);
      const [file] = manifestOf(store, `g1/l${n}/`).files;
      if (file === undefined) throw new Error("no file");
      const { bytes, key, rows, sha256 } = file;
      files.push({ bucket: "trace-datasets", key, bytes, rows, sha256 });
    }
    const store = stores[0] as MemoryStore;
    for (const [name, body] of stores[1]?.objects ?? []) store.objects.set(name, body);
    const schema = [
      { name: "k", type: "VARCHAR", field_id: 1 },
      { name: "n", type: "DOUBLE", field_id: 2 },
      { name: "x", type: "BOOLEAN", field_id: 3 },
    ];
    return { store, dataset: { dataset: "quakes", generation: 1, commit: 3, committed_at: null, schema, files } };
  }

  async function query(input: object, statement: string, pins: object = pin): Promise<Manifest> {
    const { dataset, store: from } = await grown();
    const job = sqlJob([{ dataset: "quakes", ...input }], statement);
    const task = { inputs: [{ ...pin, ...pins }] };
    const { context, store } = await world.prepare(job, { task, inputs: [dataset], services: { objectStore: from } });
    await sql.run(context);
    return manifestOf(store);
  }

  it("are read over the committed schema: files of before have NULL and the wider type", async () => {
    const manifest = await query({}, "select k, n, x from quakes order by k, n");
    expect(columnsOf(manifest)).toEqual({ k: ["VARCHAR", 1], n: ["DOUBLE", 2], x: ["BOOLEAN", 3] });
    expect(manifest.files[0]?.columns).toMatchObject([{}, { min: "1.0", max: "2.5" }, { null_count: 2 }]);
  });

  it("are filtered by equality before SQL sees them", async () => {
    const manifest = await query({ where: { k: ["a", "c"], x: [true, null] } }, "select k, n from quakes");
    expect(manifest.rows).toBe(2);
    await expect(query({ where: { missing: [1] } }, "select * from quakes")).rejects.toMatchObject({
      retryable: false,
    });
  });

  it("are files of the partitions wanted alone, and the others are not fetched", async () => {
    const { dataset, store: from } = await grown();
    const [first, second] = dataset.files;
    if (first === undefined || second === undefined) throw new Error("two files");
    const files = [
      { ...first, partition: "2001" },
      { ...second, partition: "us" },
    ];
    for (const [partition, rows] of [
      [[2001], 2],
      [["2001", "us"], 4],
      [[null, "de"], 0],
    ] as const) {
      const job = sqlJob([{ dataset: "quakes", where: { partition } }], "select * from quakes");
      const streamed: string[] = [];
      const objectStore = {
        head: from.head.bind(from),
        stream: (bucket: string, key: string) => {
          streamed.push(key);
          return from.stream(bucket, key);
        },
      };
      const options = { task: { inputs: [pin] }, inputs: [{ ...dataset, files }], services: { objectStore } };
      const { context, store } = await world.prepare(job, options);
      await sql.run(context);
      expect([manifestOf(store).rows, streamed.length]).toEqual([rows, rows / 2]);
    }
  });

  it("are refused by partition where the dataset has none, instead of being none", async () => {
    const { dataset, store: objectStore } = await grown();
    const job = (partition: string[]) => sqlJob([{ dataset: "quakes", where: { partition } }], "select * from quakes");
    const options = {
      task: { inputs: [pin] },
      inputs: [{ ...dataset, partitioned: false }],
      services: { objectStore },
    };
    const refused = await world.prepare(job(["us"]), options);
    await expect(sql.run(refused.context)).rejects.toMatchObject({ code: "TR-4032" });
    const { context, store } = await world.prepare(job([""]), options);
    await sql.run(context);
    expect(manifestOf(store).rows).toBe(4);
  });

  it("are exactly the files that the task API names, also where only what is new is read", async () => {
    const manifest = await query({ read: "new" }, "select * from quakes", { from: 2 });
    expect(manifest.rows).toBe(4);
  });

  it("may be no file at all: then there is nothing new", async () => {
    const { dataset } = await grown();
    const job = sqlJob([{ dataset: "quakes", read: "new" }], "select count(*) as n, max(x) as x from quakes");
    const options = { task: { inputs: [{ ...pin, from: 3 }] }, inputs: [{ ...dataset, files: [] }] };
    const { context, store } = await world.prepare(job, options);
    await sql.run(context);
    expect(manifestOf(store).files[0]?.columns).toMatchObject([{ max: "0" }, { type: "BOOLEAN", null_count: 1 }]);
  });
});
