/** A commit starts what reads it: once, and never not at all, whatever is live or ends at the same moment. */
import type { ClaimedTask } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diamondDag, World } from "./testing/world.ts";

let world: World;

const readerDag = `dag: reader
jobs:
  read: { operator: sql, inputs: [ds_a], outputs: [ds_read], sql: "select 1" }
`;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

async function claimAll(): Promise<Map<string, ClaimedTask>> {
  const tasks = await world.claim(await world.session(), 100);
  return new Map(tasks.map((task) => [task.job.name, task]));
}

function of(tasks: ReadonlyMap<string, ClaimedTask>, job: string): ClaimedTask {
  const task = tasks.get(job);
  if (task === undefined) throw new Error(`${job} is not among ${[...tasks.keys()]}`);
  return task;
}

/** Runs whatever is ready until nothing is; answers with the attempts that completed, in order. */
async function drain(): Promise<ClaimedTask[]> {
  const done: ClaimedTask[] = [];
  for (;;) {
    await world.makeDue();
    const tasks = await claimAll();
    if (tasks.size === 0) return done;
    for (const task of tasks.values()) {
      expect(await world.succeed(task)).toMatchObject({ accepted: true });
      done.push(task);
    }
  }
}

const names = (tasks: readonly ClaimedTask[]) => tasks.map((task) => task.job.name);

describe("a commit", () => {
  test("creates each task downstream once, with wake-ups in the same transaction", async () => {
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const started = await world.db.raw<{ name: string; told: number }>(
      `select j.name, (select count(*)::int from outbox o where t.public_id = any (o.task_ids)) as told
         from ready r join tasks t using (task_id) join jobs j using (job_id) order by 1`,
    );
    expect(started).toEqual([
      { name: "b", told: 1 },
      { name: "c", told: 1 },
    ]);
    expect(await world.count("invalidations")).toBe(0);
  });

  test("through a diamond runs the joining job once per run, with both new commits", async () => {
    for (const number of [1, 2]) {
      const run = await world.runs.start(world.orgId, "diamond", undefined);
      const done = await drain();
      expect(names(done).sort()).toEqual(["a", "b", "c", "d"]);
      expect(done.at(-1)).toMatchObject({ job: { name: "d" }, run_id: run.run_id });
      expect(done.at(-1)?.inputs.map((input) => input.commit)).toEqual([number, number]);
      const ended = await world.runs.get(world.orgId, run.run_id);
      expect(ended).toMatchObject({ state: "completed", waiting: [] });
      expect(ended.commits).toHaveLength(4);
    }
  });

  test("through a diamond whose arms end in the same moment runs the joining job once, many times over", async () => {
    for (let round = 1; round <= 12; round += 1) {
      await world.runs.start(world.orgId, "diamond", undefined);
      await world.succeed(await world.claimOne());
      const arms = await claimAll();
      const answers = await Promise.all([world.succeed(of(arms, "b")), world.succeed(of(arms, "c"))]);
      expect(answers.every((answer) => answer.accepted)).toBe(true);
      const last = await drain();
      expect(names(last)).toEqual(["d"]);
      expect(last[0]?.inputs.map((input) => input.commit)).toEqual([round, round]);
    }
  });

  test("starts the readers of other DAGs too", async () => {
    await world.deploy(readerDag);
    try {
      await world.create("diamond", "a");
      await world.succeed(await world.claimOne());
      expect([...(await claimAll()).keys()].sort()).toEqual(["b", "c", "read"]);
    } finally {
      await world.deploy("dag: reader\njobs:\n  nothing: { operator: noop }\n");
    }
  });
});

describe("a commit that meets a live reader", () => {
  /** b is claimed and has pinned commit 1; then commit 2 is made. */
  async function overtaken(): Promise<ClaimedTask> {
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const b = of(await claimAll(), "b");
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    expect(await world.count("invalidations")).toBeGreaterThan(0);
    expect(await world.count("live_outputs", "true")).toBe(2);
    return b;
  }

  const bs = () =>
    world.db.raw<{ n: number }>("select count(*)::int as n from tasks join jobs using (job_id) where name = 'b'");

  test("is read by the next task, created when the live one completes", async () => {
    await world.succeed(await overtaken());
    expect(await bs()).toEqual([{ n: 2 }]);
    expect(of(await claimAll(), "b").inputs[0]?.commit).toBe(2);
  });

  test("is read by the next task, created when the live one dies by an error", async () => {
    await world.fail(await overtaken(), "TR-5200");
    expect(of(await claimAll(), "b").inputs[0]?.commit).toBe(2);
  });

  test("is read by the next task, created when the reaper gives the live one up", async () => {
    await overtaken();
    await world.db.raw("update tasks set lease_losses_max = 1");
    await world.expireSessions();
    await world.reap();
    expect(of(await claimAll(), "b").inputs[0]?.commit).toBe(2);
  });

  test("is read by the same task when it is tried again, and then by no other", async () => {
    await world.fail(await overtaken());
    await world.makeDue();
    const again = of(await claimAll(), "b");
    expect(again).toMatchObject({ attempt: 2, inputs: [{ commit: 2 }] });
    await world.succeed(again);
    expect(await bs()).toEqual([{ n: 1 }]);
  });

  test("that is queued and not claimed yet is read by that task alone", async () => {
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const [a2 = ""] = await world.create("diamond", "a");
    const [second] = await world.claim(await world.session(), 1, [a2]);
    if (second === undefined) throw new Error("a was not claimed");
    await world.succeed(second);
    const done = await drain();
    expect(names(done).sort()).toEqual(["b", "c", "d"]);
    expect(done[0]?.inputs[0]?.commit).toBe(2);
    expect(await world.count("invalidations")).toBe(0);
  });
});

test("a commit racing the claim and the end of its reader: the reader always ends up having read the newest commit", async () => {
  for (let round = 1; round <= 30; round += 1) {
    // A reader in flight with the commit before, a writer about to commit, and a claimer, all at once.
    await world.create("diamond", "a");
    await world.succeed(await world.claimOne());
    const live = await claimAll();
    const [next = ""] = await world.create("diamond", "a");
    const [writer] = await world.claim(await world.session(), 1, [next]);
    if (writer === undefined) throw new Error("a was not claimed");
    const session = await world.session();
    const jobs = round % 3;
    await Promise.all([
      world.succeed(writer),
      jobs === 0 ? world.fail(of(live, "b"), "TR-5200") : world.succeed(of(live, "b")),
      jobs === 1 ? world.fail(of(live, "c")) : world.succeed(of(live, "c")),
      world.claim(session, 100),
    ]);
    await world.sessions.close(session); // what it claimed goes back
    await world.reap();
    await drain();
    const newest = (await world.read("ds_a")).commit;
    expect(newest).toBe(round * 2);
    const read = await world.db.raw<{ name: string; commit_no: number }>(
      `select j.name, max(ai.commit_no)::int as commit_no
         from attempts a join attempt_inputs ai using (lease_no) join tasks t using (task_id) join jobs j using (job_id)
        where a.state = 'succeeded' and j.name in ('b', 'c') group by 1 order by 1`,
    );
    expect(read).toEqual([
      { name: "b", commit_no: newest },
      { name: "c", commit_no: newest },
    ]);
    expect(await world.count("invalidations")).toBe(0);
    expect(await world.count("live_outputs")).toBe(0);
  }
});

describe("a dead ancestor", () => {
  test("does not block a job that waits and has all its inputs from before", async () => {
    await world.runs.start(world.orgId, "diamond", undefined);
    await drain();
    await world.runs.start(world.orgId, "diamond", undefined);
    await world.succeed(await world.claimOne());
    const arms = await claimAll();
    await world.succeed(of(arms, "c"));
    expect((await claimAll()).size).toBe(0);
    await world.fail(of(arms, "b"), "TR-5200");
    const d = of(await claimAll(), "d");
    expect(d.inputs.map((input) => [input.dataset, input.commit])).toEqual([
      ["ds_b", 1],
      ["ds_c", 2],
    ]);
  });

  test("ends its run as failed when what waits can never have its input", async () => {
    const run = await world.runs.start(world.orgId, "diamond", undefined);
    await world.succeed(await world.claimOne());
    const arms = await claimAll();
    await world.fail(of(arms, "b"), "TR-5200");
    expect((await world.runs.get(world.orgId, run.run_id)).state).toBe("running");
    await world.succeed(of(arms, "c"));
    expect(await world.runs.get(world.orgId, run.run_id)).toMatchObject({ state: "failed", waiting: ["d"] });
    expect((await claimAll()).size).toBe(0);
  });

  test("taken out of the DAG by a deploy does not leave a waiting job behind", async () => {
    const fresh = await World.open();
    try {
      await fresh.deploy(diamondDag);
      await fresh.runs.start(fresh.orgId, "diamond", undefined);
      for (let left = 4; left > 0; left -= 1) await fresh.succeed(await fresh.claimOne());
      await fresh.runs.start(fresh.orgId, "diamond", undefined);
      await fresh.succeed(await fresh.claimOne());
      const arms = await fresh.claim(await fresh.session(), 2);
      const c = arms.find((task) => task.job.name === "c");
      if (c === undefined) throw new Error("c was not claimed");
      await fresh.succeed(c); // d now waits for b, which is live
      // The next version reads ds_b no more: nothing that b does will ever look at d again.
      await fresh.deploy(diamondDag.replace("[ds_b, ds_c]", "[ds_c]"));
      const [d] = await fresh.claim(await fresh.session(), 5);
      expect(d).toMatchObject({ job: { name: "d" }, inputs: [{ dataset: "ds_c", commit: 2 }] });
    } finally {
      await fresh.close();
    }
  });
});
