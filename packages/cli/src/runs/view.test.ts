import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { runLineEveryMs } from "../limits.ts";
import { ansiColors, noColors } from "../terminal/ansi.ts";
import { columnsOf } from "../terminal/width.ts";
import { completedTask, deadTask, sampleNowMs, sampleRun, sampleTask } from "../testing/samples.ts";
import { progressText, RunChanges, runLines, type ViewOptions } from "./view.ts";

const view: ViewOptions = { nowMs: sampleNowMs, width: 100, height: 24, tick: 0, palette: noColors };

test("a running task shows its state, elapsed time and progress, and a waiting job that it waits", () => {
  expect(runLines(sampleRun(), view)).toEqual([
    "⠋  ingest_quakes  running  2.0 s  reading, 1,200 of 1,707 rows (70 %)",
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
  expect(lines.at(-1)).toBe("  and 26 more");
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
  expect(progressText({ message: "reading", done: 20, total: 10, unit: "rows" })).toBe(
    "reading, 20 of 10 rows (100 %)",
  );
});

test("without a terminal, a change is one line and silence is none", () => {
  const changes = new RunChanges();
  const run = sampleRun();
  expect(changes.next(run, sampleNowMs)).toEqual(["ingest_quakes running, 2.0 s, reading, 1,200 of 1,707 rows (70 %)"]);
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
