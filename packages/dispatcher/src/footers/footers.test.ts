/** Footers of strangers, read by the real child: what is true passes, what lies is named, what attacks hurts nobody. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ManifestFile } from "@trace/contracts";
import { type DuckFile, DuckRunner } from "@trace/duck";
import { silentLog } from "@trace/kit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { requireTrue } from "./compare.ts";
import { footerBytesMax } from "./limits.ts";
import { FooterReader } from "./reader.ts";
import {
  binary,
  bool,
  encodeStruct,
  type Fields,
  fileOf,
  footerWith,
  i32,
  i64,
  list,
  type Parts,
  struct,
} from "./testing/thrift.ts";

const readers: FooterReader[] = [];

function readerOf(file: Uint8Array, deadlineMs = 15_000) {
  const ranges: [number, number][] = [];
  const range = (_bucket: string, _key: string, part: { start: number; end: number }) => {
    ranges.push([part.start, part.end]);
    return Promise.resolve(file.subarray(part.start, part.end));
  };
  const reader = new FooterReader({ store: { range }, log: silentLog(), deadlineMs });
  readers.push(reader);
  const head = { bytes: file.length, etag: '"e"', sha256: undefined };
  return { reader, ranges, read: () => reader.read("bucket", "key", head) };
}

/** What a footer is refused for; "" when it is not. */
async function refusalOf(file: Uint8Array, deadlineMs?: number): Promise<string> {
  const answer = await readerOf(file, deadlineMs).read();
  return "refused" in answer ? answer.refused : "";
}

const broken = (parts: Parts) => fileOf(encodeStruct(footerWith(parts)));

afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.stop()));
});

describe("a file of every type that DuckDB writes", () => {
  let root: string;
  let runner: DuckRunner;
  let file: DuckFile;
  let bytes: Buffer;

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), "footers-"));
    runner = new DuckRunner({ log: silentLog(), workFolder: join(root, "work") });
    await runner.start();
    mkdirSync(join(root, "out"));
    const sql = `SELECT x::TINYINT AS tiny, x::SMALLINT AS small, x::INTEGER AS whole, x AS big, (x + 5)::UBIGINT AS above,
        x::FLOAT / 3 AS float, x::DOUBLE / 7 AS double, (x / 3)::DECIMAL(9, 2) AS money, (x / 3)::DECIMAL(38, 10) AS wide,
        DATE '1969-12-30' + x::INTEGER AS day, DATE '0044-03-15' - 60000 AS bc,
        TIMESTAMP '1969-12-31 23:59:59.5' + x * INTERVAL 1 HOUR AS at,
        (TIMESTAMP '1969-12-31 23:59:59.5' + x * INTERVAL 1 HOUR)::TIMESTAMP_NS AS nano,
        (TIMESTAMP '1969-12-31 23:59:59.5' + x * INTERVAL 1 HOUR)::TIMESTAMP_MS AS milli,
        TIMESTAMPTZ '2001-01-01 00:00:00+00' AS zoned, TIME '12:00:01.25' AS clock, TIMETZ '12:00:01+02' AS zonedclock,
        INTERVAL 3 DAY AS span, 'Zoë' || x AS text, ('a\\x00' || x)::BLOB AS bytes, uuid() AS id, x > 1 AS flag,
        [x, x] AS list, {'a b': x, 'select': 'z', c: [1]} AS struct, MAP {'k': x} AS map, '{}'::JSON AS json, NULL AS nothing,
        CASE WHEN x > 2 THEN x END AS hole, repeat('é', 300) AS long, [{'q': 1}] AS structs, 'x' AS "__proto__"
      FROM (SELECT unnest([-1::BIGINT, 0, 1, 2, 3]) AS x)`;
    const result = await runner.run({ inputs: [], sql, output: { kind: "parquet", folder: join(root, "out") } });
    file = result.files?.[0] as DuckFile;
    bytes = readFileSync(file.path);
  });
  afterAll(async () => {
    await runner.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const columnsOf = (): ManifestFile["columns"] =>
    file.columns.map(({ name, type, min, max, nullCount }) => ({ name, type, min, max, null_count: nullCount }));

  async function verdict(change: (manifest: ManifestFile) => Partial<ManifestFile>): Promise<ManifestFile> {
    const honest = {
      key: "p/0.parquet",
      bytes: bytes.length,
      rows: file.rows,
      sha256: "0".repeat(64),
      columns: columnsOf(),
    };
    const manifest = { ...honest, ...change(honest) };
    const schema = manifest.columns.map(({ name, type }) => ({ name, type }));
    return requireTrue({ dataset: "d", bucket: "b", schema, file: manifest }, await readerOf(bytes).read());
  }

  it("passes with what the manifest of our own writer says of it", async () => {
    const checked = await verdict(() => ({}));
    const told = (columns: ManifestFile["columns"]) =>
      columns.filter(({ min }) => typeof min === "string").map(({ name }) => name);
    expect(told(checked.columns)).toEqual(told(columnsOf()));
    expect(told(checked.columns).length).toBeGreaterThan(20);
    expect(checked.columns.find(({ name }) => name === "money")).toMatchObject({
      min: "-0.33",
      max: "1.00",
      null_count: 0,
    });
  });

  it("drops the largest of fractions, beside which there may be NaN, and what the footer does not tell", async () => {
    const claim = (name: string, more: object) => (m: ManifestFile) => ({
      columns: m.columns.map((column) => (column.name === name ? { ...column, ...more } : column)),
    });
    expect((await verdict(() => ({}))).columns.find(({ name }) => name === "double")?.max).toBeNull();
    const long = await verdict(claim("long", { min: "a", max: "b" }));
    expect(long.columns.find(({ name }) => name === "long")).toMatchObject({ min: null, max: null });
    const inside = await verdict(claim("list", { min: "[0]", max: "[9]", null_count: 7 }));
    expect(inside.columns.find(({ name }) => name === "list")).toMatchObject({
      min: null,
      max: null,
      null_count: null,
    });
  });

  const column = (name: string, more: object) => (m: ManifestFile) => ({
    columns: m.columns.map((one) => (one.name === name ? { ...one, ...more } : one)),
  });

  it.each<[string, (manifest: ManifestFile) => Partial<ManifestFile>, string]>([
    ["rows", () => ({ rows: 6 }), "'p/0.parquet': the manifest says 6 rows; the footer says 5"],
    [
      "a type",
      column("whole", { type: "BIGINT" }),
      "column 'whole': the manifest says type BIGINT; the footer says INTEGER",
    ],
    ["a scale", column("money", { type: "DECIMAL(9,3)" }), "the footer says DECIMAL(9,2)"],
    [
      "a field of a struct",
      column("struct", { type: 'STRUCT("a b" BIGINT, "selekt" VARCHAR, c INTEGER[])' }),
      "'struct'",
    ],
    ["a time zone", column("at", { type: "TIMESTAMP WITH TIME ZONE" }), "the footer says TIMESTAMP"],
    ["a smallest number", column("big", { min: "0" }), "'0' is the smallest value; the footer says '-1'"],
    ["a largest number", column("big", { max: "4" }), "'4' is the largest value; the footer says '3'"],
    ["a number that is none", column("big", { min: "a" }), "the footer says '-1'"],
    ["a smallest fraction", column("float", { min: "-0.33333330" }), "'float'"],
    ["a decimal", column("money", { max: "1.01" }), "the footer says '1.00'"],
    ["a wide decimal by its last digit", column("wide", { min: "-0.3333333334" }), "the footer says '-0.3333333333'"],
    ["a day", column("day", { max: "1970-01-03" }), "the footer says '1970-01-02'"],
    ["an era", column("bc", { min: "0122-12-06" }), "'bc'"],
    ["a moment", column("at", { min: "1969-12-31 22:59:59" }), "the footer says '1969-12-31 22:59:59.500'"],
    ["a moment in nanoseconds", column("nano", { min: "1969-12-31 22:59:59.500000001" }), "'nano'"],
    ["a moment elsewhere", column("zoned", { max: "2001-01-01 00:00:00+01" }), "'zoned'"],
    ["a text", column("text", { min: "Zo" }), "the footer says 'Zoë-1'"],
    ["bytes", column("bytes", { max: "a\\x013" }), "'bytes'"],
    ["an id", column("id", { min: "00000000-0000-0000-0000-000000000000" }), "'id'"],
    ["a flag", column("flag", { min: "true" }), "the footer says 'false'"],
    ["nulls", column("hole", { null_count: 3 }), "column 'hole': the manifest says 3 nulls; the footer says 4"],
    [
      "a column too many",
      (m) => ({ columns: [...m.columns, { name: "more", type: "BIGINT" }] }),
      "there is no such column",
    ],
    ["a column too few", (m) => ({ columns: m.columns.slice(1) }), "column 'tiny': the manifest says no such column"],
    ["another name", column("tiny", { name: "tinny" }), "column 'tinny'"],
  ])("is refused when the manifest lies about %s", async (_what, change, words) => {
    const lied = verdict(change);
    await expect(lied).rejects.toMatchObject({ code: "TR-4013" });
    await expect(lied).rejects.toThrow(words);
  });

  it("is refused when the manifest gives a column another field id", async () => {
    const answer = await readerOf(bytes).read();
    const schema = file.columns.map(({ name, type }, at) => ({ name, type, ...(at === 0 ? { field_id: 77 } : {}) }));
    const manifest = { key: "k", bytes: bytes.length, rows: file.rows, sha256: "0".repeat(64), columns: [] };
    expect(() => requireTrue({ dataset: "d", bucket: "b", schema, file: manifest }, answer)).toThrow("field id 77");
  });
});

describe("a footer that is honest", () => {
  it("is told with its rows, types and bounds, by one ranged GET", async () => {
    const { read, ranges } = readerOf(broken({}));
    const columns = [{ name: "x", type: "BIGINT", fieldId: null, min: "1", max: "3", nulls: 0 }];
    expect(await read()).toEqual({ facts: { rows: 3, columns } });
    expect(ranges).toHaveLength(1);
  });

  it("is fetched by a second GET when it is long", async () => {
    const pairs = list(struct({ 1: binary("note"), 2: binary("n".repeat(100_000)) }));
    const { read, ranges } = readerOf(broken({ metadata: { 5: pairs } }));
    expect(await read()).toMatchObject({ facts: { rows: 3 } });
    expect(ranges).toHaveLength(2);
  });

  const bounds: [string, Parts, Partial<{ min: string | null; max: string | null; nulls: number | null }>][] = [
    ["is cut short", { statistics: { 8: bool(false) } }, { min: null, max: "3" }],
    ["is missing", { statistics: { 5: undefined } }, { min: "1", max: null }],
    [
      "is of the older pair",
      { statistics: { 1: binary(Buffer.alloc(8, 1)), 5: undefined } },
      { max: "72340172838076673" },
    ],
    ["has another length", { statistics: { 6: binary("abc") } }, { min: null, max: "3" }],
    [
      "is in an order that is not known",
      { metadata: { 7: list(struct({ 9: struct({}) })) } },
      { min: null, max: null },
    ],
    ["is that of nobody, all being null", { statistics: { 3: i64(3) } }, { min: null, max: null, nulls: 3 }],
    ["has no number of nulls", { statistics: { 3: undefined } }, { min: "1", nulls: null }],
  ];
  it.each(bounds)("has no bound where it %s", async (_what, parts, expected) => {
    expect(await readerOf(broken(parts)).read()).toMatchObject({ facts: { columns: [expected] } });
  });

  const double = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return binary(bytes);
  };
  it("tells 0 for -0, and nothing for NaN", async () => {
    const fractions = (min: number): Parts => ({
      leaf: { 1: i32(5) },
      data: { 1: i32(5), 12: struct({ 5: double(1), 6: double(min) }) },
    });
    expect(await readerOf(broken(fractions(-0))).read()).toMatchObject({ facts: { columns: [{ min: "0" }] } });
    expect(await readerOf(broken(fractions(Number.NaN))).read()).toMatchObject({ facts: { columns: [{ min: null }] } });
  });

  it("orders text by its bytes over row groups, whatever the older pair says", async () => {
    const group = (min: string | undefined, old: string) => {
      const stats = struct({ 2: binary(old), 3: i64(0), ...(min === undefined ? {} : { 6: binary(min) }) });
      return footerWith({ data: { 1: i32(6), 12: stats } })[4];
    };
    const of = (...groups: ReturnType<typeof group>[]) => {
      const value = groups.flatMap((one) => (one?.type === "list" ? one.value : []));
      return broken({
        leaf: { 1: i32(6), 6: i32(0) },
        metadata: { 3: i64(3 * groups.length), 4: { type: "list", value } },
      });
    };
    const min = async (file: Buffer) => (await readerOf(file).read()) as unknown;
    expect(await min(of(group("é", "a"), group("z", "a")))).toMatchObject({
      facts: { columns: [{ type: "VARCHAR", min: "z" }] },
    });
    expect(await min(of(group("é", "a"), group(undefined, "a")))).toMatchObject({
      facts: { columns: [{ min: null }] },
    });
  });
});

describe("a footer that lies or attacks", () => {
  const metadata = encodeStruct(footerWith());
  const trailer = (length: number) => {
    const file = fileOf(metadata);
    file.writeUInt32LE(length, file.length - 8);
    return file;
  };
  const node = (name: string, children: number) => struct({ 4: binary(name), 5: i32(children) });
  const nodes = (...more: ReturnType<typeof node>[]): Parts => ({ metadata: { 2: list(...more) } });
  const leaf = (name: string) => struct({ 1: i32(2), 4: binary(name) });
  const twoColumns = (first: string, second: string): Parts => ({
    metadata: { 2: list(node("root", 2), leaf(first), leaf(second)) },
  });
  const manyGroups = (count: number): Fields => {
    const groups = Array.from({ length: count }, () => struct({ 1: list(), 2: i64(0), 3: i64(0) }));
    return footerWith({ metadata: { 4: { type: "list", value: groups } } });
  };
  const deepChain = Array.from({ length: 5_000 }, () => node("g", 1));

  it.each<[string, () => Buffer, RegExp]>([
    ["no file at all", () => Buffer.alloc(3), /so small/],
    ["another magic", () => fileOf(metadata, "NOPE"), /does not end as a Parquet file/],
    ["an encrypted footer", () => fileOf(metadata, "PARE"), /encrypted/],
    ["a length beyond the file", () => trailer(200_000), /bytes, and the file/],
    ["a length beyond all bounds", () => trailer(0xffff_ffff), /at most 16777216 are read/],
    ["a length of nought", () => trailer(0), /cannot be parsed|missing/],
    ["a length that begins in the middle", () => trailer(metadata.length - 3), /./],
    ["a length that begins before", () => trailer(metadata.length + 5), /./],
    ["metadata that is cut off", () => fileOf(metadata.subarray(0, metadata.length - 20)), /./],
    [
      "bytes behind the metadata",
      () => fileOf(Buffer.concat([metadata, Buffer.alloc(9)])),
      /shorter than the footer says/,
    ],
    ["noise", () => fileOf(Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 7 + 13) % 256))), /./],
    ["encryption in the metadata", () => broken({ metadata: { 8: struct({}) } }), /encrypted/],
    ["an encrypted column", () => broken({ chunk: { 8: struct({}) } }), /encrypted/],
    ["a column in another file", () => broken({ chunk: { 1: binary("/etc/passwd") } }), /another file/],
    ["a column in another file, said in the wrong type", () => broken({ chunk: { 1: i64(7) } }), /another file/],
    ["a negative number of rows", () => broken({ metadata: { 3: i64(-1) } }), /number of rows is out of range/],
    ["a number of rows beyond 2^53", () => broken({ metadata: { 3: i64(2n ** 60n) } }), /out of range/],
    ["a number of rows of another type", () => broken({ metadata: { 3: i32(3) } }), /no 64-bit integer/],
    [
      "row groups of fewer rows",
      () => broken({ metadata: { 3: i64(4) } }),
      /row groups have 3 rows, the footer says 4/,
    ],
    ["more values than rows", () => broken({ data: { 5: i64(4) } }), /4 values in a row group of 3 rows/],
    ["more nulls than values", () => broken({ statistics: { 3: i64(4) } }), /more nulls than values/],
    ["negative nulls", () => broken({ statistics: { 3: i64(-1) } }), /out of range/],
    ["pages beyond the file", () => broken({ data: { 7: i64(4_000) } }), /not all pages of this file/],
    ["pages in the footer", () => broken({ data: { 9: i64(90) } }), /not all pages of this file/],
    ["pages before the file", () => broken({ data: { 9: i64(-8) } }), /out of range/],
    ["an unknown codec", () => broken({ data: { 4: i32(3) } }), /codec 3/],
    ["a column of another type", () => broken({ data: { 1: i32(1) } }), /not that of the schema/],
    ["a column of another name", () => broken({ data: { 3: list(binary("y")) } }), /the schema has 'x' there/],
    ["a row group without columns", () => broken({ group: { 1: list() } }), /0 columns, its schema 1/],
    ["no row groups", () => broken({ metadata: { 4: undefined } }), /row groups are missing/],
    ["no schema", () => broken({ metadata: { 2: list() } }), /schema/],
    ["a schema of one value", () => broken({ root: { 1: i32(2) } }), /neither a value nor a group/],
    ["a schema that names more children than there are", () => broken({ root: { 5: i32(2) } }), /more children/],
    ["a schema that goes round", () => broken({ root: { 5: i32(0x7fff_ffff) } }), /more children/],
    ["a negative number of children", () => broken({ root: { 5: i32(-1) } }), /negative/],
    [
      "schema elements that belong to nothing",
      () => broken({ metadata: { 2: list(node("root", 1), leaf("x"), leaf("y")) } }),
      /no column/,
    ],
    ["a schema of 5,000 levels", () => broken(nodes(node("root", 1), ...deepChain, leaf("x"))), /deeper than/],
    ["one name twice", () => broken(twoColumns("a", "A")), /'A' twice/],
    ["a name that is no text", () => broken({ leaf: { 4: binary(Buffer.from([0xff])) } }), /no UTF-8/],
    ["an empty name", () => broken({ leaf: { 4: binary("") } }), /name is empty/],
    ["a million row groups", () => fileOf(encodeStruct(manyGroups(1_000_000))), /are 1000000; at most 65536/],
    ["a list of two thousand million", () => fileOf(Buffer.from([0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07])), /./],
    ["structures in structures, a million deep", () => fileOf(Buffer.alloc(1_000_000, 0x1c)), /cannot be parsed/],
    [
      "lists in lists, a million deep",
      () => fileOf(Buffer.concat([Buffer.from([0x19]), Buffer.alloc(1_000_000, 0x19)])),
      /./,
    ],
  ])("is refused: %s", { timeout: 60_000 }, async (_what, file, words) => {
    expect(await refusalOf(file())).toMatch(words);
  });

  it("has no type where the schema says what we do not know, and is then refused by any manifest", async () => {
    const answer = await readerOf(broken({ leaf: { 10: struct({ 13: struct({}) }) } })).read();
    expect(answer).toMatchObject({ facts: { columns: [{ type: null }] } });
    const file = { key: "k", bytes: 1, rows: 3, sha256: "0".repeat(64), columns: [] };
    const schema = [{ name: "x", type: "BIGINT" }];
    expect(() => requireTrue({ dataset: "d", bucket: "b", schema, file }, answer)).toThrow("not known here");
  });

  /** One whole number of ten million bytes, which takes quadratic time to put together. */
  const endless = () => {
    const file = Buffer.alloc(10_000_000, 0xff);
    file[0] = 0x36;
    return fileOf(file);
  };

  it("is refused when it takes too long, and the next one is read by a new child", { timeout: 60_000 }, async () => {
    const files = new Map([
      ["slow", endless()],
      ["good", broken({})],
    ]);
    const range = (_bucket: string, key: string, part: { start: number; end: number }) =>
      Promise.resolve(files.get(key)?.subarray(part.start, part.end));
    const own = new FooterReader({ store: { range }, log: silentLog(), deadlineMs: 1_500 });
    readers.push(own);
    const head = (key: string) => ({ bytes: files.get(key)?.length ?? 0, etag: '"e"', sha256: undefined });
    expect(await own.read("b", "good", head("good"))).toMatchObject({ facts: { rows: 3 } });
    const [first] = own.pids;
    // Its child had read another footer before, so a fresh one is asked before this one is blamed.
    expect(await own.read("b", "slow", head("slow"))).toEqual({ refused: "it takes longer than 1.5 s to read" });
    expect(own.pids).toEqual([]);
    expect(await own.read("b", "good", head("good"))).toMatchObject({ facts: { rows: 3 } });
    expect(own.pids).not.toContain(first);
  });

  it("leaves nobody waiting and nothing behind when the service stops", { timeout: 60_000 }, async () => {
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`trace-footers-${process.pid}-`));
    const { reader, read } = readerOf(endless());
    const reads = [read(), read(), read()].map((one) => one.catch((error: unknown) => error));
    await expect.poll(() => reader.pids.length).toBe(2);
    const [pid] = reader.pids;
    await reader.stop();
    for (const error of await Promise.all(reads)) expect(error).toMatchObject({ code: "TR-4006" });
    expect(() => process.kill(pid as number, 0)).toThrow("ESRCH");
    expect(folders()).toEqual([]);
  });

  it("is not believed in what it makes the child use of memory", { timeout: 60_000 }, async () => {
    // Sixteen million empty structures in one list: a byte each here, far more as objects.
    const bomb = Buffer.concat([
      Buffer.from([0x59, 0xfc, 0xff, 0xff, 0xff, 0x07]),
      Buffer.alloc(footerBytesMax - 20_000),
    ]);
    expect(await refusalOf(fileOf(bomb))).not.toBe("");
  });
});
