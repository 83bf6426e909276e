/** Deploys: versions by content, rollback, refusals with all reasons, and deploys that race. */
import { TraceError } from "@trace/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { diamondDag, World } from "./testing/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.open();
});
afterEach(() => world.close());

const reader = (dag: string, input: string, output = `${dag}_out`) =>
  `dag: ${dag}\njobs:\n  j: { operator: sql, inputs: [${input}], outputs: [${output}], sql: "select 1" }\n`;
const writer = (dag: string, output: string) =>
  `dag: ${dag}\njobs:\n  j: { operator: ingest, outputs: [${output}], source: { file: a.csv } }\n`;

async function refusalOf(source: string): Promise<{ code: string; codes: string[]; message: string }> {
  const error = await world.deploy(source).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TraceError)) throw new Error("not refused", { cause: error });
  const errors = (error as TraceError & { errors?: TraceError[] }).errors ?? [];
  return { code: error.code, codes: errors.map((one) => one.code), message: error.message };
}

test("a new DAG is version 1; the same content again changes nothing, comments and order of jobs aside", async () => {
  const first = await world.deploy(diamondDag);
  expect(first).toMatchObject({ dag: "diamond", number: 1, changed: true, jobs: ["a", "b", "c", "d"] });
  expect(await world.deploy(diamondDag)).toEqual({ ...first, changed: false });
  expect(await world.deploy(`# a comment\n${diamondDag}`)).toEqual({ ...first, changed: false });
  expect(await world.count("dag_versions")).toBe(1);
  expect(await world.count("datasets")).toBe(4);
});

test("changed content is the next version, and going back to the earlier one keeps its number", async () => {
  await world.deploy(writer("w", "one"));
  expect(await world.deploy(writer("w", "two"))).toMatchObject({ number: 2, changed: true });
  expect(await world.deploy(writer("w", "one"))).toMatchObject({ number: 1, changed: true });
  expect(await world.deploy(writer("w", "one"))).toMatchObject({ number: 1, changed: false });
  const [listed] = await world.deploys.list(world.orgId);
  expect(listed).toMatchObject({ dag: "w", number: 1 });
  const producers = (await world.datasets.list(world.orgId)).map((one) => [one.name, one.producer?.dag ?? null]);
  expect(producers).toEqual([
    ["one", "w"],
    ["two", null],
  ]);
});

test("a task created before a deploy runs as the version it was created with", async () => {
  await world.deploy("dag: d\njobs:\n  j: { operator: noop, duration: 1s }\n");
  await world.create("d", "j");
  await world.deploy("dag: d\njobs:\n  j: { operator: noop, duration: 2s }\n");
  await world.create("d", "j");
  const tasks = await world.claim(await world.session(), 2);
  expect(tasks.map((task) => (task.job.config as { duration_ms: number }).duration_ms).sort()).toEqual([1_000, 2_000]);
});

test("every input that exists nowhere is named, and nothing of the file is stored", async () => {
  const source = `dag: d\njobs:\n  x: { operator: noop, inputs: [nowhere_one] }\n  y: { operator: noop, inputs: [nowhere_two] }\n`;
  expect(await refusalOf(source)).toMatchObject({ code: "TR-4010", codes: ["TR-4010", "TR-4010"] });
  for (const table of ["dags", "jobs", "dag_versions", "datasets"]) expect(await world.count(table)).toBe(0);
});

test("an input that resembles a dataset of another DAG is told with that name, and one that does not without", async () => {
  await world.deploy(writer("owner", "flights"));
  const fixOf = (input: string) =>
    world.deploy(reader("other", input)).catch((error: unknown) => (error as TraceError).fix);
  expect(await fixOf("flihgts")).toContain("did you mean 'flights'?");
  expect(await fixOf("customers")).toMatch(/^correct the name, add the job/);
  expect(await world.count("dags")).toBe(1);
});

test("a dataset of another DAG may be read and not written, until that DAG lets go of it", async () => {
  await world.deploy(writer("owner", "shared"));
  expect(await world.deploy(reader("other", "shared"))).toMatchObject({ changed: true });
  expect(await refusalOf(writer("thief", "shared"))).toMatchObject({ code: "TR-4011", codes: ["TR-4011"] });
  expect(await world.count("dags", "name = 'thief'")).toBe(0);
  await world.deploy(writer("owner", "something_else"));
  expect(await world.deploy(writer("thief", "shared"))).toMatchObject({ changed: true });
});

test("all faults of a file come in one answer, each with its place", async () => {
  const refusal = await refusalOf("dag: Bad\njobs:\n  x: { operator: nop }\n  y: { operator: noop, retries: many }\n");
  expect(refusal.codes.length).toBeGreaterThanOrEqual(3);
  expect(refusal.codes).toContain("TR-2003");
  expect(await refusalOf("dag: [")).toMatchObject({ code: "TR-2001" });
  expect(await world.count("dags")).toBe(0);
});

test("the same file deployed by many at once is one version", async () => {
  const answers = await Promise.all(Array.from({ length: 8 }, () => world.deploy(diamondDag)));
  expect(new Set(answers.map((answer) => answer.number))).toEqual(new Set([1]));
  expect(answers.filter((answer) => answer.changed)).toHaveLength(1);
  expect(await world.count("dag_versions")).toBe(1);
});

test("different files of one DAG deployed at once are versions 1 to n, and the last to commit is current", async () => {
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, n) => world.deploy(`dag: d\njobs:\n  j: { operator: noop, duration: ${n + 1}s }\n`)),
  );
  expect(answers.map((answer) => answer.number).sort()).toEqual([1, 2, 3, 4, 5, 6]);
  const [dag] = await world.deploys.list(world.orgId);
  expect(answers.map((answer) => answer.version)).toContain(dag?.version);
});

test("two new DAGs that write the same new dataset: one gets it, the other is told who did", async () => {
  for (let round = 0; round < 6; round += 1) {
    const results = await Promise.allSettled(
      ["left", "right"].map((side) => world.deploy(writer(`${side}_${round}`, `prize_${round}`))),
    );
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused).toHaveLength(1);
    expect(refused[0]?.reason).toMatchObject({ code: "TR-4011" });
  }
});

test("deploys racing completions and creates neither deadlock nor fail", async () => {
  await world.deploy(diamondDag);
  await world.create("diamond", "a");
  await world.succeed(await world.claimOne());
  const work = async () => {
    for (let n = 0; n < 8; n += 1) {
      for (const task of await world.claim(await world.session(), 4)) await world.succeed(task);
      await world.tasks.create(world.orgId, [{ dag: "diamond", job: "a", priority: 0, payload: {} }]);
    }
  };
  const deploy = async () => {
    for (let n = 0; n < 8; n += 1)
      await world.deploy(diamondDag.replace("dag: diamond", `dag: diamond\ndescription: v${n}`));
  };
  await Promise.all([work(), work(), deploy(), deploy()]);
  expect((await world.deploys.list(world.orgId))[0]?.number).toBeGreaterThan(1);
});
