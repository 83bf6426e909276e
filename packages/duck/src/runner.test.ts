/** What a run reads, writes and answers, in the real child process. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DuckInput, type DuckResult, DuckRunner } from "./index.ts";

const data = fileURLToPath(new URL("../../../node_modules/vega-datasets/data", import.meta.url));
let root: string;
let work: string;
let runner: DuckRunner;
let count = 0;

function put(name: string, text: string): string {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function source(file: string | string[], format: DuckInput["format"], more: Partial<DuckInput> = {}): DuckInput {
  return { name: "source", files: [file].flat(), format, ...more };
}

function rows(sql: string, ...inputs: DuckInput[]): Promise<DuckResult> {
  return runner.run({ inputs, sql, output: { kind: "rows", rowsMax: 1_000, bytesMax: 1_000_000 } });
}

function parquet(sql: string, ...inputs: DuckInput[]): Promise<DuckResult> {
  count += 1;
  const folder = join(root, `out é "${count}'[*]`);
  mkdirSync(folder, { mode: 0o700 });
  return runner.run({ inputs, sql, output: { kind: "parquet", folder } });
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "duck-run-"));
  work = join(root, "work folder");
  runner = new DuckRunner({ log: silentLog(), workFolder: work, concurrencyMax: 2 });
  await runner.start();
});
afterAll(async () => {
  await runner.stop();
  const left = readdirSync(work);
  rmSync(root, { recursive: true, force: true });
  expect(left).toEqual([]);
});

describe("sources", () => {
  it("reads the 1,707 earthquakes of a GeoJSON file with their types", async () => {
    const sql = `SELECT id, epoch_ms("time") AS occurred_at, mag, place, coordinates[3] AS depth FROM source ORDER BY occurred_at, id`;
    const result = await parquet(sql, source(join(data, "earthquakes.json"), "geojson"));
    expect(result.rowCount).toBe(1_707);
    expect(result.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "id VARCHAR",
      "occurred_at TIMESTAMP",
      "mag DOUBLE",
      "place VARCHAR",
      "depth DOUBLE",
    ]);
    const [file] = result.files ?? [];
    expect(file).toMatchObject({ rows: 1_707 });
    expect(file?.columns[1]).toMatchObject({
      min: "2018-01-31 01:49:59.65",
      max: "2018-02-07 01:26:13.84",
      nullCount: 0,
    });
    expect(file?.bytes).toBe(readFileSync(file?.path ?? "").length);
  });

  it("keeps a feature's own columns when properties have their names, in any case", async () => {
    const properties = { ID: "p", geometry_type: "g", property_geometry_type: "h", Coordinates: 7, "a \"b', c": true };
    const features = [{ type: "Feature", id: 5, properties, geometry: { type: "Point", coordinates: [1, 2.5] } }];
    const file = put("clash.geojson", JSON.stringify({ type: "FeatureCollection", features }));
    const { columns, rows: found } = await rows("FROM source", source(file, "geojson"));
    const row = Object.fromEntries(columns.map(({ name }, index) => [name, found?.[0]?.[index]]));
    expect(row).toEqual({
      id: "5",
      property_ID: "p",
      property_property_geometry_type: "g",
      property_geometry_type: "h",
      property_Coordinates: 7,
      "a \"b', c": true,
      geometry_type: "Point",
      coordinates: [1, 2.5],
    });
  });

  it("reads coordinates as JSON where not every geometry is a point, and features without properties or geometry", async () => {
    const features = [
      { type: "Feature", id: "a", properties: { n: 1 }, geometry: { type: "Point", coordinates: [1, 2] } },
      {
        type: "Feature",
        properties: null,
        geometry: {
          type: "LineString",
          coordinates: [
            [1, 2],
            [3, 4],
          ],
        },
      },
      { type: "Feature", properties: {}, geometry: null },
    ];
    const file = put("mixed.geojson", JSON.stringify({ type: "FeatureCollection", features }));
    const result = await rows("FROM source", source(file, "geojson"));
    expect(result.columns.at(-1)).toEqual({ name: "coordinates", type: "JSON" });
    expect(result.rows).toEqual([
      ["a", 1, "Point", "[1,2]"],
      [null, null, "LineString", "[[1,2],[3,4]]"],
      [null, null, null, null],
    ]);
  });

  it("reads an empty FeatureCollection as no rows with the declared columns", async () => {
    const file = put("empty.geojson", '{"type":"FeatureCollection","features":[]}');
    const result = await parquet("FROM source", source(file, "geojson", { columns: { mag: "DOUBLE" } }));
    expect(result.rowCount).toBe(0);
    expect(result.columns.map(({ name }) => name)).toEqual(["id", "mag", "geometry_type", "coordinates"]);
  });

  it.each([
    ["array.json", '[{"a": 1, "b": {"c": "x"}}, {"a": null, "b": null}]'],
    ["lines.jsonl", '{"a": 1, "b": {"c": "x"}}\n{"a": null, "b": null}\n'],
  ])("reads JSON as %s", async (name, text) => {
    const result = await rows("SELECT a, b.c FROM source", source(put(name, text), "json"));
    expect(result.rows).toEqual([
      [1, "x"],
      [null, null],
    ]);
  });

  it("reads one JSON object as one row", async () => {
    const file = put("one.json", '{"a": 1,\n "b": [1, 2]}');
    expect((await rows("FROM source", source(file, "json"))).rows).toEqual([[1, [1, 2]]]);
  });

  it("reads CSV by its options and declared types", async () => {
    const file = put("odd.csv", "1;'x;y';-\n007;z;-\n");
    const csv = { header: false, delimiter: ";", quote: "'", nullText: "-" };
    const result = await rows("FROM source", source(file, "csv", { csv, columns: { column0: "VARCHAR" } }));
    expect(result.rows).toEqual([
      ["1", "x;y", null],
      ["007", "z", null],
    ]);
  });

  it("infers a CSV column from all of its rows, so that a late text does not fail the run", async () => {
    const numbers = Array.from({ length: 25_000 }, (_, index) => index).join("\n");
    const file = put("late.csv", `n\n${numbers}\nlate\n`);
    const result = await rows("SELECT count(*), max(typeof(n)) FROM source", source(file, "csv"));
    expect(result.rows).toEqual([[25_001, "VARCHAR"]]);
  });

  it("reads several Parquet files, symbolic links and paths with spaces, quotes, unicode and wildcards", async () => {
    const first = await parquet("SELECT 1 AS a, 'x' AS b");
    const second = await parquet("SELECT 2 AS a, 3 AS c");
    const link = join(root, "link 'é\" [x]*?.parquet");
    symlinkSync(first.files?.[0]?.path ?? "", link);
    const input = source([link, second.files?.[0]?.path ?? ""], "parquet", { columns: { d: "DATE" } });
    const result = await rows("FROM source ORDER BY a", input);
    expect(result.columns.map(({ name }) => name)).toEqual(["a", "b", "c", "d"]);
    expect(result.rows).toEqual([
      [1, "x", null, null],
      [2, null, 3, null],
    ]);
  });

  it("makes an empty table of an input without files, if its columns are declared", async () => {
    const declared = { columns: { a: "BIGINT", "b c": "VARCHAR[]" } };
    expect((await rows("FROM source", source([], "parquet", declared))).columns).toEqual([
      { name: "a", type: "BIGINT" },
      { name: "b c", type: "VARCHAR[]" },
    ]);
    await expect(rows("FROM source", source([], "parquet"))).rejects.toMatchObject({ code: "TR-5213" });
  });
});

describe("a source that is not what it should be", () => {
  it.each([
    ["bad.csv", "csv", `a,b\n1,2\nx,3\n`, { columns: { a: "INTEGER" } }, "bad.csv, line 3"],
    ["bad.jsonl", "json", '{"a":1}\n{"a":2}\n{"a":}\n', {}, "bad.jsonl, line 3"],
    ["bad.json", "json", '[{"a":1},\n{"a":2]\n', {}, "bad.json, line 2"],
    ["cut.geojson", "geojson", '{"type":"FeatureCollection",\n"features":[{"type":', {}, "cut.geojson, line 2"],
    ["plain.geojson", "geojson", '{"a":1}', {}, "plain.geojson"],
    ["no.parquet", "parquet", "PAR1 this is not Parquet PAR1", {}, "no.parquet"],
    ["page.parquet", "parquet", "<html>", {}, "page.parquet"],
    ["case.geojson", "geojson", '{"features":[{"properties":{"a":1,"A":2}}]}', {}, "case.geojson"],
  ] as const)("is refused with its name and line: %s", async (name, format, text, more, where) => {
    const error = await rows("FROM source", source(put(name, text), format, more)).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "TR-5206", where, retryable: false });
    expect((error as Error).message).not.toContain(root);
    expect((error as { fix?: string }).fix).toBeTruthy();
  });

  it("is refused before a process starts when it is missing or no file", async () => {
    await expect(rows("FROM source", source(join(root, "none.csv"), "csv"))).rejects.toMatchObject({ code: "TR-5001" });
    await expect(rows("FROM source", source(root, "csv"))).rejects.toMatchObject({ code: "TR-5001" });
    await expect(rows("FROM source", source("/dev/zero", "csv"))).rejects.toMatchObject({ code: "TR-5001" });
    await expect(rows("FROM source", source("relative.csv", "csv"))).rejects.toMatchObject({ code: "TR-5213" });
  });
});

describe("results", () => {
  it("of no rows still make a file with the schema", async () => {
    const result = await parquet("SELECT 1 AS a, 'x' AS b WHERE false");
    expect(result).toMatchObject({
      rowCount: 0,
      columns: [
        { name: "a", type: "INTEGER" },
        { name: "b", type: "VARCHAR" },
      ],
    });
    const again = await rows("FROM source", source(result.files?.[0]?.path ?? "", "parquet"));
    expect(again).toMatchObject({ rowCount: 0, columns: [{ name: "a" }, { name: "b" }] });
  });

  it("carry minimum, maximum and nulls over all row groups, and none where the footer has none", async () => {
    const result = await parquet(`SELECT i AS "a, b", -i::DECIMAL(10, 2) AS dec, nullif(i, 5) AS gap, [i] AS list,
      CASE WHEN i < 200000 THEN NULL ELSE DATE '2020-01-01' + i::INTEGER END AS late, NULL::INTEGER AS none,
      repeat('x', 300) AS long, i::VARCHAR AS text, 'nan'::DOUBLE AS nan FROM range(300000) t(i)`);
    expect(result.files?.[0]?.columns).toEqual([
      { name: "a, b", type: "BIGINT", min: "0", max: "299999", nullCount: 0 },
      { name: "dec", type: "DECIMAL(10,2)", min: "-299999.00", max: "0.00", nullCount: 0 },
      { name: "gap", type: "BIGINT", min: "0", max: "299999", nullCount: 1 },
      { name: "list", type: "BIGINT[]" },
      { name: "late", type: "DATE", min: "2567-08-01", max: "2841-05-15", nullCount: 200_000 },
      { name: "none", type: "INTEGER", nullCount: 300_000 },
      { name: "long", type: "VARCHAR", nullCount: 0 },
      { name: "text", type: "VARCHAR", min: "0", max: "99999", nullCount: 0 },
      { name: "nan", type: "DOUBLE", nullCount: 0 },
    ]);
  });

  it("keep a sum of large integers exact in Parquet, which has no 128-bit integer", async () => {
    const result = await parquet("SELECT sum(x) AS s FROM (VALUES (9007199254740993), (1)) v(x)");
    expect(result.columns).toEqual([{ name: "s", type: "DECIMAL(38,0)" }]);
    const back = await rows("FROM source", source(result.files?.[0]?.path ?? "", "parquet"));
    expect(back.rows).toEqual([["9007199254740994"]]);
  });

  it("are cut at the caps of rows and bytes, and say so", async () => {
    const sql = "SELECT i, repeat('x', 1000) FROM range(100000000) t(i)";
    const byRows = await runner.run({ inputs: [], sql, output: { kind: "rows", rowsMax: 3_000, bytesMax: 1e8 } });
    expect(byRows).toMatchObject({ rowCount: 3_000, truncated: true });
    expect(byRows.rows?.[2_999]?.[0]).toBe(2_999);
    const byBytes = await runner.run({ inputs: [], sql, output: { kind: "rows", rowsMax: 1e6, bytesMax: 10_000 } });
    expect(byBytes).toMatchObject({ rowCount: 9, truncated: true });
    const exact = await runner.run({
      inputs: [],
      sql: "SELECT 1",
      output: { kind: "rows", rowsMax: 1, bytesMax: 100 },
    });
    expect(exact).toMatchObject({ rowCount: 1, truncated: false });
  });

  it("of three million rows are counted and copied", async () => {
    const flights = source(join(data, "flights-3m.parquet"), "parquet");
    expect((await rows("SELECT count(*), max(delay) FROM source", flights)).rows).toEqual([[3_000_000, 1_688]]);
    const copy = await parquet("SELECT * FROM source WHERE delay > 60", flights);
    expect(copy.rowCount).toBeGreaterThan(50_000);
  });

  it("of the same query are the same", async () => {
    const sql =
      "SELECT date_trunc('day', epoch_ms(\"time\")) AS day, count(*), avg(mag) FROM source GROUP BY ALL ORDER BY day";
    const input = source(join(data, "earthquakes.json"), "geojson");
    const [first, second] = await Promise.all([rows(sql, input), rows(sql, input)]);
    expect(first.rows).toEqual(second.rows);
    expect(first.rowCount).toBe(8);
  });
});

describe("errors of a query", () => {
  it.each([
    ["a typing mistake", "SELEC 1", "TR-5200", "SQL, line 1, column 1"],
    ["two statements", "SELECT 1; SELECT 2", "TR-5201", undefined],
    ["a file", "SELECT * FROM read_csv('/etc/passwd')", "TR-5202", "SQL, line 1, column 15"],
    ["an unknown table", "SELECT a\n FROM nothing", "TR-5203", "SQL, line 2, column 7"],
    ["an unknown function", "SELECT nosuch(1)", "TR-5203", "SQL, line 1, column 8"],
    ["a failed cast", "SELECT 'x'::INTEGER", "TR-5205", undefined],
    ["a raised error", "SELECT error('at /etc/secret/place now')", "TR-5205", undefined],
    ["deep nesting", `SELECT ${"abs(".repeat(300)}1${")".repeat(300)}`, "TR-5202", undefined],
    [
      "a join of hundreds",
      `SELECT * FROM ${Array.from({ length: 400 }, (_, i) => `range(1) t${i}`).join(",")}`,
      "TR-5202",
      undefined,
    ],
    ["a text too long", `SELECT '${"x".repeat(70_000)}'`, "TR-5204", undefined],
    ["a NUL", "SELECT 1\0", "TR-5200", undefined],
    ["no text", "", "TR-5201", undefined],
  ])("tell of %s", async (_, sql, code, where) => {
    const error = await rows(sql).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code, where });
    expect((error as Error).message).not.toMatch(/LINE \d|\/etc\/secret/);
  });

  it("leave the output folder empty", async () => {
    const folder = join(root, "failed");
    mkdirSync(folder);
    const sql = "SELECT CASE WHEN i = 900000 THEN error('late') ELSE i END FROM range(1000000) t(i)";
    const run = runner.run({ inputs: [], sql, output: { kind: "parquet", folder } });
    await expect(run).rejects.toMatchObject({ code: "TR-5205" });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("in the request are found before a process starts", async () => {
    const taken = join(root, "taken");
    put("taken/file", "mine");
    const output = { kind: "parquet", folder: taken } as const;
    await expect(runner.run({ inputs: [], sql: "SELECT 1", output })).rejects.toMatchObject({ code: "TR-5213" });
    expect(readdirSync(taken)).toEqual(["file"]);
    const file = put("ok.csv", "a\n1\n");
    for (const name of ["Upper", "pg_class", "duckdb_x", "a b", "", 'a"b']) {
      await expect(rows("SELECT 1", { ...source(file, "csv"), name })).rejects.toMatchObject({ code: "TR-5213" });
    }
    const bad = source(file, "csv", { columns: { a: "INTEGER); DROP" } });
    await expect(rows("SELECT 1", bad)).rejects.toMatchObject({ code: "TR-5213" });
  });
});

it("tables() names what a query reads", async () => {
  expect(await runner.tables("WITH a AS (FROM quakes) SELECT * FROM a JOIN regions USING (region)")).toEqual([
    { name: "quakes" },
    { name: "regions" },
  ]);
  await expect(runner.tables("DROP TABLE x")).rejects.toMatchObject({ code: "TR-5201" });
});
