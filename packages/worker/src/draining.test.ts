import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { afterEach, describe, expect, it } from "vitest";
import { workerStopMsMax } from "./index.ts";
import { closeSessionMs, handBackMs, lastAnswerMs, settleMs } from "./limits.ts";
import type { Operator } from "./operators/operator.ts";
import { Bench, type BenchOptions, noopJob } from "./testing/bench.ts";
import { recordingLog } from "./testing/recording-log.ts";

let bench: Bench;
afterEach(() => bench.stop());

async function start(options?: BenchOptions): Promise<Bench> {
  bench = await Bench.start(options);
  return bench;
}

describe("stopping a worker", () => {
  it("lets what runs end, takes nothing new, and closes its session last", async () => {
    const { dispatcher, operator, queue, timers, worker } = await start();
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const stopped = worker.stop();
    await queue.journal.until("no long poll", () => queue.polling === 0);
    bench.wake([noopJob()]);
    expect(dispatcher.closed).toEqual([]);
    await timers.advance(lastAnswerMs);
    running.end();
    await stopped;
    expect(dispatcher.completed.size).toBe(1);
    expect(dispatcher.closed).toEqual(dispatcher.opened);
    expect(operator.started).toHaveLength(1);
    expect(dispatcher.waiting).toHaveLength(1);
  });

  it("aborts what does not end in time and hands it back, which costs its task nothing", async () => {
    const { dispatcher, operator, queue, timers, worker } = await start({ drainMs: 3_000 });
    const { ids } = bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const stopped = worker.stop();
    await queue.journal.until("no long poll", () => queue.polling === 0);
    await timers.advance(2_999);
    expect(running.context.signal.aborted).toBe(false);
    await timers.advance(1);
    expect(running.context.signal.reason).toMatchObject({ code: "TR-3008" });
    await stopped;
    expect(dispatcher.calls.flat().map(({ result }) => result)).toEqual([{ kind: "snooze", delay_ms: 0 }]);
    expect(dispatcher.losses).toEqual([]);
    expect(dispatcher.waiting).toEqual(ids);
    expect(dispatcher.closed).toEqual(dispatcher.opened);
    expect(bench.store.text(`trace-scratch/logs/${ids[0]}/1.jsonl`)).toContain("handed back: TR-3008: ");
    expect(await bench.metrics()).toMatch(/completions_total\{result="snooze"[^}]*\} 1/);
  });

  it("stops under load without a failure and without a lost lease, and everything is queued again at once", async () => {
    const { dispatcher, operator, timers, worker } = await start({ slots: 16, drainMs: 3_000 });
    const { ids } = bench.wake(Array.from({ length: 60 }, () => noopJob()));
    for (let index = 0; index < 20; index += 1) (await operator.nth(index)).end();
    await operator.nth(35);
    // A claim is on its way when the stop comes: what it brings is handed back too.
    const answer = Promise.withResolvers<void>();
    const waits = dispatcher.waits.length;
    dispatcher.before.claim = () => answer.promise;
    operator.started[20]?.end();
    await dispatcher.until("another claim", () => dispatcher.waits.length > waits);
    const stopped = worker.stop();
    answer.resolve();
    for (const run of operator.started.slice(21, 26)) run.end();
    await dispatcher.until("those that ended by themselves", () => dispatcher.completed.size === 26);
    await timers.advance(3_000);
    await stopped;
    expect([...dispatcher.completed.values()].filter(({ kind }) => kind !== "success")).toEqual([]);
    expect(dispatcher.losses).toEqual([]);
    expect(dispatcher.released.length).toBeGreaterThan(0);
    expect(dispatcher.snoozed).toHaveLength(10);
    expect([...dispatcher.waiting].sort()).toEqual(ids.filter((id) => !dispatcher.completed.has(id)).sort());
    expect(operator.active).toBe(0);
  });

  it("hands a task back only when its operator has stopped", async () => {
    const cleaned = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    const tidy: Operator = {
      run: async ({ signal }) => {
        signal.addEventListener("abort", () => aborted.resolve());
        await cleaned.promise;
        throw new Error("what an operator says after its abort is noise");
      },
    };
    const { dispatcher, timers, worker } = await start({ drainMs: 0, deps: { operators: { noop: tidy } } });
    const { ids } = bench.wake([noopJob()]);
    await dispatcher.until("the lease", () => dispatcher.leases.size === 1);
    await bench.pass(1);
    const stopped = worker.stop();
    await timers.advance(0);
    await aborted.promise;
    await timers.advance(handBackMs - 1);
    expect(dispatcher.calls).toEqual([]);
    cleaned.resolve();
    await stopped;
    expect(dispatcher.snoozed).toEqual(ids);
    expect(dispatcher.losses).toEqual([]);
  });

  it("keeps the result of an operator that ended well although it was aborted", async () => {
    const deaf: Operator = {
      run: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => setImmediate(resolve, []))),
    };
    const { dispatcher, timers, worker } = await start({ drainMs: 1_000, deps: { operators: { noop: deaf } } });
    const { ids } = bench.wake([noopJob()]);
    await dispatcher.until("the lease", () => dispatcher.leases.size === 1);
    await bench.pass(1);
    const stopped = worker.stop();
    await timers.advance(1_000);
    await stopped;
    expect([...dispatcher.completed]).toEqual([[ids[0], { kind: "success", outputs: [] }]]);
    expect(dispatcher.snoozed).toEqual([]);
  });

  it("is not held up by an operator that ignores its abort: its session is closed, which requeues the task", async () => {
    const begun = Promise.withResolvers<void>();
    const deaf: Operator = {
      run: () => {
        begun.resolve();
        return new Promise(() => undefined);
      },
    };
    const { entries, log } = recordingLog();
    const options = { drainMs: 2_000, deps: { log, operators: { noop: deaf } } };
    const { dispatcher, timers, worker } = await start(options);
    const { ids } = bench.wake([noopJob()]);
    await begun.promise;
    const stopped = worker.stop();
    for (const ms of [2_000, handBackMs, settleMs]) await timers.pass(ms);
    await stopped;
    expect(workerStopMsMax({ drainMs: 2_000 })).toBeGreaterThan(2_000 + handBackMs + settleMs);
    expect(dispatcher.closed).toEqual(dispatcher.opened);
    expect(dispatcher.calls).toEqual([]);
    expect(dispatcher.waiting).toEqual(ids);
    expect(dispatcher.losses).toEqual(ids);
    expect(entries.filter(({ message }) => message.includes("operators did not return"))).toHaveLength(1);
  });

  it("closes its session when the dispatcher does not answer in time to what is handed back", async () => {
    const { dispatcher, operator, timers, worker } = await start({ drainMs: 1_000 });
    const { ids } = bench.wake([noopJob()]);
    await operator.nth(0);
    const never = Promise.withResolvers<void>();
    dispatcher.before.complete = () => never.promise;
    const stopped = worker.stop();
    await timers.pass(1_000);
    await dispatcher.until("the handing back", () => dispatcher.calls.length === 1);
    await timers.advance(handBackMs - 1);
    expect(dispatcher.closed).toEqual([]);
    await timers.advance(1);
    await dispatcher.until("the close", () => dispatcher.closed.length === 1);
    await stopped;
    never.resolve();
    expect(dispatcher.losses).toEqual(ids);
    expect(worker.slots.used).toBe(0);
  });

  it("stops within its bound although nothing that it calls answers", async () => {
    const never = Promise.withResolvers<void>();
    const { dispatcher, operator, timers, worker } = await start({ drainMs: 1_000 });
    bench.wake([noopJob(), noopJob()]);
    await operator.nth(1);
    const hang = () => never.promise;
    dispatcher.before = { claim: hang, complete: hang, close: hang };
    operator.started[0]?.end();
    await dispatcher.until("a completion", () => dispatcher.calls.length === 1);
    const stopped = worker.stop();
    for (const ms of [1_000, handBackMs, closeSessionMs]) await timers.pass(ms);
    await stopped;
    never.resolve();
    expect(workerStopMsMax({ drainMs: 1_000 })).toBeGreaterThan(1_000 + handBackMs + closeSessionMs);
    expect(worker.slots.used).toBe(0);
  });

  it("hands back tasks that a claim brings after the stop began, without starting them", async () => {
    const { dispatcher, operator, worker } = await start();
    const claims = dispatcher.claims.length;
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    const { ids } = bench.wake([noopJob()]);
    await dispatcher.until("the claim", () => dispatcher.claims.length > claims);
    const stopped = worker.stop();
    answer.resolve();
    await stopped;
    expect(dispatcher.released).toEqual(ids);
    expect(dispatcher.waiting).toEqual(ids);
    expect(dispatcher.losses).toEqual([]);
    expect(operator.started).toEqual([]);
  });

  it("asks again to hand back what a claim brought, until the dispatcher answers", async () => {
    const { dispatcher, timers, worker } = await start();
    const claims = dispatcher.claims.length;
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    let refused = 0;
    dispatcher.before.release = () => {
      refused += 1;
      dispatcher.journal.note();
      if (refused < 3) throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    const { ids } = bench.wake([noopJob()]);
    await dispatcher.until("the claim", () => dispatcher.claims.length > claims);
    const stopped = worker.stop();
    answer.resolve();
    await dispatcher.until("the first refusal", () => refused === 1);
    await timers.advanceUntil(stopped, 10);
    expect(dispatcher.released).toEqual(ids);
    expect(dispatcher.losses).toEqual([]);
  });

  it("gives a message back that it has not claimed for, so that another worker need not wait for it", async () => {
    const { dispatcher, queue, worker } = await start();
    const claims = dispatcher.claims.length;
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    const first = bench.wake([noopJob()]);
    await dispatcher.until("the claim", () => dispatcher.claims.length > claims);
    const second = queue.send({ queue: "default", task_ids: ["0197c7a4-0000-7000-8000-000000000001"] });
    await queue.journal.until("the second message", () => queue.received.length === 2);
    const stopped = worker.stop();
    answer.resolve();
    await stopped;
    expect(dispatcher.released).toEqual(first.ids);
    expect(queue.deleted).toEqual([first.receipt]);
    expect(queue.extended).toEqual([{ receipts: [second], seconds: 0 }]);
  });

  it("stops although SQS does not answer", async () => {
    const { dispatcher, operator, queue, timers, worker } = await start();
    const never = Promise.withResolvers<void>();
    queue.beforeDelete = () => never.promise;
    bench.wake([noopJob()]);
    (await operator.nth(0)).end();
    await dispatcher.until("the completion", () => dispatcher.completed.size === 1);
    await queue.journal.until("a deletion that hangs", () => queue.deletions.length === 1);
    await bench.waiting();
    const stopped = worker.stop();
    for (const ms of [lastAnswerMs, settleMs]) await timers.pass(ms);
    await stopped;
    never.resolve();
  });

  it("stops although the dispatcher is gone", async () => {
    const { dispatcher, operator, timers, worker } = await start({ drainMs: 1_000 });
    bench.wake([noopJob()]);
    await operator.nth(0);
    await dispatcher.stop();
    const stopped = worker.stop();
    for (const ms of [1_000, handBackMs]) await timers.pass(ms);
    await stopped;
    expect(operator.active).toBe(0);
  });

  it("leaves no folder of an attempt behind", async () => {
    const { dispatcher, operator, timers, worker } = await start();
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const folder = await running.context.workDir();
    expect(existsSync(folder)).toBe(true);
    running.end();
    await dispatcher.until("the completion", () => dispatcher.completed.size === 1);
    expect(existsSync(folder)).toBe(false);
    const stopped = worker.stop();
    await timers.advance(lastAnswerMs);
    await stopped;
    expect(readdirSync(join(bench.folder, "work")).filter((name) => name.startsWith("worker-"))).toEqual([]);
  });
});
