import { claimWaitMsMax, TraceError } from "@trace/contracts";
import { afterEach, describe, expect, it } from "vitest";
import { claimWaitLeastMs, claimWaitMs, lastAnswerMs, retryBaseMs } from "./limits.ts";
import { Bench, type BenchOptions, noopJob } from "./testing/bench.ts";
import { recordingLog } from "./testing/recording-log.ts";

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

/** A task that somebody else has. */
const foreignId = "0197c7a4-0000-7000-8000-000000000001";

describe("a claim that waits", () => {
  it("starts what becomes ready at once, without a message and without time passing, and the next one follows", async () => {
    const { dispatcher, operator } = await start();
    expect(dispatcher.waits).toEqual([{ session_id: dispatcher.opened[0], max: 4, wait_ms: claimWaitMs }]);
    const first = dispatcher.create(noopJob());
    expect((await operator.nth(0)).context.task.task_id).toBe(first);
    await bench.waiting();
    expect(dispatcher.waits.slice(1)).toMatchObject([{ max: 3 }]);
    dispatcher.create(noopJob());
    await operator.nth(1);
    await bench.waiting();
    expect(dispatcher.waits.slice(2)).toMatchObject([{ max: 2 }]);
    expect(dispatcher.claims).toEqual([]);
  });

  it.each([
    ["half of it", 0, 2_500],
    ["half as much again", 1, 7_500],
  ])("waits for a time that is jittered and within the contract: at its draw, %s", async (_, drawn, waitMs) => {
    const { dispatcher, timers } = await start({ deps: { random: () => drawn } });
    expect(dispatcher.waits).toMatchObject([{ wait_ms: waitMs }]);
    expect(waitMs).toBeLessThanOrEqual(claimWaitMsMax);
    await timers.advance(waitMs - 1);
    await roundTrip();
    expect(dispatcher.waits).toHaveLength(1);
    await timers.advance(1);
    await dispatcher.until("the next one", () => dispatcher.waits.length === 2);
  });

  it("is asked anew when its time is over, and finds what another dispatcher has", async () => {
    const { dispatcher, operator } = await start();
    dispatcher.add(noopJob());
    await bench.pass(1);
    (await operator.nth(0)).end();
    await dispatcher.until("the task", () => dispatcher.completed.size === 1);
    expect(dispatcher.claims).toEqual([]);
  });

  it("is not there while every slot is taken, and again when one frees", async () => {
    const { dispatcher, operator, queue } = await start({ slots: 1 });
    dispatcher.create(noopJob());
    const running = await operator.nth(0);
    await bench.pass(2);
    expect(dispatcher.waitingClaims).toEqual([]);
    expect(dispatcher.waits).toHaveLength(1);
    expect(queue.polling).toBe(1);
    running.end();
    await bench.waiting();
    expect(dispatcher.waits.slice(1)).toMatchObject([{ max: 1 }]);
  });

  it.each([
    ["the same dispatcher, where it takes its place", true],
    ["another dispatcher", false],
  ])("holds up no claim of a message that reaches %s", async (_, supersedes) => {
    const { dispatcher, operator } = await start();
    dispatcher.supersedes = supersedes;
    const { ids } = bench.wake([noopJob()]);
    await operator.nth(0);
    expect(dispatcher.claims).toEqual([{ task_ids: ids, max: 4 }]);
    await bench.waiting();
    await roundTrip();
    // One that was taken the place of is asked anew as soon as that claim is settled, with no time passing.
    expect(dispatcher.waits.map(({ max }) => max)).toEqual(supersedes ? [4, 3] : [4]);
    expect(dispatcher.waitingClaims).toHaveLength(1);
  });

  it("is not asked anew before the claim that took its place is settled", async () => {
    const { dispatcher, operator, worker } = await start();
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    bench.wake([noopJob()]);
    await dispatcher.until("the other claim", () => dispatcher.claims.length === 1);
    for (let trips = 0; worker.claimer.isWaiting && trips < 50; trips += 1) await roundTrip();
    await roundTrip();
    expect(dispatcher.waits).toHaveLength(1);
    answer.resolve();
    await operator.nth(0);
    await bench.waiting();
    expect(dispatcher.waits.slice(1)).toMatchObject([{ max: 3 }]);
  });

  it("hands back what it and another claim together brought too much of", async () => {
    const { dispatcher, operator } = await start({ slots: 2 });
    dispatcher.supersedes = false;
    bench.wake([noopJob()]);
    await operator.nth(0);
    const [kept = "", surplus = ""] = [dispatcher.add(noopJob()), dispatcher.add(noopJob())];
    dispatcher.answerWaiting();
    expect((await operator.nth(1)).context.task.task_id).toBe(kept);
    await dispatcher.until("the other one", () => dispatcher.released.length === 1);
    expect(dispatcher.released).toEqual([surplus]);
    expect(operator.mostActive).toBe(2);
    // It is asked for again when there is room.
    operator.started[0]?.end();
    expect((await operator.nth(2)).context.task.task_id).toBe(surplus);
  });

  it("is alone in asking for the slots that free while it is on its way, though work was left before", async () => {
    const { dispatcher, operator, worker } = await start({ slots: 2 });
    for (let count = 0; count < 4; count += 1) dispatcher.add(noopJob());
    dispatcher.answerWaiting();
    const runs = [await operator.nth(0), await operator.nth(1)];
    const answer = Promise.withResolvers<void>();
    dispatcher.before.claim = () => answer.promise;
    for (const run of runs) run.end();
    await dispatcher.until("both ended", () => dispatcher.completed.size === 2);
    for (let trips = 0; worker.slots.free < 2 && trips < 50; trips += 1) await roundTrip();
    await roundTrip();
    expect(worker.slots.free).toBe(2);
    expect(dispatcher.waits).toHaveLength(2);
    expect(dispatcher.claims).toEqual([]);
    answer.resolve();
    await operator.nth(3);
    expect(dispatcher.released).toEqual([]);
  });

  it("gives an attempt all its time, however long the call was open before", async () => {
    const { dispatcher, operator, timers } = await start();
    await timers.advance(claimWaitMs - 1);
    dispatcher.create(noopJob({ timeoutMs: 3_000 }));
    const running = await operator.nth(0);
    await timers.advance(2_999);
    expect(running.context.signal.aborted).toBe(false);
    await timers.advance(1);
    expect(running.context.signal.aborted).toBe(true);
  });

  it("does not spin at a dispatcher that answers at once: the next ones come ever more rarely", async () => {
    const { dispatcher, timers } = await start();
    dispatcher.waitsForNobody = true;
    dispatcher.answerWaiting();
    for (const [index, ms] of [250, 500, 1_000, 2_000, 4_000].entries()) {
      // Until this has passed nothing is asked; then one claim is.
      await timers.pass(ms);
      await dispatcher.until("the next one", () => dispatcher.waits.length === index + 2);
    }
  });

  it("follows at once on one that did wait, and on one that was answered early only after a moment", async () => {
    const { dispatcher, timers, worker } = await start();
    await timers.advance(claimWaitLeastMs);
    dispatcher.answerWaiting();
    await dispatcher.until(
      "the next one",
      () => dispatcher.waits.length === 2 && dispatcher.waitingClaims.length === 1,
    );
    const idle = worker.poller.idle.next(10_000);
    await timers.advance(claimWaitLeastMs - 1);
    dispatcher.answerWaiting();
    await idle;
    await timers.advance(retryBaseMs - 1);
    await roundTrip();
    expect(dispatcher.waits).toHaveLength(2);
    await timers.advance(1);
    await dispatcher.until("the one after", () => dispatcher.waits.length === 3);
  });

  it("does not spin for work that others hold", async () => {
    const { dispatcher, timers, worker } = await start();
    const idle = worker.poller.idle.next(10_000);
    dispatcher.heldByOthers = 1;
    dispatcher.answerWaiting();
    await idle;
    await timers.advance(retryBaseMs - 1);
    await roundTrip();
    expect(dispatcher.waits).toHaveLength(1);
    await timers.advance(1);
    await dispatcher.until("the next one", () => dispatcher.waits.length === 2);
  });

  it("does not keep the worker from work of which another dispatcher tells that there is more", async () => {
    const { dispatcher, operator } = await start({ slots: 2 });
    dispatcher.supersedes = false;
    const { ids } = bench.wake([noopJob(), noopJob(), noopJob()]);
    await operator.nth(1);
    expect(dispatcher.waitingClaims).toHaveLength(1);
    operator.started[0]?.end();
    expect((await operator.nth(2)).context.task.task_id).toBe(ids[2]);
    expect(dispatcher.waits).toHaveLength(1);
  });

  it("is asked with the new session when the old one is over", async () => {
    const { dispatcher, operator, worker } = await start();
    worker.sessions.current?.end(new TraceError("TR-3002", { detail: "the session is over" }));
    await dispatcher.until("the next one", () => dispatcher.waits.length === 2);
    expect(dispatcher.waits[1]).toMatchObject({ session_id: dispatcher.opened[1] });
    dispatcher.create(noopJob());
    await operator.nth(0);
    expect([...dispatcher.leases.values()].map(({ sessionId }) => sessionId)).toEqual([dispatcher.opened[1]]);
  });

  it("is given up when its session is retired, though attempts hold that session open", async () => {
    const { entries, log } = recordingLog();
    const { dispatcher, operator } = await start({ deps: { log } });
    bench.wake([noopJob()]);
    await operator.nth(0);
    await bench.waiting();
    dispatcher.after.claim = () => {
      dispatcher.after = {};
      throw new TraceError("TR-1000", { detail: "broke after the claim was written" });
    };
    dispatcher.supersedes = false;
    bench.wake([noopJob()]);
    await dispatcher.until("one of the new session", () =>
      dispatcher.waits.some(({ session_id }) => session_id === dispatcher.opened[1]),
    );
    expect(dispatcher.closed).toEqual([]);
    await dispatcher.until("no other", () => dispatcher.waitingClaims.length === 1);
    expect(dispatcher.waitingClaims).toMatchObject([{ session_id: dispatcher.opened[1] }]);
    expect(entries.filter(({ message }) => message.includes("cannot claim tasks"))).toEqual([]);
  });

  it("retires its session when its own answer is lost, and says so", async () => {
    const { entries, log } = recordingLog();
    const { dispatcher, operator } = await start({ deps: { log } });
    dispatcher.after.claim = () => {
      dispatcher.after = {};
      throw new TraceError("TR-1000", { detail: "broke after the claim was written" });
    };
    const id = dispatcher.create(noopJob());
    await dispatcher.until("the old session closed", () => dispatcher.closed.length === 1);
    await bench.passUntil("the task again", () => operator.started.length > 0);
    expect(operator.started[0]?.context.task.task_id).toBe(id);
    expect(dispatcher.closed).toEqual([dispatcher.opened[0]]);
    expect(entries.filter(({ message }) => message.includes("cannot claim tasks"))).toHaveLength(1);
  });
});

describe("stopping a worker whose claim waits", () => {
  it("takes a moment, not the time that the claim has left", async () => {
    const { dispatcher, timers, worker } = await start();
    const fromMs = timers.monotonicMs();
    const stopped = worker.stop();
    await timers.pass(lastAnswerMs);
    await stopped;
    expect(timers.monotonicMs() - fromMs).toBe(lastAnswerMs);
    expect(dispatcher.closed).toEqual(dispatcher.opened);
    expect(worker.claimer.isWaiting).toBe(false);
  });

  it("hands back what is on its way to it", async () => {
    const { dispatcher, operator, worker } = await start();
    const stopped = worker.stop();
    const id = dispatcher.create(noopJob());
    await stopped;
    expect(dispatcher.released).toEqual([id]);
    expect(dispatcher.losses).toEqual([]);
    expect(operator.started).toEqual([]);
  });

  it("lasts until what it brought is handed back, though the moment has passed", async () => {
    const { dispatcher, timers, worker } = await start();
    let refused = 0;
    dispatcher.before.release = () => {
      refused += 1;
      dispatcher.journal.note();
      if (refused === 1) throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    const stopped = worker.stop();
    const id = dispatcher.create(noopJob());
    await dispatcher.until("a refusal", () => refused === 1);
    await timers.advance(lastAnswerMs);
    await roundTrip();
    expect(dispatcher.closed).toEqual([]);
    await timers.pass(retryBaseMs);
    await stopped;
    expect(dispatcher.released).toEqual([id]);
    expect(dispatcher.losses).toEqual([]);
  });

  it("hands back what it brings while attempts run on, so that others need not wait for these", async () => {
    const { dispatcher, operator, timers, worker } = await start();
    dispatcher.create(noopJob());
    const running = await operator.nth(0);
    await bench.waiting();
    const stopped = worker.stop();
    await timers.advance(lastAnswerMs);
    const id = dispatcher.create(noopJob());
    await dispatcher.until("it is handed back", () => dispatcher.released.length === 1);
    expect(dispatcher.released).toEqual([id]);
    expect(dispatcher.closed).toEqual([]);
    running.end();
    await stopped;
    expect(dispatcher.completed.size).toBe(1);
    expect(dispatcher.losses).toEqual([]);
    // None follows on it.
    expect(dispatcher.waits).toHaveLength(2);
  });

  it("gives back a message that came to it, though the claim that waits was not answered", async () => {
    const { dispatcher, queue, timers, worker } = await start();
    const answer = Promise.withResolvers<void>();
    dispatcher.supersedes = false;
    dispatcher.before.claim = () => answer.promise;
    bench.wake([noopJob()]);
    await dispatcher.until("the claim", () => dispatcher.claims.length === 1);
    const second = queue.send({ queue: "default", task_ids: [foreignId] });
    await queue.journal.until("the second message", () => queue.received.length === 2);
    const stopped = worker.stop();
    answer.resolve();
    await timers.pass(lastAnswerMs);
    await stopped;
    expect(queue.extended).toEqual([{ receipts: [second], seconds: 0 }]);
  });
});
