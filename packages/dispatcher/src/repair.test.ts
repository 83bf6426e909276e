/** Partitions that should be there and are not: which they are, and the tasks that make them. */
import { TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Partitions } from "./partitions.ts";
import { World } from "./testing/world.ts";

let world: World;
let partitions: Partitions;

const months = ["2001-01", "2001-02", "2001-03"];
const source = (to = "2001-04", sql = "select $partition") => `dag: months
jobs:
  split:
    operator: ingest
    partitions: { range: { from: 2001-01, to: ${to}, every: month } }
    outputs: [parts]
    source: { file: a.csv }
    sql: ${sql}
  clean: { operator: sql, execution: per_partition, inputs: [parts], outputs: [clean], sql: "select 1" }
  whole: { operator: sql, inputs: [clean], outputs: [whole], sql: "select 1" }
  by_column: { operator: sql, inputs: [clean], outputs: [{ dataset: columned, partition_by: month }], sql: "select 1" }
`;

beforeAll(async () => {
  world = await World.open();
  partitions = new Partitions(world.db, world.tasks);
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.clear();
  await world.deploy(source());
});

const repair = (dataset: string, body: { partitions?: string[]; dry_run?: boolean } = {}) =>
  partitions.repair({ orgId: world.orgId, name: "me" }, dataset, { dry_run: false, ...body });
const run = (jobs?: string[], keys?: string[]) => world.runs.start(world.orgId, "months", jobs, keys);

async function succeedAll(): Promise<string[]> {
  const done: string[] = [];
  for (;;) {
    const tasks = await world.claim(await world.session(), 100);
    if (tasks.length === 0) return done.sort();
    for (const task of tasks) {
      await world.succeed(task);
      done.push(`${task.job.name} ${task.partition ?? "-"}`);
    }
  }
}

async function refusal(promise: Promise<unknown>): Promise<TraceError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TraceError)) throw new Error("not refused", { cause: error });
  return error;
}

describe("a job's own partitions", () => {
  test("are all missing at first; a dry run only says so", async () => {
    expect(await repair("parts", { dry_run: true })).toEqual({
      dataset: "parts",
      missing: months,
      tasks: [],
      dry_run: true,
    });
    expect(await world.count("tasks")).toBe(0);
    expect(await world.count("audit_log")).toBe(0);
  });

  test("that are missing get a task each, those that have one are told with it, and it is kept who asked", async () => {
    await run(["split"], ["2001-01"]);
    await succeedAll();
    const live = await run(["split"], ["2001-02"]);
    const answer = await repair("parts");
    expect(answer.missing).toEqual(["2001-02", "2001-03"]);
    expect(answer.tasks.map((task) => task.partition)).toEqual(["2001-02", "2001-03"]);
    expect(answer.tasks[0]?.task_id).toBe(live.tasks[0]?.task_id);
    expect(await world.db.raw("select action, actor, cardinality(task_ids) as tasks, detail from audit_log")).toEqual([
      { action: "dataset.repair", actor: "me", tasks: 1, detail: { dataset: "parts", partitions: 1 } },
    ]);
    expect((await repair("parts")).tasks).toEqual(answer.tasks);
    expect(await succeedAll()).toContain("split 2001-03");
    expect(await repair("parts")).toMatchObject({ missing: [], tasks: [] });
  });

  test("of those that are named, the missing ones are made; one that is not the job's is refused", async () => {
    await run(["split"], ["2001-01"]);
    await succeedAll();
    const answer = await repair("parts", { partitions: ["2001-03", "2001-01"] });
    expect(answer.missing).toEqual(["2001-03"]);
    expect(answer.tasks).toHaveLength(1);
    expect(await refusal(repair("parts", { partitions: ["2001-02", "2001-2"] }))).toMatchObject({
      code: "TR-3017",
      fix: "did you mean '2001-02'?",
    });
    expect(await world.count("ready")).toBe(1);
  });

  test("that a deploy added are missing", async () => {
    await run();
    await succeedAll();
    await world.deploy(source("2001-06"));
    expect((await repair("parts", { dry_run: true })).missing).toEqual(["2001-04", "2001-05"]);
  });

  test("of a generation that is being built are missing there, though readers see others", async () => {
    await run();
    await succeedAll();
    await world.deploy(source().replace("outputs: [parts]", "outputs: [{ dataset: parts, version: 2 }]"));
    const answer = await repair("parts");
    expect(answer.missing).toEqual(months);
    await succeedAll();
    expect((await world.read("parts")).generation).toBe(2);
    expect((await repair("parts")).missing).toEqual([]);
  });
});

describe("partitions that follow an input", () => {
  test("are missing where the input has them and nothing was committed", async () => {
    expect((await repair("clean", { dry_run: true })).missing).toEqual([]);
    await run();
    for (const task of await world.claim(await world.session(), 3)) await world.succeed(task);
    const cleans = await world.claim(await world.session(), 3);
    for (const task of cleans) {
      if (task.partition === "2001-02") await world.fail(task, "TR-5200");
      else await world.succeed(task);
    }
    const answer = await repair("clean");
    expect(answer.missing).toEqual(["2001-02"]);
    expect(await world.task(answer.tasks[0]?.task_id ?? "")).toMatchObject({ job: "clean", partition: "2001-02" });
  });

  test("are found over many pages", async () => {
    const [row] = await world.db.raw<{ parts: number; clean: number }>(
      "select (select current_generation_id from datasets where name = 'parts') as parts, (select current_generation_id from datasets where name = 'clean') as clean",
    );
    await world.db.raw(
      "insert into partitions (generation_id, partition_key, head_commit) select $1, 'k' || lpad(n::text, 6, '0'), 1 from generate_series(1, 25000) n",
      [row?.parts ?? 0],
    );
    await world.db.raw(
      "insert into partitions (generation_id, partition_key, head_commit) select $1, 'k' || lpad(n::text, 6, '0'), 1 from generate_series(1, 25000) n where n not in (1, 9999, 10000, 10001, 24999)",
      [row?.clean ?? 0],
    );
    const { missing } = await repair("clean", { dry_run: true });
    expect(missing).toEqual(["k000001", "k009999", "k010000", "k010001", "k024999"]);
  });
});

test.each([
  ["a dataset that is not there", "none", "TR-1006"],
  ["a dataset whose job runs as a whole", "whole", "TR-3017"],
])("%s cannot be repaired", async (_, dataset, code) => {
  expect((await refusal(repair(dataset))).code).toBe(code);
});

test("where one task writes all partitions, the answer says so and what to run instead", async () => {
  expect(await refusal(repair("columned", { dry_run: true }))).toMatchObject({
    code: "TR-3017",
    message: expect.stringContaining("its partitions are the values of column 'month'"),
    fix: "make all of it anew: 'trace run months --job by_column'",
  });
  expect(await refusal(repair("whole"))).toMatchObject({ fix: "make all of it anew: 'trace run months --job whole'" });
});

test("a dataset that no deployed job writes cannot be repaired", async () => {
  await world.deploy(source().replace(/ {2}whole:.*\n/, ""));
  expect((await refusal(repair("whole"))).code).toBe("TR-3010");
});
