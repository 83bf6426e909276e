/** Waits for a quiet machine before a round, so that fewer rounds are wasted. */
import { setTimeout as pause } from "node:timers/promises";
import { machineMs } from "./clock.ts";
import { foreignCores, sampleCpu } from "./cpu.ts";
import { gateCoresMax, gateLookMs } from "./limits.ts";

/** Resolves when others are quiet, or after the longest wait: then the round is likely to be noisy, and says so itself. */
export async function quietMachine(waitMaxMs: number): Promise<void> {
  const untilMs = machineMs() + waitMaxMs;
  while (machineMs() < untilMs) {
    const before = sampleCpu();
    await pause(gateLookMs);
    if (foreignCores(before, sampleCpu(), process.pid) < gateCoresMax) return;
  }
}
