/** A process whose time of day is wrong, and right about everything else. */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const program = `
const tell = () => process.send({ now: Date.now(), made: new Date().getTime(), said: Date.parse(Date()), given: new Date(5).getTime(), is: new Date() instanceof Date, at: performance.timeOrigin + performance.now() });
process.on("message", tell);
tell();
`;

interface Told {
  readonly now: number;
  readonly made: number;
  readonly said: number;
  readonly given: number;
  readonly is: boolean;
  readonly at: number;
}

test("the clock is wrong from the start, and is set again while the process runs", async () => {
  const folder = mkdtempSync(join(tmpdir(), "trace-clock-test-"));
  const file = join(folder, "program.mjs");
  writeFileSync(file, program);
  const hourMs = 3_600_000;
  const child = fork(file, {
    execArgv: ["--import", join(import.meta.dirname, "clock.ts")],
    env: { ...process.env, TRACE_TEST_CLOCK_SKEW_MS: String(-5 * hourMs) },
  });
  const heard = () => new Promise<Told>((resolve) => child.once("message", (told) => resolve(told as Told)));
  try {
    for (const hours of [-5, 3]) {
      if (hours !== -5) child.send({ kind: "clock", ms: hours * hourMs });
      const told = await heard();
      expect([told.now, told.made, told.said].map((ms) => Math.round((ms - told.at) / hourMs))).toEqual([
        hours,
        hours,
        hours,
      ]);
      expect([told.given, told.is]).toEqual([5, true]);
    }
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});
