/**
 * The JSON Schema of DAG files judged by a validator that shares no code with what made it: Ajv, which comes with Fastify.
 * Editors know the schema alone, so what it refuses must be wrong, and what it can know it must refuse.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");
const schema: object = JSON.parse(readFileSync(join(root, "docs/dag.schema.json"), "utf8"));
type Validator = new (options: object) => { compile(schema: object): (value: unknown) => boolean };
const Ajv = createRequire(import.meta.url)("ajv/dist/2020.js") as { readonly default: Validator };
const valid = new Ajv.default({ strict: false, discriminator: true }).compile(schema);

const job = (lines: string) => parse(`dag: d\njobs:\n  a: ${lines}\n`);
const sql = (more: string) => job(`{ operator: sql, sql: x, inputs: [q], outputs: [a], ${more} }`);
const ingest = (source: string) => job(`{ operator: ingest, source: ${source}, outputs: [a] }`);

const page = readFileSync(join(root, "docs/dag-files.md"), "utf8");
const written = [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? "");
const examples = readdirSync(join(root, "examples"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => readFileSync(join(root, "examples", name), "utf8"));

describe("the JSON Schema of DAG files", () => {
  test("takes every example, and every file of the page about them", () => {
    expect(examples.length).toBeGreaterThan(0);
    expect(written.length).toBeGreaterThan(5);
    for (const text of [...examples, ...written]) expect([text, valid(parse(text))]).toEqual([text, true]);
  });

  test.each<[string, unknown]>([
    ["an unknown operator", job("{ operator: sqll }")],
    ["no jobs", parse("dag: d")],
    ["an unknown key of the file", { ...parse("dag: d\njobs: { a: { operator: noop } }"), owner: "me" }],
    ["an unknown key of a job", sql("retires: 1")],
    ["a key of another operator", sql("source: { file: x.csv }")],
    ["a bad name", parse("dag: D\njobs: { a: { operator: noop } }")],
    ["a bad name of a job", parse("dag: d\njobs: { 'A b': { operator: noop } }")],
    ["a number out of range", sql("retries: 21")],
    ["a time without a unit", sql("timeout: 5")],
    ["an unknown format", ingest("{ file: x.csv, format: cvs }")],
    ["an unknown way of packing", ingest("{ file: x.csv, compression: zip }")],
    ["a long delimiter", ingest("{ file: x.csv, csv: { delimiter: ';;' } }")],
    ["another rule for ragged rows", ingest("{ file: x.csv, csv: { ragged: skip } }")],
    ["another strategy", job("{ operator: sql, sql: x, inputs: [q], outputs: [{ dataset: a, strategy: upsert }] }")],
    ["version 0", job("{ operator: sql, sql: x, inputs: [q], outputs: [{ dataset: a, version: 0 }] }")],
    ["an output without a dataset", job("{ operator: sql, sql: x, inputs: [q], outputs: [{ version: 1 }] }")],
    ["an input with a wrong key", job("{ operator: sql, sql: x, inputs: [{ dataset: q, were: {} }], outputs: [a] }")],
    [
      "a filter without values",
      job("{ operator: sql, sql: x, inputs: [{ dataset: q, where: { c: [] } }], outputs: [a] }"),
    ],
    ["an unknown step", sql("partitions: { range: { from: 2001, to: 2002, every: week } }")],
    ["a range without an end", sql("partitions: { range: { from: 2001, every: year } }")],
    ["a key that is a number", sql("partitions: { keys: [1] }")],
    ["another execution", sql("execution: twice")],
  ])("refuses %s", (_name, value) => {
    expect(valid(value)).toBe(false);
  });
});
