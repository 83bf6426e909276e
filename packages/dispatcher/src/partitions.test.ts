/** Jobs in partitions: a task for each, what starts them, what waits for them, and what is refused. */
import { type ClaimedTask, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
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

const labelOf = (task: ClaimedTask) => `${task.job.name} ${task.partition ?? "-"}`;

async function claimAll(): Promise<ClaimedTask[]> {
  await world.makeDue();
  const tasks = await world.claim(await world.session(), 1_000);
  return tasks.sort((a, b) => (labelOf(a) < labelOf(b) ? -1 : 1));
}

async function labels(): Promise<string[]> {
  return (await ready()).map((row) => `${row.name} ${row.partition || "-"}`);
}

function ready() {
  return world.db.raw<{ name: string; partition: string; public_id: string }>(
    `select j.name, t.output_partition as partition, t.public_id from ready r join tasks t using (task_id) join jobs j using (job_id) order by 1, 2`,
  );
}

/** Takes one task of those that are ready. */
async function take(label: string): Promise<ClaimedTask> {
  const row = (await ready()).find((one) => `${one.name} ${one.partition || "-"}` === label);
  const [task] = await world.claim(await world.session(), 1, [row?.public_id ?? ""]);
  if (task === undefined || labelOf(task) !== label) throw new Error(`${label} is not ready: ${await labels()}`);
  return task;
}

async function finish(label: string): Promise<ClaimedTask> {
  const task = await take(label);
  expect(await world.succeed(task)).toMatchObject({ accepted: true });
  return task;
}

/** Runs whatever is ready until nothing is; answers with what ran, in order. */
async function drain(): Promise<string[]> {
  const done: string[] = [];
  for (;;) {
    const tasks = await claimAll();
    if (tasks.length === 0) return done;
    for (const task of tasks) {
      expect(await world.succeed(task)).toMatchObject({ accepted: true });
      done.push(labelOf(task));
    }
  }
}

const each = (job: string, keys: readonly string[] = months) => keys.map((key) => `${job} ${key}`);
const run = (jobs?: readonly string[], partitions?: readonly string[]) =>
  world.runs.start(world.orgId, "months", jobs, partitions);
const refusal = async (promise: Promise<unknown>): Promise<TraceError> => {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TraceError)) throw new Error("not refused", { cause: error });
  return error;
};

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
    const unknown = await refusal(run(["split"], ["2001-01", "2001-0l"]));
    expect(unknown).toMatchObject({ code: "TR-3017", fix: "did you mean '2001-01'?" });
    expect(unknown.message).toContain("months.split");
    expect(await refusal(run(["split"], ["nothing like it"]))).toMatchObject({
      code: "TR-3017",
      fix: "name one that it has: there is 2001-01 to 2001-03",
    });
    expect(await refusal(run(["rates"], ["2001-01"]))).toMatchObject({ code: "TR-3017" });
    expect(await refusal(run(undefined, ["2001-01"]))).toMatchObject({ code: "TR-3017" });
    expect(await world.count("tasks")).toBe(0);
    expect(await world.count("runs")).toBe(0);
  });

  test("of a job per partition creates one task for each partition of its inputs; before there is any it is refused", async () => {
    expect(await refusal(run(["clean"]))).toMatchObject({ code: "TR-4012" });
    expect(await refusal(run(["clean"], ["2001-01"]))).toMatchObject({ code: "TR-3017" });
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
    const busy = await refusal(run(["split"]));
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

describe("a job with more partitions than are started at once", () => {
  const hours = 2_400;
  const wideDag = `dag: wide
jobs:
  rates: { operator: ingest, outputs: [wide_rates], source: { file: a.csv } }
  hours:
    operator: sql
    partitions: { range: { from: 2001-01-01, to: 2001-04-11, every: hour } }
    inputs: [wide_rates]
    outputs: [wide_hours]
    sql: select $partition
`;
  beforeAll(() => world.deploy(wideDag));

  const commitRates = async () => {
    await world.create("wide", "rates");
    await finish("rates -");
  };
  const live = () => world.count("live_outputs");
  const finishOne = async () => {
    const [task] = await world.claim(await world.session(), 1);
    if (task === undefined) throw new Error("nothing is ready");
    await world.succeed(task);
    return task.partition;
  };

  test("is started bit by bit, each partition once", async () => {
    await commitRates();
    expect(await live()).toBe(1_000);
    const done = [await finishOne()];
    expect(await live()).toBe(1_999);
    done.push(await finishOne());
    expect(await live()).toBe(hours - 2);
    expect(await world.count("invalidation_sweeps")).toBe(0);
    done.push(await finishOne());
    expect(new Set(done).size).toBe(3);
    expect(await world.count("tasks", "output_partition <> ''")).toBe(hours);
    expect(await world.count("(select distinct output_partition from tasks where output_partition <> '') x")).toBe(
      hours,
    );
  });

  test("is told of commits that come meanwhile by one row, and of a partition no more often than it was started", async () => {
    await commitRates();
    for (let more = 0; more < 4; more += 1) await commitRates();
    expect(await live()).toBe(hours);
    // All are live: the second round told each once, and the third waits for what the second told.
    expect(await world.count("invalidations")).toBeLessThanOrEqual(hours);
    expect(await world.count("invalidation_sweeps")).toBe(1);
    const before = await world.count("invalidations");
    await commitRates();
    expect(await world.count("invalidations")).toBe(before);
  });

  test("that has read the commit before one that comes while the others are told reads that one too", async () => {
    await commitRates();
    const [early] = await world.claim(await world.session(), 1);
    if (early === undefined) throw new Error("nothing is ready");
    await commitRates();
    for (let more = 0; more < 3; more += 1) await finishOne();
    expect(await world.count("tasks", `output_partition = '${early.partition}'`)).toBe(1);
    await world.succeed(early);
    expect(await world.count("tasks", `output_partition = '${early.partition}'`)).toBe(2);
  });

  test("and a run of all of them begins with all, in one transaction", async () => {
    const started = await world.runs.start(world.orgId, "wide", ["hours"]);
    expect(started.tasks).toHaveLength(hours);
    expect(await live()).toBe(hours);
  });
});

describe("a deploy that changes how a job runs", () => {
  const feed =
    "  feed: { operator: ingest, partitions: { keys: [a, b, c] }, outputs: [fed], source: { file: a.csv }, sql: select $partition }\n";
  const reading = (parts: string) =>
    `dag: turned\njobs:\n${feed}  read: { operator: sql, ${parts}inputs: [fed], outputs: [turned], sql: select 1 }\n`;
  const whole = reading("");
  const each = reading("execution: per_partition, ");
  const start = (job: string, keys?: string[]) => world.runs.start(world.orgId, "turned", [job], keys);

  /** Both versions have been current and have commits, so that no deploy builds anything anew. */
  beforeEach(async () => {
    for (const source of [whole, each]) {
      await world.deploy(source);
      await start("feed");
      await drain();
    }
  });

  test("tells a job that runs as a whole what its partitions had yet to read", async () => {
    await start("read", ["a"]);
    const live = await take("read a");
    await start("feed", ["a"]);
    await finish("feed a");
    expect(await world.count("invalidations", "parked")).toBe(1);
    await world.deploy(whole);
    expect(await labels()).toEqual(["read -"]);
    await world.succeed(live);
    expect((await take("read -")).inputs[0]?.commit).toBeGreaterThan(live.inputs[0]?.commit ?? 0);
    expect(await world.count("invalidations")).toBe(0);
  });

  test("tells every partition what the job had yet to read as a whole", async () => {
    await world.deploy(whole);
    await drain();
    await start("read");
    const live = await take("read -");
    await start("feed", ["a"]);
    await finish("feed a");
    await world.deploy(each);
    expect(await labels()).toEqual(["read a", "read b", "read c"]);
    await world.succeed(live);
    expect(await drain()).toEqual(["read a", "read b", "read c"]);
    expect(await world.count("invalidations")).toBe(0);
    expect(await world.count("invalidation_sweeps")).toBe(0);
  });

  test("tells nothing to partitions that the job does not have any more", async () => {
    const own = (keys: string) =>
      `dag: own\njobs:\n  rates: { operator: ingest, outputs: [own_rates], source: { file: a.csv } }\n  own: { operator: sql, partitions: { keys: [${keys}] }, inputs: [own_rates], outputs: [owned], sql: select $partition }\n`;
    await world.deploy(own("a, b"));
    const commit = async () => {
      await world.create("own", "rates");
      await finish("rates -");
    };
    await commit();
    const [a, b] = [await take("own a"), await take("own b")];
    await commit();
    expect(await world.count("invalidations", "parked")).toBe(2);
    await world.deploy(own("a"));
    await world.succeed(a);
    await world.succeed(b);
    expect(await labels()).toEqual(["own a"]);
  });
});
