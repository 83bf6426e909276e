/** Rows set aside: the good ones land, each bad one is told with its line, its reason and its text. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DuckInput, type DuckResult, DuckRunner } from "./index.ts";

let root: string;
let runner: DuckRunner;
let count = 0;

function put(name: string, content: string | Buffer): string {
  const path = join(root, name);
  writeFileSync(path, content);
  return path;
}

function folder(): string {
  count += 1;
  const path = join(root, `bad ${count}`);
  mkdirSync(path);
  return path;
}

async function run(file: string, format: DuckInput["format"], more: Partial<DuckInput> = {}, sql = "FROM source") {
  const inputs = [{ name: "source", files: [file], format, onBadRow: "set_aside" as const, ...more }];
  const result = await runner.run({
    inputs,
    sql,
    badRows: { folder: folder() },
    output: { kind: "rows", rowsMax: 1_000, bytesMax: 1_000_000 },
  });
  const bad = await badOf(result);
  return { result, good: result.rows, bad };
}

/** [line, reason, row] of each. */
async function badOf({ badRows }: DuckResult): Promise<unknown[][]> {
  const inputs = [{ name: "bad", files: [badRows?.file.path ?? ""], format: "parquet" as const }];
  const sql = 'SELECT line, reason, "row" FROM bad ORDER BY line';
  const output = { kind: "rows", rowsMax: 1_000, bytesMax: 1_000_000 } as const;
  const found = (await runner.run({ inputs, sql, output })).rows ?? [];
  expect(badRows?.rows).toBe(found.length);
  return found.map((row) => [...row]);
}

async function refusal(promise: Promise<unknown>): Promise<{ code: string; message: string; where?: string }> {
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(Error);
  return error as { code: string; message: string; where?: string };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "duck-bad-"));
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

describe("CSV with rows set aside", () => {
  const lines = ["a,b,c", '1,"x', 'y",2', "2,z", "3,z,4,5", "q,z,6", "4,caf\xe9,7", "6,ok,9", "7,ok,10", ""];
  const expected = [
    [4, "Expected Number of Columns: 3 Found: 2", "2,z"],
    [5, "Expected Number of Columns: 3 Found: 4", "3,z,4,5"],
    [6, `Error when converting column "a". Could not convert string "q" to 'BIGINT'`, "q,z,6"],
    [7, expect.stringContaining("not utf-8"), expect.stringContaining("4,caf")],
  ];
  const good = [
    [1, "x\ny", 2],
    [6, "ok", 9],
    [7, "ok", 10],
  ];

  it.each([
    ["\n", ""],
    ["\r\n", ""],
    ["\n", "\ufeff"],
    ["\r\n", "\ufeff"],
  ])("names lines as an editor does, quoted line ends counted: %j %j", async (end, mark) => {
    const content = Buffer.concat([Buffer.from(mark), Buffer.from(lines.join(end), "latin1")]);
    const found = await run(put("bad.csv", content), "csv", { columns: { a: "BIGINT" } });
    expect(found.bad).toEqual(expected);
    expect(found.good).toEqual(good.map(([a, b, c]) => [a, String(b).replace("\n", end), c]));
    expect(found.result.inference?.[0]?.dialect).toMatchObject({ delimiter: ",", quote: '"', header: true, skip: 0 });
  });

  it("keeps no row that is bad in a column the SQL does not ask for", async () => {
    const content = Buffer.from(lines.join("\n"), "latin1");
    const found = await run(put("narrow.csv", content), "csv", { columns: { a: "BIGINT" } }, "SELECT c FROM source");
    expect(found.good).toEqual([[2], [9], [10]]);
    expect(found.bad).toHaveLength(4);
  });

  it("takes a quote that never ends as one bad row", async () => {
    const { good: rows, bad } = await run(put("open.csv", 'a,b\n1,x\n2,y\n3,z\n4,"open\n'), "csv");
    expect(rows).toEqual([
      [1, "x"],
      [2, "y"],
      [3, "z"],
    ]);
    expect(bad).toEqual([[5, expect.stringContaining("unterminated quote"), expect.stringContaining('4,"open')]]);
  });

  it("goes by the first line where most rows have other lengths", async () => {
    const { good: rows, bad } = await run(put("odd.csv", "a;b\n1;2;3\n4;5;6\n7;8\n9;10;11\n"), "csv");
    expect(rows?.map((row) => row.map(Number))).toEqual([[7, 8]]);
    expect(bad.map(([line]) => line)).toEqual([2, 3, 5]);
  });

  it("takes no type that would change a good value, where a quote that never ends leaves the dialect unknown", async () => {
    const rows = Array.from(
      { length: 199 },
      (_, n) => `${n},${n}.25,2024-01-01 10:20:0${n % 10},000${n},1,"n",18446744073709551615,0.1234567890123456789`,
    );
    const head = "id,price,at,zip,flag,note,big,fine";
    const file = put("open.csv", [head, ...rows, '200,5.5,2024-01-01 10:20:00,00200,1,"open,1,1'].join("\n"));
    const { good, bad } = await run(file, "csv");
    expect(bad.map(([line]) => line)).toEqual([201]);
    expect(good).toHaveLength(199);
    const [, seven] = [good?.[0], good?.[7]];
    expect(seven?.map(String)).toEqual([
      ...["7", "7.25", "2024-01-01T10:20:07.000", "0007", "1", "n", "18446744073709551615", "0.1234567890123456789"],
    ]);
  });

  it("skips lines and comments, which keep their numbers, and unpacks before", async () => {
    const text = "made by hand\n\n# a comment\na;b\n1;2\n# another\nx;4\n5;6\n";
    const file = put("packed.csv", gzipSync(text));
    const csv = { skip: 2, comment: "#", delimiter: ";", header: true };
    const { good: rows, bad, result } = await run(file, "csv", { csv, columns: { a: "BIGINT" } });
    expect(rows).toEqual([
      [1, 2],
      [5, 6],
    ]);
    expect(bad).toEqual([[7, expect.stringContaining("'BIGINT'"), "x;4"]]);
    expect(result.inference?.[0]).toMatchObject({ compression: "gzip", dialect: { comment: "#", skip: 2 } });
  });

  it("sets a line aside that is longer than any line may be, bounded in length", async () => {
    const { good: rows, bad } = await run(put("long.csv", `a,b\n1,2\n3,${"x".repeat(2_100_000)}\n4,5\n`), "csv");
    expect(rows?.map(([a]) => a)).toEqual([1, 4]);
    expect(bad).toEqual([[3, expect.any(String), expect.stringContaining("3,xxx")]]);
    expect(String(bad[0]?.[2]).length).toBeLessThanOrEqual(10_000);
  });

  it("keeps times with an offset, declared or found", async () => {
    const file = put("times.csv", 't,n\n2024-01-01T00:00:00+02:00,"1\n"\n\nx,2\n2024-06-01T12:00:00-05:00,3\n');
    const sql = "SELECT strftime(t, '%Y-%m-%dT%H:%M:%SZ') FROM source";
    for (const type of ["TIMESTAMPTZ", "TIMESTAMP"]) {
      const { good: rows, bad } = await run(file, "csv", { columns: { t: type } }, sql);
      expect(rows).toEqual([["2023-12-31T22:00:00Z"], ["2024-06-01T17:00:00Z"]]);
      expect(bad).toEqual([[5, expect.stringContaining(`"x" to '${type}'`), "x,2"]]);
    }
  });

  it("writes an empty file when no row is bad", async () => {
    const { bad, result } = await run(put("fine.csv", "a,b\n1,2\n"), "csv");
    expect(bad).toEqual([]);
    expect(result.badRows?.columns.map(({ name, type, fieldId }) => `${name} ${type} ${fieldId}`)).toEqual([
      "line BIGINT 1",
      "reason VARCHAR 2",
      "row VARCHAR 3",
      "source VARCHAR 4",
    ]);
  });

  it("fails where more than half of many rows are bad, and where all are, with the first of them", async () => {
    const text = `a,b\n${"1,2\n".repeat(500)}${"x,2\n".repeat(501)}`;
    const many = await refusal(run(put("half.csv", text), "csv", { columns: { a: "BIGINT" } }));
    expect(many).toMatchObject({ code: "TR-5215", where: "half.csv, line 502" });
    expect(many.message).toContain("501 of 1001");
    const all = await refusal(run(put("all.csv", "a,b\nx,1\n"), "csv", { columns: { a: "BIGINT" } }));
    expect(all).toMatchObject({ code: "TR-5215", where: "all.csv, line 2" });
  });
});

describe("JSON Lines with rows set aside", () => {
  const text = [
    '{"a":1,"b":{"c":"x"},"t":"2024-01-01T00:00:00+02:00"}',
    "",
    '{"a":"two","b":null}',
    '{bad"',
    "   ",
    "[1,2]",
    '{"a":3,"b":{"c":"y"},"t":null}',
    '{"a":4,"b":5}',
  ].join("\n");
  const columns = { a: "BIGINT", b: "STRUCT(c VARCHAR)", t: "TIMESTAMP" };

  it.each(["", "\ufeff"])("names line, reason and text %j", async (mark) => {
    const { good, bad } = await run(
      put("lines.jsonl", mark + text),
      "json",
      { columns },
      "SELECT a, b.c, t FROM source",
    );
    expect(good).toEqual([
      [1, "x", "2023-12-31T22:00:00.000"],
      [3, "y", null],
    ]);
    expect(bad).toEqual([
      [3, 'column a: "two" is no BIGINT', '{"a":"two","b":null}'],
      [4, "malformed JSON", '{bad"'],
      [6, "not a JSON object", "[1,2]"],
      [8, "column b: 5 is no STRUCT(c VARCHAR)", '{"a":4,"b":5}'],
    ]);
  });

  it("counts lines past those that are not UTF-8", async () => {
    const content = Buffer.concat([
      Buffer.from('{"a":1}\n{"a":"caf'),
      Buffer.from([0xe9]),
      Buffer.from('"}\nbad\n{"a":2}\n{"a":"x'),
      Buffer.from([0xff]),
      Buffer.from('"}\nworse\n{"a":3}\n{"a":4}\n'),
    ]);
    const { good, bad } = await run(put("encoding.jsonl", content), "json", { columns: { a: "BIGINT" } });
    expect(good?.flat()).toEqual([1, 2, 3, 4]);
    expect(bad.map(([line]) => line)).toEqual([2, 3, 5, 6]);
    expect(bad[1]).toEqual([3, "malformed JSON", "bad"]);
  });

  it("infers types from good lines, and dates in a form of their own stay text", async () => {
    const file = put(
      "infer.jsonl",
      '{"d":"25-02-2024","n":-1,"at":"2024-01-01T00:00:00Z"}\n{\n{"d":"01-02-2024","n":2}\n',
    );
    const { good, bad, result } = await run(file, "json");
    expect(bad.map(([line]) => line)).toEqual([2]);
    expect(result.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "d VARCHAR",
      "n BIGINT",
      "at TIMESTAMP",
    ]);
    expect(good).toEqual([
      ["25-02-2024", -1, "2024-01-01T00:00:00.000"],
      ["01-02-2024", 2, null],
    ]);
  });

  it("is refused where the file is one list, or where keys differ by case alone", async () => {
    expect((await refusal(run(put("list.json", ' [{"a":1}]'), "json"))).message).toContain("one JSON list");
    const odd = await refusal(run(put("case.jsonl", '{"a":1,"A":2}\n{"a":3,"A":4}\n'), "json"));
    expect(odd.code).toBe("TR-5206");
  });
});

describe("setting rows aside", () => {
  it("needs a folder, and a format that has rows", async () => {
    const file = put("x.csv", "a\n1\n");
    const input = { name: "source", files: [file], onBadRow: "set_aside" as const };
    const output = { kind: "rows", rowsMax: 1, bytesMax: 100 } as const;
    const without = runner.run({ inputs: [{ ...input, format: "csv" }], sql: "FROM source", output });
    expect((await refusal(without)).code).toBe("TR-5213");
    expect((await refusal(run(file, "parquet"))).code).toBe("TR-5213");
    expect((await refusal(run(file, "geojson"))).code).toBe("TR-5213");
  });

  it("hides its own tables from SQL", async () => {
    const file = put("y.csv", "a\n1\n");
    for (const table of ["bad_rows", "temp.main.bad_rows", "reject_errors"]) {
      expect((await refusal(run(file, "csv", {}, `FROM ${table}`))).code).toMatch(/^TR-520[23]$/);
    }
  });
});
