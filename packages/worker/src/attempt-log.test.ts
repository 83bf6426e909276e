import { attemptLogBytesMax, type LogLine } from "@trace/contracts";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AttemptLog, LogRing, uploadEveryMs } from "./attempt-log.ts";
import { logUploadLingerMs } from "./limits.ts";
import { ManualTimers } from "./testing/manual-timers.ts";
import { MemoryStore } from "./testing/memory-store.ts";
import { recordingLog } from "./testing/recording-log.ts";

function start(bytesMax?: number) {
  const store = new MemoryStore();
  const timers = new ManualTimers();
  const { entries, log } = recordingLog();
  const parts = { store, bucket: "trace-scratch", key: "logs/t/1.jsonl", clock: { nowMs: () => 0 }, timers, log };
  return {
    attemptLog: new AttemptLog(bytesMax === undefined ? parts : { ...parts, bytesMax }),
    entries,
    store,
    timers,
  };
}
const name = "trace-scratch/logs/t/1.jsonl";

function linesOf(store: MemoryStore): LogLine[] {
  const lines = store.text(name).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

describe("the log of an attempt", () => {
  it("never grows past its bound, keeps the newest lines and counts those it dropped", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme", maxLength: 60 }), { maxLength: 200 }), (messages) => {
        const ring = new LogRing(400);
        const lines = messages.map((message) => JSON.stringify(message));
        for (const line of lines) ring.push(line);
        const text = ring.text();
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(400);
        const marker = ring.dropped === 0 ? "" : `{"dropped":${ring.dropped}}\n`;
        expect(text).toBe(
          marker +
            lines
              .slice(ring.dropped)
              .map((line) => `${line}\n`)
              .join(""),
        );
      }),
    );
  });

  it("is stored soon, then at most once a second while it changes, and once more at the end", async () => {
    const { attemptLog, store, timers } = start();
    attemptLog.title("title");
    attemptLog.info("first");
    await timers.advance(logUploadLingerMs - 1);
    expect(store.puts).toHaveLength(0);
    await timers.advance(1);
    expect(store.puts).toHaveLength(1);
    attemptLog.info("second");
    attemptLog.warn("third");
    await timers.advance(999);
    expect(store.puts).toHaveLength(1);
    await timers.advance(1);
    expect(store.puts).toHaveLength(2);
    await timers.advance(60_000);
    expect(store.puts).toHaveLength(2);
    attemptLog.error("last");
    await attemptLog.close();
    expect(store.puts).toHaveLength(3);
    const lines = linesOf(store);
    expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      "info title",
      "info first",
      "info second",
      "warn third",
      "error last",
    ]);
    expect(lines[0]?.time).toBe("1970-01-01T00:00:00.000Z");
  });

  it("reaches the store within about a second of being written, whenever that is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 20 }), async (gaps) => {
        const { attemptLog, store, timers } = start();
        const writtenMs: number[] = [];
        const puts = () => store.puts.length;
        let latestMs = 0;
        for (const [index, gap] of gaps.entries()) {
          for (let passed = 0; passed < gap; passed += 100) {
            await timers.advance(Math.min(100, gap - passed));
            const stored = puts() === 0 ? 0 : linesOf(store).length;
            for (const late of writtenMs.slice(stored)) latestMs = Math.max(latestMs, timers.monotonicMs() - late);
          }
          attemptLog.info(`line ${index}`);
          writtenMs.push(timers.monotonicMs());
        }
        await timers.advance(1_000 + logUploadLingerMs);
        expect(latestMs).toBeLessThanOrEqual(1_000 + logUploadLingerMs);
        expect(linesOf(store)).toHaveLength(gaps.length);
        await attemptLog.close();
      }),
      { numRuns: 50 },
    );
  });

  it("costs no object when nothing was written but its title, and one when the attempt ends soon", async () => {
    const silent = start();
    silent.attemptLog.title("title");
    await silent.timers.advance(60_000);
    await silent.attemptLog.close();
    expect(silent.store.puts).toEqual([]);
    const short = start();
    short.attemptLog.title("title");
    short.attemptLog.info("one line");
    await short.attemptLog.close();
    await short.timers.advance(60_000);
    expect(short.store.puts).toHaveLength(1);
    expect(linesOf(short.store)).toHaveLength(2);
  });

  it("is stored more rarely the larger it is and the slower the store, and never less than once a minute", () => {
    expect(uploadEveryMs(0, 0)).toBe(1_000);
    expect(uploadEveryMs(100_000, 50)).toBe(1_000);
    expect(uploadEveryMs(100_000, 500)).toBe(10_000);
    expect(uploadEveryMs(attemptLogBytesMax, 100)).toBe(20_000);
    expect(uploadEveryMs(attemptLogBytesMax, 10_000)).toBe(60_000);
    fc.assert(
      fc.property(fc.nat(attemptLogBytesMax), fc.nat(20_000), (bytes, tookMs) => {
        const everyMs = uploadEveryMs(bytes, tookMs);
        expect(everyMs).toBeGreaterThanOrEqual(1_000);
        expect(everyMs).toBeLessThanOrEqual(60_000);
        expect(uploadEveryMs(bytes + 1, tookMs + 1)).toBeGreaterThanOrEqual(everyMs);
      }),
    );
  });

  it("does not store a full log anew each second", async () => {
    const { attemptLog, store, timers } = start();
    const line = "x".repeat(7_900);
    for (let bytes = 0; bytes < attemptLogBytesMax; bytes += line.length) attemptLog.info(line);
    for (let second = 0; second < 60; second += 1) {
      attemptLog.info("and on");
      await timers.advance(1_000);
    }
    expect(store.puts.length).toBeGreaterThanOrEqual(3);
    expect(store.puts.length).toBeLessThanOrEqual(4);
    expect(Buffer.byteLength(store.text(name))).toBeLessThanOrEqual(attemptLogBytesMax);
    await attemptLog.close();
  });

  it("marks what it dropped in the object", async () => {
    const { attemptLog, store } = start(400);
    for (let line = 0; line < 100; line += 1) attemptLog.info(`line ${line}`);
    await attemptLog.close();
    const [marker, ...lines] = store.text(name).trimEnd().split("\n");
    expect(JSON.parse(marker ?? "")).toEqual({ dropped: 100 - lines.length });
    expect(lines.at(-1)).toContain("line 99");
  });

  it("does not fail when the store is away: it says so once and stores all at the next chance", async () => {
    const { attemptLog, entries, store, timers } = start();
    for (let times = 0; times < 6; times += 1) store.failNext.push({ fits: /logs/, stored: false });
    attemptLog.info("kept");
    await timers.advance(5_000);
    expect(store.puts).toEqual([]);
    expect(entries.filter(({ message }) => message.includes("cannot store the log"))).toHaveLength(1);
    expect(store.failNext.length).toBeLessThan(4);
    store.failNext.splice(0);
    await attemptLog.close();
    expect(store.text(name)).toContain("kept");
  });
});
