import type { Progress } from "@trace/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { progressSamplesMax, progressWindowMs } from "../limits.ts";
import { etaText } from "../terminal/eta.ts";
import { ProgressMeter, paceText, progressBar } from "./progress.ts";

const rows = (done: number, total?: number): Progress => ({
  message: "reading",
  done,
  unit: "rows",
  ...(total === undefined ? {} : { total }),
});

function meterOf(...reports: readonly (readonly [atMs: number, progress: Progress | null])[]): ProgressMeter {
  const meter = new ProgressMeter();
  for (const [atMs, progress] of reports) meter.take(progress, atMs);
  return meter;
}

test("the speed is what was done between the reports, and what is left follows", () => {
  const meter = meterOf([0, rows(0, 1_000)], [1_000, rows(200, 1_000)], [2_000, rows(400, 1_000)]);
  expect(meter.perSecond).toBe(200);
  expect(meter.leftMs(2_000)).toBe(3_000);
  expect(paceText(meter, rows(400, 1_000), 2_000)).toBe("200 rows/s, a few seconds left");
});

test("between two reports the time that is left runs down, and is unknown once the guess was wrong", () => {
  const meter = meterOf([0, rows(0, 1_000)], [1_000, rows(500, 1_000)]);
  expect(meter.leftMs(1_400)).toBe(600);
  expect(meter.leftMs(9_000)).toBeUndefined();
  expect(paceText(meter, rows(500, 1_000), 9_000)).toBe("500 rows/s, time left unknown");
  const long = meterOf([0, rows(0, 1_000)], [1_000, rows(10, 1_000)]);
  expect(paceText(long, rows(10, 1_000), 1_000)).toBe("10 rows/s, about 1.5 min left");
});

test("one report has no speed, and neither has the same one again", () => {
  expect(meterOf([0, rows(10, 100)]).perSecond).toBeUndefined();
  const meter = meterOf([0, rows(10, 100)], [5_000, rows(10, 100)]);
  expect(meter.perSecond).toBeUndefined();
  expect(paceText(meter, rows(10, 100), 5_000)).toBe("time left unknown");
});

test("without a total there is a speed and no end; when all is done nothing is left", () => {
  const open = meterOf([0, rows(0)], [1_000, rows(84_211)]);
  expect(paceText(open, rows(84_211), 1_000)).toBe("84,200 rows/s, total unknown");
  const done = meterOf([0, rows(0, 10)], [1_000, rows(10, 10)]);
  expect(done.leftMs(1_000)).toBeUndefined();
  expect(paceText(done, rows(10, 10), 1_000)).toBe("10 rows/s");
});

test("another piece of work starts anew: a step back, another unit, another total, no report", () => {
  const steps: (Progress | null)[] = [rows(5, 100), { message: "x", done: 90, unit: "bytes" }, rows(90, 200), null];
  for (const other of steps) {
    expect(meterOf([0, rows(10, 100)], [1_000, rows(50, 100)], [2_000, other]).perSecond).toBeUndefined();
  }
});

test("a speed is that of the last minute, but for reports that are rarer", () => {
  const meter = meterOf([0, rows(0)], [1_000, rows(100_000)], [1_000 + progressWindowMs, rows(100_060)]);
  meter.take(rows(100_120), 1_000 + 2 * progressWindowMs);
  expect(meter.perSecond).toBe(1);
  const rare = meterOf([0, rows(0)], [10 * progressWindowMs, rows(600)]);
  expect(rare.perSecond).toBe(1);
});

test("bytes are told as sizes, milliseconds have no speed worth telling", () => {
  const bytes = (done: number): Progress => ({ message: "x", done, total: 168_422_000, unit: "bytes" });
  expect(paceText(meterOf([0, bytes(0)], [10_000, bytes(84_211_000)]), bytes(84_211_000), 10_000)).toBe(
    "8.4 MB/s, about 10 s left",
  );
  const ms = (done: number): Progress => ({ message: "x", done, total: 10_000, unit: "ms" });
  expect(paceText(meterOf([0, ms(0)], [1_000, ms(1_000)]), ms(1_000), 1_000)).toBe("about 10 s left");
});

test("whatever is reported, a speed is never negative and reports are not gathered for ever", () => {
  const report = fc.record({
    afterMs: fc.nat(5_000),
    done: fc.nat(1_000),
    total: fc.option(fc.nat(1_000), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(report, { maxLength: 50 }), (reports) => {
      const meter = new ProgressMeter();
      let nowMs = 0;
      for (const { afterMs, done, total } of reports) {
        nowMs += afterMs;
        meter.take(rows(done, total), nowMs);
        expect(meter.perSecond ?? 0).toBeGreaterThanOrEqual(0);
        expect(meter.leftMs(nowMs) ?? 0).toBeGreaterThanOrEqual(0);
      }
    }),
  );
  const meter = new ProgressMeter();
  for (let n = 0; n < 3 * progressSamplesMax; n++) meter.take(rows(n * n), n);
  // Of the last ones alone: the speed of all of them would be a third of it.
  expect(meter.perSecond).toBeGreaterThan(1_000 * 4 * progressSamplesMax);
});

test("a bar is full when all is done, empty when nothing is, and none when nobody knows", () => {
  expect(progressBar(rows(0, 8), 4)).toBe("░░░░");
  expect(progressBar(rows(3, 8), 4)).toBe("█░░░");
  expect(progressBar(rows(8, 8), 4)).toBe("████");
  expect(progressBar(rows(99, 8), 4)).toBe("████");
  expect(progressBar(rows(9), 4)).toBeUndefined();
  expect(progressBar(rows(9, 0), 4)).toBeUndefined();
});

test.each([
  [undefined, "time left unknown"],
  [Number.POSITIVE_INFINITY, "time left unknown"],
  [0, "a few seconds left"],
  [4_000, "about 5 s left"],
  [57_499, "about 55 s left"],
  [57_500, "about 1 min left"],
  [140_000, "about 2.5 min left"],
  [14 * 60_000, "about 15 min left"],
  [59 * 60_000, "about 1 h left"],
  [5.3 * 3_600_000, "about 5.5 h left"],
  [23 * 3_600_000, "about 23 h left"],
  [24 * 3_600_000, "more than a day left"],
])("%s ms are %s", (leftMs, text) => {
  expect(etaText(leftMs)).toBe(text);
});
