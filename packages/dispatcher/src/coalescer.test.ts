/** Group commit: what meets goes together, what waits is bounded, and nobody suffers for another's mistake. */
import { TraceError } from "@trace/contracts";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { Coalescer, type CoalescerOptions } from "./coalescer.ts";

/** A database that holds transactions until it is told how they end. */
class Held {
  readonly batches: string[][] = [];
  readonly #ends: PromiseWithResolvers<void>[] = [];

  run = async (items: readonly string[]): Promise<string[]> => {
    this.batches.push([...items]);
    const end = Promise.withResolvers<void>();
    this.#ends.push(end);
    await end.promise;
    return items.map((item) => item.toUpperCase());
  };

  /** The oldest transaction that is open commits, or fails. */
  async end(error?: Error): Promise<void> {
    const next = this.#ends.shift();
    if (next === undefined) throw new Error("no transaction is open");
    if (error === undefined) next.resolve();
    else next.reject(error);
    await settled();
  }
}

/** Whatever promises were to do, they have done. */
function settled(): Promise<void> {
  return new Promise((turn) => setImmediate(turn));
}

function coalescer(held: Held, options: Partial<CoalescerOptions<string, string>> = {}) {
  return new Coalescer<string, string>({
    name: "creates",
    batchMax: 4,
    inFlightMax: 1,
    waitingMax: 100,
    slowMs: 20,
    run: held.run,
    ...options,
  });
}

const unavailable = new TraceError("TR-1009", { detail: "Postgres is away" });

describe("calls that meet", () => {
  test("a lone call goes at once, in a transaction of its own", async () => {
    const held = new Held();
    const answer = coalescer(held).call(["a", "b"]);
    expect(held.batches).toEqual([["a", "b"]]);
    await held.end();
    expect(await answer).toEqual(["A", "B"]);
  });

  test("those that come while it is on its way share the next one, and each gets its own answers in order", async () => {
    const held = new Held();
    const group = coalescer(held);
    const answers = [["a"], ["b", "c"], ["d"]].map((items) => group.call(items));
    expect(held.batches).toEqual([["a"]]);
    expect(group.waiting).toBe(3);
    await held.end();
    expect(held.batches).toEqual([["a"], ["b", "c", "d"]]);
    expect(group.waiting).toBe(0);
    await held.end();
    expect(await Promise.all(answers)).toEqual([["A"], ["B", "C"], ["D"]]);
  });

  test("a batch ends before the call that would make it too large, and a larger call than that goes alone", async () => {
    const held = new Held();
    const group = coalescer(held);
    const calls = [["a"], ["b", "c"], ["d", "e", "f"], ["1", "2", "3", "4", "5", "6"], ["g"]];
    const answers = calls.map((items) => group.call(items));
    for (const _ of calls) await held.end();
    expect(held.batches).toEqual(calls);
    expect((await Promise.all(answers)).flat().join("")).toBe("ABCDEF123456G");
  });

  test("a whole batch goes beside what is on its way, as many as are allowed and not one more", async () => {
    const held = new Held();
    const group = coalescer(held, { inFlightMax: 2, batchMax: 2 });
    const answers = ["a", "b", "c", "d", "e"].map((item) => group.call([item]));
    expect(held.batches).toEqual([["a"], ["b", "c"]]);
    await held.end();
    expect(held.batches).toEqual([["a"], ["b", "c"], ["d", "e"]]);
    await held.end();
    await held.end();
    expect(await Promise.all(answers)).toEqual([["A"], ["B"], ["C"], ["D"], ["E"]]);
  });

  test("so does less than a batch, beside one that is slow", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      const held = new Held();
      const group = coalescer(held, { inFlightMax: 2, slowMs: 20 });
      const answers = ["a", "b", "c"].map((item) => group.call([item]));
      vi.advanceTimersByTime(19);
      expect(held.batches).toEqual([["a"]]);
      vi.advanceTimersByTime(1);
      expect(held.batches).toEqual([["a"], ["b", "c"]]);
      answers.push(group.call(["d"]));
      vi.advanceTimersByTime(1_000);
      expect(held.batches).toHaveLength(2);
      await held.end();
      expect(held.batches).toEqual([["a"], ["b", "c"], ["d"]]);
      await held.end();
      await held.end();
      expect(await Promise.all(answers)).toEqual([["A"], ["B"], ["C"], ["D"]]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("a call of nothing is answered without a transaction", async () => {
    const held = new Held();
    expect(await coalescer(held).call([])).toEqual([]);
    expect(held.batches).toEqual([]);
  });
});

describe("what waits is bounded", () => {
  test("a call beyond the bound is turned away with TR-1015, nothing of it is done, and there is room again later", async () => {
    const held = new Held();
    const group = coalescer(held, { waitingMax: 3 });
    const first = group.call(["a"]);
    const second = group.call(["b", "c"]);
    await expect(group.call(["d", "e"])).rejects.toMatchObject({ code: "TR-1015", retryable: true });
    const third = group.call(["f"]); // exactly full
    await expect(group.call(["g"])).rejects.toMatchObject({ code: "TR-1015" });
    await held.end();
    expect(held.batches).toEqual([["a"], ["b", "c", "f"]]);
    const fourth = group.call(["h"]);
    await held.end();
    await held.end();
    expect(await Promise.all([first, second, third, fourth])).toEqual([["A"], ["B", "C"], ["F"], ["H"]]);
  });

  test("a call larger than the bound is taken where nothing waits: it could never be made otherwise", async () => {
    const held = new Held();
    const group = coalescer(held, { waitingMax: 1 });
    const first = group.call(["a"]);
    const large = group.call(["b", "c", "d"]);
    await expect(group.call(["e"])).rejects.toMatchObject({ code: "TR-1015" });
    await held.end();
    await held.end();
    expect(await Promise.all([first, large])).toEqual([["A"], ["B", "C", "D"]]);
  });
});

describe("a transaction that fails", () => {
  test("because one call is bad fails that call, and the others of its batch are made one by one", async () => {
    const tried: string[][] = [];
    const gate = Promise.withResolvers<void>();
    const group = new Coalescer<string, string>({
      name: "creates",
      batchMax: 10,
      inFlightMax: 1,
      waitingMax: 100,
      slowMs: 20,
      async run(items) {
        tried.push([...items]);
        if (tried.length === 1) await gate.promise;
        if (items.includes("bad")) throw new Error("what Postgres cannot keep");
        return items.map((item) => item.toUpperCase());
      },
    });
    const answers = [["first"], ["a"], ["b", "bad"], ["c"]].map((items) => group.call(items));
    const ends = Promise.allSettled(answers);
    gate.resolve();
    expect((await ends).map((end) => (end.status === "fulfilled" ? end.value : String(end.reason)))).toEqual([
      ["FIRST"],
      ["A"],
      "Error: what Postgres cannot keep",
      ["C"],
    ]);
    expect(tried).toEqual([["first"], ["a", "b", "bad", "c"], ["a"], ["b", "bad"], ["c"]]);
    expect(await group.call(["d"])).toEqual(["D"]);
  });

  test("because Postgres is away fails all of its calls, without a second try that could do the work twice", async () => {
    const held = new Held();
    const group = coalescer(held);
    const first = group.call(["a"]);
    const others = [group.call(["b"]), group.call(["c"])];
    await held.end();
    const ends = Promise.allSettled(others);
    await held.end(unavailable);
    for (const end of await ends) expect(end).toEqual({ status: "rejected", reason: unavailable });
    expect(held.batches).toEqual([["a"], ["b", "c"]]);
    expect(await first).toEqual(["A"]);
    const next = group.call(["d"]);
    await held.end();
    expect(await next).toEqual(["D"]);
  });

  test("by answering fewer items than it got fails the calls instead of giving them each other's answers", async () => {
    const group = coalescer(new Held(), { run: (items) => Promise.resolve(items.slice(1)) });
    await expect(group.call(["a", "b"])).rejects.toThrow("1 answers came to 2 items");
  });
});

test("whatever meets: each call gets the answers to its own items, each item runs once, no batch is too large", async () => {
  const calls = fc.array(fc.array(fc.nat(999), { maxLength: 6 }), { maxLength: 30 });
  const limits = fc.record({ batchMax: fc.integer({ min: 1, max: 8 }), inFlightMax: fc.integer({ min: 1, max: 3 }) });
  await fc.assert(
    fc.asyncProperty(calls, limits, fc.scheduler(), async (wanted, { batchMax, inFlightMax }, scheduler) => {
      const batches: number[] = [];
      let open = 0;
      let openMost = 0;
      const group = new Coalescer<number, string>({
        name: "creates",
        batchMax,
        inFlightMax,
        waitingMax: 1_000,
        slowMs: 0,
        onBatch: (items) => batches.push(items),
        async run(items) {
          open += 1;
          openMost = Math.max(openMost, open);
          await scheduler.schedule(Promise.resolve());
          open -= 1;
          return items.map((item) => `answer ${item}`);
        },
      });
      const answers = wanted.map((items) => scheduler.schedule(Promise.resolve()).then(() => group.call(items)));
      await scheduler.waitFor(Promise.all(answers));
      expect(await Promise.all(answers)).toEqual(wanted.map((items) => items.map((item) => `answer ${item}`)));
      expect(batches.reduce((sum, items) => sum + items, 0)).toBe(wanted.flat().length);
      const largest = Math.max(0, ...wanted.map((items) => items.length));
      for (const items of batches) expect(items).toBeLessThanOrEqual(Math.max(batchMax, largest));
      expect(openMost).toBeLessThanOrEqual(inFlightMax);
      expect(group.waiting).toBe(0);
    }),
    { numRuns: 300 },
  );
});
