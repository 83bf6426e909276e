import { DuckDBInstance } from "@duckdb/node-api";
import { expect, it } from "vitest";
import { allowedFunctions, allowedTableFunctions, refusedFunctions } from "./functions.ts";

async function engineNames(kinds: string): Promise<string[]> {
  const connection = await (await DuckDBInstance.create(":memory:")).connect();
  const found = await connection.runAndReadAll(
    `SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type IN (${kinds})`,
  );
  return found.getRows().map(([name]) => String(name));
}

it("every function of the engine was reviewed: it is either allowed or refused", async () => {
  const names = await engineNames("'scalar', 'aggregate', 'macro'");
  const unknown = names.filter((name) => !allowedFunctions.has(name) && !refusedFunctions.has(name));
  expect(unknown.filter((name) => !name.startsWith("icu_collate_"))).toEqual([]);
});

it("no list names a function that the engine does not have, and none is in both", async () => {
  const names = new Set(await engineNames("'scalar', 'aggregate', 'macro', 'table'"));
  expect([...allowedFunctions, ...refusedFunctions].filter((name) => !names.has(name))).toEqual([]);
  expect([...allowedFunctions].filter((name) => refusedFunctions.has(name))).toEqual([]);
});

it("table functions that open files or tell about the engine are not among the allowed", async () => {
  const names = await engineNames("'table', 'table_macro'");
  const allowed = names.filter((name) => allowedTableFunctions.has(name)).sort();
  expect(allowed).toEqual(["generate_series", "json_each", "json_tree", "range", "unnest"]);
});
