import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ResolvedFile } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness } from "../testing/harness.ts";
import { startEngine } from "./engine.ts";

const stack = new FakeStack();

/** Columns as of the newest commit: the one before did not have `depth` yet, and counted in small numbers. */
const schema = [
  { name: "number", type: "BIGINT" },
  { name: "place", type: "VARCHAR" },
  { name: "depth", type: "DOUBLE" },
];

async function parquet(name: string, sql: string): Promise<ResolvedFile> {
  const folder = join(stack.cwd, name);
  mkdirSync(folder);
  const engine = await startEngine();
  const { files } = await engine.run({ inputs: [], sql, output: { kind: "parquet", folder } });
  await engine.stop();
  return stack.addObject(`quakes/${name}.parquet`, readFileSync(files?.[0]?.path ?? ""));
}

beforeAll(async () => {
  await stack.start();
  const old = await parquet("old", "SELECT i::INTEGER AS number, 'quake ' || i AS place FROM range(1000) t(i)");
  const now = await parquet(
    "now",
    "SELECT i AS number, 'quake ' || i AS place, 1.5::DOUBLE AS depth FROM range(1707) t(i)",
  );
  stack.answers.resolveDatasets = async ({ body }) => ({
    datasets: (body.datasets ?? [{ dataset: "quakes", version: 3 }]).map(({ dataset, version = 3 }) => ({
      dataset,
      generation: 1,
      commit: version,
      committed_at: null,
      schema,
      files: version === 3 ? [now] : [old],
    })),
  });
});
afterAll(() => stack.stop());

test("a committed Parquet file is fetched and queried by its dataset's name, with the real DuckDB", async () => {
  const sql =
    "WITH big AS (SELECT * FROM Quakes WHERE number >= 1000) SELECT count(*) AS n, max(place) AS last FROM big";
  const { code, stdout } = await new Harness({ cwd: stack.cwd }).run("query", sql, "--json");
  expect(code).toBe(0);
  const { rows, datasets } = JSON.parse(stdout) as { rows: { n: number | string; last: string }[]; datasets: unknown };
  expect(Number(rows[0]?.n)).toBe(707);
  expect(rows[0]?.last).toBe("quake 1706");
  expect(datasets).toEqual([{ dataset: "quakes", generation: 1, commit: 3 }]);
});

test("SQL that reaches for a file is refused with a code, and nothing is printed", async () => {
  const { code, stdout, stderr } = await new Harness({ cwd: stack.cwd }).run("query", "FROM read_csv('/etc/passwd')");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^error TR-52\d\d: /);
});

test("two versions of a dataset in one query are each read with the columns of today", async () => {
  const sql = `SELECT n.number, old.depth, n.depth AS depth_now, (SELECT count(*) FROM quakes AT (VERSION => 2)) AS before
    FROM quakes AS n LEFT JOIN quakes AS old AT (VERSION => 2) USING (number) WHERE n.number IN (5, 1706) ORDER BY 1`;
  const { code, stdout, stderr } = await new Harness({ cwd: stack.cwd }).run("query", sql, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { rows, datasets } = JSON.parse(stdout) as { rows: Record<string, unknown>[]; datasets: { commit: number }[] };
  expect(rows.map((row) => [Number(row.number), row.depth, row.depth_now, Number(row.before)])).toEqual([
    [5, null, 1.5, 1000],
    [1706, null, 1.5, 1000],
  ]);
  expect(datasets.map((dataset) => dataset.commit).sort()).toEqual([2, 3]);
});

test("AT with what is no version says what would be right, with the place", async () => {
  const { code, stderr } = await new Harness({ cwd: stack.cwd }).run(
    "query",
    "FROM quakes AT (VERSION => 'yesterday')",
  );
  expect(code).toBe(1);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain("AT (VERSION => 12)");
});
