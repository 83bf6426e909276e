/** What people do to tasks, on a running stack: cancel, replay; and a task that outlives its message many times over. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { HeldServer } from "./harness/held-server.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { createWork, deploy, fates, noopDag, untilOver } from "./harness/work.ts";

/** A beat at the most, and what it takes to send it and to act on its answer. */
const cancelMsMax = 5_500;
/** Three times the 30 s for which a worker hides a message, and a little more. */
const longSeconds = 95;

let running: RunningStack;
let longTask: string;
const server = new HeldServer();

const tell = (text: string) => process.stdout.write(`${text}\n`);

beforeAll(async () => {
  await server.start();
  running = await startStack({ guardAllow: [server.authority] });
  await deploy(running.access, noopDag("long", `${longSeconds}s`));
  await deploy(running.access, noopDag("slow", "60s"));
  [longTask = ""] = await createWork(running.access, "long", 1);
});
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(async () => {
  await running?.stop();
  await server.stop();
});

const runningAttempts = () => running.access.metric(running.access.endpoints.ops.worker ?? "", "worker_running");

async function stateOf(taskId: string): Promise<string | undefined> {
  return (await fates(running.access, [taskId]))[0]?.state;
}

test("canceling a running task aborts its operator within one beat, and nothing more of it counts", async () => {
  const { access } = running;
  await until("the long task runs", async () => (await stateOf(longTask)) === "running", 15_000);
  const [taskId = ""] = await createWork(access, "slow", 1);
  await until("it runs on the worker", async () => (await runningAttempts()) === 2, 15_000);
  const startedMs = performance.now();
  const { items } = await access.user.cancelTasks({ body: { task_ids: [taskId] } });
  expect(items).toEqual([{ task_id: taskId, accepted: true, state: "canceled" }]);
  expect(await stateOf(taskId)).toBe("canceled");
  await until("the operator has ended", async () => (await runningAttempts()) === 1, 15_000);
  const tookMs = performance.now() - startedMs;
  tell(`cancel to the end of the operator: ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(cancelMsMax);
  const task = await access.user.getTask({ params: { task_id: taskId } });
  expect(task.attempts.map(({ state, error }) => [state, error?.code])).toEqual([["canceled", "TR-3016"]]);
});

test("a task whose attempts are exhausted is dead with each error kept; replayed, it runs", async () => {
  const { access } = running;
  server.answerFrom("/bad", '{"a": ');
  const source = `dag: bad
jobs:
  fetch: { operator: ingest, source: { url: "${server.url("/bad")}", format: json }, outputs: [bad], retries: 2 }
`;
  await deploy(access, source);
  const { items } = await access.user.createTasks({ body: { items: [{ dag: "bad", job: "fetch" }] } });
  const taskId = items[0]?.task_id ?? "";
  const get = () => access.user.getTask({ params: { task_id: taskId } });
  // The backoff is not waited for: a person asks for the next try.
  const dead = await until(
    "the task is dead",
    async () => {
      const task = await get();
      if (task.state === "queued" && task.waiting_for === "due") {
        await access.user.retryTasks({ body: { task_ids: [taskId] } });
      }
      return task.state === "dead" && task;
    },
    60_000,
  );
  const ended = dead.attempts.length;
  expect(ended).toBeGreaterThan(0);
  expect(dead.attempts.every(({ state, error }) => state === "failed" && (error?.code ?? "") !== "")).toBe(true);
  expect((await access.user.listTasks({ query: { state: "dead" } })).tasks.map(({ task_id }) => task_id)).toEqual([
    taskId,
  ]);

  server.answerFrom("/bad", '{"a": 1}');
  const replayed = await access.user.replayTasks({ body: { task_ids: [taskId] } });
  expect(replayed.items).toEqual([{ task_id: taskId, accepted: true, state: "queued" }]);
  await untilOver(access, [taskId], 30_000);
  const again = await get();
  expect(again.state).toBe("completed");
  expect(again.commits).toEqual([{ dataset: "bad", generation: 1, commit: 1 }]);
  // Nothing of what went before is lost.
  expect(again.attempts.slice(0, ended)).toEqual(dead.attempts);
  expect(again.attempts.slice(ended).map(({ state }) => state)).toEqual(["succeeded"]);
});

test("a task three times as long as its message is hidden runs once, and its message goes", async () => {
  const [fate] = await untilOver(running.access, [longTask], (longSeconds + 60) * 1_000);
  expect(fate).toMatchObject({ state: "completed", attempts: 1, succeeded: 1, lease_losses: 0, failures: 0 });
  const task = await running.access.user.getTask({ params: { task_id: longTask } });
  const tookMs = Date.parse(task.ended_at ?? "") - Date.parse(task.started_at ?? "");
  tell(`ran once, for ${(tookMs / 1_000).toFixed(1)} s`);
  expect(tookMs).toBeGreaterThan(longSeconds * 1_000 - 1_000);
  await until("the queue is empty", async () => (await running.access.queueLength()) === 0, 40_000);
}, 240_000);
