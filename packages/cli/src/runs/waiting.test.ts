import { expect, test } from "vitest";
import { completedTask, queuedTask, sampleNowMs, sampleTask } from "../testing/samples.ts";
import { waitingText } from "./waiting.ts";

const due = (ms: number) => queuedTask({ waiting_for: "due", run_at: new Date(sampleNowMs + ms).toISOString() });

test("only a queued task waits", () => {
  expect(waitingText(sampleTask(), sampleNowMs)).toBeUndefined();
  expect(waitingText(completedTask(), sampleNowMs)).toBeUndefined();
});

test("a task that is not due says when, and one whose time has come waits for a worker", () => {
  expect(waitingText(due(28_000), sampleNowMs)).toBe("waits until 08:00:38 UTC (in 28 s)");
  expect(waitingText(due(-1), sampleNowMs)).toBe("waits for a worker");
  expect(waitingText(queuedTask({ waiting_for: "due", run_at: null }), sampleNowMs)).toBe("waits for a worker");
});

test("a task that waits for a slot says how many there are, where that is known", () => {
  const task = queuedTask({ waiting_for: "slot" });
  expect(waitingText(task, sampleNowMs)).toBe("waits for a slot: its job runs no more at once");
  expect(waitingText(task, sampleNowMs, 1)).toBe("waits for a slot: the job runs at most 1 at once");
});
