/** Parquet of strangers: read right, or refused by a code; the parent lives on, whatever the file does to the child. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { silentLog } from "@trace/kit";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type DuckResult, DuckRunner } from "./index.ts";

let root: string;
let runner: DuckRunner;
let count = 0;

/** A file that DuckDB writes of `query`, with `options` of COPY. */
async function parquet(query: string, options = "", before = ""): Promise<string> {
  count += 1;
  const path = join(root, `source ${count}.parquet`);
  const connection = await (await DuckDBInstance.create(":memory:")).connect();
  if (before !== "") await connection.run(before);
  await connection.run(`COPY (${query}) TO '${path}' (FORMAT parquet${options})`);
  connection.closeSync();
  return path;
}

function put(content: Buffer): string {
  count += 1;
  const path = join(root, `bytes ${count}.parquet`);
  writeFileSync(path, content);
  return path;
}

function rows(file: string, sql = "FROM source"): Promise<DuckResult> {
  const inputs = [{ name: "source", files: [file], format: "parquet" as const }];
  return runner.run({ inputs, sql, output: { kind: "rows", rowsMax: 1_000, bytesMax: 1_000_000 } });
}

async function refusal(run: Promise<DuckResult>): Promise<{ code: string; message: string; where?: string }> {
  const error = await run.then(
    ({ rows: found }) => JSON.stringify(found)?.slice(0, 200),
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(Error);
  return error as { code: string; message: string; where?: string };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "duck-parquet-"));
  mkdirSync(join(root, "work"));
  runner = new DuckRunner({ log: silentLog(), workFolder: join(root, "work"), concurrencyMax: 2 });
  await runner.start();
});
afterEach(async () => {
  const output = { kind: "rows", rowsMax: 1, bytesMax: 100 } as const;
  expect((await runner.run({ inputs: [], sql: "SELECT 1 AS alive", output })).rows).toEqual([[1]]);
});
afterAll(async () => {
  await runner.stop();
  rmSync(root, { recursive: true, force: true });
});

it("of no rows has its columns", async () => {
  const { columns, rows: found } = await rows(await parquet("SELECT 1 AS a, 'x' AS b WHERE false"));
  expect([columns.map(({ name, type }) => `${name} ${type}`), found]).toEqual([["a INTEGER", "b VARCHAR"], []]);
});

it("of nested types is read with them, and written again", async () => {
  const nested =
    "SELECT {'x': [1, NULL], 'y': {'z': 'é'}} AS s, map {'k': [DATE '2001-02-03']} AS m, []::INTEGER[] AS l";
  const file = await parquet(nested);
  expect((await rows(file, "SELECT s.x[2], s.y.z, m['k'][1]::VARCHAR, len(l) FROM source")).rows).toEqual([
    [null, "é", "2001-02-03", 0],
  ]);
  const folder = join(root, "nested out");
  mkdirSync(folder);
  const inputs = [{ name: "source", files: [file], format: "parquet" as const }];
  const { files } = await runner.run({ inputs, sql: "FROM source", output: { kind: "parquet", folder } });
  expect((await rows(files?.[0]?.path ?? "", "SELECT s.x[1], s.y.z FROM source")).rows).toEqual([[1, "é"]]);
});

it("whose footer is encrypted is refused", async () => {
  const key = "SET force_mbedtls_unsafe = 'true'; PRAGMA add_parquet_key('k', '0123456789112345')";
  const file = await parquet("SELECT range AS a FROM range(10)", ", ENCRYPTION_CONFIG {footer_key: 'k'}", key);
  const error = await refusal(rows(file));
  expect(error.code).toBe("TR-5206");
  expect(error.message).toMatch(/encrypt/i);
});

it.each([
  ["nothing", () => Buffer.alloc(0)],
  ["four bytes", () => Buffer.from("PAR1")],
  ["a web page", () => Buffer.from("<html>not found</html>")],
  ["no end", (whole: Buffer) => whole.subarray(0, whole.length / 2)],
  ["no last byte", (whole: Buffer) => whole.subarray(0, -1)],
  ["no beginning", (whole: Buffer) => whole.subarray(whole.length / 2)],
  ["a footer longer than itself", (whole: Buffer) => at(whole, whole.length - 8, [0xff, 0xff, 0xff, 0x7f])],
  ["a footer of noise", (whole: Buffer) => at(whole, whole.length - 200, Array(150).fill(0xa5))],
  ["a page of noise", (whole: Buffer) => at(whole, 4, Array(400).fill(0xa5))],
  ["a compressed page with wrong bytes", (whole: Buffer) => at(whole, 60, Array(100).fill(0x5a))],
])("that has %s is refused", async (_, damage) => {
  const whole = readFileSync(
    await parquet("SELECT range AS a, 'text ' || range AS b FROM range(5000)", ", COMPRESSION zstd"),
  );
  const error = await refusal(rows(put(damage(whole)), "SELECT sum(a), max(b) FROM source"));
  expect(error.code).toBe("TR-5206");
  expect(error.where).toMatch(/^bytes \d+\.parquet$/);
  expect(error.message).not.toContain(root);
});

function at(whole: Buffer, offset: number, bytes: readonly number[]): Buffer {
  const damaged = Buffer.from(whole);
  Buffer.from(bytes).copy(damaged, offset);
  return damaged;
}

it("has times of INT96 read as the times they are", async () => {
  const time = Buffer.alloc(12);
  time.writeBigInt64LE(14_706_000_000_000n);
  time.writeInt32LE(2_451_944, 8);
  expect((await rows(put(int96File(time)), "SELECT t::VARCHAR, typeof(t) FROM source")).rows).toEqual([
    ["2001-02-03 04:05:06", expect.stringMatching(/^TIMESTAMP/)],
  ]);
});

/** Numbers in the compact protocol of Thrift, in which Parquet's headers are written. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}
const [int32, int64, binary, list, struct] = [5, 6, 8, 9, 12];
const text = (value: string): number[] => [...varint(value.length), ...Buffer.from(value)];
const items = (type: number, each: number[][]): number[] => [each.length * 16 + type, ...each.flat()];

/** Fields in ascending order: number, type, and an integer or bytes. */
function fields(...each: [number, number, number | number[]][]): number[] {
  let last = 0;
  const bytes = each.flatMap(([id, type, value]) => {
    const head = (id - last) * 16 + type;
    last = id;
    return [head, ...(typeof value === "number" ? varint(value * 2) : value)];
  });
  return [...bytes, 0];
}

/** One row with the one column `t` of INT96, which no writer of today makes. */
function int96File(value: Buffer): Buffer {
  const dataPage = fields([1, int32, 1], [2, int32, 0], [3, int32, 3], [4, int32, 3]);
  const head = fields([1, int32, 0], [2, int32, value.length], [3, int32, value.length], [5, struct, dataPage]);
  const page = Buffer.concat([Buffer.from(head), value]);
  const chunk = fields(
    [1, int32, 3],
    [2, list, items(int32, [[0]])],
    [3, list, items(binary, [text("t")])],
    [4, int32, 0],
    [5, int64, 1],
    [6, int64, page.length],
    [7, int64, page.length],
    [9, int64, 4],
  );
  const group = fields(
    [1, list, items(struct, [fields([2, int64, 4], [3, struct, chunk])])],
    [2, int64, page.length],
    [3, int64, 1],
  );
  const schema = [
    fields([4, binary, text("schema")], [5, int32, 1]),
    fields([1, int32, 3], [3, int32, 0], [4, binary, text("t")]),
  ];
  const footer = Buffer.from(
    fields([1, int32, 1], [2, list, items(struct, schema)], [3, int64, 1], [4, list, items(struct, [group])]),
  );
  const length = Buffer.alloc(4);
  length.writeInt32LE(footer.length);
  const magic = Buffer.from("PAR1");
  return Buffer.concat([magic, page, footer, length, magic]);
}
