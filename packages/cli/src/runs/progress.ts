/**
 * How fast a piece of work gets on, and when it will be there, from what it reports, and the words and the bar for it. Pure: time
 * arrives as an argument.
 */
import type { Progress } from "@trace/contracts";
import { progressBarColumns, progressSamplesMax, progressTextColumnsMin, progressWindowMs } from "../limits.ts";
import type { Palette } from "../terminal/ansi.ts";
import { etaText } from "../terminal/eta.ts";
import { amount, count } from "../terminal/format.ts";
import { cut, printable } from "../terminal/width.ts";

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

  /** Milliseconds to the end at this speed; undefined when the end or the speed is not known, or when the guess was wrong. */
  leftMs(nowMs: number): number | undefined {
    const speed = this.perSecond;
    const last = this.#samples.at(-1);
    const total = this.#last?.total;
    if (speed === undefined || speed <= 0 || last === undefined || total === undefined) return undefined;
    const leftMs = ((total - last.done) / speed) * 1_000 - (nowMs - last.atMs);
    return total <= last.done || leftMs < 0 ? undefined : leftMs;
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

/** `reading, 1,200 of 1,707 rows (70 %)`. */
export function progressText(progress: Progress): string {
  const parts = [printable(progress.message)];
  const { done, total, unit } = progress;
  if (done !== undefined && total !== undefined && total > 0) {
    const percent = `${Math.min(100, Math.floor((done / total) * 100))} %`;
    // Of a hundred parts, when nobody knows parts of what.
    if (unit === undefined && total === 100) return [...parts.filter((part) => part !== ""), percent].join(", ");
    const first = unit === "rows" || unit === undefined ? count(done) : amount(done, unit);
    parts.push(`${first} of ${amount(total, unit)} (${percent})`);
  } else if (done !== undefined && done > 0) {
    parts.push(amount(done, unit));
  }
  return parts.filter((part) => part !== "").join(", ");
}

/** `410 rows/s, about 10 s left`: what is not known is said to be unknown; empty before anything is done. */
export function paceText(meter: ProgressMeter, progress: Progress, nowMs: number): string {
  const { done = 0, total, unit } = progress;
  const speed = meter.perSecond;
  // Milliseconds a second say nothing, and so do parts of nobody knows what.
  const parts = speed === undefined || unit === "ms" || unit === undefined ? [] : [`${amount(rounded(speed), unit)}/s`];
  if (total === undefined) {
    if (done > 0) parts.push("total unknown");
  } else if (done < total) parts.push(etaText(meter.leftMs(nowMs)));
  return parts.join(", ");
}

interface ProgressLineParts {
  readonly nowMs: number;
  /** Draws a bar before the words and keeps the whole narrower than the terminal. */
  readonly bar?: { readonly width: number; readonly palette: Palette } | undefined;
}

/** `████████░░░░  reading, 1,200 of 1,707 rows (70 %), 410 rows/s, about 10 s left`. */
export function progressLine(
  progress: Progress,
  meter: ProgressMeter,
  { nowMs, bar: place }: ProgressLineParts,
): string {
  const parts = [progressText(progress), paceText(meter, progress, nowMs)];
  const text = parts.filter((part) => part !== "").join(", ");
  if (place === undefined) return text;
  const { width, palette } = place;
  const bar = progressBar(progress);
  const drawn = bar === undefined ? "" : `${bar}  `;
  const room = width - 1 - drawn.length;
  // Too narrow for both: the words say what the bar shows, and more.
  if (room < progressTextColumnsMin) return palette.dim(cut(text, Math.max(0, width - 1)));
  return `${palette.cyan(drawn)}${palette.dim(cut(text, room))}`;
}

/** Two digits, three for what is large: a speed is a guess. */
function rounded(value: number): number {
  if (value >= 100) return Number(value.toPrecision(3));
  return value >= 10 ? Math.round(value) : Number(value.toFixed(1));
}
