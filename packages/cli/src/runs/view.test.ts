import { stripVTControlCharacters } from "node:util";
import type { Task } from "@trace/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { runLineEveryMs } from "../limits.ts";
import { ansiColors, noColors } from "../terminal/ansi.ts";
import { columnsOf } from "../terminal/width.ts";
import { completedTask, deadTask, sampleNowMs, sampleRun, sampleTask } from "../testing/samples.ts";
import { progressText } from "./progress.ts";
import { RunMeters, runLeftMs, tallyText } from "./tally.ts";
import { RunChanges, type RunViewOptions, runLines } from "./view.ts";

const meters = new RunMeters();
const view: RunViewOptions = { nowMs: sampleNowMs, width: 120, height: 24, tick: 0, palette: noColors, meters };

test("a running task shows its state, elapsed time and progress, and a waiting job that it waits", () => {
  expect(runLines(sampleRun(), view)).toEqual([
    "⠋  ingest_quakes  running  2.0 s  ████████░░░░  reading, 1,200 of 1,707 rows (70 %), time left unknown",
    "·  by_region      waiting         for what it reads",
  ]);
});

test("only the spinner moves when nothing else does", () => {
  const [first] = runLines(sampleRun(), view);
  const [second] = runLines(sampleRun(), { ...view, tick: 1 });
  expect(second).toBe(first?.replace("⠋", "⠙"));
});

test("a failed attempt says when it is tried again, how often it failed and why", () => {
  const task = sampleTask({
    state: "queued",
    attempt: 1,
    failures: 1,
    started_at: null,
    run_at: new Date(sampleNowMs + 28_000).toISOString(),
    error: { code: "TR-5001", detail: "the file cannot be read" },
  });
  expect(runLines(sampleRun({ tasks: [task], waiting: [] }), view)).toEqual([
    "↻  ingest_quakes  retrying  again in 28 s, 1 of 3 attempts failed: TR-5001 the file cannot be read",
  ]);
});

test("a lost worker is told apart from a failure", () => {
  const task = sampleTask({ state: "queued", lease_losses: 1, started_at: null, progress: null });
  expect(runLines(sampleRun({ tasks: [task], waiting: [] }), view)).toEqual([
    "↻  ingest_quakes  retrying  again soon, its worker was lost",
  ]);
});

test("a task that ended shows what it committed, or its error", () => {
  expect(runLines(sampleRun({ tasks: [completedTask(), deadTask({ job: "other" })], waiting: [] }), view)).toEqual([
    "✔  ingest_quakes  completed  2.0 s             quakes commit 3",
    "✖  other          dead       2.0 s  attempt 3  TR-5001 the file /data/quakes.json cannot be read",
  ]);
});

test("more tasks than lines: those that say most are shown, the rest is counted", () => {
  const done = Array.from({ length: 30 }, (_, index) => completedTask({ task_id: `t${index}`, job: `job_${index}` }));
  const lines = runLines(sampleRun({ tasks: [...done, deadTask()], waiting: [] }), { ...view, height: 8 });
  expect(lines).toHaveLength(6);
  expect(lines[0]).toContain("dead");
  expect(lines.at(-2)).toBe("   and 27 more");
  expect(lines.at(-1)).toBe("   30 of 31 tasks completed, 1 dead, time left unknown");
});

test("a service that does not answer is told under the tasks", () => {
  expect(runLines(sampleRun(), { ...view, trouble: "no answer for 3.0 s" }).at(-1)).toBe("! no answer for 3.0 s");
});

test("no line reaches the last column, at any width, whatever a task says", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 300 }),
      fc.integer({ min: 40, max: 160 }),
      (message, width) => {
        const task = sampleTask({
          job: "a_job_with_a_rather_long_name_for_a_narrow_terminal",
          attempt: 12,
          progress: { message },
        });
        for (const line of runLines(sampleRun({ tasks: [task, deadTask()] }), { ...view, width })) {
          expect(columnsOf(line)).toBeLessThan(width);
        }
      },
    ),
  );
});

test("colours do not change what is written", () => {
  const plain = runLines(sampleRun(), { ...view, palette: ansiColors }).map(stripVTControlCharacters);
  expect(plain).toEqual(runLines(sampleRun(), view));
});

test("progress names its unit, and a missing total is no percentage", () => {
  expect(progressText({ message: "writing", done: 84_211, total: 168_422, unit: "bytes" })).toBe(
    "writing, 84 kB of 168 kB (50 %)",
  );
  expect(progressText({ message: "reading", done: 12, unit: "rows" })).toBe("reading, 12 rows");
  expect(progressText({ message: "planning" })).toBe("planning");
  expect(progressText({ message: "running SQL", done: 40, total: 100 })).toBe("running SQL, 40 %");
  expect(progressText({ message: "reading", done: 20, total: 10, unit: "rows" })).toBe(
    "reading, 20 of 10 rows (100 %)",
  );
});

test("without a terminal, a change is one line and silence is none", () => {
  const changes = new RunChanges();
  const run = sampleRun();
  expect(changes.next(run, sampleNowMs)).toEqual([
    "ingest_quakes running, 2.0 s, reading, 1,200 of 1,707 rows (70 %), time left unknown",
  ]);
  expect(changes.next(run, sampleNowMs + 1_000)).toEqual([]);
  expect(changes.next(sampleRun({ tasks: [completedTask()] }), sampleNowMs + 2_000)).toEqual([
    "ingest_quakes completed, 2.0 s, quakes commit 3",
  ]);
});

test("a task that goes on says so every 10 s, one that ended never again", () => {
  const changes = new RunChanges();
  changes.next(sampleRun(), sampleNowMs);
  expect(changes.next(sampleRun(), sampleNowMs + runLineEveryMs - 1)).toEqual([]);
  expect(changes.next(sampleRun(), sampleNowMs + runLineEveryMs)).toHaveLength(1);
  const ended = sampleRun({ tasks: [completedTask()] });
  expect(changes.next(ended, sampleNowMs + runLineEveryMs)).toHaveLength(1);
  expect(changes.next(ended, sampleNowMs + 10 * runLineEveryMs)).toEqual([]);
});

const partitions = (number: number, state: (index: number) => Partial<Task>) =>
  Array.from({ length: number }, (_, index) =>
    sampleTask({
      task_id: `t${index}`,
      job: "split",
      partition: `2001-${String(index + 1).padStart(2, "0")}`,
      ...state(index),
    }),
  );

test("each task of a partition has its own bar, speed and rest, and the run its sum", () => {
  const own = new RunMeters();
  const run = (done: number) =>
    sampleRun({
      waiting: [],
      tasks: partitions(4, (index) =>
        index < 2
          ? { state: "completed", ended_at: "2026-11-23T08:00:10.000Z", progress: null }
          : { progress: { message: "writing", done: done * index, total: 400_000, unit: "rows" } },
      ),
    });
  own.take(run(10_000), sampleNowMs - 1_000);
  own.take(run(40_000), sampleNowMs);
  expect(runLines(run(40_000), { ...view, width: 140, meters: own })).toEqual([
    "✔  split 2001-01  completed  2.0 s",
    "✔  split 2001-02  completed  2.0 s",
    "⠋  split 2001-03  running    2.0 s  ██░░░░░░░░░░  writing, 80,000 of 400,000 rows (20 %), 60,000 rows/s, about 5 s left",
    "⠋  split 2001-04  running    2.0 s  ███░░░░░░░░░  writing, 120,000 of 400,000 rows (30 %), 90,000 rows/s, a few seconds left",
    "   2 of 4 tasks completed, 2 running, about 10 s left",
  ]);
  const narrow = runLines(run(40_000), { ...view, width: 60, meters: own });
  expect(narrow[2]).toMatch(/^⠋ {2}split 2001-03 {2}running {4}2\.0 s {2}writing, 80,000 of.*…$/);
});

test("the rest of a run is unknown before two tasks have ended and while a job waits", () => {
  const ended = (count: number) =>
    partitions(10, (index) =>
      index < count ? { state: "completed", progress: null } : { state: "queued", progress: null },
    );
  expect(runLeftMs(sampleRun({ tasks: ended(1), waiting: [] }), sampleNowMs)).toBeUndefined();
  expect(runLeftMs(sampleRun({ tasks: ended(5) }), sampleNowMs)).toBeUndefined();
  expect(runLeftMs(sampleRun({ tasks: ended(5), waiting: [] }), sampleNowMs)).toBe(10_000);
  expect(tallyText(sampleRun({ tasks: ended(5) }), sampleNowMs)).toBe(
    "5 of 10 tasks completed, 5 queued, 1 job waiting, time left unknown",
  );
});

test("without a terminal a run of a thousand tasks says its sum every 10 s, and each task that went wrong", () => {
  const changes = new RunChanges();
  const run = (dead: number) =>
    sampleRun({
      waiting: [],
      tasks: partitions(1_000, (index) => (index < dead ? deadTask({ task_id: `t${index}` }) : {})),
    });
  expect(changes.next(run(0), sampleNowMs)).toEqual(["0 of 1,000 tasks completed, 1,000 running, time left unknown"]);
  expect(changes.next(run(0), sampleNowMs + runLineEveryMs - 1)).toEqual([]);
  const [bad, ...others] = changes.next(run(1), sampleNowMs + runLineEveryMs - 1);
  expect([bad, others]).toEqual([expect.stringMatching(/^ingest_quakes 2001-01 dead/), []]);
  expect(changes.next(run(1), sampleNowMs + runLineEveryMs)).toHaveLength(1);
});
