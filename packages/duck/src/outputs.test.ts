/** Runs with several outputs, partitions, field ids and parameters: what is written, and what is refused. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { partitionKeyCharsMax as contractKeyCharsMax, manifestFilesMax, outputPartitionsMax } from "@trace/contracts";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DuckInput, type DuckOutputsRun, type DuckParquetOutput, type DuckResult, DuckRunner } from "./index.ts";
import { outputFilesMax, partitionKeyCharsMax, partitionsMax } from "./limits.ts";

const flights = fileURLToPath(new URL("../../../node_modules/vega-datasets/data/flights-3m.parquet", import.meta.url));
let root: string;
let runner: DuckRunner;
let count = 0;

function folder(): string {
  count += 1;
  const path = join(root, `out é "${count}'[*]`);
  mkdirSync(path);
  return path;
}

type Wanted = Omit<DuckParquetOutput, "kind" | "folder">;

function outputs(wanted: readonly Wanted[], more: Partial<DuckOutputsRun> = {}): Promise<DuckResult> {
  return runner.run({
    inputs: [],
    outputs: wanted.map((output) => ({ kind: "parquet", folder: folder(), ...output })),
    ...more,
  });
}

function rowsOf(files: readonly string[], sql: string, more: Partial<DuckInput> = {}): Promise<DuckResult> {
  const inputs = [{ name: "t", files, format: "parquet" as const, ...more }];
  return runner.run({ inputs, sql, output: { kind: "rows", rowsMax: 20_000, bytesMax: 5_000_000 } });
}

async function refusal(run: Promise<DuckResult>): Promise<{ code: string; message: string; fix?: string }> {
  const error = await run.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(Error);
  return error as { code: string; message: string; fix?: string };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "duck-outputs-"));
  mkdirSync(join(root, "work"));
  runner = new DuckRunner({ log: silentLog(), workFolder: join(root, "work"), concurrencyMax: 2 });
  await runner.start();
});
afterAll(async () => {
  await runner.stop();
  const left = readdirSync(join(root, "work"));
  rmSync(root, { recursive: true, force: true });
  expect(left).toEqual([]);
});

describe("a partitioned output", () => {
  it("has a file for each value, which keeps the column, under a name that is ours", async () => {
    const sql = "SELECT *, strftime(date, '%Y-%m') AS month FROM flights";
    const { outputs: written, rowCount } = await outputs([{ sql, partitionBy: "month" }], {
      inputs: [{ name: "flights", files: [flights], format: "parquet" }],
    });
    const files = written?.[0]?.files ?? [];
    expect(rowCount).toBe(3_000_000);
    expect(files.map(({ partition }) => partition).sort()).toEqual([
      ...["01", "02", "03", "04", "05", "06", "07"].map((month) => `2001-${month}`),
    ]);
    for (const { path, partition, rows, columns } of files) {
      expect(path).toMatch(/\/part-\d+\.parquet$/);
      expect(readdirSync(dirname(path))).toHaveLength(files.length);
      const own = await rowsOf([path], "SELECT count(*), min(month), max(month), count(DISTINCT month) FROM t");
      expect(own.rows).toEqual([[rows, partition, partition, 1]]);
      expect(columns.find(({ name }) => name === "month")).toMatchObject({
        min: partition,
        max: partition,
        nullCount: 0,
      });
    }
  }, 60_000);

  it("takes keys that would be harmful in a path, or look like one another", async () => {
    const keys = [
      "a/b",
      "..",
      ".",
      "../../etc/passwd",
      "%2F",
      "a b",
      "a=b",
      "é",
      "e\u0301",
      "日本",
      "\u{1f600}",
      "\n",
      "'",
      '"',
    ];
    keys.push("__HIVE_DEFAULT_PARTITION__", "NULL", "A", "a", " a", "a ", "k".repeat(256), "日".repeat(256));
    const file = join(root, "keys.json");
    writeFileSync(file, JSON.stringify(keys.map((key, n) => ({ key, n }))));
    const { files } = await outputs([{ sql: "FROM source", partitionBy: "KEY" }], {
      inputs: [{ name: "source", files: [file], format: "json" }],
    });
    expect(files?.map(({ partition }) => partition).sort()).toEqual([...keys].sort());
    for (const { path, partition } of files ?? []) {
      expect(path).toMatch(/\/part-\d+\.parquet$/);
      expect((await rowsOf([path], "SELECT key FROM t")).rows).toEqual([[partition]]);
    }
  }, 60_000);

  it.each([
    ["range", "INTEGER", ["0", "1", "2"]],
    ["range = 1", "BOOLEAN", ["false", "true"]],
    ["DATE '2001-01-31' + range::INTEGER", "DATE", ["2001-01-31", "2001-02-01", "2001-02-02"]],
    [
      "TIMESTAMP '2001-01-01 07:00' + to_hours(range)",
      "hour",
      ["2001-01-01 07:00:00", "2001-01-01 08:00:00", "2001-01-01 09:00:00"],
    ],
    ["range::DECIMAL(5, 2)", "DECIMAL", ["0.00", "1.00", "2.00"]],
  ])("takes keys as their text: %s", async (key, _, expected) => {
    const { files } = await outputs([{ sql: `SELECT ${key} AS key FROM range(3)`, partitionBy: "key" }]);
    expect(files?.map(({ partition }) => partition).sort()).toEqual(expected);
  });

  it.each([
    ["SELECT NULL::VARCHAR AS key", "NULL"],
    ["SELECT CASE WHEN range < 500000 THEN 'a' END AS key FROM range(500001)", "NULL"],
    ["SELECT '' AS key", "empty text"],
    ["SELECT repeat('k', 257) AS key", "257 characters"],
    ["SELECT chr(0) AS key", "NUL character"],
    ["SELECT 1.5::DOUBLE AS key", "DOUBLE"],
    ["SELECT [1] AS key", "INTEGER[]"],
    ["SELECT range AS key FROM range(10001)", "more than 10000 values"],
    ["SELECT 1 AS kee", "Did you mean 'kee'"],
  ])(
    "is refused by name, with nothing left: %s",
    async (sql, what) => {
      const own = folder();
      const error = await refusal(
        runner.run({ inputs: [], outputs: [{ kind: "parquet", sql, folder: own, partitionBy: "key" }] }),
      );
      expect(error.code).toBe("TR-5214");
      expect(`${error.message} ${error.fix}`).toContain(what);
      expect(error.message).toContain("'key'");
      expect(readdirSync(own)).toEqual([]);
    },
    60_000,
  );

  it("of thousands of scattered keys is written within the default limits, a file for each", async () => {
    const sql = "SELECT 'k' || (hash(range) % 4000) AS key, range AS n, 'text ' || range AS t FROM range(200000)";
    const { outputs: written, peakRssBytes } = await outputs([{ sql, partitionBy: "key", fieldIds: {} }]);
    const files = written?.[0]?.files ?? [];
    expect(written?.[0]?.rowCount).toBe(200_000);
    expect(new Set(files.map(({ partition }) => partition)).size).toBe(4_000);
    expect(files).toHaveLength(4_000);
    expect(peakRssBytes).toBeLessThan(1_000_000_000);
    const some = files.slice(0, 100);
    const found = await rowsOf(
      some.map(({ path }) => path),
      "SELECT count(*), count(DISTINCT key) FROM t",
    );
    expect(found.rows).toEqual([[some.reduce((sum, { rows }) => sum + rows, 0), 100]]);
  }, 120_000);

  it("of no rows has no file, but its columns", async () => {
    const { outputs: written } = await outputs([
      { sql: "SELECT 1 AS a, 'x' AS key WHERE false", partitionBy: "key", fieldIds: {} },
    ]);
    expect(written).toEqual([
      {
        columns: [
          { name: "a", type: "INTEGER", fieldId: 1 },
          { name: "key", type: "VARCHAR", fieldId: 2 },
        ],
        rowCount: 0,
        files: [],
      },
    ]);
  });

  it("has the bounds of the contract", () => {
    expect([partitionsMax, partitionKeyCharsMax, outputFilesMax]).toEqual([
      outputPartitionsMax,
      contractKeyCharsMax,
      manifestFilesMax,
    ]);
  });
});

describe("several outputs", () => {
  it("are written in one run over the same inputs, each to its folder", async () => {
    const file = join(root, "two.csv");
    writeFileSync(file, "k,n\na,1\nb,2\n");
    const { outputs: written, files } = await outputs(
      [
        { sql: "FROM source" },
        { sql: "SELECT k, n * 10 AS n FROM source", partitionBy: "k" },
        { sql: "SELECT count(*) AS c FROM source" },
      ],
      { inputs: [{ name: "source", files: [file], format: "csv" }] },
    );
    expect(written?.map(({ rowCount }) => rowCount)).toEqual([2, 2, 1]);
    expect(files).toEqual(written?.[0]?.files);
    expect(written?.[1]?.files.map(({ partition }) => partition)).toEqual(["a", "b"]);
    expect((await rowsOf(written?.[1]?.files.map(({ path }) => path) ?? [], "SELECT sum(n) FROM t")).rows).toEqual([
      [30],
    ]);
  });

  it("are all discarded when one fails", async () => {
    const [first, second] = [folder(), folder()];
    const run = runner.run({
      inputs: [],
      outputs: [
        { kind: "parquet", sql: "SELECT 1 AS a", folder: first },
        { kind: "parquet", sql: "SELECT range::VARCHAR::DATE AS d FROM range(10)", folder: second },
      ],
    });
    expect((await refusal(run)).code).toBe("TR-5205");
    expect([...readdirSync(first), ...readdirSync(second)]).toEqual([]);
  });

  it("are refused in one folder, in folders within one another, none and too many", async () => {
    const own = folder();
    const inner = join(own, "inner");
    const output = (path: string): DuckParquetOutput => ({ kind: "parquet", sql: "SELECT 1 AS a", folder: path });
    expect((await refusal(runner.run({ inputs: [], outputs: [output(own), output(own)] }))).code).toBe("TR-5213");
    mkdirSync(inner);
    expect((await refusal(runner.run({ inputs: [], outputs: [output(inner), output(own)] }))).code).toBe("TR-5213");
    expect((await refusal(runner.run({ inputs: [], outputs: [] }))).code).toBe("TR-5213");
    const many = Array.from({ length: 65 }, () => output(own));
    expect((await refusal(runner.run({ inputs: [], outputs: many }))).code).toBe("TR-5213");
  });

  it("are each looked at by the gate, before any input is read", async () => {
    const run = outputs([{ sql: "SELECT 1 AS a" }, { sql: "SELECT * FROM read_csv('/etc/passwd')" }]);
    expect((await refusal(run)).code).toBe("TR-5202");
  });
});

describe("field ids", () => {
  it("are written as given, new columns get the next, whatever the case of names", async () => {
    const sql = `SELECT 1 AS a, {'x': 1, 'y': [2]} AS s, 'v' AS "we""ird, 'é", 5::HUGEINT AS B, map {'k': 1} AS m`;
    const { outputs: written } = await outputs([{ sql, fieldIds: { b: 7, gone: 12, a: 3 } }]);
    expect(written?.[0]?.columns.map(({ name, fieldId }) => [name, fieldId])).toEqual([
      ["a", 3],
      ["s", 13],
      [`we"ird, 'é`, 14],
      ["B", 7],
      ["m", 15],
    ]);
    expect(written?.[0]?.columns[3]?.type).toBe("DECIMAL(38,0)");
    const path = written?.[0]?.files[0]?.path ?? "";
    const { DuckDBInstance } = await import("@duckdb/node-api");
    const connection = await (await DuckDBInstance.create(":memory:")).connect();
    const found = await connection.runAndReadAll("SELECT field_id FROM parquet_schema($1) WHERE field_id IS NOT NULL", [
      path,
    ]);
    expect(found.getRows().map(([id]) => Number(id))).toEqual([3, 13, 14, 7, 15]);
  });

  it.each([{ a: 0 }, { a: -1 }, { a: 1.5 }, { a: 1, b: 1 }, { a: 2_000_000_000 }])(
    "are refused: %j",
    async (fieldIds) => {
      expect((await refusal(outputs([{ sql: "SELECT 1 AS a", fieldIds }]))).code).toBe("TR-5213");
    },
  );
});

describe("parameters", () => {
  const params = { partition: "2001-01", partition_start: "2001-01-01T00:00:00", partition_end: "2001-02-01" };

  it("are constants of the SQL, a text and two times", async () => {
    const sql = "SELECT $partition AS p, typeof($partition_start) AS t, $partition_end::VARCHAR AS e";
    const { files } = await outputs([{ sql }], { params });
    expect((await rowsOf([files?.[0]?.path ?? ""], "FROM t")).rows).toEqual([
      ["2001-01", "TIMESTAMP", "2001-02-01 00:00:00"],
    ]);
  });

  it("keep every digit of numbers beside them, and every character of a hostile value", async () => {
    const hostile = `'; DROP TABLE t; -- "$partition" \\ é`;
    const sql = "SELECT $partition AS p, 9007199254740993 AS big, '$partition' AS text, 0.10 AS d";
    const { files } = await outputs([{ sql }], { params: { partition: hostile } });
    expect((await rowsOf([files?.[0]?.path ?? ""], "FROM t")).rows).toEqual([
      [hostile, "9007199254740993", "$partition", 0.1],
    ]);
  });

  it("stand anywhere an expression may, a WITH and a subquery included", async () => {
    const sql = `WITH w AS (SELECT $partition AS p) SELECT p, (SELECT max($partition_start)) AS s, CASE WHEN p = $partition THEN 1 END AS c
      FROM w WHERE p IN ($partition) ORDER BY p || $partition LIMIT 1`;
    const { files } = await outputs([{ sql }], { params });
    expect((await rowsOf([files?.[0]?.path ?? ""], "SELECT p, c FROM t")).rows).toEqual([["2001-01", 1]]);
  });

  it("let DuckDB leave out what cannot match", async () => {
    const inputs = [{ name: "flights", files: [flights], format: "parquet" as const }];
    const sql = "EXPLAIN SELECT 1";
    expect((await refusal(outputs([{ sql }], { inputs, params }))).code).toBe("TR-5201");
    const range = "SELECT count(*) AS n FROM flights WHERE date >= $partition_start AND date < $partition_end";
    const { files } = await outputs([{ sql: range }], { inputs, params });
    const { files: written } = await outputs(
      [
        {
          sql: "SELECT count(*) AS n FROM flights WHERE date >= TIMESTAMP '2001-01-01' AND date < TIMESTAMP '2001-02-01'",
        },
      ],
      { inputs },
    );
    const number = async (path: string | undefined) => (await rowsOf([path ?? ""], "FROM t")).rows;
    expect(await number(files?.[0]?.path)).toEqual(await number(written?.[0]?.path));
  });

  it.each(["$partition", "$partition_start", "$other", "$1", "?"])(
    "are refused where they have no value: %s",
    async (name) => {
      const error = await refusal(outputs([{ sql: `SELECT ${name} AS a` }]));
      expect(error.code).toBe("TR-5202");
      const one = await refusal(outputs([{ sql: `SELECT ${name} AS a` }], { params: { partition_end: "2001-01-01" } }));
      expect(one.code).toBe("TR-5202");
    },
  );

  it.each([
    { partition: "" },
    { partition: "k".repeat(257) },
    { partition: "a\0" },
    { partition_start: "yesterday" },
    { partition_end: "2001-01-01T00:00:00Z" },
    { other: "x" },
  ])("are refused by their values: %j", async (wrong) => {
    expect((await refusal(outputs([{ sql: "SELECT 1 AS a" }], { params: wrong }))).code).toBe("TR-5213");
  });

  it("are no tables and hide none", async () => {
    expect(await runner.tables("SELECT $partition, $partition_start FROM a JOIN b ON a.k = $partition_end")).toEqual([
      { name: "a" },
      { name: "b" },
    ]);
    await expect(runner.tables("SELECT $secret FROM a")).rejects.toMatchObject({ code: "TR-5202" });
  });
});

describe("the filter of an input", () => {
  const where = (condition: NonNullable<DuckInput["where"]>, sql = "SELECT count(*) FROM t") =>
    rowsOf([flights], sql, { where: condition });

  it("keeps rows whose columns equal a value, by the column's own type", async () => {
    const plain = await rowsOf([flights], "SELECT count(*) FROM t WHERE origin IN ('SFO', 'LAX') AND delay = -5");
    expect((await where({ ORIGIN: ["SFO", "LAX"], delay: [-5] })).rows).toEqual(plain.rows);
    expect((await where({ origin: ["SFO"], delay: ["-5"] }, "SELECT DISTINCT origin, delay FROM t")).rows).toEqual([
      ["SFO", -5],
    ]);
    expect((await where({ origin: [null] })).rows).toEqual([[0]]);
    expect((await where({ origin: ["'); DROP TABLE t; --"] })).rows).toEqual([[0]]);
    expect((await where({ date: ["2001-01-01 00:01:00", null] }, "SELECT DISTINCT date FROM t")).rows).toEqual([
      ["2001-01-01T00:01:00.000"],
    ]);
  });

  it("is refused for a column that is not there and a value that is none of its type", async () => {
    expect(await refusal(where({ orgin: ["SFO"] }))).toMatchObject({
      code: "TR-5203",
      fix: expect.stringContaining("'origin'"),
    });
    expect((await refusal(where({ delay: [1.5] }))).code).toBe("TR-5203");
    expect((await refusal(where({ delay: ["late"] }))).code).toBe("TR-5203");
    expect((await refusal(where({ delay: [] }))).code).toBe("TR-5213");
  });
});

describe("committed files by their schema", () => {
  async function file(sql: string): Promise<string> {
    return (await outputs([{ sql }])).files?.[0]?.path ?? "";
  }

  it("are read by name: what is missing is NULL, what is narrower is cast, what is gone is not seen", async () => {
    const old = await file("SELECT 1::INTEGER AS a, 'x' AS gone, 1.5::FLOAT AS f");
    const now = await file("SELECT 2.25::DOUBLE AS F, 9007199254740993 AS A, DATE '2001-01-01' AS d");
    const schema = [
      { name: "a", type: "BIGINT" },
      { name: "d", type: "TIMESTAMP" },
      { name: "f", type: "DOUBLE" },
      { name: "new one", type: "VARCHAR[]" },
    ];
    const result = await rowsOf([old, now], "FROM t ORDER BY f", { schema });
    expect(result.columns).toEqual(schema);
    expect(result.rows).toEqual([
      [1, null, 1.5, null],
      ["9007199254740993", "2001-01-01T00:00:00.000", 2.25, null],
    ]);
    expect((await rowsOf([], "FROM t", { schema })).columns).toEqual(schema);
  });

  it.each([
    { format: "csv" as const, schema: [{ name: "a", type: "BIGINT" }] },
    { schema: [] },
    {
      schema: [
        { name: "a", type: "BIGINT" },
        { name: "A", type: "BIGINT" },
      ],
    },
    { schema: [{ name: "a", type: "BIGINT" }], columns: { a: "BIGINT" } },
    { schema: [{ name: "a", type: "BIGINT); DROP TABLE x; --" }] },
  ])("are refused a schema that is none: %j", async (more) => {
    expect((await refusal(rowsOf([await file("SELECT 1 AS a")], "FROM t", more))).code).toBe("TR-5213");
  });
});
