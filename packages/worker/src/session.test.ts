import { TraceError } from "@trace/contracts";
import { afterEach, describe, expect, it } from "vitest";
import { Bench, type BenchOptions, noopJob } from "./testing/bench.ts";

let bench: Bench;
afterEach(() => bench.stop());

async function start(options?: BenchOptions): Promise<Bench> {
  bench = await Bench.start(options);
  return bench;
}

const gone = (what: string) => () => {
  throw new TraceError("TR-1007", { detail: what });
};

describe("a worker's session", () => {
  it("is opened once the dispatcher is there, however long that takes, and tells meanwhile that it is not ready", async () => {
    const { dispatcher, timers, worker } = await start({ idle: true });
    let tries = 0;
    dispatcher.before.open = () => {
      tries += 1;
      dispatcher.journal.note();
      if (tries < 4) throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    const opened = worker.sessions.opened.next(10_000);
    await worker.start();
    for (let seen = 1; seen < 4; seen += 1) {
      await dispatcher.until(`try ${seen}`, () => tries >= seen);
      const ready = await fetch(`http://127.0.0.1:${worker.opsPort}/readyz`);
      expect(ready.status).toBe(503);
      expect(await ready.text()).toContain("no session with the dispatcher is open");
      await timers.advance(5_000);
    }
    await opened;
    const ready = await fetch(`http://127.0.0.1:${worker.opsPort}/readyz`);
    expect(ready.status).toBe(200);
  });

  it("beats with the leases it holds and with progress that is new", async () => {
    const { dispatcher, operator } = await start();
    bench.wake([noopJob()]);
    const { context } = await operator.nth(0);
    context.progress({ message: "half", done: 1, total: 2, unit: "rows" });
    await bench.pass(2);
    expect(dispatcher.beats.map(({ leases }) => leases)).toEqual([[1], [1]]);
    expect(dispatcher.beats[0]?.progress).toEqual([
      { lease_no: 1, progress: { message: "half", done: 1, total: 2, unit: "rows" } },
    ]);
    expect(dispatcher.beats[1]?.progress).toEqual([]);
  });

  it("aborts the attempt of a lost lease at once, completes nothing for it, and leaves the others alone", async () => {
    const { dispatcher, operator } = await start();
    const { ids } = bench.wake([noopJob(), noopJob()]);
    const [first, second] = [await operator.nth(0), await operator.nth(1)];
    dispatcher.lost.add(first.context.task.lease_no);
    await bench.pass(1);
    expect(first.context.signal.aborted).toBe(true);
    expect(first.context.signal.reason).toMatchObject({ code: "TR-3004" });
    expect(second.context.signal.aborted).toBe(false);
    second.end();
    await dispatcher.until("the other task", () => dispatcher.completed.size === 1);
    expect(dispatcher.calls.flat()).toHaveLength(1);
    expect([...dispatcher.completed.keys()]).toEqual(ids.filter((id) => id === second.context.task.task_id));
    expect(await bench.metrics()).toMatch(/lost_leases_total\{[^}]*\} 1/);
  });

  it("aborts every attempt when a beat is refused, completes none of them, and opens a new session", async () => {
    const { dispatcher, operator, timers, worker } = await start();
    bench.wake([noopJob(), noopJob()]);
    const running = [await operator.nth(0), await operator.nth(1)];
    dispatcher.before.beat = () => {
      dispatcher.before = {};
      throw new TraceError("TR-3002", { detail: "the session is over" });
    };
    const opened = worker.sessions.opened.next(10_000);
    await timers.advance(5_000);
    await opened;
    expect(running.map(({ context }) => context.signal.aborted)).toEqual([true, true]);
    await dispatcher.until("the old one closed", () => dispatcher.closed.length === 1);
    expect(dispatcher.calls).toEqual([]);
    // What was lost is ready again, and is run in the new session.
    const again = [await operator.nth(2), await operator.nth(3)];
    for (const run of again) run.end();
    await dispatcher.until("both tasks", () => dispatcher.completed.size === 2);
  });

  it("is over when no beat succeeded for its time to live, counted from when the last one was sent", async () => {
    const { dispatcher, operator, timers, worker } = await start();
    bench.wake([noopJob()]);
    const { context } = await operator.nth(0);
    await bench.pass(1);
    dispatcher.before.beat = gone("the dispatcher hangs");
    await timers.advance(dispatcher.ttlMs - 1);
    expect(context.signal.aborted).toBe(false);
    const opened = worker.sessions.opened.next(10_000);
    await timers.advance(1);
    expect(context.signal.aborted).toBe(true);
    expect(context.signal.reason).toMatchObject({ code: "TR-3002" });
    await opened;
    expect(dispatcher.calls).toEqual([]);
  });

  it("lives through beats that fail, as long as one succeeds in time", async () => {
    const { dispatcher, operator, timers, worker } = await start();
    bench.wake([noopJob()]);
    const { context } = await operator.nth(0);
    let failures = 0;
    dispatcher.before.beat = () => {
      failures += 1;
      if (failures <= 2) gone("a hiccup")();
    };
    const beaten = worker.sessions.current?.beaten.next(10_000);
    await timers.advance(5_000);
    await dispatcher.until("a failed beat", () => failures === 1);
    for (const seen of [2, 3]) {
      // The answer of the failed beat arms the next try; time passes in steps until it is sent.
      for (let steps = 0; failures < seen && steps < 50; steps += 1) {
        await timers.advance(100);
        await fetch(`http://127.0.0.1:${worker.opsPort}/healthz`);
      }
    }
    await beaten;
    await timers.advance(4_000);
    expect(context.signal.aborted).toBe(false);
    expect(dispatcher.opened).toHaveLength(1);
  });
});
