/** What makes another generation, and how partitions go through a DAG. */
import { type DagDefinition, parseDag } from "@trace/contracts";
import { describe, expect, test } from "vitest";
import { ancestorsOf } from "../runs.ts";
import { generationDefinitions, keyAncestorsOf, partitionFaults, sameDefinition } from "./generations.ts";

function dag(jobs: string): DagDefinition {
  const parsed = parseDag(`dag: d\njobs:\n${jobs}`, "d.yaml");
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.diagnostics));
  return parsed.dag;
}

const days =
  "  days: { operator: ingest, partitions: { range: { from: 2001-01-01, to: 2001-01-04, every: day } }, outputs: [days], source: { file: a.csv }, sql: select $partition }\n";
const keys =
  "  keys: { operator: ingest, partitions: { keys: [us, eu] }, outputs: [keys], source: { file: a.csv }, sql: select $partition }\n";
const column =
  "  column: { operator: ingest, outputs: [{ dataset: column, partition_by: month }], source: { file: a.csv } }\n";
const plain = "  plain: { operator: ingest, outputs: [plain], source: { file: a.csv } }\n";
const sql = (name: string, inputs: string, parts = "") =>
  `  ${name}: { operator: sql, ${parts}inputs: [${inputs}], outputs: [${name}], sql: "select 1" }\n`;
const per = (name: string, inputs: string) => sql(name, inputs, "execution: per_partition, ");

const kindsOf = (definition: DagDefinition, elsewhere: Record<string, string> = {}) => {
  const made = generationDefinitions(definition, new Map(Object.entries(elsewhere)));
  return Object.fromEntries([...made].map(([name, { partitioning }]) => [name, partitioning]));
};

describe("partitions", () => {
  test("are of the kind that the job or the output says, and those of its inputs where it follows them", () => {
    // A job that is written above what it reads: the order of the file says nothing.
    const definition = dag(
      per("far", "near") + per("near", "days, plain") + days + keys + column + plain + sql("all", "far"),
    );
    expect(kindsOf(definition)).toEqual({
      days: "range by day",
      keys: "keys",
      column: "column month",
      plain: "none",
      near: "range by day",
      far: "range by day",
      all: "none",
    });
  });

  test("of datasets of other DAGs are followed too", () => {
    expect(kindsOf(dag(per("near", "other, third")), { other: "keys", third: "column x" })).toEqual({
      near: "column x and keys",
    });
  });

  test("that a job follows must be there, and be steps of one length", () => {
    const kinds = (record: Record<string, string>) => new Map(Object.entries(record));
    const job = dag(per("near", "other, third"));
    const details = (record: Record<string, string>) =>
      partitionFaults(job, kinds(record)).map((fault) => fault.detail);
    expect(details({ other: "none", third: "none" })[0]).toContain("none of its inputs has partitions");
    expect(details({ other: "range by day", third: "range by month" })[0]).toContain("range by day, range by month");
    expect(details({ other: "range by day", third: "none" })).toEqual([]);
    expect(details({ other: "range by month", third: "column month" })).toEqual([]);
    expect(partitionFaults(dag(sql("all", "other")), kinds({ other: "none" }))).toEqual([]);
  });
});

test("a definition is the same whatever the order of its keys, and another one by any of them", () => {
  const one = { strategy: "replace", partitioning: "none", version: 1 };
  expect(sameDefinition({ version: 1, partitioning: "none", strategy: "replace" }, one)).toBe(true);
  for (const other of [{ strategy: "append" }, { partitioning: "keys" }, { version: 2 }]) {
    expect(sameDefinition({ ...one, ...other }, one)).toBe(false);
  }
  expect(sameDefinition({}, one)).toBe(false);
});

describe("ancestors by key", () => {
  const of = (definition: DagDefinition) => {
    const kinds = new Map(Object.entries(kindsOf(definition)));
    const found = keyAncestorsOf(definition, ancestorsOf(definition), kinds);
    return Object.fromEntries([...found].map(([name, names]) => [name, names.sort()]));
  };

  test("are those of tasks for partitions all the way", () => {
    expect(of(dag(days + per("near", "days") + per("far", "near, days") + sql("all", "far")))).toEqual({
      days: [],
      near: ["days"],
      far: ["days", "near"],
      all: [],
    });
  });

  test("are none of an input without partitions, nor of what one task writes into many", () => {
    expect(of(dag(plain + column + per("near", "column, plain")))).toMatchObject({ near: [] });
  });

  test("are none where another way leads through a job that runs as a whole", () => {
    const definition = dag(days + sql("all", "days") + per("near", "days, all"));
    expect(of(definition)).toMatchObject({ near: [] });
  });

  test("are none above a job with partitions of its own, which reads its inputs whole", () => {
    const own = sql("own", "keys", "partitions: { range: { from: 2001-01-01, to: 2001-01-04, every: day } }, ").replace(
      "select 1",
      "select $partition",
    );
    expect(of(dag(keys + own + per("near", "own")))).toMatchObject({ own: [], near: ["own"] });
  });
});
