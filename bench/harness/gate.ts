/** Waits for a quiet machine before a round, so that fewer rounds are wasted. */
import { setTimeout as pause } from "node:timers/promises";
import { machineMs } from "./clock.ts";
import { foreignCores, sampleCpu } from "./cpu.ts";
import { gateCoresMax, gateLookMs, gateWaitMaxMs } from "./limits.ts";

/** Resolves when others are quiet, or after the longest wait. */
export async function quietMachine(): Promise<void> {
  const untilMs = machineMs() + gateWaitMaxMs;
  while (machineMs() < untilMs) {
    const before = sampleCpu();
    await pause(gateLookMs);
    if (foreignCores(before, sampleCpu(), process.pid) < gateCoresMax) return;
  }
}
