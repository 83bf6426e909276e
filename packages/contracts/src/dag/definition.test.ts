/** What was stored before a key existed is read as it was meant, and has the version it had. */
import { describe, expect, test } from "vitest";
import { dagContentHash, dagDefinitionSchema } from "./definition.ts";
import { parseDag } from "./parse.ts";

/** As it stands in a database of before inputs had parts, with the version it was given then. */
const stored = {
  dag: "old",
  jobs: [
    {
      name: "load",
      operator: "ingest",
      inputs: [],
      outputs: [{ dataset: "quakes", strategy: "replace" }],
      retries: 2,
      timeout_ms: 600_000,
      config: { source: { kind: "file", path: "a.csv", format: "csv" } },
    },
    {
      name: "sum",
      operator: "sql",
      inputs: ["quakes"],
      outputs: [{ dataset: "summary", strategy: "replace" }],
      retries: 2,
      timeout_ms: 600_000,
      config: { sql: "SELECT 1" },
    },
    {
      name: "wait",
      operator: "noop",
      inputs: [],
      outputs: [],
      retries: 2,
      timeout_ms: 600_000,
      config: { duration_ms: 0 },
    },
  ],
};
const storedHash = "122e9e5fb3739d2fd085ca7b1ad00a09c3048366c12a5b97abf3c81de9130745";
const source = `dag: old
jobs:
  load: { operator: ingest, source: { file: a.csv }, outputs: [quakes] }
  sum: { operator: sql, inputs: [quakes], sql: SELECT 1, outputs: [summary] }
  wait: { operator: noop }
`;

test("a definition stored before inputs had parts is read with the defaults of what came later", () => {
  const dag = dagDefinitionSchema.parse(stored);
  expect(dag.jobs[1]).toMatchObject({
    inputs: [{ dataset: "quakes", read: "all" }],
    outputs: [{ dataset: "summary", strategy: "replace", version: 1 }],
    execution: "whole",
  });
  expect(dag.jobs[0]).toMatchObject({ config: { on_bad_row: "fail", source: { compression: "auto" } } });
  // What is stored from it is read again as the same.
  expect(dagDefinitionSchema.parse(JSON.parse(JSON.stringify(dag)))).toEqual(dag);
});

test("a file that uses none of the later keys keeps its version, and any of them makes another", () => {
  expect(dagContentHash(dagDefinitionSchema.parse(stored))).toBe(storedHash);
  const parsed = parseDag(source, "old.yaml");
  expect(parsed).toMatchObject({ ok: true, contentHash: storedHash });
  const [load, sum] = dagDefinitionSchema.parse(stored).jobs;
  if (load?.operator !== "ingest" || sum?.operator !== "sql") throw new Error("the jobs have changed places");
  const others = [
    { ...load, config: { ...load.config, on_bad_row: "set_aside" as const } },
    { ...load, config: { ...load.config, source: { ...load.config.source, compression: "gzip" as const } } },
    { ...load, partitions: { kind: "keys" as const, keys: ["a"] } },
    { ...load, outputs: load.outputs.map((output) => ({ ...output, version: 2 })) },
    { ...load, outputs: load.outputs.map((output) => ({ ...output, partition_by: "x" })) },
    { ...sum, inputs: sum.inputs.map((input) => ({ ...input, read: "new" as const })) },
    { ...sum, inputs: sum.inputs.map((input) => ({ ...input, where: { x: [1] } })) },
    { ...sum, execution: "per_partition" as const },
  ];
  const hashes = others.map((job) => dagContentHash({ dag: "old", jobs: [job] }));
  const plain = [load, sum].map((job) => dagContentHash({ dag: "old", jobs: [job] }));
  expect(new Set([...hashes, ...plain]).size).toBe(others.length + 2);
});

describe("rules between the keys of a job hold for a definition that arrives as JSON", () => {
  const [load, sum] = dagDefinitionSchema.parse(stored).jobs;
  const refusals = (job: object) =>
    dagDefinitionSchema.safeParse({ dag: "d", jobs: [job] }).error?.issues.map((issue) => issue.message);
  const second = { dataset: "second", strategy: "replace" };
  const bad = { ...second, bad_rows: true };
  const partitions = { kind: "keys", keys: ["a"] };
  const aside = { ...load?.config, on_bad_row: "set_aside" };

  test.each<[string, object]>([
    ["job 'sum' has partitions and takes those of its inputs", { ...sum, partitions, execution: "per_partition" }],
    [
      "job 'load' divides an output twice",
      { ...load, partitions, outputs: [{ ...load?.outputs[0], partition_by: "m" }] },
    ],
    ["job 'sum' reads what is new, and replaces", { ...sum, inputs: [{ dataset: "q", read: "new" }] }],
    [
      "job 'sum' reads what is new, and has partitions",
      {
        ...sum,
        partitions,
        inputs: [{ dataset: "q", read: "new" }],
        outputs: [{ dataset: "s", strategy: "append" }],
      },
    ],
    ["job 'sum' has no SQL for output 'second'", { ...sum, outputs: [...(sum?.outputs ?? []), second] }],
    [
      "job 'sum' has SQL of its own for its first output 'second'",
      { ...sum, outputs: [{ ...second, sql: "SELECT 1" }] },
    ],
    [
      "job 'load' has 1 outputs for bad rows, and sets none aside",
      { ...load, outputs: [...(load?.outputs ?? []), bad] },
    ],
    ["job 'load' has 0 outputs for bad rows, and sets them aside", { ...load, config: aside }],
    [
      "job 'load' keeps bad rows in another way than the rows beside them",
      { ...load, config: aside, outputs: [...(load?.outputs ?? []), { ...bad, strategy: "append" }] },
    ],
    ["job 'load' keeps bad rows in another way than the rows beside them", { ...load, config: aside, outputs: [bad] }],
    [
      "job 'load' makes output 'second', which receives bad rows",
      { ...load, config: aside, outputs: [...(load?.outputs ?? []), { ...bad, sql: "SELECT 1" }] },
    ],
  ])("%s", (message, job) => {
    expect(refusals(job)).toEqual([message]);
  });

  test("a sound one with an output for bad rows is taken", () => {
    expect(refusals({ ...load, config: aside, outputs: [...(load?.outputs ?? []), bad] })).toBeUndefined();
  });

  test.each([
    [{ kind: "range", from: "2001-02", to: "2001-01", every: "month" }],
    [{ kind: "range", from: "2001", to: "2003", every: "hour" }],
    [{ kind: "keys", keys: ["a", "a"] }],
    [{ kind: "keys", keys: [] }],
    [{ kind: "keys", keys: [""] }],
  ])("partitions %j are refused", (wrong) => {
    expect(refusals({ ...sum, partitions: wrong })).toHaveLength(1);
  });
});
