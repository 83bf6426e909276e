import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness } from "../testing/harness.ts";
import { sampleDataset } from "../testing/samples.ts";
import { startEngine } from "./engine.ts";

const stack = new FakeStack();

beforeAll(async () => {
  await stack.start();
  const folder = join(stack.cwd, "staged");
  mkdirSync(folder);
  const engine = await startEngine();
  const sql = "SELECT i AS number, 'quake ' || i AS place FROM range(1707) t(i)";
  const { files } = await engine.run({ inputs: [], sql, output: { kind: "parquet", folder } });
  await engine.stop();
  const file = stack.addObject("quakes/part-0.parquet", readFileSync(files?.[0]?.path ?? ""));
  stack.answers.resolveDatasets = async () => ({
    datasets: [
      {
        dataset: "quakes",
        generation: 1,
        commit: 3,
        committed_at: null,
        schema: sampleDataset().schema,
        files: [file],
      },
    ],
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
