import { DuckDBInstance } from "@duckdb/node-api";
import { expect, it } from "vitest";
import { iso, jsonValue } from "./values.ts";

async function value(sql: string): Promise<unknown> {
  const connection = await (await DuckDBInstance.create(":memory:")).connect();
  await connection.run("SET TimeZone = 'UTC'");
  const found = await connection.runAndReadAll(`SELECT ${sql}`);
  return jsonValue(found.getRows()[0]?.[0]);
}

it.each([
  ["9007199254740991", 9007199254740991],
  ["9007199254740992", "9007199254740992"],
  ["-170141183460469231731687303715884105727::HUGEINT", "-170141183460469231731687303715884105727"],
  ["1.50::DECIMAL(10, 2)", 1.5],
  ["123456789012345678.01::DECIMAL(30, 2)", "123456789012345678.01"],
  ["'nan'::DOUBLE", "NaN"],
  ["TIMESTAMP '2018-02-07 01:26:13.84'", "2018-02-07T01:26:13.840"],
  ["TIMESTAMP '1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"],
  ["TIMESTAMPTZ '2018-02-07 01:26:13+01'", "2018-02-07T00:26:13.000Z"],
  ["TIMESTAMP_NS '2020-01-01 00:00:00.123456789'", "2020-01-01T00:00:00.123456789"],
  ["TIMESTAMP 'infinity'", "infinity"],
  ["DATE '2018-02-07'", "2018-02-07"],
  ["{'a': [1, NULL], 'b': {'c': DATE '2020-01-01'}}", { a: [1, null], b: { c: "2020-01-01" } }],
  ["MAP {'k': 1}", [{ key: "k", value: 1 }]],
  ["'\\x00\\xFF'::BLOB", "AP8="],
  ["NULL", null],
  ["true", true],
])("%s is %j in JSON", async (sql, expected) => {
  expect(await value(sql)).toEqual(expected);
});

it("a time outside four-digit years has no ISO form here", () => {
  expect(iso(253_402_300_800n, 0, "Z")).toBeUndefined();
});
