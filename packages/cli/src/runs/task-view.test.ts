import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { runLineEveryMs } from "../limits.ts";
import { ansiColors, noColors } from "../terminal/ansi.ts";
import { columnsOf } from "../terminal/width.ts";
import { completedTask, deadTask, queuedTask, sampleNowMs, sampleTask } from "../testing/samples.ts";
import { ProgressMeter } from "./progress.ts";
import { outcomeText, TaskChanges, type TaskViewOptions, taskLines } from "./task-view.ts";

const meter = new ProgressMeter();
meter.take({ message: "reading", done: 400, total: 1707, unit: "rows" }, sampleNowMs - 2_000);
meter.take({ message: "reading", done: 1200, total: 1707, unit: "rows" }, sampleNowMs);
const view: TaskViewOptions = { nowMs: sampleNowMs, width: 120, tick: 0, palette: noColors, meter };

test("a running task shows its worker, how far it is, how fast, and what is left", () => {
  expect(taskLines(sampleTask({ attempt: 2 }), view)).toEqual([
    "⠋  quakes.ingest_quakes  running  2.0 s, attempt 2, on worker-1",
    "   ████████████████░░░░░░░░  reading, 1,200 of 1,707 rows (70 %), 400 rows/s, a few seconds left",
  ]);
});

test("a task without a total has no bar, one that reports nothing has one line", () => {
  const progress = { message: "reading", done: 12, unit: "rows" } as const;
  const unmeasured = { ...view, meter: new ProgressMeter() };
  expect(taskLines(sampleTask({ progress }), unmeasured)[1]).toBe("   reading, 12 rows, total unknown");
  expect(taskLines(sampleTask({ progress: null }), unmeasured)).toHaveLength(1);
});

test("a queued task says what it waits for, one that is tried again why", () => {
  expect(taskLines(queuedTask(), view)).toEqual(["·  quakes.ingest_quakes  queued  waits for a worker"]);
  const failed = queuedTask({
    failures: 1,
    attempt: 1,
    waiting_for: "due",
    run_at: new Date(sampleNowMs + 28_000).toISOString(),
    error: { code: "TR-5001", detail: "it cannot be read" },
  });
  expect(taskLines(failed, view)).toEqual([
    "↻  quakes.ingest_quakes  retrying  again in 28 s, 1 of 3 attempts failed: TR-5001 it cannot be read",
  ]);
});

test("a stream that is away is told under the task", () => {
  expect(taskLines(sampleTask(), { ...view, trouble: "no news" }).at(-1)).toBe("! no news");
});

test("no line reaches the last column, at any width, whatever a task says", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 300 }),
      fc.integer({ min: 40, max: 160 }),
      fc.boolean(),
      (text, width, total) => {
        const progress = { message: text, done: 7, ...(total ? { total: 9 } : {}) };
        const job = "a_job_with_a_rather_long_name_for_a_narrow_terminal";
        const trouble = text === "" ? undefined : text.replaceAll("\n", " ").replaceAll("\r", " ");
        for (const task of [sampleTask({ job, worker: text, progress }), deadTask({ job }), sampleTask({ progress })]) {
          for (const line of taskLines(task, { ...view, width })) expect(columnsOf(line)).toBeLessThan(width);
        }
        expect(taskLines(sampleTask(), { ...view, width, trouble })).toHaveLength(trouble === undefined ? 2 : 3);
      },
    ),
  );
});

test("colours do not change what is written", () => {
  const plain = taskLines(sampleTask(), { ...view, palette: ansiColors }).map(stripVTControlCharacters);
  expect(plain).toEqual(taskLines(sampleTask(), view));
});

test("without a terminal, a change is one line, and a task that goes on says so every 10 s", () => {
  const changes = new TaskChanges();
  expect(changes.next(queuedTask(), sampleNowMs)).toEqual(["ingest_quakes queued, waits for a worker"]);
  expect(changes.next(queuedTask(), sampleNowMs + 60_000)).toEqual([]);
  expect(changes.next(queuedTask({ waiting_for: "slot" }), sampleNowMs)).toHaveLength(1);
  expect(changes.next(sampleTask(), sampleNowMs)).toHaveLength(1);
  expect(changes.next(sampleTask(), sampleNowMs + runLineEveryMs - 1)).toEqual([]);
  expect(changes.next(sampleTask(), sampleNowMs + runLineEveryMs)).toHaveLength(1);
  expect(changes.next(sampleTask({ attempt: 2 }), sampleNowMs + runLineEveryMs)).toHaveLength(1);
});

test("how a task ended is one line", () => {
  const plain = (text: string) => text;
  expect(outcomeText(completedTask({ attempt: 2 }), plain, plain)).toBe(
    "completed quakes.ingest_quakes in 2.0 s, attempt 2, quakes commit 3",
  );
  expect(outcomeText(queuedTask({ state: "canceled", ended_at: "2026-11-23T08:00:10.000Z" }), plain, plain)).toBe(
    "canceled quakes.ingest_quakes",
  );
});
