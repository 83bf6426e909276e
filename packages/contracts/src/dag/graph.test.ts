import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TraceError } from "../errors/index.ts";
import type { DagDefinition } from "./definition.ts";
import { dagDefinitionSchema } from "./definition.ts";
import { cyclesOf, edgesOf, jobOrder } from "./graph.ts";

const sql = (name: string, inputs: string[], output: string): DagDefinition["jobs"][number] => ({
  name,
  operator: "sql",
  inputs: inputs.map((dataset) => ({ dataset, read: "all" })),
  outputs: [{ dataset: output, strategy: "replace", version: 1 }],
  execution: "whole",
  retries: 2,
  timeout_ms: 1_000,
  config: { sql: "x" },
});

/** A job that writes one dataset by two queries. */
function twice(name: string, output: string): DagDefinition["jobs"][number] {
  const job = sql(name, ["x"], output);
  return {
    ...job,
    outputs: [...job.outputs, { dataset: output, strategy: "replace", version: 1, sql: "y" }],
  } as typeof job;
}

describe("the order of jobs", () => {
  test("puts a job after all it waits for and keeps the order of the file otherwise", () => {
    const jobs = [
      sql("c", ["b_out"], "c_out"),
      sql("z", ["x"], "z_out"),
      sql("b", ["a_out", "z_out"], "b_out"),
      sql("a", ["x"], "a_out"),
    ];
    expect(jobOrder({ jobs })).toEqual(["z", "a", "b", "c"]);
  });

  test("of a cycle is refused with its path", () => {
    const jobs = [sql("a", ["b_out"], "a_out"), sql("b", ["a_out"], "b_out")];
    expect(() => jobOrder({ jobs })).toThrow(TraceError);
    expect(() => jobOrder({ jobs })).toThrow("Jobs form a cycle: a -> b -> a.");
  });

  test("holds every job once, after those it waits for, wherever it stands in the list", () => {
    // Job i may read what lower numbers write, so the graph has no cycle; then the list is shuffled.
    const graph = fc.array(fc.array(fc.nat(20), { maxLength: 4 }), { minLength: 1, maxLength: 12 }).chain((reads) => {
      const jobs = reads.map((inputs, index) => {
        const names = inputs.map((input) => (index === 0 ? "x" : `d${input % index}`));
        return sql(`j${index}`, [...new Set(names)], `d${index}`);
      });
      return fc.shuffledSubarray(jobs, { minLength: jobs.length });
    });
    fc.assert(
      fc.property(graph, (jobs) => {
        const order = jobOrder({ jobs });
        expect([...order].sort()).toEqual(jobs.map((job) => job.name).sort());
        for (const job of jobs) {
          for (const input of job.inputs.map(({ dataset }) => dataset).filter((name) => name !== "x")) {
            expect(order.indexOf(input.replace("d", "j"))).toBeLessThan(order.indexOf(job.name));
          }
        }
      }),
    );
  });
});

describe("cycles", () => {
  test("are found one by one, and without one edge of each none is left", () => {
    const graph = fc.array(fc.array(fc.nat(7), { maxLength: 3 }), { minLength: 1, maxLength: 8 });
    let withCycles = 0;
    fc.assert(
      fc.property(graph, (reads) => {
        const jobs = reads.map((inputs, index) => ({
          name: `j${index}`,
          inputs: inputs.map((input) => `d${input}`),
          outputs: [`d${index}`],
        }));
        const cycles = cyclesOf(jobs);
        if (cycles.length > 0) withCycles += 1;
        for (const cycle of cycles) {
          cycle.forEach((edge, index) => {
            expect(edge.reader).toBe(cycle[(index + 1) % cycle.length]?.writer);
            expect(jobs[edge.reader]?.inputs).toContain(edge.dataset);
          });
        }
        expect(new Set(cycles.map((cycle) => JSON.stringify(cycle))).size).toBe(cycles.length);
        // An independent judge: take away what waits for nothing, again and again; a rest means a cycle.
        let rest = jobs.map((_, index) => index);
        const edges = edgesOf(jobs).flat();
        for (let size = -1; size !== rest.length; ) {
          size = rest.length;
          rest = rest.filter((job) => edges.some((edge) => edge.reader === job && rest.includes(edge.writer)));
        }
        expect(cycles.length > 0).toBe(rest.length > 0);
      }),
    );
    expect(withCycles).toBeGreaterThan(5);
  });
});

describe("a definition that arrives as JSON is judged by the same rules", () => {
  const dag = (jobs: DagDefinition["jobs"]) => dagDefinitionSchema.safeParse({ dag: "d", jobs });

  test("a sound one is taken", () => {
    expect(dag([sql("a", ["x"], "a_out"), sql("b", ["a_out"], "b_out")]).success).toBe(true);
  });

  test.each<[string, DagDefinition["jobs"]]>([
    ["two jobs are named 'a'", [sql("a", ["x"], "one"), sql("a", ["x"], "two")]],
    ["jobs 'a' and 'b' both write dataset 'one'", [sql("a", ["x"], "one"), sql("b", ["x"], "one")]],
    ["job 'a' reads its own output 'one'", [sql("a", ["one"], "one")]],
    ["job 'a' names an input twice", [sql("a", ["x", "x"], "one")]],
    ["job 'a' names an output twice", [twice("a", "one")]],
    ["jobs form a cycle: a -> b -> a", [sql("a", ["two"], "one"), sql("b", ["one"], "two")]],
  ])("%s", (message, jobs) => {
    expect(dag(jobs).error?.issues.map((issue) => issue.message)).toEqual([message]);
  });
});
