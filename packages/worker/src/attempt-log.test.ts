import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AttemptLog, LogRing } from "./attempt-log.ts";
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

  it("is stored at once, then at most every five seconds while it changes, and once more at the end", async () => {
    const { attemptLog, store, timers } = start();
    attemptLog.info("first");
    await timers.advance(0);
    expect(store.puts).toHaveLength(1);
    attemptLog.info("second");
    attemptLog.warn("third");
    await timers.advance(4_999);
    expect(store.puts).toHaveLength(1);
    await timers.advance(1);
    expect(store.puts).toHaveLength(2);
    await timers.advance(60_000);
    expect(store.puts).toHaveLength(2);
    attemptLog.error("last");
    await attemptLog.close();
    expect(store.puts).toHaveLength(3);
    const lines = store
      .text(name)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      "info first",
      "info second",
      "warn third",
      "error last",
    ]);
    expect(lines[0].time).toBe("1970-01-01T00:00:00.000Z");
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
    store.failNext.push({ fits: /logs/, stored: false }, { fits: /logs/, stored: false });
    attemptLog.info("kept");
    await timers.advance(0);
    await timers.advance(5_000);
    expect(entries.filter(({ message }) => message.includes("cannot store the log"))).toHaveLength(1);
    await attemptLog.close();
    expect(store.text(name)).toContain("kept");
  });
});
