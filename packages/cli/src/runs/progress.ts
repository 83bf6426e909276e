/** How fast a task gets on, and when it will be there, from what it reports. Pure: time arrives as an argument. */
import type { Progress } from "@trace/contracts";
import { progressBarColumns, progressSamplesMax, progressWindowMs } from "../limits.ts";
import { amount, duration } from "../terminal/format.ts";

interface Sample {
  readonly atMs: number;
  readonly done: number;
}

export class ProgressMeter {
  #samples: Sample[] = [];
  #last: Progress | undefined;

  /** Takes what was reported; the same report again is none. */
  take(progress: Progress | null, nowMs: number): void {
    const last = this.#last;
    this.#last = progress ?? undefined;
    if (progress?.done === undefined) {
      this.#samples = [];
      return;
    }
    const { done } = progress;
    const before = this.#samples.at(-1);
    // Another unit, another total or a step back: another piece of work, whose speed says nothing of this one.
    const other = last?.unit !== progress.unit || last?.total !== progress.total || done < (before?.done ?? 0);
    if (other) this.#samples = [];
    else if (before?.done === done) return;
    this.#samples.push({ atMs: nowMs, done });
    // Two are kept whatever their age: a report every two minutes has a speed too.
    while (this.#samples.length > 2 && (this.#samples.length > progressSamplesMax || this.#old(nowMs))) {
      this.#samples.shift();
    }
  }

  /** Units a second; undefined before there are two reports. */
  get perSecond(): number | undefined {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    return ((last.done - first.done) * 1_000) / (last.atMs - first.atMs);
  }

  /** Milliseconds to the end at this speed; undefined when the end or the speed is not known. */
  leftMs(nowMs: number): number | undefined {
    const speed = this.perSecond;
    const last = this.#samples.at(-1);
    const total = this.#last?.total;
    if (speed === undefined || speed <= 0 || last === undefined || total === undefined) return undefined;
    const leftMs = ((total - last.done) / speed) * 1_000 - (nowMs - last.atMs);
    return total <= last.done ? undefined : Math.max(0, leftMs);
  }

  #old(nowMs: number): boolean {
    const [, second] = this.#samples;
    return second !== undefined && nowMs - second.atMs > progressWindowMs;
  }
}

/** `████████░░░░`; undefined when nobody knows how much there is to do. */
export function progressBar(progress: Progress, columns = progressBarColumns): string | undefined {
  const { done, total } = progress;
  if (done === undefined || total === undefined || total <= 0) return undefined;
  const full = Math.min(columns, Math.floor((done / total) * columns));
  return "█".repeat(full) + "░".repeat(columns - full);
}

/** `410 rows/s, 1.2 s left`; empty before there is a speed. */
export function paceText(meter: ProgressMeter, unit: Progress["unit"], nowMs: number): string {
  const speed = meter.perSecond;
  // Milliseconds a second say nothing.
  const parts = speed === undefined || unit === "ms" ? [] : [`${amount(rounded(speed), unit)}/s`];
  // A guess of less than a second is none, and one in tenths of a second pretends to more than it knows.
  const leftSeconds = Math.round((meter.leftMs(nowMs) ?? 0) / 1_000);
  if (leftSeconds > 0) parts.push(`${leftSeconds < 60 ? `${leftSeconds} s` : duration(leftSeconds * 1_000)} left`);
  return parts.join(", ");
}

/** Two digits, three for what is large: a speed is a guess. */
function rounded(value: number): number {
  if (value >= 100) return Number(value.toPrecision(3));
  return value >= 10 ? Math.round(value) : Number(value.toFixed(1));
}
