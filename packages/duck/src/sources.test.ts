/** What sources of strangers become: the right values, or a refusal that says where and what to do. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { columnsMax as contractColumnsMax } from "@trace/contracts";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DuckInput, type DuckResult, DuckRunner } from "./index.ts";
import { columnsMax, jsonDepthMax } from "./limits.ts";

let root: string;
let runner: DuckRunner;

function put(name: string, content: string | Buffer): string {
  const path = join(root, name);
  writeFileSync(path, content);
  return path;
}

function rows(file: string, format: DuckInput["format"], more: Partial<DuckInput> = {}, sql = "FROM source") {
  const inputs = [{ name: "source", files: [file], format, ...more }];
  return runner.run({ inputs, sql, output: { kind: "rows", rowsMax: 1_000, bytesMax: 1_000_000 } });
}

function table({ columns, rows: found }: DuckResult): unknown[][] {
  return [columns.map(({ name, type }) => `${name} ${type}`), ...(found ?? []).map((row) => [...row])];
}

interface Refused {
  code: string;
  message: string;
  where?: string;
  fix?: string;
}
async function refusal(run: Promise<DuckResult>): Promise<Refused> {
  const error = await run.then(
    (result) => JSON.stringify(table(result)),
    (caught: unknown) => caught as Refused,
  );
  expect(error).toBeInstanceOf(Error);
  return error as Refused;
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "duck sources "));
  runner = new DuckRunner({ log: silentLog(), workFolder: join(root, "work"), concurrencyMax: 2 });
  mkdirSync(join(root, "work"));
  await runner.start();
});
afterAll(async () => {
  await runner.stop();
  rmSync(root, { recursive: true, force: true });
});

describe("times of JSON", () => {
  const first = "2024-01-01T00:00:00+02:00";
  const second = "2024-06-01T12:00:00-05:00";
  const instants = ["2023-12-31T22:00:00Z", "2024-06-01T17:00:00Z"];
  const seen = (result: DuckResult) => (result.rows ?? []).map((row) => row.map((cell) => JSON.stringify(cell)).join());
  const atUtc = "SELECT strftime(ts, '%Y-%m-%dT%H:%M:%SZ') FROM source";

  it.each([
    ["json", JSON.stringify([{ ts: first }, { ts: second }])],
    ["jsonl", `{"ts":"${first}"}\n{"ts":"${second}"}\n`],
  ])("keep their offset from UTC in %s", async (ending, text) => {
    const result = await rows(put(`offsets.${ending}`, text), "json", {}, atUtc);
    expect(result.rows?.flat()).toEqual(instants);
  });

  it("keep it in fields of objects and in lists", async () => {
    const text = JSON.stringify([{ n: { t: first, u: [second] }, l: [{ t: second }] }]);
    const sql = "SELECT strftime(x, '%Y-%m-%dT%H:%M:%SZ') FROM (SELECT unnest([n.t, n.u[1], l[1].t]) AS x FROM source)";
    const result = await rows(put("nested.json", text), "json", {}, sql);
    expect(result.rows?.flat()).toEqual([instants[0], instants[1], instants[1]]);
  });

  it("keep it beside a column of declared type", async () => {
    const file = put("beside.json", JSON.stringify([{ id: "007", ts: first, n: { t: second } }]));
    const sql = `SELECT id, strftime(ts, '%Y-%m-%dT%H:%M:%SZ'), strftime(n.t, '%Y-%m-%dT%H:%M:%SZ') FROM source`;
    const result = await rows(file, "json", { columns: { id: "VARCHAR" } }, sql);
    expect(result.rows).toEqual([["007", ...instants]]);
  });

  it("keep it where TIMESTAMP is declared, of a column, a field, a property", async () => {
    const columns = { ts: "timestamp", n: 'STRUCT("timestamp" TIMESTAMP, l TIMESTAMP[])' };
    const record = { ts: first, n: { timestamp: second, l: [second] } };
    const geo = put("declared.geojson", JSON.stringify({ features: [{ properties: record }] }));
    const sql = `SELECT strftime(x, '%Y-%m-%dT%H:%M:%SZ') FROM (SELECT unnest([ts, n."timestamp", n.l[1]]) AS x FROM source)`;
    const plain = await rows(put("declared.json", JSON.stringify([record])), "json", { columns }, sql);
    expect(plain.rows?.flat()).toEqual([instants[0], instants[1], instants[1]]);
    expect((await rows(geo, "geojson", { columns }, sql)).rows).toEqual(plain.rows);
  });

  it("keep it in CSV, whether the type is found or declared", async () => {
    const file = put("offsets.csv", `ts\n${first}\n${second}\n`);
    const sql = "SELECT strftime(ts::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') FROM source";
    expect((await rows(file, "csv", {}, sql)).rows?.flat()).toEqual(instants);
    expect((await rows(file, "csv", { columns: { ts: "TIMESTAMP" } }, sql)).rows?.flat()).toEqual(instants);
  });

  it("keep it in properties of GeoJSON, lists and objects in them included", async () => {
    const properties = { ts: first, l: [second], o: { TIMESTAMP: second } };
    const features = [{ type: "Feature", id: 1, properties, geometry: { type: "Point", coordinates: [1, 2] } }];
    const file = put("offsets.geojson", JSON.stringify({ type: "FeatureCollection", features }));
    const sql = `SELECT strftime(x, '%Y-%m-%dT%H:%M:%SZ') FROM (SELECT unnest([ts, l[1], o."TIMESTAMP"]) AS x FROM source)`;
    expect((await rows(file, "geojson", {}, sql)).rows?.flat()).toEqual([instants[0], instants[1], instants[1]]);
  });

  it("are dates in any form that all values share, and text beside declared columns, where that form is lost", async () => {
    const file = put("dates.json", '[{"d":"25-02-2024","a":1},{"d":"01-02-2024","a":2}]');
    expect(seen(await rows(file, "json", {}, "SELECT d FROM source"))).toEqual(['"2024-02-25"', '"2024-02-01"']);
    const declared = await rows(file, "json", { columns: { a: "VARCHAR" } });
    expect(table(declared)).toEqual([
      ["d VARCHAR", "a VARCHAR"],
      ["25-02-2024", "1"],
      ["01-02-2024", "2"],
    ]);
    const features = [{ properties: { d: "25-02-24" } }, { properties: { d: "01-02-24" } }];
    const geo = put("dates.geojson", JSON.stringify({ features }));
    expect((await rows(geo, "geojson", {}, "SELECT d FROM source")).rows).toEqual([["25-02-24"], ["01-02-24"]]);
  });
});

describe("keys and numbers of JSON", () => {
  const odd = '[{"":3,"A":5,"a":6}]';

  it("keep their values under empty keys and keys that differ by case alone", async () => {
    expect((await rows(put("odd.json", odd), "json")).rows).toEqual([[3, 5, 6]]);
  });

  it("are refused by name beside declared columns, which can only be asked for by key", async () => {
    const file = put("odd2.json", '[{"":3,"b":"x"}]');
    const error = await refusal(rows(file, "json", { columns: { b: "VARCHAR" } }));
    expect(error).toMatchObject({ code: "TR-5206" });
    expect(error.message).toContain("'C0'");
  });

  it("are refused where a property of GeoJSON has an empty key", async () => {
    const file = put("odd.geojson", '{"features":[{"properties":{"":1,"b":2}}]}');
    expect((await refusal(rows(file, "geojson"))).message).toContain("empty key");
  });

  it("are BIGINT where that holds all, and whole decimals where signs are mixed beyond", async () => {
    const small = await rows(put("signs.json", '[{"a":-1,"n":{"b":[-1,2]}},{"a":5}]'), "json");
    expect(small.columns.map(({ type }) => type)).toEqual(["BIGINT", 'STRUCT("b" BIGINT[])']);
    const large = await rows(put("large.json", '[{"a":-1},{"a":18446744073709551615}]'), "json");
    expect(table(large)).toEqual([["a DECIMAL(38,0)"], [-1], ["18446744073709551615"]]);
  });
});

describe("CSV", () => {
  it.each([
    [
      "a byte order mark, semicolons and CRLF",
      "\ufeffa;b\r\n1;2\r\n",
      [
        ["a BIGINT", "b BIGINT"],
        [1, 2],
      ],
    ],
    [
      "tabs",
      "a\tb\n1\t2\n",
      [
        ["a BIGINT", "b BIGINT"],
        [1, 2],
      ],
    ],
    [
      "pipes",
      "a|b\n1|2\n",
      [
        ["a BIGINT", "b BIGINT"],
        [1, 2],
      ],
    ],
    [
      "quoted line ends and delimiters",
      'a,"b,c"\n1,"x\ny, ""z"""\n',
      [
        ["a BIGINT", "b,c VARCHAR"],
        [1, 'x\ny, "z"'],
      ],
    ],
    ["a header only", "a,b\n", [["a VARCHAR", "b VARCHAR"]]],
    ["nothing", "", [["column0 VARCHAR"]]],
    ["one column", "a\n1\n2\n", [["a BIGINT"], [1], [2]]],
    ["one column with a quoted comma", '"a, b"\n"1, 2"\n', [["a, b VARCHAR"], ["1, 2"]]],
    [
      "an inch sign inside a field",
      'a,b\n1,5" pipe\n',
      [
        ["a BIGINT", "b VARCHAR"],
        [1, '5" pipe'],
      ],
    ],
  ])("is read with %s", async (_, text, expected) => {
    expect(table(await rows(put("good.csv", text), "csv"))).toEqual(expected);
  });

  it.each([
    ["rows of three lengths", "a,b\n1,2\n3,4,5\n6", 3],
    ["a last row too long", "a,b\n1,2\n3,4,5\n", 3],
    ["a row too short", "a,b\n1,2\n3\n", 3],
    ["a header too short", "a,b\n1,2,3\n4,5,6\n", 2],
    ["a quote that never ends", 'a,b\n1,"unterminated\n2,3', 2],
    ["a quote that never ends in the only column", 'a\n"unterminated\n2\n', 2],
    ["a late row too long", `a,b\n${"1,2\n".repeat(30_000)}1,2,3\n`, 30_002],
  ])("is refused with its line: %s", async (_, text, line) => {
    const error = await refusal(rows(put("bad one.csv", text), "csv"));
    expect(error).toMatchObject({ code: "TR-5206", where: `bad one.csv, line ${line}` });
    expect(error.message).not.toMatch(/Possible|Candidates|Auto-Detected|duck sources/);
    expect(error.message.length).toBeLessThan(300);
    expect(error.fix).toBeTruthy();
  });

  it.each<[string, string, number, DuckInput["csv"]?]>([
    ["a value", 'a,b\n1,"x\ny\nz"\nx,3\n', 5],
    ["a row of another length", 'a,b\r\n1,"x\r\ny"\r\n1,2,3\r\n', 4],
    ["a quote that never ends", 'a,b\n1,"x\ny"\n2,"z\n', 4],
    ["a header of two lines", '\ufeff"a","b\nc"\n1,"x ""y""\n"\nx,3\n', 5],
    ["an inch sign in a field", 'a,b\n1,5" pipe\n2,6"" pipe\n3,"x\ny"\nx,3\n', 6],
    ["tabs", 'a\tb\n1\t"x\ny"\nx\t3\n', 4],
    [
      "skipped lines and comments",
      '5"\nmade, by hand\na,b\n# "\n1,"x\ny"\nx,3\n',
      7,
      { skip: 2, comment: "#", header: true },
    ],
    ["an escape of its own", 'a,b\n1,"x\\"\ny"\nx,3\n', 4, { escape: "\\" }],
  ])("is refused with the line that an editor shows, quoted line ends before it: %s", async (_, text, line, csv) => {
    const file = put("lines.csv", text);
    const error = await refusal(rows(file, "csv", { columns: { a: "BIGINT" }, ...(csv === undefined ? {} : { csv }) }));
    expect(error).toMatchObject({ code: "TR-5206", where: `lines.csv, line ${line}` });
  });

  it.each(["TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "TIMETZ", "TIMESTAMP", "DATE", "UUID", "DECIMAL(5, 1)"])(
    "is refused, and never read as NULL, where a value is no %s",
    async (type) => {
      const error = await refusal(rows(put("misfit.csv", "v,a\nx,1\n"), "csv", { columns: { v: type } }));
      expect(error.code).toBe("TR-5206");
      expect(error.where).toContain("misfit.csv");
      expect(error.message).toContain('column "v"');
      expect(error.fix).toContain("VARCHAR");
    },
  );

  it("is padded where ragged rows may be, and refused by their line where they are too long", async () => {
    const file = put("ragged.csv", 'a,b,c\n1\n2,x\n3,"y\nz",5\n');
    expect(table(await rows(file, "csv", { csv: { ragged: "pad" } }))).toEqual([
      ["a BIGINT", "b VARCHAR", "c BIGINT"],
      [1, null, null],
      [2, "x", null],
      [3, "y\nz", 5],
    ]);
    expect((await refusal(rows(file, "csv"))).code).toBe("TR-5206");
    const long = put("long.csv", "a,b\n1\n1,2,3\n");
    const error = await refusal(rows(long, "csv", { csv: { ragged: "pad" } }));
    expect(error).toMatchObject({ code: "TR-5206", where: "long.csv, line 3" });
  });

  it.each([
    ["csv", Buffer.from("a,b\n1,caf\xe9\n", "latin1")],
    ["csv", Buffer.from("\ufeffa,b\n1,2\n", "utf16le")],
    ["json", Buffer.from('[{"a":"caf\xe9"}]', "latin1")],
    ["json", Buffer.from('\ufeff[{"a":1}]', "utf16le")],
  ] as const)("and JSON in another encoding are refused in plain words: %s", async (format, content) => {
    const error = await refusal(rows(put(`other encoding.${format}`, content), format));
    expect(error.code).toBe("TR-5206");
    expect(error.message).toContain("is not UTF-8");
    expect(error.message).not.toMatch(/Possible|Auto-Detected|Original Line|duck sources/);
    expect(error.fix).toContain("iconv");
  });

  it("with more columns than a dataset takes is refused by their number", async () => {
    expect(columnsMax).toBe(contractColumnsMax);
    const names = Array.from({ length: 5_000 }, (_, index) => `c${index}`).join(",");
    const error = await refusal(rows(put("wide.csv", `${names}\n${names}\n`), "csv"));
    expect(error.code).toBe("TR-5206");
    expect(error.message).toContain("5000");
  });
});

describe("declared types", () => {
  it.each(["fail", "set_aside"] as const)(
    "that cannot be parsed are refused as what they are, not as the file: %s",
    async (onBadRow) => {
      const badRows = { folder: join(root, `aside ${onBadRow}`) };
      mkdirSync(badRows.folder);
      const declared = (type: string) =>
        runner.run({
          inputs: [
            {
              name: "source",
              files: [put("at.jsonl", '{"o":{"at":1}}\n')],
              format: "json",
              onBadRow,
              columns: { o: type },
            },
          ],
          sql: 'SELECT o."at" FROM source',
          ...(onBadRow === "set_aside" ? { badRows } : {}),
          output: { kind: "rows", rowsMax: 1, bytesMax: 100 },
        });
      const error = await refusal(declared("STRUCT(at INTEGER)"));
      expect(error.code).toBe("TR-5213");
      expect(error.fix).toContain('STRUCT("at"');
      expect((await declared('STRUCT("at" INTEGER)')).rows).toEqual([[1]]);
    },
  );
});

describe("names with wildcards", () => {
  it.each([
    ["star*.csv", "star1.csv"],
    ["[a].csv", "a.csv"],
    ["what?.csv", "what1.csv"],
  ])("are read as they are: %s, not %s", async (wanted, neighbour) => {
    const file = put(wanted, "a\n1\n");
    put(neighbour, "a\n2\n");
    expect((await rows(file, "csv")).rows).toEqual([[1]]);
    expect((await rows(join(root, neighbour), "csv")).rows).toEqual([[2]]);
  });

  it("are refused beside a backslash, which cannot be made literal with them", async () => {
    const error = await refusal(rows(put("back\\*[x].csv", "a\n1\n"), "csv"));
    expect(error.code).toBe("TR-5001");
    expect((await rows(put("back\\.csv", "a\n1\n"), "csv")).rows).toEqual([[1]]);
  });

  it("are read as they are in JSON", async () => {
    const file = put("j*.json", '[{"a":1}]');
    put("j1.json", '[{"a":2}]');
    expect((await rows(file, "json")).rows).toEqual([[1]]);
  });
});

describe("nesting of JSON", () => {
  it.each(["json", "geojson"] as const)("beyond its bound is refused with its line: %s", async (format) => {
    const error = await refusal(rows(put(`deep.${format}`, `[\n${"[".repeat(100_000)}`), format));
    expect(error).toMatchObject({ code: "TR-5206", where: `deep.${format}, line 2` });
    expect(error.message).toContain(String(jsonDepthMax));
  });

  it("is counted outside of texts alone", async () => {
    const file = put("brackets.json", JSON.stringify([{ a: `\\"${"[".repeat(1_000)}` }]));
    expect((await rows(file, "json", {}, "SELECT len(a) FROM source")).rows).toEqual([[1_002]]);
  });

  it("up to its bound is read", async () => {
    const depth = jsonDepthMax - 2;
    const file = put("level.json", `[{"a":${"[".repeat(depth)}1${"]".repeat(depth)}}]`);
    expect((await rows(file, "json", {}, "SELECT count(*) FROM source")).rows).toEqual([[1]]);
  });
});
