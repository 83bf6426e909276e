/** The SELECT that compares rows, run by the real DuckDB: its counts and samples against a comparison in plain code. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { diffSampleRows } from "../limits.ts";
import { type QueryEngine, startEngine } from "../query/engine.ts";
import { afterTable, beforeTable, planRows, type RowDiff, readRows } from "./diff-rows.ts";

interface Row {
  readonly id: number;
  readonly s: string | null;
}

const schema = [
  { name: "id", type: "BIGINT" },
  { name: "s", type: "VARCHAR" },
];
let folder: string;
let engine: QueryEngine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-diff-"));
  engine = await startEngine();
});
afterAll(async () => {
  await engine.stop();
  rmSync(folder, { recursive: true, force: true });
});

let files = 0;
function put(rows: readonly Row[]): string {
  const path = join(folder, `${++files}.json`);
  writeFileSync(path, rows.length === 0 ? "[]" : rows.map((row) => JSON.stringify(row)).join("\n"));
  return path;
}

async function compare(before: readonly Row[], after: readonly Row[], key: readonly string[]): Promise<RowDiff> {
  const plan = planRows(schema, schema, key);
  if (plan === undefined) throw new Error("no plan");
  const input = (name: string, rows: readonly Row[]) => ({
    name,
    files: rows.length === 0 ? [] : [put(rows)],
    format: "json" as const,
    columns: { id: "BIGINT", s: "VARCHAR" },
  });
  const result = await engine.run({
    sql: plan.sql,
    inputs: [input(beforeTable, before), input(afterTable, after)],
    output: { kind: "rows", rowsMax: 100, bytesMax: 1_000_000 },
  });
  return readRows(plan, result.rows ?? []);
}

test("added, removed and changed rows are told apart by the key, with both sides of a changed one", async () => {
  const before = [
    { id: 1, s: "same" },
    { id: 2, s: "old" },
    { id: 3, s: "gone" },
  ];
  const after = [
    { id: 1, s: "same" },
    { id: 2, s: null },
    { id: 4, s: "new" },
  ];
  expect(await compare(before, after, ["ID"])).toEqual({
    added: 1,
    removed: 1,
    changed: 1,
    doubles: 0,
    sample: [
      { change: "removed", row: [3, "gone"] },
      { change: "added", row: [4, "new"] },
      { change: "changed", before: [2, "old"], after: [2, null] },
    ],
  });
  expect(await compare(before, after, [])).toMatchObject({ added: 2, removed: 2, changed: undefined });
});

test("equal rows are counted: of three, one more is one added", async () => {
  const row = { id: 1, s: "x" };
  expect(await compare([row, row], [row, row, row], [])).toMatchObject({ added: 1, removed: 0 });
  expect(await compare([row, row], [row, row], [])).toMatchObject({ added: 0, removed: 0, sample: [] });
});

test("one side without a file is all added or all removed", async () => {
  const rows = Array.from({ length: 40 }, (_, id) => ({ id, s: "x" }));
  const found = await compare([], rows, ["id"]);
  expect(found).toMatchObject({ added: 40, removed: 0, changed: 0 });
  expect(found.sample).toHaveLength(diffSampleRows);
  expect(await compare(rows, [], [])).toMatchObject({ added: 0, removed: 40 });
});

test("a key that several rows have is told", async () => {
  const found = await compare(
    [{ id: 1, s: "a" }],
    [
      { id: 1, s: "b" },
      { id: 1, s: "c" },
    ],
    ["id"],
  );
  expect(found.doubles).toBe(1);
});

test("long values are cut, so that the counts arrive whatever a row weighs", async () => {
  const long = "x".repeat(100_000);
  const rows = Array.from({ length: 60 }, (_, id) => ({ id, s: `${long}${id}` }));
  const found = await compare(
    rows,
    rows.map((row) => ({ ...row, s: `${row.s}!` })),
    ["id"],
  );
  expect(found).toMatchObject({ added: 0, removed: 0, changed: 60 });
  expect(JSON.stringify(found.sample).length).toBeLessThan(10_000);
});

test("versions without a common column have no plan, others are compared by what they share", () => {
  expect(planRows(schema, [{ name: "other", type: "BIGINT" }], [])).toBeUndefined();
  expect(planRows(schema, [...schema, { name: 'a"b', type: "BIGINT" }], [])?.columns).toEqual(["id", "s"]);
  expect(planRows([{ name: 'a"b', type: "X" }], [{ name: 'a"b', type: "X" }], [])?.sql).toContain('"a""b"');
});

/** What differs, counted by hand. */
function byHand(before: readonly Row[], after: readonly Row[]): { added: number; removed: number } {
  const counts = new Map<string, number>();
  for (const row of after) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + 1);
  for (const row of before) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) - 1);
  const differences = [...counts.values()];
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    added: sum(differences.filter((value) => value > 0)),
    removed: Math.abs(sum(differences.filter((value) => value < 0))),
  };
}

test("whatever the rows, the counts are those of a comparison by hand", async () => {
  const row = fc.record({ id: fc.integer({ min: 0, max: 4 }), s: fc.constantFrom("a", "b", null) });
  const side = fc.array(row, { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(side, side, async (before, after) => {
      expect(await compare(before, after, [])).toMatchObject(byHand(before, after));
    }),
    { numRuns: 8 },
  );
});
