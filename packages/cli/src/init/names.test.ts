import { namePattern } from "@trace/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nameOf } from "./names.ts";

test.each([
  ["flights.csv", "flights"],
  ["/data/Flights 2001.csv.gz", "flights_2001"],
  ["flights-3m.parquet", "flights_3m"],
  ["2001.csv", "data_2001"],
  ["customerOrders.jsonl.zst", "customer_orders"],
  ["Crème brûlée.json", "creme_brulee"],
  ["地震.geojson", "data"],
  [".csv", "data"],
  ["a.tar.gz", "a_tar"],
  ["$(rm -rf ~).csv", "rm_rf"],
  ["x'; DROP TABLE y;--.csv", "x_drop_table_y"],
  ["__proto__.csv", "proto"],
  ["-.csv", "data"],
  ["a\nb\u001b[31m.csv", "a_b_31m"],
  [`${"long_".repeat(60)}.csv`, "long_".repeat(20).slice(0, 99)],
])("%j is called %s", (path, name) => {
  expect(nameOf(path)).toBe(name);
});

test("whatever a file is called, it gets a name, with room for a prefix", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (path) => {
      expect(nameOf(path)).toMatch(namePattern);
      expect(`ingest_${nameOf(path)}`).toMatch(namePattern);
    }),
  );
});
