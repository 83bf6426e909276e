/**
 * On a machine that others use, too: takes precedence over them for the seconds that are timed, and no longer. Linux
 * schedules by session (`sched_autogroup_enabled`), so `nice` decides nothing between sessions; what does is the niceness of
 * the session itself, which root may raise (sched(7), "The autogroup feature").
 */
import { existsSync, writeFileSync } from "node:fs";
import { type CpuSample, sampleCpu, treeOf } from "./cpu.ts";

const greedyNiceness = -10;
const usualNiceness = 0;

function setNiceness(sample: CpuSample, niceness: number): void {
  for (const pid of treeOf(sample, process.pid)) {
    const file = `/proc/${pid}/autogroup`;
    try {
      writeFileSync(file, String(niceness));
    } catch (error) {
      // It ended meanwhile. Anything else (no root, no autogroups) would make the figures something else than was asked for.
      if (existsSync(`/proc/${pid}`)) throw error;
    }
  }
}

/** Others get about a tenth of the processors until `end` is called. Throws where that may not be asked for. */
export function beGreedy(): { end(): void } {
  setNiceness(sampleCpu(), greedyNiceness);
  return { end: () => setNiceness(sampleCpu(), usualNiceness) };
}
