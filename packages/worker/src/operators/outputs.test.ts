/** What one run of the real DuckDB child makes for several outputs, many partitions and rows that cannot be read. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type ContextOptions, ingestJob, placeOf } from "../testing/context.ts";
import { columnsOf, DataWorld, manifestOf } from "../testing/data-world.ts";
import type { MemoryStore } from "../testing/memory-store.ts";
import { ingest } from "./ingest.ts";

let world: DataWorld;
beforeAll(async () => {
  world = await DataWorld.start();
});
afterEach(() => world.clean());
afterAll(() => world.stop());

describe("outputs of one run", () => {
  const csv = "place,month,n\nsf,2001-01,1\nla,2001-02,2\nsf,2001-02,3\n";
  const source = { kind: "file", path: "several.csv", format: "csv" } as const;

  async function several(parts: object, task: ContextOptions["task"] = {}, sql?: string): Promise<MemoryStore> {
    await world.write("several.csv", csv);
    const { context, store } = await world.prepare(ingestJob(source, sql, { ...parts }), { task });
    await ingest.run(context);
    return store;
  }

  it("are made each by its own SQL and staged together, with field ids from 1", async () => {
    const outputs = [
      { dataset: "quakes", strategy: "replace" },
      { dataset: "places", strategy: "append", sql: "select distinct place from source" },
    ];
    const store = await several({ outputs });
    expect(manifestOf(store)).toMatchObject({ dataset: "quakes", rows: 3 });
    expect(manifestOf(store, "g2/l7/")).toMatchObject({ dataset: "places", rows: 2 });
    expect(columnsOf(manifestOf(store))).toEqual({ place: ["VARCHAR", 1], month: ["VARCHAR", 2], n: ["BIGINT", 3] });
  });

  it("stage nothing when one of them fails", async () => {
    const outputs = [
      { dataset: "quakes", strategy: "replace" },
      { dataset: "places", strategy: "replace", sql: "select missing from source" },
    ];
    await world.write("several.csv", csv);
    const { context, store } = await world.prepare(ingestJob(source, undefined, { outputs }));
    await expect(ingest.run(context)).rejects.toMatchObject({ code: "TR-5203" });
    expect(store.puts).toEqual([]);
  });

  it("keep the ids that the dataset has, and give new columns the next ones", async () => {
    const schema = [
      { name: "n", type: "BIGINT", field_id: 2 },
      { name: "place", type: "VARCHAR", field_id: 5 },
    ];
    const store = await several({}, { staging: [{ ...placeOf("quakes"), schema }] });
    expect(columnsOf(manifestOf(store))).toEqual({ place: ["VARCHAR", 5], month: ["VARCHAR", 6], n: ["BIGINT", 2] });
  });

  it("have a file for each partition, with its key", async () => {
    const store = await several({ outputs: [{ dataset: "quakes", strategy: "replace", partition_by: "month" }] });
    const manifest = manifestOf(store);
    const files = manifest.files.map(({ partition, rows }) => [partition, rows]);
    expect(files.toSorted()).toEqual([
      ["2001-01", 1],
      ["2001-02", 2],
    ]);
    expect([manifest.partition, manifest.rows]).toEqual([null, 3]);
  });

  it("may have no file at all where no row has a partition", async () => {
    const outputs = [{ dataset: "quakes", strategy: "replace", partition_by: "month" }];
    const store = await several({ outputs }, {}, "select * from source where n > 100");
    expect(manifestOf(store)).toMatchObject({ rows: 0, files: [], schema: [{ name: "place" }, {}, {}] });
  });

  it("know the partition of their task and its bounds", async () => {
    const partitions = { kind: "range", from: "2001-01", to: "2001-04", every: "month" };
    const sql = `select *, $partition as key from source
      where (month || '-01')::timestamp >= $partition_start and (month || '-01')::timestamp < $partition_end`;
    const task = { partition: "2001-02", staging: [{ ...placeOf("quakes"), partition: "2001-02" }] };
    const store = await several({ partitions }, task, sql);
    expect(manifestOf(store)).toMatchObject({ partition: "2001-02", rows: 2 });
    const columns = manifestOf(store).files[0]?.columns;
    expect(columns?.find(({ name }) => name === "key")).toMatchObject({ min: "2001-02", max: "2001-02" });
  });

  it("cannot ask for a partition that the task has not", async () => {
    await world.write("several.csv", csv);
    const { context, store } = await world.prepare(ingestJob(source, "select * from source where month = $partition"));
    await expect(ingest.run(context)).rejects.toMatchObject({ name: "TraceError", retryable: false });
    expect(store.puts).toEqual([]);
  });
});

describe("rows that cannot be read", () => {
  const outputs = [
    { dataset: "quakes", strategy: "replace" },
    { dataset: "bad", strategy: "replace", bad_rows: true },
  ];
  const source = { kind: "file", path: "bad.csv", format: "csv", columns: { n: "INTEGER" } } as const;

  it("are set aside with line and reason, the others are read", async () => {
    await world.write("bad.csv", "n,place\n1,sf\nnone,la\n3,sf\n");
    const job = ingestJob(source, undefined, { outputs, config: { on_bad_row: "set_aside" } });
    const { context, said, store } = await world.prepare(job);
    await ingest.run(context);
    expect(manifestOf(store)).toMatchObject({ rows: 2 });
    const bad = manifestOf(store, "g2/l7/");
    expect(bad.schema.map(({ name }) => name)).toEqual(["line", "reason", "row", "source"]);
    expect(bad.files[0]?.columns[0]).toMatchObject({ name: "line", min: "3", max: "3" });
    expect(bad.rows).toBe(1);
    expect(said.join("\n")).toContain("1 rows could not be read");
  });

  it("fail the ingest where nothing is said of them", async () => {
    await world.write("bad.csv", "n,place\n1,sf\nnone,la\n");
    const { context, store } = await world.prepare(ingestJob(source));
    await expect(ingest.run(context)).rejects.toMatchObject({ code: expect.stringMatching(/^TR-520[56]$/) });
    expect(store.puts).toEqual([]);
  });
});
