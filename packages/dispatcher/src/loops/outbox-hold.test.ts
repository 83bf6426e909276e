/** Wake-ups that are claimed before they are sent: what is said, what is forgotten, and when. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { wakeupHoldIdsMax, wakeupHoldMs } from "../limits.ts";
import type { WakeupRow } from "../wakeups.ts";
import { WakeupHold } from "./outbox-hold.ts";

let said: WakeupRow[];
let forgotten: number[];
let awaited: number[];
let hold: WakeupHold;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  said = [];
  forgotten = [];
  awaited = [1];
  hold = new WakeupHold({
    isAwaited: (queueId) => awaited.includes(queueId),
    say: (rows) => said.push(...rows),
    forget: (rows) => forgotten.push(...rows.map((row) => row.outbox_id)),
  });
});
afterEach(() => {
  vi.useRealTimers();
});

function row(outbox_id: number, task_ids: string[], queue_id = 1): WakeupRow {
  return { outbox_id, queue_id, task_ids };
}

test("of a queue for which nobody waits, all is said at once", () => {
  hold.take([row(1, ["a"], 2), row(2, ["b"], 2)]);
  expect(said.map(({ outbox_id }) => outbox_id)).toEqual([1, 2]);
  expect(hold.holds(1)).toBe(false);
});

test("what is claimed in time is not said", () => {
  hold.take([row(1, ["a", "b"]), row(2, ["c"], 2)]);
  expect(said).toEqual([row(2, ["c"], 2)]);
  expect(hold.holds(1)).toBe(true);
  hold.claimed(["a"]);
  expect(forgotten).toEqual([]);
  hold.claimed(["x", "b"]);
  expect(forgotten).toEqual([1]);
  expect(hold.holds(1)).toBe(false);
  vi.advanceTimersByTime(wakeupHoldMs);
  expect(said).toEqual([row(2, ["c"], 2)]);
});

test("of what is not claimed in time, the rest is said", () => {
  hold.take([row(1, ["a", "b", "c"]), row(2, ["d"])]);
  hold.claimed(["b"]);
  vi.advanceTimersByTime(wakeupHoldMs - 1);
  expect(said).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(said).toEqual([row(1, ["a", "c"]), row(2, ["d"])]);
  hold.claimed(["a", "c", "d"]);
  expect(forgotten).toEqual([]);
});

test("a task that becomes ready again while it is held is said of its newer row", () => {
  hold.take([row(1, ["a"])]);
  hold.take([row(2, ["a"])]);
  hold.claimed(["a"]);
  expect(forgotten).toEqual([2]);
  vi.advanceTimersByTime(wakeupHoldMs);
  expect(forgotten).toEqual([2, 1]);
  expect(said).toEqual([]);
  expect(hold.holds(1)).toBe(false);
});

test("more ids than there is room for are said at once", () => {
  hold.take([
    row(
      1,
      Array.from({ length: wakeupHoldIdsMax }, (_, index) => `t${index}`),
    ),
    row(2, ["a"]),
  ]);
  expect(said.map(({ outbox_id }) => outbox_id)).toEqual([2]);
});

test("a stop says what is held, and holds nothing more", () => {
  hold.take([row(1, ["a", "b"])]);
  hold.claimed(["a"]);
  hold.stop();
  expect(said).toEqual([row(1, ["b"])]);
  hold.take([row(2, ["c"])]);
  expect(said).toHaveLength(2);
  vi.advanceTimersByTime(wakeupHoldMs);
  expect(said).toHaveLength(2);
});
