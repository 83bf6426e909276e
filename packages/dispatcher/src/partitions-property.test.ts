/**
 * Random lives of jobs in partitions, by several callers at once, and what must hold whatever they did: one live task for each
 * output, and once all is quiet, nothing that was committed is left unread. A task that died or was canceled has given up what it
 * had read; what came after is read by the next one all the same.
 *
 * A failure prints its seed and the shortest sequence. TRACE_PROPERTY_SEED and TRACE_PROPERTY_PATH repeat it, TRACE_PROPERTY_SECONDS
 * searches longer (default 20).
 */
import type { ClaimedTask } from "@trace/contracts";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { World } from "./testing/world.ts";

const searchMs = Number(process.env.TRACE_PROPERTY_SECONDS ?? 20) * 1_000;
const keys = ["a", "b", "c"];

/** near follows feed key by key and looks rates up, far follows near, own has a set of its own, all reads everything. */
const dag = (comment: number) => `dag: lives
jobs:
  feed: { operator: ingest, partitions: { keys: [a, b, c] }, outputs: [fed], source: { file: a.csv }, sql: "select $partition, ${comment}" }
  rates: { operator: ingest, outputs: [rated], source: { file: a.csv } }
  near: { operator: sql, execution: per_partition, inputs: [fed, rated], outputs: [neared], sql: "select 1" }
  far: { operator: sql, execution: per_partition, inputs: [neared, fed], outputs: [fared], sql: "select 1" }
  own: { operator: sql, partitions: { keys: [x, y] }, inputs: [rated], outputs: [owned], sql: "select $partition" }
  all: { operator: sql, inputs: [fared, owned], outputs: [alled], sql: "select 1" }
`;

let world: World;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(dag(0));
});
afterAll(() => world.close());

/** What callers hold of tasks that they claimed. */
class Life {
  readonly held: ClaimedTask[] = [];
  session = "";

  take(pick: number): ClaimedTask | undefined {
    return this.held.splice(pick % Math.max(1, this.held.length), 1)[0];
  }
}

type Step = (life: Life) => Promise<unknown>;

/** As a failure prints it. */
function told(words: string, step: Step): Step {
  return Object.assign(step, { [fc.toStringMethod]: () => words });
}

const quiet = (promise: Promise<unknown>) =>
  promise.catch((error: unknown) => expect(error).toMatchObject({ code: /^TR-/ }));

const run =
  (jobs: readonly string[], partitions?: readonly string[]): Step =>
  () =>
    quiet(world.runs.start(world.orgId, "lives", jobs, partitions));
const claim =
  (max: number): Step =>
  async (life) => {
    life.held.push(...(await world.claim(life.session, max)));
  };
const end =
  (picks: readonly number[], how: "succeed" | "die" | "fail" | "cancel"): Step =>
  async (life) => {
    const tasks = picks.map((pick) => life.take(pick)).filter((task) => task !== undefined);
    await Promise.all(
      tasks.map((task) => {
        if (how === "succeed") return world.succeed(task);
        if (how === "cancel") return world.actions.cancel({ orgId: world.orgId, name: "me" }, [task.task_id]);
        return world.fail(task, how === "die" ? "TR-5200" : "TR-5306");
      }),
    );
  };
const cancelQueued: Step = async () => {
  const [row] = await world.db.raw<{ public_id: string }>(
    "select t.public_id from ready r join tasks t using (task_id) order by r.task_id desc limit 1",
  );
  if (row !== undefined) await world.actions.cancel({ orgId: world.orgId, name: "me" }, [row.public_id]);
};
const lose: Step = async (life) => {
  await world.expireSessions();
  await world.reap();
  life.session = await world.session();
  life.held.length = 0;
};
const deploy =
  (comment: number): Step =>
  () =>
    world.deploy(dag(comment));

const picks = fc.array(fc.nat(9), { minLength: 1, maxLength: 3 });
const succeed = picks.map((chosen) => told(`succeed ${chosen}`, end(chosen, "succeed")));
const steps: readonly fc.Arbitrary<Step>[] = [
  fc.subarray(keys, { minLength: 1 }).map((chosen) => told(`run feed ${chosen}`, run(["feed"], chosen))),
  fc.constant(told("run feed and rates", run(["feed", "rates"]))),
  fc.constant(told("run rates", run(["rates"]))),
  fc.constant(told("run own", run(["own"]))),
  ...[1, 2, 3].map(() => fc.integer({ min: 1, max: 4 }).map((max) => told(`claim ${max}`, claim(max)))),
  ...[1, 2, 3, 4].map(() => succeed),
  ...(["die", "fail", "cancel"] as const).map((how) =>
    picks.map((chosen) => told(`${how} ${chosen}`, end(chosen, how))),
  ),
  fc.constant(told("cancel what is queued", cancelQueued)),
  fc.constant(told("lose every session", lose)),
  fc.constant(told("time passes", () => world.makeDue())),
  fc.integer({ min: 1, max: 2 }).map((comment) => told(`deploy ${comment}`, deploy(comment))),
  fc
    .tuple(succeed, succeed)
    .map(([one, other]) =>
      told(`at once: ${fc.stringify(one)}, ${fc.stringify(other)}, claim 2`, (life) =>
        Promise.all([one(life), other(life), claim(2)(life)]),
      ),
    ),
];

async function drain(life: Life): Promise<void> {
  for (let round = 0; round < 200; round += 1) {
    await world.makeDue();
    life.held.push(...(await world.claim(life.session, 50)));
    if (life.held.length === 0) return;
    for (const task of life.held.splice(0)) await world.succeed(task);
  }
  throw new Error("it never came to rest");
}

/** Commits of an input that its reader has not read, of partitions that it made. Who cancels a task before it reads wants that. */
const unread = `
  with read as (
    select t.job_id, t.output_partition, ai.generation_id, max(ai.commit_no) as commit_no
      from attempt_inputs ai
      join (select lease_no, task_id from outcomes where lease_no is not null) o using (lease_no)
      join tasks t using (task_id)
     group by 1, 2, 3
  )
  select j.name, r.output_partition, d.name as input, p.partition_key, max(cp.commit_no) as newest, r.commit_no as read
    from read r
    join jobs j using (job_id)
    join job_versions jv on jv.job_id = j.job_id and jv.dag_version_id = (select current_version_id from dags)
    join generations g using (generation_id)
    join datasets d using (dataset_id)
    join partitions p on p.generation_id = r.generation_id and (not jv.per_partition or p.partition_key in ('', r.output_partition))
    join commit_partitions cp on cp.generation_id = p.generation_id and cp.partition_key = p.partition_key
   where (select o.lease_no from tasks t join outcomes o using (task_id)
           where t.job_id = r.job_id and t.output_partition = r.output_partition order by t.task_id desc limit 1) is not null
   group by 1, 2, 3, 4, 6
  having max(cp.commit_no) > r.commit_no`;

/** Partitions of inputs that a job per partition never looked at, though all of its inputs are there. */
const untold = `
  select j.name, p.partition_key
    from jobs j
    join job_versions jv on jv.job_id = j.job_id and jv.dag_version_id = (select current_version_id from dags) and jv.per_partition
    join job_inputs ji on ji.job_id = j.job_id and ji.dag_version_id = jv.dag_version_id
    join partitions p on p.generation_id = ji.generation_id and p.partition_key <> ''
   where not exists (select 1 from tasks t where t.job_id = j.job_id and t.output_partition = p.partition_key)
     and not exists (select 1 from job_inputs i join generations g using (generation_id)
                      where i.job_id = j.job_id and i.dag_version_id = jv.dag_version_id and g.head_commit = 0)`;

const lives = fc.asyncProperty(
  fc.array(fc.oneof(...steps), { minLength: 1, maxLength: 40, size: "max" }),
  async (sequence) => {
    await world.clear();
    const life = new Life();
    life.session = await world.session();
    for (const step of sequence) await step(life);
    await drain(life);
    expect(await world.db.raw(unread)).toEqual([]);
    expect(await world.db.raw(untold)).toEqual([]);
    expect(await world.count("live_outputs")).toBe(0);
    // What is left waits for an input that never had a commit, and for nothing else.
    const startable = await world.count("invalidations", "parked");
    expect(startable).toBe(0);
  },
);

test(
  "whatever was called, nothing that was committed is left unread",
  async () => {
    const seed = process.env.TRACE_PROPERTY_SEED;
    const path = process.env.TRACE_PROPERTY_PATH;
    const again = { ...(seed === undefined ? {} : { seed: Number(seed) }), ...(path === undefined ? {} : { path }) };
    const limit = { numRuns: 1_000_000, interruptAfterTimeLimit: searchMs };
    const found = await fc.check(lives, { ...again, ...limit, endOnFailure: false });
    if (found.failed) throw new Error(fc.defaultReportMessage(found) ?? "failed", { cause: found.errorInstance });
    process.stdout.write(`${found.numRuns} lives in partitions; seed ${found.seed}\n`);
    expect(found.numRuns).toBeGreaterThan(0);
  },
  searchMs + 60_000,
);
