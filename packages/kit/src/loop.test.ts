/** Loops: nudges are never lost, failures back off and end nothing, start and stop bound the lifetime. */
import { expect, test } from "vitest";
import { createLog, silentLog } from "./log.ts";
import { Loop } from "./loop.ts";

const hourMs = 3_600_000;

function loop(
  pass: () => Promise<"again" | "idle">,
  parts: { everyMs?: number; log?: ReturnType<typeof silentLog> } = {},
) {
  return new Loop({
    name: "test",
    everyMs: parts.everyMs ?? hourMs,
    retryBaseMs: 1,
    log: parts.log ?? silentLog(),
    pass,
  });
}

test("a pass runs at start, and again at a nudge without waiting for the interval", async () => {
  let passes = 0;
  const one = loop(() => Promise.resolve(++passes > 0 ? "idle" : "again"));
  const first = one.passed.next(5_000);
  await one.start();
  await first;
  const second = one.passed.next(5_000);
  one.nudge();
  await second;
  await one.stop();
  expect(passes).toBe(2);
});

test("a nudge during a pass makes one more pass, however many there were", async () => {
  let passes = 0;
  const one: Loop = loop(() => {
    passes += 1;
    if (passes === 1) for (let n = 0; n < 5; n += 1) one.nudge();
    return Promise.resolve("idle");
  });
  const twice = one.passed.next(5_000, () => passes === 2);
  await one.start();
  await twice;
  await one.stop();
  expect(passes).toBe(2);
});

test("a pass that left work behind runs again at once", async () => {
  let left = 4;
  const one = loop(() => Promise.resolve(--left > 0 ? "again" : "idle"));
  const idle = one.passed.next(5_000, (result) => result === "idle");
  await one.start();
  await idle;
  await one.stop();
  expect(left).toBe(0);
});

test("a pass that fails is logged and tried again, and never ends the process", async () => {
  const lines: string[] = [];
  let passes = 0;
  const one = loop(
    () => {
      passes += 1;
      if (passes < 4) throw new Error(`broken ${passes}`);
      return Promise.resolve("idle");
    },
    { log: createLog({ role: "test", write: (line) => lines.push(line) }) },
  );
  const passed = one.passed.next(5_000);
  await one.start();
  await passed;
  await one.stop();
  expect(lines).toHaveLength(3);
  expect(lines.join("")).toContain("broken 3");
});

test("stop waits for the pass under way and tells it; nothing runs afterwards", async () => {
  let passes = 0;
  let ended = false;
  let begun: () => void = () => undefined;
  const running = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const one = new Loop({
    name: "test",
    everyMs: 1,
    log: silentLog(),
    pass: async (signal) => {
      passes += 1;
      begun();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      ended = true;
      return "again";
    },
  });
  await one.start();
  await running;
  await one.stop();
  expect(ended).toBe(true);
  one.nudge();
  await one.stop();
  expect(passes).toBe(1);
});

test("a second start is the same loop, and one stop ends it; then it can start anew", async () => {
  let passes = 0;
  const one = loop(() => {
    passes += 1;
    return Promise.resolve("idle");
  });
  await one.start();
  await one.start();
  await one.stop();
  expect(passes).toBe(1);
  const again = one.passed.next(5_000);
  await one.start();
  await again;
  await one.stop();
  expect(passes).toBe(2);
});
