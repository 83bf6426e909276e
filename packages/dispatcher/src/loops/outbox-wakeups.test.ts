/** Rows become messages and calls, and what was not taken is found again by row. */
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { MemoryQueue } from "../testing/fakes.ts";
import type { WakeupRow } from "../wakeups.ts";
import { Unsent } from "./outbox-unsent.ts";
import { callIdsMax, callsOf, sendCall, type WakeupCall } from "./outbox-wakeups.ts";

/** A row of so many ids, all different. */
function row(outbox_id: number, count: number, queue_id = 1): WakeupRow {
  return { outbox_id, queue_id, task_ids: Array.from({ length: count }, (_, n) => `${outbox_id}.${n}`) };
}

const sizes = (calls: readonly WakeupCall[]) => calls.map((call) => call.map((one) => one.task_ids.length));

describe("rows", () => {
  test("go together as long as a call holds them, and a row is never cut", () => {
    expect(sizes(callsOf([row(1, 600), row(2, 400), row(3, 1)]))).toEqual([[600, 400], [1]]);
    expect(sizes(callsOf([row(1, 600), row(2, 600), row(3, callIdsMax)]))).toEqual([[600], [600], [callIdsMax]]);
    expect(callsOf([])).toEqual([]);
  });

  test("of different queues go in different calls", () => {
    const calls = callsOf([row(1, 1, 1), row(2, 1, 2), row(3, 1, 1)]);
    expect(calls.map((call) => call.map((one) => one.outbox_id))).toEqual([[1, 3], [2]]);
  });
});

describe("a call", () => {
  let queue: MemoryQueue;
  let unsent: Unsent<string>;
  beforeEach(() => {
    queue = new MemoryQueue();
    unsent = new Unsent();
  });
  const send = (...rows: [WakeupRow, ...WakeupRow[]]) => sendCall(queue.asMessageQueue(), "default", rows, unsent);

  test("merges the ids of its rows into messages of 100", async () => {
    expect(await send(row(1, 90), row(2, 1), row(3, 40))).toEqual({ messages: 2, ids: 131 });
    expect(queue.sent.map(({ queue: name, body }) => [name, body.queue, body.task_ids.length])).toEqual([
      ["trace-default", "default", 100],
      ["trace-default", "default", 31],
    ]);
    expect(unsent.heard).toBe(true);
  });

  test("of rows without ids is not made", async () => {
    expect(await send(row(1, 0))).toEqual({ messages: 0, ids: 0 });
    expect(queue.calls).toBe(0);
    expect(unsent.heard).toBe(false);
  });

  test("tells by row which ids were not taken, with the reason where the row is to blame", async () => {
    queue.refuse = (ids) => (ids.includes("2.50") ? "InvalidMessageContents" : undefined);
    queue.fail = (ids) => ids.includes("3.100");
    // Messages: 1.0-79 and 2.0-19; 2.20-99 and 3.0-19; 3.20-119.
    expect(await send(row(1, 80), row(2, 100), row(3, 120))).toEqual({ messages: 1, ids: 100 });
    expect(unsent.of(1)).toBeUndefined();
    expect(unsent.of(2)).toEqual({ items: row(2, 100).task_ids.slice(20), reason: "InvalidMessageContents" });
    expect(unsent.of(3)).toEqual({ items: row(3, 120).task_ids, reason: "InvalidMessageContents" });
  });

  test("of which nothing was taken, by no fault of a row, throws as when SQS is away", async () => {
    queue.fail = () => true;
    await expect(send(row(1, 150))).rejects.toThrow("InternalError");
    expect(unsent.of(1)).toBeUndefined();
  });

  test("loses no id and invents none, whatever is refused", async () => {
    const rows = fc.array(fc.integer({ min: 0, max: 350 }), { minLength: 1, maxLength: 8 });
    const cases = fc.asyncProperty(rows, fc.infiniteStream(fc.boolean()), async (counts, refused) => {
      queue = new MemoryQueue();
      unsent = new Unsent();
      queue.refuse = () => (refused.next().value ? "no" : undefined);
      const all = counts.map((count, index) => row(index, count));
      for (const call of callsOf(all)) await sendCall(queue.asMessageQueue(), "default", call, unsent);
      const left = all.flatMap(({ outbox_id }) => unsent.of(outbox_id)?.items ?? []);
      expect([...queue.ids(), ...left].sort()).toEqual(all.flatMap(({ task_ids }) => task_ids).sort());
    });
    await fc.assert(cases, { numRuns: 50 });
  });
});
