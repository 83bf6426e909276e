/**
 * Who used the processors, from /proc (Linux). A sample holds, for every process, the time it ran and the time of its
 * children that ended and were waited for; the sum over a tree of processes therefore only grows, whoever ends in it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { machineMs } from "./clock.ts";

/** Of USER_HZ, in which /proc counts: 100 on every Linux that Node runs on (`getconf CLK_TCK`). */
const ticksPerSecond = 100;
const kernelThreads = 2;

interface ProcessTimes {
  readonly parent: number;
  /** Own user and system time and that of ended children, ticks. */
  readonly ticks: number;
}

export interface CpuSample {
  readonly atMs: number;
  readonly processes: ReadonlyMap<number, ProcessTimes>;
  /** Of the whole machine, without what is idle or waits for the disk: user, nice, system, and stolen by the host, ticks. */
  readonly busyTicks: number;
}

/** One line of /proc/<pid>/stat. The name in parentheses may hold anything, so it is cut at the last one. */
export function parseStat(text: string): ProcessTimes {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number);
  if (childrenSystem === undefined) throw new Error(`not a line of /proc/<pid>/stat: ${text}`);
  return {
    parent: Number(fields[1]),
    ticks: (user ?? 0) + (system ?? 0) + (childrenUser ?? 0) + childrenSystem,
  };
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal. Interrupts are nobody's. */
export function parseBusy(text: string): number {
  const [user, nice, system, , , , , steal] = (/^cpu +(.*)$/m.exec(text)?.[1] ?? "").split(" ").map(Number);
  if (steal === undefined) throw new Error(`not /proc/stat: ${text.slice(0, 100)}`);
  return (user ?? 0) + (nice ?? 0) + (system ?? 0) + steal;
}

export function sampleCpu(): CpuSample {
  const processes = new Map<number, ProcessTimes>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      processes.set(Number(entry), parseStat(readFileSync(`/proc/${entry}/stat`, "utf8")));
    } catch {
      // It ended while we looked: its time is its parent's now.
    }
  }
  return { atMs: machineMs(), processes, busyTicks: parseBusy(readFileSync("/proc/stat", "utf8")) };
}

/** Time of a process and everything below it, ticks. */
function treeTicks(sample: CpuSample, root: number): number {
  let ticks = 0;
  for (const [pid, times] of sample.processes) {
    for (let at: number | undefined = pid; at !== undefined && at !== 0; at = sample.processes.get(at)?.parent) {
      if (at !== root) continue;
      ticks += times.ticks;
      break;
    }
  }
  return ticks;
}

/** Seconds of processor time that the tree of `pid` used between two samples. */
export function cpuSeconds(before: CpuSample, after: CpuSample, pid: number): number {
  return (treeTicks(after, pid) - treeTicks(before, pid)) / ticksPerSecond;
}

/**
 * Cores used, on average, by what is neither below `own` nor the kernel itself: other people's programs, and what the host
 * took away. What is foreign makes a round worthless.
 */
export function foreignCores(before: CpuSample, after: CpuSample, own: number): number {
  const seconds = (after.atMs - before.atMs) / 1_000;
  const busy = (after.busyTicks - before.busyTicks) / ticksPerSecond;
  const known = cpuSeconds(before, after, own) + cpuSeconds(before, after, kernelThreads);
  return Math.max(0, (busy - known) / seconds);
}
