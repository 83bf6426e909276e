/** Claims that wait: who is claimed for, in which order, and what becomes of those who are gone. */
import { setImmediate as turn } from "node:timers/promises";
import { type ClaimAnswer, type ClaimedTask, TraceError } from "@trace/contracts";
import { silentLog } from "@trace/kit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ClaimRequest } from "./claims.ts";
import { claimGapMs, claimsWaitingMax, wakeupHoldMs } from "./limits.ts";
import { LongPolls } from "./longpolls.ts";

/** Tasks that are ready, and what was claimed for whom. */
class Queue {
  ready: string[] = [];
  readonly claims: { session: string; got: number }[] = [];
  readonly released: string[] = [];
  fail: Error | undefined;
  failRelease: Error | undefined;
  readonly called: (boolean | undefined)[] = [];
  /** A claim that is on its way until this resolves. */
  held: Promise<void> | undefined;
  readonly polls = new LongPolls({
    log: silentLog(),
    claim: (request) => this.#claim(request),
    release: (tokens) =>
      this.failRelease === undefined
        ? Promise.resolve(this.released.push(...tokens))
        : Promise.reject(this.failRelease),
  });

  async #claim({ session_id, queue, max, called }: ClaimRequest): Promise<ClaimAnswer> {
    this.called.push(called);
    const taken = queue === "empty" ? [] : this.ready.splice(0, max);
    await this.held;
    if (this.fail !== undefined && session_id === "broken") throw this.fail;
    const tasks = taken.map((id) => ({ task_id: id, lease_token: id }) as unknown as ClaimedTask);
    this.claims.push({ session: session_id, got: tasks.length });
    return { tasks: tasks as unknown as ClaimAnswer["tasks"], jobs: [], more: tasks.length === max };
  }

  wait(session: string, { max = 10, wait_ms = 1_000, signal = new AbortController().signal, queue = "default" } = {}) {
    const request = { session_id: session, queue, task_ids: [], max, wait_ms };
    return this.polls.claim(request, signal).then((answer) => answer.tasks.map((task) => task.task_id));
  }

  async add(...tasks: string[]): Promise<void> {
    this.ready.push(...tasks);
    this.polls.ready("default", tasks.length);
    await settled();
  }
}

/** Promises have done what they could, and the gap between two claims is over. */
async function settled(): Promise<void> {
  for (let round = 0; round < 5; round += 1) {
    await turn();
    await vi.advanceTimersByTimeAsync(claimGapMs);
  }
}

let queue: Queue;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  queue = new Queue();
});
afterEach(() => {
  vi.useRealTimers();
});

test("what is there is answered at once", async () => {
  queue.ready = ["a", "b"];
  expect(await queue.wait("s")).toEqual(["a", "b"]);
  expect(queue.polls.waiting).toBe(0);
});

test("a claim that does not wait is answered at once, with nothing too", async () => {
  expect(await queue.wait("s", { wait_ms: 0 })).toEqual([]);
});

test("what becomes ready is claimed for the one who waits", async () => {
  const answer = queue.wait("s");
  await settled();
  expect(queue.claims).toEqual([{ session: "s", got: 0 }]);
  expect(queue.polls.waiting).toBe(1);
  await queue.add("a");
  expect(await answer).toEqual(["a"]);
});

test("what becomes ready while it looks for the first time is not missed", async () => {
  const looked = Promise.withResolvers<void>();
  queue.held = looked.promise;
  const answer = queue.wait("s");
  await settled();
  await queue.add("a"); // Committed too late for the claim that is on its way.
  queue.held = undefined;
  looked.resolve();
  await settled();
  expect(await answer).toEqual(["a"]);
});

test("after its time it is answered with nothing", async () => {
  const answer = queue.wait("s", { wait_ms: 500 });
  await vi.advanceTimersByTimeAsync(499);
  expect(queue.polls.waiting).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await answer).toEqual([]);
  expect(queue.polls.waiting).toBe(0);
});

test("the first who came is claimed for first, and what a full claim leaves goes to the next", async () => {
  const first = queue.wait("first", { max: 2 });
  await settled();
  const second = queue.wait("second");
  await settled();
  await queue.add("a", "b", "c");
  expect(await first).toEqual(["a", "b"]);
  expect(await second).toEqual(["c"]);
});

test("as many are called at once as what became ready needs", async () => {
  const answers: Promise<string[]>[] = [];
  for (const session of ["a", "b", "c", "d"]) {
    answers.push(queue.wait(session, { max: 2 }));
    await settled();
  }
  const before = queue.claims.length;
  queue.ready = ["1", "2", "3"];
  queue.polls.ready("default", 3);
  await settled();
  const took = queue.claims.slice(before).filter(({ got }) => got > 0);
  expect(took.map(({ session }) => session)).toEqual(["a", "b"]);
  queue.polls.stop();
  await settled();
  await Promise.all(answers);
});

test("a full claim calls two of those who wait, so that a burst reaches many soon", async () => {
  const answers: Promise<string[]>[] = [];
  for (let session = 0; session < 16; session += 1) {
    answers.push(queue.wait(`s${session}`, { max: 1 }));
    await settled();
  }
  queue.ready = Array.from({ length: 15 }, (_, index) => `t${index}`);
  queue.polls.ready("default", 1);
  await turn(); // No gap is waited for: there is no timer between full claims.
  for (let round = 0; round < 10; round += 1) await turn();
  expect(queue.ready).toEqual([]);
  queue.polls.stop();
  await settled();
  expect((await Promise.all(answers)).flat()).toHaveLength(15);
});

test("one who is called looks where its queue begins, as the call says that there is something", async () => {
  const answer = queue.wait("s");
  await settled();
  expect(queue.called).toEqual([false]);
  await queue.add("a");
  await answer;
  expect(queue.called).toEqual([false, true]);
});

test("a release that fails for a caller who hung up still calls the next", async () => {
  const caller = new AbortController();
  const gone = queue.wait("gone", { signal: caller.signal });
  await settled();
  const here = queue.wait("here");
  await settled();
  const held = Promise.withResolvers<void>();
  queue.held = held.promise;
  queue.failRelease = new Error("Postgres is away");
  await queue.add("a");
  caller.abort();
  const failed = expect(gone).rejects.toThrow("Postgres is away");
  queue.ready = ["b"];
  queue.held = undefined;
  held.resolve();
  await failed;
  await settled();
  expect(await here).toEqual(["b"]);
});

test("what a claim that does not wait took goes back when its caller hung up", async () => {
  const caller = new AbortController();
  const held = Promise.withResolvers<void>();
  queue.held = held.promise;
  queue.ready = ["a"];
  const answer = queue.wait("s", { wait_ms: 0, signal: caller.signal });
  await turn();
  caller.abort();
  held.resolve();
  expect(await answer).toEqual([]);
  expect(queue.released).toEqual(["a"]);
});

test("other queues are not looked at", async () => {
  const answer = queue.wait("s", { queue: "other" });
  await settled();
  const before = queue.claims.length;
  await queue.add("a");
  expect(queue.claims).toHaveLength(before);
  queue.polls.ready("other", 1);
  await settled();
  expect(await answer).toEqual(["a"]);
});

test("a later claim of the session takes the place of the one that waits", async () => {
  const early = queue.wait("s");
  await settled();
  const late = queue.wait("s");
  expect(await early).toEqual([]);
  await settled();
  expect(queue.polls.waiting).toBe(1);
  await queue.add("a");
  expect(await late).toEqual(["a"]);
});

test("so does one that does not wait", async () => {
  const early = queue.wait("s");
  await settled();
  expect(await queue.wait("s", { wait_ms: 0 })).toEqual([]);
  expect(await early).toEqual([]);
  expect(queue.polls.waiting).toBe(0);
});

test("nothing is claimed for a caller who hung up", async () => {
  const caller = new AbortController();
  const answer = queue.wait("s", { signal: caller.signal });
  await settled();
  caller.abort();
  expect(await answer).toEqual([]);
  await queue.add("a");
  expect(queue.ready).toEqual(["a"]);
});

test("what was claimed while its caller hung up is handed back, and the next one is called", async () => {
  const caller = new AbortController();
  const gone = queue.wait("gone", { signal: caller.signal });
  await settled();
  const here = queue.wait("here");
  await settled();
  const held = Promise.withResolvers<void>();
  queue.held = held.promise;
  await queue.add("a");
  caller.abort();
  held.resolve();
  queue.held = undefined;
  expect(await gone).toEqual([]);
  expect(queue.released).toEqual(["a"]);
  await settled();
  expect(queue.claims.at(-1)).toEqual({ session: "here", got: 0 });
  await queue.add("a");
  expect(await here).toEqual(["a"]);
});

test("one who was called and is over before it looks leaves the call to the next", async () => {
  const early = queue.wait("s");
  await settled();
  const other = queue.wait("other");
  await settled();
  queue.ready = ["a"];
  queue.polls.ready("default", 1); // Calls "s", ...
  const late = queue.wait("s", { wait_ms: 0, queue: "empty" }); // ... which is replaced before it looks.
  await settled();
  expect(await early).toEqual([]);
  expect(await late).toEqual([]);
  expect(await other).toEqual(["a"]);
});

test("a claim that fails for its session fails its caller alone", async () => {
  const broken = queue.wait("broken");
  await settled();
  const other = queue.wait("other");
  await settled();
  queue.fail = new TraceError("TR-3002", { detail: "the session is over" });
  const failed = expect(broken).rejects.toThrow("the session is over");
  queue.polls.ready("default", 1);
  await failed;
  await settled();
  queue.ready = ["a"];
  queue.polls.ready("default", 1);
  await settled();
  expect(await other).toEqual(["a"]);
  expect(queue.called).toEqual([false, false, true, true, true]);
});

test("while Postgres is away, one who fails does not make all the others fail", async () => {
  const broken = queue.wait("broken");
  await settled();
  const other = queue.wait("other");
  await settled();
  queue.fail = new TraceError("TR-1009", { detail: "Postgres is away" });
  const failed = expect(broken).rejects.toThrow("Postgres is away");
  queue.polls.ready("default", 1);
  await failed;
  await settled();
  expect(queue.called).toEqual([false, false, true]);
  queue.polls.stop();
  expect(await other).toEqual([]);
});

test("under load one claim takes what several would have", async () => {
  const answer = queue.wait("s");
  await settled();
  await queue.add("a");
  expect(await answer).toEqual(["a"]);
  const before = queue.claims.length;
  const again = queue.wait("s");
  await vi.advanceTimersByTimeAsync(0);
  for (const task of ["b", "c", "d"]) {
    queue.ready.push(task);
    queue.polls.ready("default", 1);
    await turn();
  }
  await settled();
  expect(await again).toEqual(["b", "c", "d"]);
  expect(queue.claims.slice(before).filter(({ got }) => got > 0)).toHaveLength(1);
});

test("so many wait, and one more is answered at once", async () => {
  const answers = Array.from({ length: claimsWaitingMax }, (_, index) => queue.wait(`s${index}`));
  await settled();
  expect(queue.polls.waiting).toBe(claimsWaitingMax);
  expect(await queue.wait("one more")).toEqual([]);
  queue.polls.stop();
  expect((await Promise.all(answers)).flat()).toEqual([]);
});

test("a stop answers everybody, and nobody waits after it", async () => {
  const answer = queue.wait("s");
  await settled();
  queue.polls.stop();
  expect(await answer).toEqual([]);
  expect(await queue.wait("s")).toEqual([]);
});

test("a queue is waited for while somebody waits, and for a moment after", async () => {
  expect(queue.polls.isWaitedFor("default")).toBe(false);
  const answer = queue.wait("s");
  await settled();
  expect(queue.polls.isWaitedFor("default")).toBe(true);
  queue.ready = ["a"];
  queue.polls.ready("default", 1);
  expect(await answer).toEqual(["a"]);
  expect(queue.polls.isWaitedFor("default")).toBe(true);
  await vi.advanceTimersByTimeAsync(wakeupHoldMs);
  expect(queue.polls.isWaitedFor("default")).toBe(false);
});
