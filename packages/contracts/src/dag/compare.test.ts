import { expect, test } from "vitest";
import { compareDags, type JobChange } from "./compare.ts";
import type { DagDefinition } from "./definition.ts";
import { parseDag } from "./parse.ts";

function dag(text: string): DagDefinition {
  const result = parseDag(text, "f");
  if (!result.ok) throw new Error(result.diagnostics.map((one) => one.message).join("\n"));
  return result.dag;
}

const job = (body: string) => dag(`dag: d\njobs:\n  a: { ${body} }\n`);

function changes(before: string, after: string): JobChange["changes"] {
  const [only] = compareDags(job(before), job(after));
  return only?.changes ?? [];
}

test("a new DAG has added jobs only", () => {
  expect(compareDags(undefined, job("operator: noop"))).toEqual([
    { job: "a", change: "added", operator: "noop", changes: [] },
  ]);
});

test("jobs that came, went, changed and stayed are told apart, whatever their order", () => {
  const before = dag(
    "dag: d\njobs:\n  a: { operator: noop }\n  b: { operator: noop }\n  c: { operator: noop, retries: 1 }\n",
  );
  const after = dag(
    "dag: d\njobs:\n  c: { operator: noop, retries: 3 }\n  d: { operator: noop }\n  a: { operator: noop }\n",
  );
  expect(compareDags(before, after)).toEqual([
    { job: "c", change: "changed", operator: "noop", changes: [{ key: "retries", before: 1, after: 3 }] },
    { job: "d", change: "added", operator: "noop", changes: [] },
    { job: "a", change: "unchanged", operator: "noop", changes: [] },
    { job: "b", change: "removed", operator: "noop", changes: [] },
  ]);
});

test.each<[string, string, string, JobChange["changes"]]>([
  [
    "SQL",
    "operator: sql, inputs: [q], outputs: [o], sql: select 1",
    "operator: sql, inputs: [q], outputs: [o], sql: select 2",
    [{ key: "sql", before: "select 1", after: "select 2" }],
  ],
  [
    "an input, and how one is read",
    "operator: sql, inputs: [q, r], outputs: [o], sql: x",
    "operator: sql, inputs: [q, { dataset: s, where: { c: 1 } }], outputs: [o], sql: x",
    [
      { key: "inputs", before: ["q", "r"], after: ["q", "s"] },
      { key: "inputs.s.where.c", before: null, after: [1] },
    ],
  ],
  [
    "the version of an output",
    "operator: sql, inputs: [q], outputs: [o], sql: x",
    "operator: sql, inputs: [q], outputs: [{ dataset: o, version: 2 }], sql: x",
    [{ key: "outputs.o.version", before: 1, after: 2 }],
  ],
  [
    "the order of outputs",
    "operator: ingest, source: { file: x.csv }, outputs: [o, { dataset: p, sql: s }]",
    "operator: ingest, source: { file: x.csv }, outputs: [p, { dataset: o, sql: s }]",
    [
      { key: "outputs", before: ["o", "p"], after: ["p", "o"] },
      { key: "outputs.o.sql", before: null, after: "s" },
      { key: "outputs.p.sql", before: "s", after: null },
    ],
  ],
  [
    "partitions and times, as the file has them",
    "operator: sql, inputs: [q], outputs: [o], sql: x, timeout: 90s",
    "operator: sql, inputs: [q], outputs: [o], sql: x, timeout: 120s, partitions: { range: { from: 2001, to: 2003, every: year } }",
    [
      { key: "partitions", before: null, after: { range: { from: "2001", to: "2003", every: "year" } } },
      { key: "timeout", before: "90s", after: "2m" },
    ],
  ],
  [
    "the source",
    "operator: ingest, source: { file: x.csv, columns: { a: BIGINT } }, outputs: [o]",
    "operator: ingest, source: { url: 'https://example.com/x.csv', columns: { a: DOUBLE } }, outputs: [o]",
    [
      { key: "source.columns.a", before: "BIGINT", after: "DOUBLE" },
      { key: "source.file", before: "x.csv", after: null },
      { key: "source.url", before: null, after: "https://example.com/x.csv" },
    ],
  ],
  [
    "the operator",
    "operator: noop, duration: 1500ms",
    "operator: ingest, source: { file: x.csv }, outputs: [o]",
    [
      { key: "duration", before: "1500ms", after: null },
      { key: "on_bad_row", before: null, after: "fail" },
      { key: "operator", before: "noop", after: "ingest" },
      { key: "outputs", before: [], after: ["o"] },
      { key: "source.compression", before: null, after: "auto" },
      { key: "source.file", before: null, after: "x.csv" },
      { key: "source.format", before: null, after: "csv" },
    ],
  ],
])("a change of %s is told by its keys", (_name, before, after, expected) => {
  expect(changes(before, after)).toEqual(expected);
  expect(changes(before, before)).toEqual([]);
});
