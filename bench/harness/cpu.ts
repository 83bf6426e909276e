/**
 * Who used the processors, from /proc (Linux). A sample holds, for every process, the time it ran and the time of its
 * children that ended and were waited for; the sum over a tree of processes therefore only grows, whoever ends in it.
 *
 * The totals of /proc/stat are not used for that: they are counted by looking at every tick who runs, which misses what runs
 * for less than a tick at a time, as everything here does. The times of a process are measured at each switch.
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
  /** Time that the host of a virtual machine gave to others, ticks. */
  readonly stolenTicks: number;
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

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal. */
export function parseStolen(text: string): number {
  const stolen = Number(/^cpu +(.*)$/m.exec(text)?.[1]?.split(" ")[7]);
  if (!Number.isInteger(stolen)) throw new Error(`not /proc/stat: ${text.slice(0, 100)}`);
  return stolen;
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
  return { atMs: machineMs(), processes, stolenTicks: parseStolen(readFileSync("/proc/stat", "utf8")) };
}

/** A process and everything below it. */
export function treeOf(sample: CpuSample, root: number): number[] {
  const isBelow = (pid: number) => {
    for (let at: number | undefined = pid; at !== undefined && at !== 0; at = sample.processes.get(at)?.parent) {
      if (at === root) return true;
    }
    return false;
  };
  return [...sample.processes.keys()].filter(isBelow);
}

function treeTicks(sample: CpuSample, root: number): number {
  return treeOf(sample, root).reduce((ticks, pid) => ticks + (sample.processes.get(pid)?.ticks ?? 0), 0);
}

/** Seconds of processor time that the tree of `pid` used between two samples. */
export function cpuSeconds(before: CpuSample, after: CpuSample, pid: number): number {
  return (treeTicks(after, pid) - treeTicks(before, pid)) / ticksPerSecond;
}

function allTicks(sample: CpuSample): number {
  let ticks = sample.stolenTicks;
  for (const times of sample.processes.values()) ticks += times.ticks;
  return ticks;
}

/**
 * Cores used, on average, by what is neither below `own` nor the kernel itself: other people's programs, and what the host
 * took away. What is foreign makes a round worthless.
 */
export function foreignCores(before: CpuSample, after: CpuSample, own: number): number {
  const all = (allTicks(after) - allTicks(before)) / ticksPerSecond;
  const known = cpuSeconds(before, after, own) + cpuSeconds(before, after, kernelThreads);
  return Math.max(0, (all - known) / ((after.atMs - before.atMs) / 1_000));
}
