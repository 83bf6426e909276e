/** Versions of a table in SQL: what is read from the tree, and that each view shows its own files. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Reply, Request } from "../messages.ts";
import type { DuckAt, DuckInput } from "../types.ts";
import { Engine } from "./engine.ts";
import { answer } from "./query.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "duck-versions-"));
  for (const [name, text] of [
    ["head", "id,s\n1,head\n2,head\n"],
    ["v12", "id,s\n1,twelve\n"],
    ["v3", "id,s\n1,three\n"],
  ]) {
    writeFileSync(join(folder, `${name}.csv`), text ?? "");
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const version = (value: number): DuckAt => ({ unit: "version", value });
const input = (file: string, at?: readonly DuckAt[]): DuckInput => ({
  name: "quakes",
  files: [join(folder, `${file}.csv`)],
  format: "csv",
  at,
});

async function replies(request: Request): Promise<Reply[]> {
  const own = mkdtempSync(join(folder, "engine-"));
  const engine = await Engine.open({
    folder: own,
    threads: 1,
    memoryBytes: 2e8,
    spillBytesMax: 1e8,
    residentBytesMax: 1e9,
  });
  const sent: Reply[] = [];
  await answer(engine, request, (reply) => Promise.resolve(void sent.push(reply)));
  return sent;
}

async function rows(sql: string, inputs: readonly DuckInput[]): Promise<unknown> {
  const output = { kind: "rows", rowsMax: 100, bytesMax: 100_000 } as const;
  const sent = await replies({ kind: "run", inputs, queries: [{ sql, output }], unpackBytesMax: 1 });
  return sent.find((reply) => reply.kind === "rows")?.rows ?? sent.at(-1);
}

async function tables(sql: string): Promise<unknown> {
  const last = (await replies({ kind: "tables", sql })).at(-1);
  return last?.kind === "tables" ? last.tables : last;
}

describe("tables of a query", () => {
  it("are told with the version that each is read at, each once", async () => {
    const sql = `SELECT * FROM Quakes AT (VERSION => 12) JOIN quakes AT (version => '12') USING (id)
      JOIN quakes USING (id) WHERE id IN (SELECT id FROM regions AT (TIMESTAMP => TIMESTAMP '2026-11-24 07:00'))`;
    expect(await tables(sql)).toEqual([
      { name: "Quakes", at: version(12) },
      { name: "quakes" },
      { name: "regions", at: { unit: "timestamp", value: "2026-11-24T07:00:00.000000Z" } },
    ]);
  });

  it.each([
    ["FROM quakes AT (VERSION => 0)", "a VERSION that is no commit number"],
    ["FROM quakes AT (VERSION => -3)", "a VERSION that is no commit number"],
    ["FROM quakes AT (VERSION => 1.5)", "a VERSION that is no commit number"],
    ["FROM quakes AT (VERSION => 99999999999999999999)", "a VERSION that is no commit number"],
    ["FROM quakes AT (VERSION => (SELECT 1))", "a VERSION that is no commit number"],
    ["FROM quakes AT (TIMESTAMP => 'yesterday')", "a TIMESTAMP that is no moment written out"],
    ["FROM quakes AT (TIMESTAMP => now())", "a TIMESTAMP that is no moment written out"],
    ["FROM quakes AT (TIMESTAMP => NULL)", "a TIMESTAMP that is no moment written out"],
    ["WITH q AS (SELECT 1) FROM q AT (VERSION => 1)", "AT on 'q', which is a WITH and has no versions"],
  ])("refuses %s with the reason and a fix", async (sql, reason) => {
    expect(await tables(sql)).toMatchObject({
      kind: "error",
      error: { code: "TR-5202", detail: expect.stringContaining(reason), fix: expect.stringContaining("AT") },
    });
  });
});

it("an alias behind AT cannot be parsed, and the error says where it stands", async () => {
  expect(await tables("FROM quakes AT (VERSION => 12) q")).toMatchObject({
    error: { code: "TR-5200", fix: expect.stringContaining("FROM quakes AS q AT (VERSION => 12)") },
  });
  expect(await tables("FROM quakes WHERE")).toMatchObject({ error: { fix: "Correct the SQL at that place." } });
});

describe("a query over versions", () => {
  const inputs = () => [input("head"), input("v12", [version(12)]), input("v3", [version(3), version(4)])];

  it("reads each version by itself, and columns go by the table's name as always", async () => {
    const sql = "SELECT s, quakes.id, (SELECT count(*) FROM quakes) AS n FROM quakes AT (VERSION => 12)";
    expect(await rows(sql, inputs())).toEqual([["twelve", 1, 2]]);
    const joined = `SELECT a.s, b.s, c.s FROM quakes AS a JOIN quakes AS b AT (VERSION => 3) USING (id)
      JOIN quakes AS c AT (VERSION => 4) USING (id)`;
    expect(await rows(joined, inputs())).toEqual([["head", "three", "three"]]);
  });

  it("keeps every digit of numbers beside it", async () => {
    const sql =
      "SELECT 9007199254740993 AS big, 170141183460469231731687303715884105727 AS huge, 0.10 AS d FROM quakes AT (VERSION => 12)";
    expect(await rows(sql, inputs())).toEqual([["9007199254740993", "170141183460469231731687303715884105727", 0.1]]);
  });

  it("leaves alone what only looks like a table of the tree", async () => {
    const sql = `SELECT '{"type":"BASE_TABLE","table_name":"quakes","at_clause":{"unit":"VERSION"}}' AS t, s
      FROM quakes AT (VERSION => 12)`;
    expect(JSON.stringify(await rows(sql, inputs()))).toContain("BASE_TABLE");
  });

  it("is refused a version that is no input of it, and the name of a view", async () => {
    expect(await rows("FROM quakes AT (VERSION => 5)", inputs())).toMatchObject({ error: { code: "TR-5202" } });
    for (const name of ["quakes@1", "quakes version 12"]) {
      // The gate's own words: DuckDB never saw it.
      const detail = `There is no table '${name}' among the inputs of this query.`;
      expect(await rows(`FROM "${name}"`, inputs())).toMatchObject({ error: { code: "TR-5203", detail } });
    }
    expect(await rows("FROM quakes", [input("v12", [version(12)])])).toMatchObject({ error: { code: "TR-5203" } });
  });
});
