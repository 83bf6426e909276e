/** Jobs in partitions: a task for each, what starts them, what waits for them, and what is refused. */
import type { ClaimedTask } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { refusalOf, stepsOf } from "./testing/steps.ts";
import { World } from "./testing/world.ts";

let world: World;

const months = ["2001-01", "2001-02", "2001-03"];

/** split makes months, clean follows month by month and looks rates up, total reads all of it. */
const monthsDag = `dag: months
jobs:
  split:
    operator: ingest
    partitions: { range: { from: 2001-01, to: 2001-04, every: month } }
    outputs: [parts]
    source: { file: a.csv }
    sql: select * from source where month = $partition
  rates: { operator: ingest, outputs: [rates], source: { file: a.csv } }
  clean: { operator: sql, execution: per_partition, inputs: [parts, rates], outputs: [clean], sql: "select 1" }
  total: { operator: sql, inputs: [clean], outputs: [total], sql: "select 1" }
`;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(monthsDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

const { claimAll, labels, take, finish, drain } = stepsOf(() => world);

const each = (job: string, keys: readonly string[] = months) => keys.map((key) => `${job} ${key}`);
const run = (jobs?: readonly string[], partitions?: readonly string[]) =>
  world.runs.start(world.orgId, "months", jobs, partitions);
describe("a run", () => {
  test("creates one task for each partition, and follows them to the end", async () => {
    const started = await run();
    expect(await labels()).toEqual(["rates -", ...each("split")]);
    expect(started.tasks.map((task) => task.partition ?? null)).toEqual([...months, null]);
    const done = await drain();
    expect(done).toEqual(["rates -", ...each("split"), ...each("clean"), "total -"]);
    const ended = await world.runs.get(world.orgId, started.run_id);
    expect(ended).toMatchObject({ state: "completed", waiting: [] });
    expect(ended.tasks).toHaveLength(8);
    expect((await world.read("parts")).files.map((file) => file.partition)).toEqual(months);
  });

  test("starts a reader of everything once, when all of its partitions have ended", async () => {
    await run();
    await finish("rates -");
    for (const month of months) {
      await finish(`split ${month}`);
      expect(await labels()).not.toContain("total -");
    }
    for (const month of months) {
      expect(await labels()).not.toContain("total -");
      await finish(`clean ${month}`);
    }
    expect(await labels()).toEqual(["total -"]);
    expect((await take("total -")).inputs[0]?.commit).toBe(3);
  });

  test("starts a reader per partition with its partition, and not with the others", async () => {
    await run();
    await finish("rates -");
    await finish("split 2001-02");
    expect(await labels()).toEqual(["clean 2001-02", "split 2001-01", "split 2001-03"]);
    const clean = await take("clean 2001-02");
    expect(clean.inputs.map((input) => input.dataset)).toEqual(["parts", "rates"]);
    const pins = await world.db.raw(
      "select d.name, ai.partition_key from attempt_inputs ai join generations g using (generation_id) join datasets d using (dataset_id) where ai.lease_no = $1 order by 1",
      [clean.lease_no],
    );
    expect(pins).toEqual([
      { name: "parts", partition_key: "2001-02" },
      { name: "rates", partition_key: null },
    ]);
  });

  test("whose partition dies starts the readers with what is there, and says that it failed", async () => {
    const started = await run();
    await finish("rates -");
    await finish("split 2001-01");
    await finish("split 2001-02");
    await world.fail(await take("split 2001-03"), "TR-5200");
    expect(await drain()).toEqual([...each("clean", months.slice(0, 2)), "total -"]);
    expect((await world.runs.get(world.orgId, started.run_id)).state).toBe("failed");
  });

  test("of some partitions creates these alone; nothing is created when one is not the job's", async () => {
    await run(["split"], ["2001-03", "2001-01", "2001-03"]);
    expect(await labels()).toEqual(each("split", ["2001-01", "2001-03"]));
    await world.clear();
    const unknown = await refusalOf(run(["split"], ["2001-01", "2001-0l"]));
    expect(unknown).toMatchObject({ code: "TR-3017", fix: "did you mean '2001-01'?" });
    expect(unknown.message).toContain("months.split");
    expect(await refusalOf(run(["split"], ["nothing like it"]))).toMatchObject({
      code: "TR-3017",
      fix: "name one that it has: there is 2001-01 to 2001-03",
    });
    expect(await refusalOf(run(["rates"], ["2001-01"]))).toMatchObject({ code: "TR-3017" });
    expect(await refusalOf(run(undefined, ["2001-01"]))).toMatchObject({ code: "TR-3017" });
    expect(await world.count("tasks")).toBe(0);
    expect(await world.count("runs")).toBe(0);
  });

  test("of a job per partition creates one task for each partition of its inputs; before there is any it is refused", async () => {
    expect(await refusalOf(run(["clean"]))).toMatchObject({ code: "TR-4012" });
    expect(await refusalOf(run(["clean"], ["2001-01"]))).toMatchObject({ code: "TR-3017" });
    await run(["split", "rates"], undefined);
    await drain();
    await run(["clean"]);
    expect(await labels()).toEqual(each("clean"));
    await drain();
    await run(["clean"], ["2001-02"]);
    expect(await labels()).toEqual(["clean 2001-02"]);
  });

  test("that meets one live partition creates nothing", async () => {
    await run(["split"], ["2001-02"]);
    const busy = await refusalOf(run(["split"]));
    expect(busy.code).toBe("TR-3011");
    expect(busy.message).toContain("months.split, partition '2001-02'");
    expect(await labels()).toEqual(["split 2001-02"]);
    await run(["split"], ["2001-01", "2001-03"]);
    expect(await labels()).toEqual(each("split"));
  });
});

describe("a task created by hand", () => {
  const create = (parts: { job: string; partition?: string; dedupe_key?: string }) =>
    world.tasks.create(world.orgId, [{ dag: "months", priority: 0, payload: {}, ...parts }]);

  test("names the partition it is for, and shows it", async () => {
    const [answer] = await create({ job: "split", partition: "2001-02" });
    expect(answer).toMatchObject({ created: true });
    expect(await world.task(answer?.task_id ?? "")).toMatchObject({ job: "split", partition: "2001-02" });
    const claimed = await world.claimOne();
    expect(claimed).toMatchObject({ partition: "2001-02", staging: [{ dataset: "parts", partition: "2001-02" }] });
    const [again] = await create({ job: "split", partition: "2001-02" });
    expect(again).toMatchObject({ created: false, task_id: answer?.task_id, error: { code: "TR-3011" } });
    const [other] = await create({ job: "split", partition: "2001-01" });
    expect(other).toMatchObject({ created: true });
  });

  test.each([
    ["without one, of a job that has partitions", { job: "split" }],
    ["without one, of a job per partition", { job: "clean" }],
    ["with one that the job does not have", { job: "split", partition: "2009-01" }],
    ["with one, of a job that has none", { job: "rates", partition: "2001-01" }],
    ["with one that its inputs do not have", { job: "clean", partition: "2001-01" }],
  ])("%s is refused, and its key is free", async (_, parts) => {
    const [answer] = await create({ ...parts, dedupe_key: "k" });
    expect(answer).toMatchObject({ created: false, error: { code: "TR-3017" } });
    expect(answer?.task_id).toBeUndefined();
    expect(await world.count("tasks")).toBe(0);
    expect(await world.count("task_keys")).toBe(0);
  });

  test("and replayed keeps its partition, and is refused while that is live", async () => {
    await create({ job: "split", partition: "2001-02" });
    const first = await world.claimOne();
    await world.fail(first, "TR-5200");
    await create({ job: "split", partition: "2001-02" });
    const caller = { orgId: world.orgId, name: "me" };
    const [refused] = await world.actions.replay(caller, [first.task_id]);
    expect(refused).toMatchObject({ accepted: false, error: { code: "TR-3011" } });
    await finish("split 2001-02");
    await claimAll().then((tasks) => Promise.all(tasks.map((task) => world.fail(task, "TR-5200"))));
    await create({ job: "split", partition: "2001-01" });
    expect(await world.actions.replay(caller, [first.task_id])).toMatchObject([{ accepted: true }]);
    expect(await labels()).toEqual(each("split", ["2001-01", "2001-02"]));
  });
});

describe("a commit of one partition", () => {
  /** Everything has run once, and what reads parts is per partition. */
  async function settled(): Promise<void> {
    await run();
    await drain();
  }

  test("starts the tasks of that partition alone", async () => {
    await settled();
    await run(["split"], ["2001-02"]);
    await finish("split 2001-02");
    expect(await labels()).toEqual(["clean 2001-02"]);
    await finish("clean 2001-02");
    expect(await labels()).toEqual(["total -"]);
    expect(await world.count("invalidations")).toBe(0);
  });

  test("that meets a live reader of it is read by the next task, created when that one completes, dies or is canceled", async () => {
    const ends: readonly ((task: ClaimedTask) => Promise<unknown>)[] = [
      (task) => world.succeed(task),
      (task) => world.fail(task, "TR-5200"),
      (task) => world.actions.cancel({ orgId: world.orgId, name: "me" }, [task.task_id]),
    ];
    await settled();
    for (const end of ends) {
      await run(["split"], ["2001-01", "2001-02"]);
      await finish("split 2001-02");
      const live = await take("clean 2001-02");
      await finish("split 2001-01");
      await run(["split"], ["2001-02"]);
      await finish("split 2001-02");
      expect(await labels()).toEqual(["clean 2001-01"]);
      expect(await world.count("invalidations", "output_partition = '2001-02' and parked")).toBe(1);
      await end(live);
      expect(await labels()).toContain("clean 2001-02");
      const next = await take("clean 2001-02");
      expect(next.inputs[0]?.commit).toBeGreaterThan(live.inputs[0]?.commit ?? 0);
      await world.succeed(next);
      await drain();
      expect(await world.count("invalidations")).toBe(0);
    }
  });

  test("that meets a queued reader of it is read by that one", async () => {
    await settled();
    for (let round = 0; round < 2; round += 1) {
      await run(["split"], ["2001-02"]);
      await finish("split 2001-02");
    }
    expect(await labels()).toEqual(["clean 2001-02"]);
    await finish("clean 2001-02");
    expect(await labels()).toEqual(["total -"]);
    expect(await world.count("invalidations", "output_partition <> ''")).toBe(0);
  });

  test("that is decided and not seen yet when its reader is claimed is read by the next task", async () => {
    await settled();
    await run(["split"], ["2001-02"]);
    await finish("split 2001-02");
    await run(["split"], ["2001-02"]);
    const split = await take("split 2001-02");
    const held = world.race.pauseAt("complete:published");
    const committing = world.succeed(split);
    await held.reached;
    // The commit is decided and nobody sees it: what is claimed now reads the one before.
    const clean = await take("clean 2001-02");
    held.resume();
    await committing;
    await world.succeed(clean);
    const next = await take("clean 2001-02");
    expect(next.inputs[0]?.commit).toBe((clean.inputs[0]?.commit ?? 0) + 1);
  });

  test("of an input without partitions starts every partition that there is, once", async () => {
    await settled();
    await run(["rates"]);
    await finish("rates -");
    expect(await labels()).toEqual(each("clean"));
    expect(await world.count("invalidation_sweeps")).toBe(0);
    const live = await take("clean 2001-01");
    await finish("clean 2001-02");
    await run(["rates"]);
    await finish("rates -");
    // One runs and has read the rates before, one is queued and will read these, one has ended.
    expect(await labels()).toEqual(each("clean", ["2001-02", "2001-03"]));
    await finish("clean 2001-03");
    await world.succeed(live);
    expect(await labels()).toContain("clean 2001-01");
    const done = await drain();
    expect(done.filter((label) => label.startsWith("clean"))).toEqual(each("clean", ["2001-01", "2001-02"]));
    expect(done.at(-1)).toBe("total -");
    expect(await world.count("invalidations")).toBe(0);
    expect(await world.count("invalidation_sweeps")).toBe(0);
  });
});
