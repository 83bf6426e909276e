/** A plan tells what the deploy then does, and leaves nothing behind. */
import { type DagPlan, TraceError } from "@trace/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Plans } from "./plans.ts";
import { World } from "./testing/world.ts";

let world: World;
let plans: Plans;

beforeEach(async () => {
  world = await World.open();
  plans = new Plans(world.db);
});
afterEach(() => world.close());

const ingest = (output: string) => `{ operator: ingest, outputs: [${output}], source: { file: a.csv } }`;
const sql = (input: string, output: string, text = "select 1") =>
  `{ operator: sql, inputs: [${input}], outputs: [${output}], sql: "${text}" }`;
const file = (dag: string, jobs: Readonly<Record<string, string>>) =>
  `dag: ${dag}\njobs:\n${Object.entries(jobs)
    .map(([name, job]) => `  ${name}: ${job}\n`)
    .join("")}`;
const base = { load: ingest("raw"), sum: sql("raw", "sums") };

const plan = (source: string): Promise<DagPlan> => plans.plan(world.orgId, "test.yaml", source);

/** Everything that a deploy can write, as it stands. */
async function everything(): Promise<string> {
  const tables = [
    "dags",
    "dag_versions",
    "jobs",
    "job_versions",
    "job_inputs",
    "job_outputs",
    "datasets",
    "generations",
  ];
  const work = ["tasks", "ready", "invalidations", "outbox", "live_outputs", "generation_switches"];
  const rows = await Promise.all(
    [...tables, ...work].map((table) => world.db.raw(`select * from ${table} t order by t::text`)),
  );
  return JSON.stringify(rows);
}

async function drain(): Promise<void> {
  for (;;) {
    await world.makeDue();
    const tasks = await world.claim(await world.session(), 100);
    if (tasks.length === 0) return;
    for (const task of tasks) expect(await world.succeed(task)).toMatchObject({ accepted: true });
  }
}

const jobsOf = (found: DagPlan) => found.jobs.map((job) => `${job.change} ${job.job}`);
const datasetOf = (found: DagPlan, name: string) => found.datasets.find((one) => one.dataset === name);

test("a new DAG has its jobs added and its datasets created, and none of it is there afterwards", async () => {
  const before = await everything();
  const found = await plan(file("d", base));
  expect(found).toMatchObject({
    dag: "d",
    changed: true,
    current: null,
    jobs: [
      { job: "load", change: "added", operator: "ingest", live_tasks: 0 },
      { job: "sum", change: "added", operator: "sql", live_tasks: 0 },
    ],
    datasets: [
      { dataset: "raw", created: true, writer_before: null, writer_after: { dag: "d", job: "load" }, generation: null },
      { dataset: "sums", created: true, writer_after: { dag: "d", job: "sum" } },
    ],
    starts: [],
  });
  expect(await everything()).toBe(before);
  const deployed = await world.deploy(file("d", base));
  expect(deployed).toMatchObject({ version: found.version, changed: true, number: 1 });
});

test("the version that is current already changes nothing", async () => {
  const { version } = await world.deploy(file("d", base));
  expect(await plan(`# a comment\n${file("d", base)}`)).toMatchObject({
    changed: false,
    version,
    current: { version, number: 1 },
    datasets: [],
    starts: [],
    jobs: [{ change: "unchanged" }, { change: "unchanged" }],
  });
});

test("jobs that come, go and change are told with their keys, and with the tasks that are live", async () => {
  await world.deploy(file("d", { ...base, old: ingest("ancient") }));
  await world.create("d", "old");
  await world.create("d", "load");
  const before = await everything();
  const found = await plan(
    file("d", { load: ingest("raw"), sum: sql("raw", "sums", "select 2"), fresh: ingest("new") }),
  );
  expect(jobsOf(found)).toEqual(["unchanged load", "changed sum", "added fresh", "removed old"]);
  expect(found.jobs.find((job) => job.job === "sum")?.changes).toEqual([
    { key: "sql", before: "select 1", after: "select 2" },
  ]);
  expect(found.jobs.map((job) => job.live_tasks)).toEqual([1, 0, 0, 1]);
  expect(datasetOf(found, "ancient")).toMatchObject({
    created: false,
    writer_before: { dag: "d", job: "old" },
    writer_after: null,
  });
  expect(datasetOf(found, "new")).toMatchObject({ created: true });
  expect(await everything()).toBe(before);
});

describe("another generation", () => {
  test("is told with its reason, with who reads the dataset elsewhere, and with what would start", async () => {
    await world.deploy(file("d", base));
    await world.deploy(file("elsewhere", { look: sql("sums", "looked") }));
    await world.runs.start(world.orgId, "d", undefined);
    await drain();
    const before = await everything();
    const source = file("d", { load: ingest("raw"), sum: sql("raw", "{ dataset: sums, version: 2 }") });
    const found = await plan(source);
    expect(found.datasets).toEqual([
      {
        dataset: "sums",
        created: false,
        writer_before: { dag: "d", job: "sum" },
        writer_after: { dag: "d", job: "sum" },
        generation: {
          before: 1,
          after: 2,
          made: true,
          switched: false,
          because: [{ key: "version", before: 1, after: 2 }],
        },
        readers: [{ dag: "elsewhere", job: "look" }],
      },
    ]);
    // Its input has commits already, so it is built by the deploy itself.
    expect(found.starts).toEqual([{ dag: "d", job: "sum", tasks: 1, partitions: [] }]);
    expect(await everything()).toBe(before);
    expect(await world.deploy(source)).toMatchObject({ generations: [{ dataset: "sums", generation: 2 }] });
    expect(await world.count("ready")).toBe(1);
  });

  test("that was written before is gone back to, and seen at once where it has commits", async () => {
    const two = file("d", { load: ingest("raw"), sum: sql("raw", "{ dataset: sums, version: 2 }") });
    await world.deploy(file("d", base));
    await world.runs.start(world.orgId, "d", undefined);
    await drain();
    await world.deploy(two);
    await drain();
    const found = await plan(file("d", base));
    expect(datasetOf(found, "sums")?.generation).toEqual({
      before: 2,
      after: 1,
      made: false,
      switched: true,
      because: [{ key: "version", before: 2, after: 1 }],
    });
  });
});

test("tasks of partitions that would start are counted, with the first of their keys", async () => {
  const split = (version: number) =>
    `{ operator: sql, inputs: [raw], outputs: [{ dataset: parts, version: ${version} }], sql: "select 1", partitions: { keys: [a, b, c, d, e, f, g] } }`;
  await world.deploy(file("d", { load: ingest("raw"), split: split(1) }));
  await world.runs.start(world.orgId, "d", undefined);
  await drain();
  const source = file("d", { load: ingest("raw"), split: split(2) });
  const found = await plan(source);
  expect(found.starts).toEqual([{ dag: "d", job: "split", tasks: 7, partitions: ["a", "b", "c", "d", "e"] }]);
  await world.deploy(source);
  expect(await world.count("ready")).toBe(7);
});

test("what a deploy refuses, a plan refuses with the same errors", async () => {
  await world.deploy(file("owner", { load: ingest("raw") }));
  const before = await everything();
  for (const source of [
    file("d", { load: ingest("raw") }),
    file("d", { sum: sql("nowhere", "sums"), more: sql("nothing", "others") }),
    "dag: D\njobs: { a: { operator: nop } }",
    file("d", { sum: "{ operator: sql, inputs: [raw], outputs: [o], sql: x, execution: per_partition }" }),
  ]) {
    const refusal = (work: Promise<unknown>) =>
      work.then(
        () => undefined,
        (error: unknown) => {
          if (!(error instanceof TraceError)) throw error;
          const { errors = [] } = error as TraceError & { errors?: TraceError[] };
          return [error.code, error.message, ...errors.map((one) => one.message)];
        },
      );
    const planned = await refusal(plan(source));
    expect(planned).toBeDefined();
    expect(planned).toEqual(await refusal(world.deploy(source)));
  }
  expect(await everything()).toBe(before);
});

test("plans and deploys at once take turns, and none of them fails", async () => {
  await world.deploy(file("d", base));
  const sources = Array.from({ length: 6 }, (_, n) => file("d", { ...base, sum: sql("raw", "sums", `select ${n}`) }));
  const all = await Promise.all(sources.flatMap((source) => [plan(source), world.deploy(source), plan(source)]));
  expect(all).toHaveLength(18);
  expect(await world.count("dag_versions")).toBe(6);
});
