import { TraceError } from "@trace/contracts";
import { TestRace } from "@trace/kit";
import { afterEach, describe, expect, it } from "vitest";
import { Bench, type BenchOptions, noopJob } from "./testing/bench.ts";
import { recordingLog } from "./testing/recording-log.ts";

let bench: Bench;
afterEach(() => bench.stop());

/** A task that somebody else has. */
const foreignId = "0197c7a4-0000-7000-8000-000000000001";

async function start(options?: BenchOptions): Promise<Bench> {
  bench = await Bench.start(options);
  return bench;
}

/** A call of its own through the event loop: what is on its way gets on meanwhile. */
async function roundTrip(): Promise<void> {
  await fetch(`http://127.0.0.1:${bench.worker.opsPort}/healthz`);
}

describe("claiming tasks", () => {
  it("claims what a wake-up names, runs it and completes it", async () => {
    const { dispatcher, operator, queue } = await start();
    const { ids, receipt } = bench.wake([noopJob()]);
    (await operator.nth(0)).end();
    await dispatcher.until("a completion", () => dispatcher.completed.size === 1);
    expect(dispatcher.claims.at(-1)).toEqual({ task_ids: ids, max: 4 });
    expect(dispatcher.completed.get(ids[0] ?? "")).toEqual({ kind: "success", outputs: [] });
    await queue.journal.until("the message deleted", () => queue.deleted.includes(receipt));
  });

  it("gives each task of a claim its own job, of which the answer has each but once", async () => {
    const { dispatcher, operator } = await start();
    const shared = noopJob({ durationMs: 1 });
    const inputs = [{ dataset: "quakes", generation: 1, commit: 3 }];
    dispatcher.add(noopJob({ durationMs: 2, timeoutMs: 7_000 }), { dag: "others", payload: { n: 1 } });
    dispatcher.add(shared, { payload: { n: 2 }, inputs });
    dispatcher.add(shared, { payload: { n: 3 } });
    bench.wake([shared], { payload: { n: 0 } });
    const runs = await Promise.all([0, 1, 2, 3].map((index) => operator.nth(index)));
    const seen = runs.map(({ context: { task } }) => [task.payload.n, task.dag, task.job.config, task.timeout_ms]);
    expect(seen).toEqual([
      [0, "tests", { duration_ms: 1 }, 600_000],
      [1, "others", { duration_ms: 2 }, 7_000],
      [2, "tests", { duration_ms: 1 }, 600_000],
      [3, "tests", { duration_ms: 1 }, 600_000],
    ]);
    expect(runs.map(({ context }) => context.task.inputs)).toEqual([[], [], inputs, []]);
    expect(dispatcher.jobsAnswered).toEqual([2]);
  });

  it("tells the dispatcher how many tasks it runs at once", async () => {
    const { dispatcher } = await start({ slots: 3 });
    expect(dispatcher.workers).toMatchObject([{ worker: "bench", slots: 3 }]);
  });

  it("claims no more than its free slots and asks for the next as they free, without another wake-up", async () => {
    const { dispatcher, operator } = await start({ slots: 2 });
    bench.wake(Array.from({ length: 5 }, () => noopJob()));
    for (let index = 0; index < 5; index += 1) (await operator.nth(index)).end();
    await dispatcher.until("all five", () => dispatcher.completed.size === 5);
    expect(operator.mostActive).toBeLessThanOrEqual(2);
    expect(dispatcher.claims.every(({ max }) => max <= 2)).toBe(true);
  });

  it("keeps working by asking for the next tasks while SQS is down, and says so once", async () => {
    const { entries, log } = recordingLog();
    const { dispatcher, operator, queue, worker } = await start({ deps: { log } });
    dispatcher.add(noopJob());
    queue.down = true;
    (await operator.nth(0)).end();
    await dispatcher.until("the task without a wake-up", () => dispatcher.completed.size === 1);
    await bench.pass(4);
    dispatcher.add(noopJob());
    await bench.pass(2);
    (await operator.nth(1)).end();
    await dispatcher.until("the second task", () => dispatcher.completed.size === 2);
    expect(queue.failures).toBeGreaterThan(1);
    const said = (part: string) => entries.filter(({ message }) => message.includes(part));
    expect(said("cannot receive wake-ups")).toHaveLength(1);
    queue.down = false;
    const handled = worker.receiver.handled.next(10_000);
    await bench.pass(2);
    bench.wake([noopJob()]);
    await handled;
    expect(said("receiving wake-ups works again")).toHaveLength(1);
    (await operator.nth(2)).end();
    await dispatcher.until("the third task", () => dispatcher.completed.size === 3);
    expect(await bench.metrics()).toMatch(/trace_worker_receive_errors_total\{[^}]*\} ([2-9]|\d\d)/);
  });

  it("holds a message while its tasks run, extends it, and deletes it when all are settled", async () => {
    const { dispatcher, operator, queue, timers, worker } = await start();
    const handled = worker.receiver.handled.next(10_000);
    const { receipt } = bench.wake([noopJob(), noopJob()]);
    await handled;
    const [first, second] = [await operator.nth(0), await operator.nth(1)];
    expect(queue.deleted).toEqual([]);
    await timers.advance(10_000);
    await queue.journal.until("an extension", () => queue.extended.length > 0);
    expect(queue.extended[0]).toEqual({ receipts: [receipt], seconds: 30 });
    first.end();
    await dispatcher.until("the first", () => dispatcher.completed.size === 1);
    expect(queue.deleted).toEqual([]);
    second.end();
    await queue.journal.until("the message deleted", () => queue.deleted.includes(receipt));
    expect(dispatcher.completed.size).toBe(2);
  });

  it("deletes a message at once when it is full and left some of its tasks behind", async () => {
    const { dispatcher, operator, queue } = await start({ slots: 1 });
    const { receipt } = bench.wake([noopJob(), noopJob()]);
    await operator.nth(0);
    await queue.journal.until("the message deleted", () => queue.deleted.includes(receipt));
    expect(dispatcher.completed.size).toBe(0);
    expect(dispatcher.waiting).toHaveLength(1);
  });

  it("holds a message of which it has some tasks and somebody else the others, while slots are free", async () => {
    const { dispatcher, operator, queue } = await start();
    const id = dispatcher.add(noopJob());
    const receipt = queue.send({ queue: "default", task_ids: [id, foreignId] });
    const running = await operator.nth(0);
    await bench.pass(2);
    await queue.journal.until("an extension", () => queue.extended.length > 0);
    expect(queue.extended[0]).toEqual({ receipts: [receipt], seconds: 30 });
    expect(queue.deleted).toEqual([]);
    running.end();
    await queue.journal.until("the message deleted", () => queue.deleted.includes(receipt));
  });

  it("deletes a message that comes when its last slot was just taken, and asks for the next tasks as it frees", async () => {
    const { dispatcher, operator, queue, timers } = await start({ slots: 1 });
    // Taken without a wake-up, so that a long poll is still on its way.
    dispatcher.add(noopJob());
    await timers.advance(5_000);
    const running = await operator.nth(0);
    expect(queue.polling).toBe(1);
    const { ids, receipt } = bench.wake([noopJob()]);
    await queue.journal.until("the message deleted", () => queue.deleted.includes(receipt));
    running.end();
    (await operator.nth(1)).end();
    await dispatcher.until("its task", () => dispatcher.completed.has(ids[0] ?? ""));
  });

  it("deletes a message whose tasks somebody else has, and runs nothing", async () => {
    const { operator, queue } = await start();
    const receipt = queue.send({ queue: "default", task_ids: [foreignId] });
    await queue.journal.until("the message deleted", () => queue.deleted.includes(receipt));
    expect(operator.started).toEqual([]);
  });

  it.each([
    ["no JSON", "{"],
    ["no wake-up", '{"queue":"default","task_ids":[]}'],
    ["of another queue", ""],
  ])("deletes and counts a message that is %s, and claims nothing for it", async (_, body) => {
    const { dispatcher, queue } = await start();
    const claims = dispatcher.claims.length;
    const foreign = { queue: "other", task_ids: [foreignId] };
    const receipt = queue.send(body === "" ? foreign : body);
    await queue.journal.until("the message deleted", () => queue.deleted.includes(receipt));
    expect(dispatcher.claims).toHaveLength(claims);
    expect(await bench.metrics()).toMatch(/wakeups_total\{event="malformed"[^}]*\} 1/);
  });

  it("receives the next wake-up while a claim is on its way, and claims for those that come meanwhile in one call", async () => {
    const { dispatcher, operator, queue } = await start({ slots: 4 });
    const claims = dispatcher.claims.length;
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    bench.wake([noopJob()]);
    await dispatcher.until("the claim", () => dispatcher.claims.length === claims + 1);
    await queue.journal.until("another long poll", () => queue.polling === 1);
    const second = queue.send({ queue: "default", task_ids: [foreignId] });
    await queue.journal.until("the second message", () => queue.received.length === 2 && queue.polling === 1);
    const third = bench.wake([noopJob()]);
    await queue.journal.until("the third message", () => queue.received.length === 3 && queue.polling === 1);
    dispatcher.before = {};
    answer.resolve();
    await dispatcher.until("the next claim", () => dispatcher.claims.length === claims + 2);
    expect(dispatcher.claims.at(-1)).toEqual({ task_ids: [foreignId, ...third.ids], max: 2 });
    await queue.journal.until("the message of nobody's task", () => queue.deleted.includes(second));
    for (const index of [0, 1]) (await operator.nth(index)).end();
    await dispatcher.until("both", () => dispatcher.completed.size === 2);
  });

  it("receives nothing while the claim on its way is to fill its last slots", async () => {
    const { dispatcher, operator, queue } = await start({ slots: 2 });
    const claims = dispatcher.claims.length;
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    const { ids } = bench.wake([noopJob(), noopJob()]);
    dispatcher.takeAway(ids[1] ?? "");
    await dispatcher.until("the claim", () => dispatcher.claims.length === claims + 1);
    await roundTrip();
    expect(queue.polling).toBe(0);
    // It brought less than it might have: there is room again.
    answer.resolve();
    await operator.nth(0);
    await queue.journal.until("a long poll", () => queue.polling === 1);
  });

  it("asks at once for work that a claim left behind, where a slot freed while it was on its way", async () => {
    const { dispatcher, operator, queue } = await start({ slots: 2 });
    const first = bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const claims = dispatcher.claims.length;
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    const { ids } = bench.wake([noopJob(), noopJob()]);
    await dispatcher.until("the claim", () => dispatcher.claims.length === claims + 1);
    running.end();
    await queue.journal.until("the slot given back", () => queue.deleted.includes(first.receipt));
    dispatcher.before = {};
    answer.resolve();
    // Both run before one of them frees a slot.
    const both = [await operator.nth(1), await operator.nth(2)];
    for (const run of both) run.end();
    await dispatcher.until("both", () => ids.every((id) => dispatcher.completed.has(id)));
  });

  it("lets nothing that it does for other messages hold up a claim", async () => {
    const { dispatcher, operator, queue } = await start();
    const never = Promise.withResolvers<void>();
    queue.beforeDelete = () => never.promise;
    queue.send("no wake-up");
    await queue.journal.until("a deletion that hangs", () => queue.deletions.length === 1);
    queue.send("no wake-up either");
    bench.wake([noopJob()]);
    (await operator.nth(0)).end();
    await dispatcher.until("the task", () => dispatcher.completed.size === 1);
    bench.wake([noopJob()]);
    await operator.nth(1);
    expect(queue.deletions).toHaveLength(1);
    queue.beforeDelete = () => undefined;
    never.resolve();
    // What came together meanwhile is deleted together.
    await queue.journal.until("the others deleted", () => queue.deleted.length === 3);
    expect(queue.deletions).toHaveLength(2);
  });

  it("does not receive while every slot is taken", async () => {
    const { operator, queue } = await start({ slots: 1 });
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    await queue.journal.until("no long poll", () => queue.polling === 0);
    const receipt = queue.send({ queue: "default", task_ids: [foreignId] });
    expect(queue.received.map((message) => message.receipt)).not.toContain(receipt);
    running.end();
    await queue.journal.until("the next message", () => queue.deleted.includes(receipt));
  });

  it("starts nothing of a claim whose session ended before it could", async () => {
    const race = new TestRace();
    const { dispatcher, operator, worker } = await start({ deps: { race } });
    const paused = race.pauseAt("claim:answered");
    const { ids } = bench.wake([noopJob()]);
    await paused.reached;
    const opened = worker.sessions.opened.next(10_000);
    worker.sessions.current?.end(new TraceError("TR-3002", { detail: "the session is over" }));
    await opened;
    paused.resume();
    await bench.passUntil("the task again", () => operator.started.length > 0);
    expect(operator.started[0]?.context.task.lease_no).toBe(2);
    (await operator.nth(0)).end();
    await dispatcher.until("the task", () => dispatcher.completed.has(ids[0] ?? ""));
    expect(operator.started).toHaveLength(1);
  });

  it("retires its session when a claim's answer is lost, so that the unknown leases are requeued", async () => {
    const { dispatcher, operator, queue } = await start();
    dispatcher.after.claim = () => {
      dispatcher.after = {};
      throw new TraceError("TR-1000", { detail: "broke after the claim was written" });
    };
    const { ids } = bench.wake([noopJob()]);
    await dispatcher.until("the old session closed", () => dispatcher.closed.length === 1);
    expect(dispatcher.closed).toEqual([dispatcher.opened[0]]);
    await bench.passUntil("the task again", () => operator.started.length > 0);
    (await operator.nth(0)).end();
    await dispatcher.until("the task in a new session", () => dispatcher.completed.has(ids[0] ?? ""));
    expect(dispatcher.opened).toHaveLength(2);
    expect(queue.received).toHaveLength(1);
  });

  it("keeps beating a retired session until its last attempt has ended", async () => {
    const { dispatcher, operator, timers, worker } = await start();
    bench.wake([noopJob()]);
    const first = await operator.nth(0);
    dispatcher.after.claim = () => {
      dispatcher.after = {};
      throw new TraceError("TR-1000", { detail: "broke after the claim was written" });
    };
    const opened = worker.sessions.opened.next(10_000);
    bench.wake([noopJob()]);
    await opened;
    await timers.advance(5_000);
    await dispatcher.until("both beaten", () => new Set(dispatcher.beats.map((beat) => beat.sessionId)).size === 2);
    expect(dispatcher.closed).toEqual([]);
    first.end();
    await dispatcher.until("the old session closed", () => dispatcher.closed.includes(dispatcher.opened[0] ?? ""));
    expect(first.context.signal.aborted).toBe(false);
    await bench.passUntil("the other task", () => operator.started.length > 1);
    (await operator.nth(1)).end();
    await dispatcher.until("both done", () => dispatcher.completed.size === 2);
  });

  it("does not give up its session when the dispatcher says that it cannot claim now", async () => {
    const { dispatcher, operator } = await start();
    const claims = dispatcher.claims.length;
    dispatcher.before.claim = () => {
      dispatcher.before = {};
      throw new TraceError("TR-1008", { detail: "not ready" });
    };
    bench.wake([noopJob()]);
    await dispatcher.until("the refused claim", () => dispatcher.claims.length > claims);
    await bench.pass(2);
    (await operator.nth(0)).end();
    await dispatcher.until("the task", () => dispatcher.completed.size === 1);
    expect(dispatcher.opened).toHaveLength(1);
  });
});
