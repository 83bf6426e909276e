/** The gate and the lock, in one process: what the gate lets through runs regenerated; what it refuses would fail anyway. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sqlBytesMax } from "../limits.ts";
import type { Reply, Request } from "../messages.ts";
import { Engine } from "./engine.ts";
import { answer } from "./query.ts";

interface Fixture {
  readonly attacks: string[];
  readonly benign: string[];
}
const fixture = JSON.parse(readFileSync(new URL("../fixtures/sql.json", import.meta.url), "utf8")) as Fixture;

let folder: string;
let canary: string;
let locked: Engine;
const inputs = () => [
  { name: "orders", files: [join(folder, "orders.csv")], format: "csv" as const },
  { name: "hot", files: [join(folder, "hot.csv")], format: "csv" as const },
];

async function open(): Promise<Engine> {
  const own = mkdtempSync(join(folder, "engine-"));
  return Engine.open({ folder: own, threads: 1, memoryBytes: 2e8, spillBytesMax: 1e8, residentBytesMax: 1e9 });
}

async function replies(sql: string, kind: Request["kind"] = "run"): Promise<Reply[]> {
  const sent: Reply[] = [];
  const output = { kind: "rows", rowsMax: 100, bytesMax: 100_000 } as const;
  const request: Request =
    kind === "run" ? { kind, inputs: inputs(), queries: [{ sql, output }], unpackBytesMax: 1 } : { kind, sql };
  await answer(await open(), request, (reply) => Promise.resolve(void sent.push(reply)));
  return sent;
}

/** Code of the refusal, or "done". */
async function outcome(sql: string): Promise<string> {
  const last = (await replies(sql)).at(-1);
  return last?.kind === "error" ? last.error.code : (last?.kind ?? "nothing");
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "duck-gate-"));
  writeFileSync(join(folder, "orders.csv"), "id,k,s\n1,1,a\n2,2,b\n3,1,c\n");
  writeFileSync(join(folder, "hot.csv"), "id,s\n1,x\n3,y\n");
  canary = join(folder, "canary.csv");
  writeFileSync(canary, "secret\ncanary-7f3a\n");
  locked = await open();
  await locked.rows("CREATE TABLE mine AS SELECT 1 AS a");
  await locked.lock([join(folder, "orders.csv")], []);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the gate", () => {
  // Longer text and NUL are refused by the parent, before any child exists.
  const attacks = fixture.attacks.filter((sql) => sql.length <= sqlBytesMax && !sql.includes("\0"));

  it.each(attacks)("refuses %s", async (sql) => {
    expect(await outcome(sql)).toMatch(/^TR-520[0123]$/);
  });

  it.each(fixture.benign)("lets through and runs %s", async (sql) => {
    expect(await outcome(sql)).toBe("done");
  });

  it.each([
    ["SELECT * FROM (SELECT * FROM (FROM duckdb_settings()))", "TR-5202"],
    ["SELECT (SELECT value FROM duckdb_settings() LIMIT 1)", "TR-5202"],
    ["SELECT 1 ORDER BY (SELECT count(*) FROM glob('/*'))", "TR-5202"],
    ["SELECT sum(id) OVER (PARTITION BY (SELECT max(content) FROM read_text('/etc/passwd'))) FROM orders", "TR-5202"],
    ["SELECT id FROM orders GROUP BY id HAVING count(*) > (SELECT count(*) FROM sniff_csv('/etc/passwd'))", "TR-5202"],
    ["SELECT list_transform([1], x -> (SELECT count(*) FROM read_blob('/etc/passwd')))", "TR-5202"],
    ["SELECT CASE WHEN true THEN current_setting('home_directory') END", "TR-5202"],
    ["SELECT sum(id) FILTER (WHERE getvariable('x') IS NULL) FROM orders", "TR-5202"],
    ["SELECT string_agg(s ORDER BY current_setting('threads')) FROM orders", "TR-5202"],
    ["SELECT COLUMNS(c -> current_setting('threads') = '1') FROM orders", "TR-5202"],
    ["SELECT * REPLACE (current_setting('threads') AS s) FROM orders", "TR-5202"],
    ["SELECT * FROM orders, LATERAL (SELECT * FROM read_csv('/etc/passwd'))", "TR-5202"],
    ["SELECT * FROM orders JOIN hot ON orders.id = (SELECT count(*) FROM duckdb_views())", "TR-5202"],
    ["FROM orders LIMIT (SELECT count(*) FROM duckdb_views())", "TR-5202"],
    ["WITH duckdb_views AS (SELECT 1) SELECT * FROM duckdb_views", "TR-5202"],
    ["WITH RECURSIVE r AS (SELECT * FROM sqlite_master UNION ALL SELECT * FROM r) SELECT * FROM r", "TR-5203"],
    ["SELECT * FROM memory.main.orders", "TR-5202"],
    ["SELECT * FROM pg_catalog.pg_class", "TR-5202"],
    ["SELECT $1", "TR-5202"],
    ["SELECT 'x'::main.t", "TR-5202"],
    ["VALUES ((SELECT count(*) FROM glob('*')))", "TR-5202"],
    ["DESCRIBE SELECT * FROM read_csv('/etc/passwd')", "TR-5202"],
    ["SUMMARIZE duckdb_settings", "TR-5203"],
    [`SELECT ${"-".repeat(0)}${"(".repeat(20_000)}1${")".repeat(20_000)}`, "TR-520"],
  ])("refuses at any place: %s", async (sql, code) => {
    expect(await outcome(sql)).toContain(code);
  });

  it("names the line and column, and suggests only what was granted", async () => {
    const last = (await replies("SELECT id\nFROM orderz")).at(-1);
    expect(last).toMatchObject({ kind: "error", error: { code: "TR-5203", where: "SQL, line 2, column 6" } });
    expect(JSON.stringify(last)).toContain("Did you mean 'orders'?");
    expect(JSON.stringify(await replies("SELECT idd FROM orders"))).toContain("line 1, column 8");
    expect(JSON.stringify(await replies("FROM sqlite_maste"))).not.toContain("sqlite_master");
  });

  it("tells the tables of a query, less the WITH names in scope", async () => {
    const sql =
      "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a JOIN C USING (x) JOIN main.b USING (y), b, c";
    expect(await replies(sql, "tables")).toEqual([{ kind: "tables", tables: [{ name: "b" }, { name: "C" }] }]);
  });
});

describe("the locked instance, without the gate", () => {
  it.each([
    "SELECT * FROM read_csv('CANARY')",
    "SELECT content FROM read_text('CANARY')",
    "SELECT content FROM read_blob('CANARY')",
    "SELECT * FROM 'CANARY'",
    "SELECT * FROM sniff_csv('CANARY')",
    "SELECT * FROM glob('FOLDER/*')",
    "SELECT content FROM read_text('FOLDER/../canary.csv')",
    "COPY mine TO 'FOLDER/evil.csv'",
    "COPY mine TO 'FOLDER/orders.csv'",
    "COPY mine FROM 'CANARY'",
    "EXPORT DATABASE 'FOLDER/evil'",
    "ATTACH 'FOLDER/evil.db'",
    "INSTALL httpfs",
    "LOAD 'FOLDER/x.duckdb_extension'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET allowed_paths = ['CANARY']",
    "SET allowed_directories = ['/']",
    "SET home_directory = '/'",
    "SET temp_directory = 'FOLDER'",
    "SELECT * FROM read_text('~/canary.csv')",
  ])("refuses %s", async (sql) => {
    const before = readdirSync(folder);
    const text = sql.replaceAll("CANARY", canary).replaceAll("FOLDER", folder);
    await expect(locked.rows(text)).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(before);
    expect(readFileSync(join(folder, "orders.csv"), "utf8")).toContain("1,1,a");
  });

  it("still reads the one file that was granted", async () => {
    expect(await locked.rows(`SELECT count(*) AS n FROM read_csv('${join(folder, "orders.csv")}')`)).toEqual([
      { n: "3" },
    ]);
  });
});
