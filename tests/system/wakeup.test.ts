/** Invariant 1: a row wakes a worker through SQS, and losing every message loses nothing. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTasks } from "../../packages/dispatcher/src/sql/statements.gen.ts";
import { HeldServer } from "./harness/held-server.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { createWork, deploy, fates, fetchDag, noopDag, notExactlyOnce, untilOver } from "./harness/work.ts";

/** Inserts one after the other; a poll of the worker, every 2.5 s at the soonest, can come first for one of them. */
const inserts = 6;
const startMsMax = 2_000;
const tasksMax = 1_000;
const slots = 4;

let running: RunningStack;
const server = new HeldServer();

beforeAll(async () => {
  await server.start();
  running = await startStack({ slots, guardAllow: [server.authority] });
  await deploy(running.access, noopDag("nothing", "0ms"));
  for (let slot = 0; slot < slots; slot += 1)
    await deploy(running.access, fetchDag(`blocker_${slot}`, server.url("/hold")));
});
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(async () => {
  await running?.stop();
  await server.stop();
});

/** Wake-ups received, and those of them by which the worker got a task. */
async function wakeups(): Promise<{ received: number; held: number }> {
  const { access } = running;
  const base = access.endpoints.ops.worker ?? "";
  return {
    received: await access.metric(base, "worker_wakeups_total", { event: "received" }),
    held: await access.metric(base, "worker_wakeups_total", { event: "held" }),
  };
}

/** From the row's insert to its claim, by the database's clock, milliseconds. */
async function insertToStartMs(taskId: string): Promise<number> {
  const [row] = await running.access.sql<{ ms: number }>(
    `select (extract(epoch from a.started_at - t.created_at) * 1000)::float8 as ms
       from tasks t
       join (select task_id, started_at from attempts union all select task_id, started_at from outcomes where token is not null) a
         on a.task_id = t.task_id
      where t.public_id = $1`,
    [taskId],
  );
  if (row === undefined) throw new Error("the task has no attempt");
  return row.ms;
}

/**
 * Inserts tasks one by one, each when the one before is over, and expects that messages brought them, all but `missedMax`
 * that the worker found by asking for the next.
 */
async function expectWoken(insert: () => Promise<string>, missedMax: number): Promise<number[]> {
  const before = await wakeups();
  const tookMs: number[] = [];
  for (let count = 0; count < inserts; count += 1) {
    const id = await insert();
    expect(notExactlyOnce(await untilOver(running.access, [id], 20_000))).toEqual([]);
    tookMs.push(await insertToStartMs(id));
  }
  const { received, held } = await until(
    "every wake-up is received",
    async () => {
      const now = await wakeups();
      return now.received >= before.received + inserts && now;
    },
    20_000,
  );
  expect(received - before.received).toBeGreaterThanOrEqual(inserts);
  // A message is held only when the claim that it caused brought its task.
  expect(held - before.held).toBeGreaterThanOrEqual(inserts - missedMax);
  expect(Math.max(...tookMs)).toBeLessThan(startMsMax);
  return tookMs;
}

function tell(what: string, ms: readonly number[]): void {
  process.stdout.write(`${what}: ${ms.map((one) => `${Math.round(one)} ms`).join(", ")}\n`);
}

test("a task created through the API starts by the claim that waits, without a message", async () => {
  const { access } = running;
  const spared = () => access.metric(access.endpoints.ops.dispatcher ?? "", "wakeups_spared_total");
  const before = { ...(await wakeups()), spared: await spared() };
  const tookMs: number[] = [];
  for (let count = 0; count < inserts; count += 1) {
    const ids = await createWork(access, "nothing", 1);
    expect(notExactlyOnce(await untilOver(access, ids, 20_000))).toEqual([]);
    tookMs.push(await insertToStartMs(ids[0] ?? ""));
  }
  tell("insert to start, API", tookMs);
  expect(Math.max(...tookMs)).toBeLessThan(startMsMax);
  // A claim may be on its way between two waits when one of them is created; that one is told by a message.
  expect((await spared()) - before.spared).toBeGreaterThanOrEqual(inserts - 1);
  expect((await wakeups()).held - before.held).toBeLessThanOrEqual(1);
});

test("a task that another program inserts in Postgres state wakes the worker by a message", async () => {
  const { access } = running;
  const [job] = await access.sql<{ job_id: number; dag_version_id: number; org_id: number; queue_id: number }>(
    `select jv.job_id::int, jv.dag_version_id::int, jv.org_id::int, jv.queue_id
       from job_versions jv join jobs j using (job_id) join dags d on d.current_version_id = jv.dag_version_id
      where d.name = 'nothing'`,
  );
  const insert = async () => {
    const id = randomUUID();
    const row = {
      ...job,
      public_id: id,
      run_id: null,
      priority: 0,
      failures_max: 1,
      lease_losses_max: 10,
      timeout_ms: 60_000,
      run_at: null,
      output_partition: null,
      payload: {},
      limited: false,
    };
    await access.db.query(createTasks, { tasks: JSON.stringify([row]) });
    return id;
  };
  // Rows of another program wait for the outbox loop, half a second. The worker may ask twice meanwhile; each time it finds
  // one, and the next by the message of that one.
  tell("insert to start, SQL", await expectWoken(insert, 4));
});

/** Fills every slot with a download that stands still, so that the worker takes nothing else; answers with their tasks. */
async function block(): Promise<{ taskIds: string[]; letGo: () => void }> {
  const asked = server.asked("/hold");
  const items = Array.from({ length: slots }, (_, slot) => ({ dag: `blocker_${slot}`, job: "fetch" }));
  const answer = await running.access.user.createTasks({ body: { items } });
  await server.untilAsked("/hold", asked + slots, 20_000);
  return { taskIds: answer.items.map(({ task_id }) => task_id ?? ""), letGo: () => server.letGo("/hold", '{"a": 1}') };
}

async function outboxIsEmpty(): Promise<boolean> {
  return (await running.access.sql("select 1 from outbox")).length === 0;
}

async function ended(taskIds: readonly string[]): Promise<number> {
  return (await fates(running.access, taskIds)).filter(({ state }) => state === "completed").length;
}

test("a thousand tasks whose every wake-up was purged all run, each once", async () => {
  const { access } = running;
  const blocker = await block();
  const ids = await createWork(access, "nothing", tasksMax);
  await until("all wake-ups are sent", outboxIsEmpty, 20_000);
  await access.purgeQueue();
  expect(await access.queueLength()).toBe(0);
  expect(await ended(ids)).toBe(0);
  blocker.letGo();
  expect(notExactlyOnce(await untilOver(access, [...ids, ...blocker.taskIds], 120_000))).toEqual([]);
});

test("a thousand tasks whose queues died with the process that held them all run, each once", async () => {
  const { access } = running;
  const blocker = await block();
  const ids = await createWork(access, "nothing", tasksMax);
  await until("all wake-ups are sent", outboxIsEmpty, 20_000);
  await running.kill("localcloud");
  await running.waitReady("localcloud");
  expect(running.restarts("localcloud")).toBe(1);
  expect(await ended(ids)).toBe(0);
  blocker.letGo();
  expect(notExactlyOnce(await untilOver(access, [...ids, ...blocker.taskIds], 120_000))).toEqual([]);
});
