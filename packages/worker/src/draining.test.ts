import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Bench, type BenchOptions, noopJob } from "./testing/bench.ts";

let bench: Bench;
afterEach(() => bench.stop());

async function start(options?: BenchOptions): Promise<Bench> {
  bench = await Bench.start(options);
  return bench;
}

describe("stopping a worker", () => {
  it("lets what runs end, takes nothing new, and closes its session last", async () => {
    const { dispatcher, operator, queue, worker } = await start();
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const stopped = worker.stop();
    await queue.journal.until("no long poll", () => queue.polling === 0);
    bench.wake([noopJob()]);
    expect(dispatcher.closed).toEqual([]);
    running.end();
    await stopped;
    expect(dispatcher.completed.size).toBe(1);
    expect(dispatcher.closed).toEqual(dispatcher.opened);
    expect(operator.started).toHaveLength(1);
    expect(dispatcher.waiting).toHaveLength(1);
  });

  it("aborts what does not end in time, completes nothing for it, and closing the session requeues it", async () => {
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
    expect(dispatcher.calls).toEqual([]);
    expect(dispatcher.waiting).toEqual(ids);
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
    expect(operator.started).toEqual([]);
  });

  it("stops although the dispatcher is gone", async () => {
    const { dispatcher, operator, timers, worker } = await start({ drainMs: 1_000 });
    bench.wake([noopJob()]);
    await operator.nth(0);
    await dispatcher.stop();
    const stopped = worker.stop();
    await timers.advance(1_000);
    await stopped;
    expect(operator.active).toBe(0);
  });

  it("leaves no folder of an attempt behind", async () => {
    const { dispatcher, operator, worker } = await start();
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const folder = await running.context.workDir();
    expect(existsSync(folder)).toBe(true);
    running.end();
    await dispatcher.until("the completion", () => dispatcher.completed.size === 1);
    expect(existsSync(folder)).toBe(false);
    await worker.stop();
    expect(readdirSync(join(bench.folder, "work")).filter((name) => name.startsWith("worker-"))).toEqual([]);
  });
});
