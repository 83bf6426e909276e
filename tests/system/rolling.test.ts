/** Workers that are killed, services that are restarted under load, a queue that is away: no attempt is lost or doubled. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Role, type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { spawnWorker } from "./harness/up.ts";
import { createWork, deploy, fates, noopDag, notExactlyOnce, untilOver } from "./harness/work.ts";

/** The bounds of the promise: lease 15 s, reaper 1 s, and half a second to write it; then a poll to be claimed. */
const requeuedMsMax = 16_500;
const elsewhereMsMax = 18_000;
/** Longer with `TRACE_TEST_SQS_DOWN_SECONDS=300`. */
const sqsDownMs = Number(process.env.TRACE_TEST_SQS_DOWN_SECONDS ?? 20) * 1_000;

let running: RunningStack;

const tell = (text: string) => process.stdout.write(`${text}\n`);

beforeAll(async () => {
  running = await startStack({ slots: 8 });
  await deploy(running.access, noopDag("blink", "0ms"));
  await deploy(running.access, noopDag("short", "300ms"));
  await deploy(running.access, noopDag("medium", "6s"));
  await deploy(running.access, noopDag("hour", "1h"));
});
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(() => running?.stop());

interface Held {
  readonly task_id: string;
  readonly worker: string;
}

function leases(taskIds: readonly string[]): Promise<Held[]> {
  return running.access.sql<Held>(
    `select t.public_id as task_id, s.worker from leases l join sessions s using (session_id) join tasks t using (task_id)
      where t.public_id = any ($1::uuid[])`,
    [taskIds],
  );
}

test("three kills of the worker in mid-task do not make a good task dead", async () => {
  const [taskId = ""] = await createWork(running.access, "medium", 1);
  for (let kill = 0; kill < 3; kill += 1) {
    await until("the task runs", async () => (await leases([taskId])).length === 1, 30_000);
    await running.kill("worker");
    await until(
      "its lease is lost",
      async () => (await fates(running.access, [taskId]))[0]?.lease_losses === kill + 1,
      30_000,
    );
  }
  const [fate] = await untilOver(running.access, [taskId], 60_000);
  expect(fate).toMatchObject({ state: "completed", succeeded: 1, failures: 0, lease_losses: 3 });
}, 180_000);

test("the tasks of a worker that is killed for good are queued again and run elsewhere within the bounds", async () => {
  const { access, folder } = running;
  await running.waitReady("worker");
  const second = spawnWorker(folder, access, { TRACE_SLOTS: "8" });
  const isThere = async () => (await access.user.getSystem({})).workers.some(({ worker }) => worker === "second");
  await until("the second worker is there", isThere, 30_000);
  const taskIds = await createWork(access, "hour", 16);
  await until("both run all they can", async () => (await leases(taskIds)).length === 16, 30_000);
  const lost = (await leases(taskIds)).filter(({ worker }) => worker === "second").map(({ task_id }) => task_id);
  expect(lost).toHaveLength(8);
  // What the first one runs makes room, so that there is an elsewhere.
  const kept = taskIds.filter((id) => !lost.includes(id));
  await access.user.cancelTasks({ body: { task_ids: kept } });

  const killedMs = performance.now();
  process.kill(second.pid, "SIGKILL");
  const gone = async () => (await leases(lost)).every(({ worker }) => worker !== "second");
  await until("no lease of the dead worker is left", gone, 30_000);
  const requeuedMs = performance.now() - killedMs;
  const elsewhere = async () => (await leases(lost)).filter(({ worker }) => worker !== "second").length === lost.length;
  await until("all of them run elsewhere", elsewhere, 30_000);
  const elsewhereMs = performance.now() - killedMs;
  tell(
    `${lost.length} tasks of a killed worker: queued again after ${(requeuedMs / 1_000).toFixed(1)} s, ` +
      `running elsewhere after ${(elsewhereMs / 1_000).toFixed(1)} s`,
  );
  expect(requeuedMs).toBeLessThan(requeuedMsMax);
  expect(elsewhereMs).toBeLessThan(elsewhereMsMax);
  await access.user.cancelTasks({ body: { task_ids: lost } });
}, 120_000);

test("a rolling restart of everything under load loses no attempt", async () => {
  const { access } = running;
  await running.waitReady("worker");
  const taskIds: string[] = [];
  let stopping = false;
  const load = (async () => {
    while (!stopping) {
      // A create whose answer was lost may have happened: only those that were answered are counted, and looked at below.
      const created = await createWork(access, "short", 10).catch(() => []);
      taskIds.push(...created);
      const done = created.at(-1);
      if (done !== undefined)
        await until(
          "the last one is over",
          async () => (await fates(access, [done]))[0]?.state === "completed",
          60_000,
        );
    }
  })();
  const restart = async (role: Role, signal: NodeJS.Signals) => {
    const pid = running.pidOf(role);
    const before = taskIds.length;
    process.kill(pid, signal);
    await until(`another ${role} runs`, () => running.pidOf(role) !== pid, 60_000);
    await running.waitReady(role);
    await until("work goes on", () => taskIds.length > before + 10, 60_000);
  };
  // Each as its own tools stop it: services by SIGTERM, Postgres by SIGINT, its "fast shutdown".
  await restart("worker", "SIGTERM");
  await restart("dispatcher", "SIGTERM");
  await restart("localcloud", "SIGTERM");
  await restart("postgres-state", "SIGINT");
  stopping = true;
  await load;
  const all = await untilOver(access, taskIds, 60_000);
  expect(notExactlyOnce(all)).toEqual([]);
  expect(all.filter(({ failures, lease_losses }) => failures + lease_losses > 0)).toEqual([]);
  tell(`${all.length} tasks over four restarts: each ran to its end once, none lost a lease`);
}, 240_000);

test(
  "while SQS is away tasks still run; when it is back the outbox goes on by itself",
  async () => {
    const { access } = running;
    await running.waitReady("localcloud");
    await running.waitReady("worker");
    const pid = running.pidOf("localcloud");
    process.kill(pid, "SIGSTOP");
    const taskIds: string[] = [];
    const endsMs = performance.now() + sqsDownMs;
    try {
      while (performance.now() < endsMs) {
        const created = await createWork(access, "blink", 20);
        taskIds.push(...created);
        const all = await untilOver(access, created, 15_000);
        expect(notExactlyOnce(all)).toEqual([]);
      }
    } finally {
      process.kill(pid, "SIGCONT");
    }
    tell(`${taskIds.length} tasks ran while SQS was away for ${sqsDownMs / 1_000} s`);
    expect(taskIds.length).toBeGreaterThan(0);
    await until(
      "the outbox is empty again",
      async () => (await access.sql("select 1 from outbox where lane = 'sqs'")).length === 0,
      120_000,
    );
    const [next = ""] = await createWork(access, "blink", 1);
    expect(notExactlyOnce(await untilOver(access, [next], 15_000))).toEqual([]);
  },
  sqsDownMs + 240_000,
);
