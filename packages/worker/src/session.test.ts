import { TraceError } from "@trace/contracts";
import { Metrics, silentLog } from "@trace/kit";
import { afterEach, describe, expect, it } from "vitest";
import type { WorkerApi } from "./api.ts";
import { workerMetrics } from "./metrics.ts";
import { LiveSession } from "./session.ts";
import { Bench, type BenchOptions, noopJob } from "./testing/bench.ts";
import { ManualTimers } from "./testing/manual-timers.ts";

let bench: Bench;
afterEach(() => bench.stop());

async function start(options?: BenchOptions): Promise<Bench> {
  bench = await Bench.start(options);
  return bench;
}

/** A call of its own through the event loop: what is on its way gets on meanwhile. */
async function roundTrip(): Promise<void> {
  await fetch(`http://127.0.0.1:${bench.worker.opsPort}/healthz`);
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

  it("tells progress at once, and then at most once a second, the newest of each attempt", async () => {
    const { dispatcher, operator, timers } = await start();
    bench.wake([noopJob(), noopJob()]);
    const [first, second] = [await operator.nth(0), await operator.nth(1)];
    await bench.pass(1);
    await timers.advance(2_000);
    expect(dispatcher.beats).toHaveLength(1);
    first.context.progress({ message: "begun" });
    await dispatcher.until("an early beat", () => dispatcher.beats.length === 2);
    first.context.progress({ message: "on" });
    second.context.progress({ message: "begun" });
    first.context.progress({ message: "further" });
    await timers.advance(999);
    await roundTrip();
    expect(dispatcher.beats).toHaveLength(2);
    await timers.advance(1);
    await dispatcher.until("the next", () => dispatcher.beats.length === 3);
    expect(dispatcher.beats.map(({ progress }) => progress.map(({ progress }) => progress.message))).toEqual([
      [],
      ["begun"],
      ["further", "begun"],
    ]);
    // Without news the rhythm is the old one, counted from the last beat.
    await timers.advance(4_999);
    await roundTrip();
    expect(dispatcher.beats).toHaveLength(3);
    await timers.advance(1);
    await dispatcher.until("the next without news", () => dispatcher.beats.length === 4);
  });

  it("never sends a beat while one is on its way, whatever progress comes", async () => {
    const { dispatcher, operator, timers } = await start();
    bench.wake([noopJob()]);
    const { context } = await operator.nth(0);
    const answer = Promise.withResolvers<void>();
    dispatcher.before.beat = () => answer.promise;
    await timers.advance(5_000);
    await dispatcher.until("a beat", () => dispatcher.beats.length === 1);
    for (let second = 0; second < 8; second += 1) {
      context.progress({ message: `second ${second}` });
      await timers.advance(1_000);
    }
    await roundTrip();
    expect(dispatcher.beats).toHaveLength(1);
    answer.resolve();
    await dispatcher.until("the next beat", () => dispatcher.beats.length === 2);
    expect(dispatcher.beats[1]?.progress).toMatchObject([{ progress: { message: "second 7" } }]);
    expect(context.signal.aborted).toBe(false);
  });

  it("tells progress again whose beat failed", async () => {
    const { dispatcher, operator, timers } = await start();
    bench.wake([noopJob()]);
    const { context } = await operator.nth(0);
    await bench.pass(1);
    dispatcher.before.beat = () => {
      dispatcher.before = {};
      gone("a hiccup")();
    };
    await timers.advance(1_000);
    context.progress({ message: "half" });
    await dispatcher.until("the beat that fails", () => dispatcher.beats.length === 2);
    for (let steps = 0; dispatcher.beats.length < 3 && steps < 50; steps += 1) {
      await timers.advance(100);
      await roundTrip();
    }
    expect(dispatcher.beats.slice(1).map(({ progress }) => progress)).toMatchObject([
      [{ progress: { message: "half" } }],
      [{ progress: { message: "half" } }],
    ]);
  });

  it("names more leases than one call takes in several calls, and hears of the lost ones in each", async () => {
    const bodies: { leases: readonly number[]; progress: readonly { lease_no: number }[] }[] = [];
    const api: Pick<WorkerApi, "heartbeat" | "closeSession"> = {
      heartbeat: async ({ body }) => {
        bodies.push({ leases: body.leases, progress: body.progress ?? [] });
        return { lost: body.leases.filter((leaseNo) => leaseNo === 7 || leaseNo === 25_000) };
      },
      closeSession: async () => ({}),
    };
    const timers = new ManualTimers();
    const metrics = workerMetrics(new Metrics({ role: "worker" }), {
      slots: () => 0,
      running: () => 0,
      sessions: () => 0,
    });
    const parts = { api: api as WorkerApi, timers, random: () => 0.5, log: silentLog(), metrics };
    const opened = { session_id: "0197c7a4-0000-7000-8000-000000000001", ttl_ms: 15_000, beat_ms: 5_000 };
    const session = new LiveSession(parts, opened, timers.monotonicMs());
    const gone: number[] = [];
    for (let leaseNo = 1; leaseNo <= 25_000; leaseNo += 1) {
      const progress = leaseNo === 20_001 ? { message: "here" } : undefined;
      session.hold({ leaseNo, progress, lose: () => void gone.push(leaseNo) });
    }
    session.start();
    const beaten = session.beaten.next(10_000);
    await timers.advance(5_000);
    expect(await beaten).toEqual([7, 25_000]);
    expect(bodies.map(({ leases }) => leases.length)).toEqual([10_000, 10_000, 5_000]);
    expect(new Set(bodies.flatMap(({ leases }) => leases)).size).toBe(25_000);
    expect(bodies.map(({ progress }) => progress.length)).toEqual([0, 0, 1]);
    expect(gone).toEqual([7, 25_000]);
    await session.close();
  });

  it("aborts the attempt of a canceled task with the next beat, says nothing for it, and frees its slot", async () => {
    const { dispatcher, operator } = await start({ slots: 1 });
    const { ids } = bench.wake([noopJob(), noopJob()]);
    const { context } = await operator.nth(0);
    dispatcher.cancel(ids[0] ?? "");
    expect(context.signal.aborted).toBe(false);
    await bench.pass(1);
    expect(dispatcher.beats).toHaveLength(1);
    expect(context.signal.reason).toMatchObject({ code: "TR-3004" });
    const next = await operator.nth(1);
    expect(next.context.task.task_id).toBe(ids[1]);
    next.end();
    await dispatcher.until("the other task", () => dispatcher.completed.size === 1);
    expect(dispatcher.calls.flat()).toHaveLength(1);
    await bench.pass(1);
    expect(dispatcher.beats.at(-1)?.leases).not.toContain(context.task.lease_no);
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
      dispatcher.journal.note();
      if (failures <= 2) gone("a hiccup")();
    };
    const beaten = worker.sessions.current?.beaten.next(10_000);
    await timers.advance(5_000);
    await dispatcher.until("a failed beat", () => failures === 1);
    for (const seen of [2, 3]) {
      // The answer of the failed beat arms the next try; time passes in steps until it is sent.
      for (let steps = 0; failures < seen && steps < 50; steps += 1) {
        await timers.advance(100);
        await roundTrip();
      }
    }
    await beaten;
    await timers.advance(4_000);
    expect(context.signal.aborted).toBe(false);
    expect(dispatcher.opened).toHaveLength(1);
  });
});
