/** A changed definition is built beside what is there, and readers elsewhere see it when all of it is there. */
import { type ClaimedTask, TraceError } from "@trace/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { World } from "./testing/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.open();
});
afterEach(() => world.close());

/** one and two are made by jobs of their own; both reads them; another DAG reads them as well. */
const dag = (versionOne = 1, versionTwo = 1, sql = "select 1") => `dag: built
jobs:
  one: { operator: ingest, outputs: [{ dataset: one, version: ${versionOne} }], source: { file: a.csv } }
  two: { operator: ingest, outputs: [{ dataset: two, version: ${versionTwo} }], source: { file: a.csv } }
  both: { operator: sql, inputs: [one, two], outputs: [both], sql: "${sql}" }
`;
const elsewhere = `dag: elsewhere
jobs:
  look: { operator: sql, inputs: [one, two], outputs: [looked], sql: "select 1" }
`;

async function claimAll(): Promise<ClaimedTask[]> {
  await world.makeDue();
  return world.claim(await world.session(), 100);
}

async function drain(): Promise<string[]> {
  const done: string[] = [];
  for (;;) {
    const tasks = await claimAll();
    if (tasks.length === 0) return done.sort();
    for (const task of tasks) {
      expect(await world.succeed(task)).toMatchObject({ accepted: true });
      done.push(task.job.name);
    }
  }
}

async function make(job: string): Promise<ClaimedTask> {
  const [id = ""] = await world.create("built", job);
  const [task] = await world.claim(await world.session(), 1, [id]);
  if (task?.job.name !== job) throw new Error(`${job} was not claimed`);
  return task;
}

/** The generation that each dataset's readers see. */
async function current(): Promise<Record<string, number>> {
  const rows = await world.db.raw<{ name: string; number: number }>(
    "select d.name, g.number from datasets d join generations g on g.generation_id = d.current_generation_id order by 1",
  );
  return Object.fromEntries(rows.map((row) => [row.name, row.number]));
}

const inputsOf = (task: ClaimedTask | undefined) =>
  task?.inputs.map(({ dataset, generation, commit }) => `${dataset} ${generation}.${commit}`);

describe("a deploy that begins a new generation", () => {
  test.each(["queued", "running"])(
    "while a task of the version before is %s has it built all the same",
    async (when) => {
      const source = (version: number) => `dag: built
jobs:
  one: { operator: ingest, outputs: [one], source: { file: a.csv } }
  both: { operator: sql, inputs: [one], outputs: [{ dataset: both, version: ${version} }], sql: "select ${version}" }
`;
      await world.deploy(source(1));
      await make("one").then((task) => world.succeed(task));
      const early = when === "running" ? await claimAll() : [];
      await world.deploy(source(2));
      const old = when === "running" ? early : await claimAll();
      expect(old.map((task) => task.job.name)).toEqual(["both"]);
      await world.succeed(old[0] as ClaimedTask);
      expect(await drain()).toEqual(["both"]);
      expect((await current()).both).toBe(2);
    },
  );
});

/** Deployed, elsewhere too, and everything has run once. */
async function begun(): Promise<void> {
  await world.deploy(dag());
  await world.deploy(elsewhere);
  await world.runs.start(world.orgId, "built", undefined);
  await drain();
}

describe("a definition that changes", () => {
  test("gets a generation beside the old one, which a deploy tells; what did not change has none", async () => {
    await begun();
    expect(await world.deploy(dag(2))).toMatchObject({ generations: [{ dataset: "one", generation: 2 }] });
    expect(await current()).toEqual({ one: 1, two: 1, both: 1, looked: 1 });
    expect(await world.deploy(dag(2, 1, "select 2"))).toMatchObject({ generations: [] });
    expect(await world.count("generations")).toBe(5);
  });

  test("is written and read within its DAG at once, and elsewhere when it has its first commit", async () => {
    await begun();
    await world.deploy(dag(2));
    await world.create("elsewhere", "look");
    const [look] = await claimAll();
    expect(inputsOf(look)).toEqual(["one 1.1", "two 1.1"]);
    const one = await make("one");
    expect((await world.read("one")).generation).toBe(1);
    expect(await world.succeed(one)).toMatchObject({ commits: [{ dataset: "one", generation: 2, commit: 1 }] });
    expect(await current()).toMatchObject({ one: 2 });
    expect(await world.count("generation_switches")).toBe(0);
    const [both] = await claimAll();
    expect(both?.job.name).toBe("both");
    expect(inputsOf(both)).toEqual(["one 2.1", "two 1.1"]);
    // Readers elsewhere are told by the switch: the one that runs read what was there before.
    await world.succeed(look as ClaimedTask);
    const [again] = await claimAll();
    expect(again?.job.name).toBe("look");
    expect(inputsOf(again)).toEqual(["one 2.1", "two 1.1"]);
  });

  test("of several datasets is switched to in one transaction, with the last first commit", async () => {
    await begun();
    await world.deploy(dag(2, 2));
    await world.succeed(await make("one"));
    expect(await current()).toMatchObject({ one: 1, two: 1 });
    expect(await claimAll()).toEqual([]);
    const two = await make("two");
    const held = world.race.pauseAt("complete:published");
    const last = world.succeed(two);
    await held.reached;
    expect(await current()).toMatchObject({ one: 1, two: 1 });
    held.resume();
    await last;
    expect(await current()).toMatchObject({ one: 2, two: 2 });
    const tasks = await claimAll();
    expect(tasks.map((task) => [task.job.name, ...(inputsOf(task) ?? [])]).sort()).toEqual([
      ["both", "one 2.1", "two 2.1"],
      ["look", "one 2.1", "two 2.1"],
    ]);
  });

  test("two first commits at once: the later one sees the earlier one, and both are switched to", async () => {
    // Nobody reads them, so that no job is held by both.
    const alone = (version: number) => dag(version, version).slice(0, dag(version, version).indexOf("  both:"));
    await world.deploy(alone(1));
    await world.deploy(alone(2));
    const [one, two] = [await make("one"), await make("two")];
    const held = world.race.pauseAt("complete:published", { times: 2 });
    const ends = [world.succeed(one), world.succeed(two)];
    // Neither sees the commit of the other.
    await held.reached;
    held.resume();
    expect((await Promise.all(ends)).map((answer) => answer.accepted)).toEqual([true, true]);
    expect(await current()).toEqual({ one: 2, two: 2 });
  });

  test("downstream of what has commits is built by the deploy itself", async () => {
    await begun();
    const source = dag().replace("outputs: [both]", "outputs: [{ dataset: both, version: 7 }]");
    expect(await world.deploy(source)).toMatchObject({ generations: [{ dataset: "both", generation: 2 }] });
    expect(await current()).toMatchObject({ both: 1 });
    const [both] = await claimAll();
    expect(both?.job.name).toBe("both");
    await world.succeed(both as ClaimedTask);
    expect(await current()).toMatchObject({ both: 2 });
  });

  test.each([
    ["strategy", "outputs: [{ dataset: two, strategy: append }]"],
    ["partition column", "outputs: [{ dataset: two, partition_by: x }]"],
    ["partitions", "partitions: { keys: [a, b] }, sql: select $partition, outputs: [two]"],
  ])("in its %s is another one", async (_, outputs) => {
    await begun();
    const source = dag().replace("outputs: [{ dataset: two, version: 1 }]", outputs);
    expect(await world.deploy(source)).toMatchObject({ generations: [{ dataset: "two", generation: 2 }] });
  });

  test("in how many partitions there are is not another one", async () => {
    const source = (to: string) =>
      `dag: p\njobs:\n  j: { operator: ingest, partitions: { range: { from: 2001-01, to: ${to}, every: month } }, outputs: [ds], source: { file: a.csv }, sql: select $partition }\n`;
    await world.deploy(source("2001-03"));
    expect(await world.deploy(source("2002-03"))).toMatchObject({ changed: true, generations: [] });
  });
});

describe("an earlier version", () => {
  test("deployed again switches back at once, and starts the readers, within the DAG and elsewhere", async () => {
    await begun();
    await world.deploy(dag(2, 2));
    await world.runs.start(world.orgId, "built", undefined);
    await drain();
    expect(await current()).toMatchObject({ one: 2, two: 2 });
    expect(await world.deploy(dag())).toMatchObject({ number: 1, changed: true, generations: [] });
    expect(await current()).toMatchObject({ one: 1, two: 1 });
    const tasks = await claimAll();
    expect(tasks.map((task) => [task.job.name, ...(inputsOf(task) ?? [])]).sort()).toEqual([
      ["both", "one 1.1", "two 1.1"],
      ["look", "one 1.1", "two 1.1"],
    ]);
    // What is read now is news again, though its generation is an earlier one.
    for (const task of tasks) {
      expect(await world.succeed(task)).toMatchObject({ commits: [{ outcome: "committed" }] });
    }
  });

  test("deployed again before its successor was there leaves nothing to be switched to", async () => {
    await begun();
    await world.deploy(dag(2, 2));
    await world.succeed(await make("one"));
    await world.deploy(dag());
    expect(await world.count("generation_switches")).toBe(0);
    await world.succeed(await make("two"));
    expect(await current()).toMatchObject({ one: 1, two: 1 });
  });

  test("that never had a commit is switched to when it has", async () => {
    await begun();
    await world.deploy(dag(2));
    await world.deploy(dag());
    await world.deploy(dag(2));
    expect(await current()).toMatchObject({ one: 1 });
    await world.succeed(await make("one"));
    expect(await current()).toMatchObject({ one: 2 });
  });

  test("whose task ends later commits to its own generation, and nobody elsewhere sees it", async () => {
    await begun();
    const old = await make("one");
    await world.deploy(dag(2));
    expect(await world.succeed(old)).toMatchObject({ commits: [{ generation: 1, commit: 2 }] });
    await world.succeed(await make("one"));
    expect(await current()).toMatchObject({ one: 2 });
    expect((await world.read("one")).commit).toBe(1);
  });
});

describe("a filter by the keys of partitions", () => {
  const filtered = (dataset: string, keys: string) =>
    `dag: filtered\njobs:\n  f: { operator: sql, inputs: [{ dataset: ${dataset}, where: { partition: ${keys} } }], outputs: [filtered], sql: "select 1" }\n`;

  test("of a dataset that has none is refused, whichever DAG writes it", async () => {
    await world.deploy(dag());
    const refused = world.deploy(filtered("one", "[us, '2001-01']"));
    await expect(refused).rejects.toMatchObject({
      code: "TR-4032",
      where: "jobs.f.inputs[0].where.partition",
      message: "job 'f' reads 'one' by the keys of partitions, and 'one' has no partitions",
    });
    expect(await world.count("dags", "name = 'filtered'")).toBe(0);
    const own = `${filtered("own", "us")}  o: { operator: ingest, outputs: [own], source: { file: a.csv } }\n`;
    await expect(world.deploy(own)).rejects.toMatchObject({ code: "TR-4032" });
    expect(await world.deploy(filtered("one", "['']"))).toMatchObject({ number: 1 });
  });

  test("of a dataset that has some is taken, and what a reader is told says so", async () => {
    await world.deploy(dag());
    await world.deploy(
      "dag: keyed\njobs:\n  k: { operator: ingest, partitions: { keys: [us] }, outputs: [keyed], source: { file: a.csv }, sql: select $partition }\n",
    );
    expect(await world.deploy(filtered("keyed", "[us, de]"))).toMatchObject({ changed: true });
    expect(await world.read("keyed")).toMatchObject({ partitioned: true });
    expect(await world.read("one")).toMatchObject({ partitioned: false });
  });
});

describe("a job per partition", () => {
  const perPartition = (inputs: string) =>
    `dag: per\njobs:\n  j: { operator: sql, execution: per_partition, inputs: [${inputs}], outputs: [per], sql: "select 1" }\n`;
  const keyed = (name: string, every: string, to: string) =>
    `dag: ${name}\njobs:\n  j: { operator: ingest, partitions: { range: { from: 2001-01-01, to: ${to}, every: ${every} } }, outputs: [${name}], source: { file: a.csv }, sql: select $partition }\n`;

  const refusal = async (source: string) => {
    const error = await world.deploy(source).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof TraceError)) throw new Error("not refused", { cause: error });
    return error;
  };

  test("whose inputs have no partitions is refused, and so is one whose inputs have different ones", async () => {
    await world.deploy(dag());
    expect(await refusal(perPartition("one, two"))).toMatchObject({ code: "TR-4030", where: "jobs.j.execution" });
    await world.deploy(keyed("days", "day", "2001-01-03"));
    await world.deploy(keyed("months", "month", "2001-03-01"));
    const mixed = await refusal(perPartition("days, months"));
    expect(mixed.code).toBe("TR-4030");
    expect(mixed.message).toContain("range by day, range by month");
    expect(await world.count("dags", "name = 'per'")).toBe(0);
    expect(await world.deploy(perPartition("days, one"))).toMatchObject({ number: 1 });
  });

  test("has another generation when its inputs have other partitions", async () => {
    await world.deploy(keyed("steps", "day", "2001-01-03"));
    await world.deploy(perPartition("steps"));
    await world.deploy(keyed("steps", "month", "2001-03-01"));
    await world.runs.start(world.orgId, "steps", undefined);
    await drain();
    const redeployed = await world.deploy(perPartition("steps").replace("select 1", "select 2"));
    expect(redeployed).toMatchObject({ generations: [{ dataset: "per", generation: 2 }] });
  });
});
