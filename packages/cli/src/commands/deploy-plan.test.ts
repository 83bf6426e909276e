import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DagPlan, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { noColors } from "../terminal/ansi.ts";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness } from "../testing/harness.ts";
import { planLines } from "./deploy-plan.ts";

const version = "ab".repeat(32);
const writer = { dag: "d", job: "sum" };
const nothing: DagPlan = {
  dag: "d",
  version,
  changed: true,
  current: { version, number: 3 },
  jobs: [],
  datasets: [],
  starts: [],
};
const source = "dag: d\njobs:\n  a: { operator: noop }\n";

const stack = new FakeStack();
const harness = (columns?: number) => new Harness({ cwd: stack.cwd, ...(columns === undefined ? {} : { columns }) });
let asked: { file_name: string; source: string } | undefined;

beforeAll(async () => {
  await stack.start();
  writeFileSync(join(stack.cwd, "d.yaml"), source);
  writeFileSync(join(stack.cwd, "bad.yaml"), source.replace("noop", "nop"));
  stack.answers.planDag = async ({ body }) => {
    asked = body;
    return { ...nothing, jobs: [{ job: "a", change: "added", operator: "noop", changes: [], live_tasks: 0 }] };
  };
  stack.answers.deploy = () => Promise.reject(new Error("a plan deploys nothing"));
});
afterAll(() => stack.stop());

const lines = (plan: Partial<DagPlan>) => planLines({ ...nothing, ...plan }, { palette: noColors, width: 100 });

test("the file is sent as it is, the plan is printed, and how to do it is told", async () => {
  const { code, stdout, stderr } = await harness().run("deploy", "d.yaml", "--plan");
  expect(code).toBe(0);
  expect(asked).toEqual({ file_name: "d.yaml", source });
  expect(stdout.split("\n")).toEqual([
    "DAG d is at version 3; deploying this file would change:",
    "",
    "jobs",
    "  + a  noop",
    "",
    "starts at once",
    "  nothing",
    "",
  ]);
  expect(stderr).toContain("Nothing was written.");
  expect(stderr).toContain("trace deploy d.yaml");
});

test("with --json the plan is one document", async () => {
  const { code, stdout, stderr } = await harness().run("deploy", "d.yaml", "--plan", "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({
    dag: "d",
    changed: true,
    current: { number: 3 },
    starts: [],
    warnings: [],
  });
});

test("a file with errors is refused before anything is asked, and what the stack refuses ends with its code", async () => {
  asked = undefined;
  const bad = await harness().run("deploy", "bad.yaml", "--plan", "--json");
  expect(bad.code).toBe(1);
  expect(JSON.parse(bad.stderr)).toMatchObject({ error: { code: "TR-7008" } });
  expect(asked).toBeUndefined();
  const was = stack.answers.planDag;
  stack.answers.planDag = () => Promise.reject(new TraceError("TR-4010", { detail: "input 'x' is nowhere" }));
  const refused = await harness().run("deploy", "d.yaml", "--plan");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("error TR-4010: input 'x' is nowhere");
  if (was !== undefined) stack.answers.planDag = was;
});

test("--check and --plan exclude each other", async () => {
  const { code, stderr } = await harness().run("deploy", "d.yaml", "--check", "--plan");
  expect(code).toBe(2);
  expect(stderr).toContain("--check and --plan exclude each other");
});

test("jobs that come, go, change and stay", () => {
  expect(
    lines({
      jobs: [
        {
          job: "sum",
          change: "changed",
          operator: "sql",
          live_tasks: 1,
          changes: [
            { key: "partitions", before: null, after: { keys: ["a"] } },
            { key: "sql", before: "select 1,\n  2,\n  3\nfrom x", after: "select 1,\n  4,\n  3\nfrom x" },
            { key: "timeout", before: "10m", after: "20m" },
          ],
        },
        { job: "new", change: "added", operator: "ingest", live_tasks: 0, changes: [] },
        { job: "same", change: "unchanged", operator: "noop", live_tasks: 0, changes: [] },
        { job: "old", change: "removed", operator: "noop", live_tasks: 12, changes: [] },
      ],
    }).slice(2, -3),
  ).toEqual([
    "jobs",
    "  ~ sum  1 live task goes on as before",
    '      partitions: nothing -> {"keys":["a"]}',
    "      sql:",
    "        -   2,",
    "        +   4,",
    "      timeout: 10m -> 20m",
    "  + new  ingest",
    "  - old  noop  12 live tasks go on as before",
    "  = 1 job unchanged",
  ]);
});

test("a long text is shown in part, and nothing of it reaches the terminal as a command", () => {
  const after = Array.from({ length: 20 }, (_, line) => `\u001b[31mline ${line}`).join("\n");
  const shown = lines({
    jobs: [
      { job: "a", change: "changed", operator: "sql", live_tasks: 0, changes: [{ key: "sql", before: "x", after }] },
    ],
  });
  expect(shown).toContain("        + and 12 more lines");
  expect(shown.join("")).not.toContain("\u001b");
});

test("datasets that come, lose their writer, or get another generation, with who reads them", () => {
  const base = { created: false, writer_before: writer, writer_after: writer, generation: null, readers: [] };
  const because = [{ key: "version", before: 1, after: 2 }];
  expect(
    lines({
      datasets: [
        { ...base, dataset: "fresh", created: true, writer_before: null },
        { ...base, dataset: "left", writer_after: null, readers: [{ dag: "other", job: "look" }] },
        { ...base, dataset: "taken", writer_before: null },
        { ...base, dataset: "moved", writer_before: { dag: "d", job: "load" } },
        { ...base, dataset: "sums", generation: { before: 1, after: 2, made: true, switched: false, because } },
        { ...base, dataset: "back", generation: { before: 2, after: 1, made: false, switched: true, because: [] } },
      ],
    }).slice(2, -3),
  ).toEqual([
    "datasets",
    "  + fresh  would be made, written by sum",
    "  ~ left  stays, and no job writes it any more",
    "      read by other.look",
    "  ~ taken  nobody writes it now; sum would",
    "  ~ moved  written by sum instead of load",
    "  ~ sums  written by sum",
    "      a new generation 2 (version 1 -> 2)",
    "      queries and other DAGs see generation 1 until all that is built anew has a commit",
    "  ~ back  written by sum",
    "      back to generation 1",
    "      queries and other DAGs see it at once",
  ]);
});

test("tasks that would start, with the first of their keys", () => {
  const starts = [
    { dag: "d", job: "sum", tasks: 1, partitions: [] },
    { dag: "other", job: "split", tasks: 7, partitions: ["2001-01", "2001-02"] },
  ];
  expect(lines({ starts }).slice(-3)).toEqual([
    "starts at once",
    "  sum  1 task",
    "  other.split  7 tasks: 2001-01, 2001-02, …",
  ]);
});

test("a file that is current already changes nothing", () => {
  expect(lines({ changed: false })).toEqual([
    "DAG d is at version 3: this file is that version, and deploying it changes nothing",
  ]);
  expect(lines({ current: null })[0]).toBe("DAG d is new; deploying this file would change:");
});
