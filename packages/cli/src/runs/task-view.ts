/**
 * What one task looks like while it is watched: pure functions of its state, the time and the width. Two lines for a
 * terminal (`taskLines`), one line per change for everything else (`TaskChanges`).
 */
import type { Task } from "@trace/contracts";
import { runLineEveryMs } from "../limits.ts";
import { duration } from "../terminal/format.ts";
import { columnsOf, cut, printable } from "../terminal/width.ts";
import { ProgressMeter, paceText, progressLine } from "./progress.ts";
import { changeLine, clockText, elapsedMs, markOf, noteOf, standingOf, type ViewOptions } from "./view.ts";

export interface TaskViewOptions extends Omit<ViewOptions, "height"> {
  readonly meter: ProgressMeter;
}

/** The line of its state and, while it reports progress, the line of that; none is wider than `width`. */
export function taskLines(task: Task, options: TaskViewOptions): string[] {
  const { nowMs, palette, tick, width } = options;
  const standing = standingOf(task);
  const { mark, paint } = markOf(standing, tick, palette);
  const elapsed = elapsedMs(task, nowMs);
  const facts = [
    ...(elapsed === undefined || standing === "retrying" ? [] : [clockText(elapsed)]),
    ...(task.attempt > 1 ? [`attempt ${task.attempt}`] : []),
    ...(task.worker === null || task.state !== "running" ? [] : [`on ${printable(task.worker)}`]),
  ];
  const note = task.state === "running" ? "" : noteOf(task, standing, nowMs);
  const name = `${task.dag}.${task.job}`;
  const rest = [facts.join(", "), note].filter((part) => part !== "").join("  ");
  const used = 1 + 2 + columnsOf(name) + 2 + standing.length + 2;
  const room = width - 1 - used;
  const lines =
    room < -2
      ? [cut(`${mark} ${name} ${standing}`, width - 1)]
      : [
          `${paint(mark)}  ${palette.bold(name)}  ${paint(standing)}  ${palette.dim(cut(rest, Math.max(0, room)))}`.trimEnd(),
        ];
  if (task.state === "running" && task.progress !== null) {
    const indent = "   ";
    const bar = { width: width - indent.length, palette };
    lines.push(`${indent}${progressLine(task.progress, options.meter, { nowMs, bar })}`);
  }
  if (options.trouble !== undefined) lines.push(palette.yellow(cut(`! ${options.trouble}`, width - 1)));
  return lines;
}

/** Says what changed since it was last asked, and every 10 s that a running task still runs. */
export class TaskChanges {
  readonly #meter = new ProgressMeter();
  #said: { what: string; atMs: number } | undefined;

  next(task: Task, nowMs: number): string[] {
    this.#meter.take(task.state === "running" ? task.progress : null, nowMs);
    const standing = standingOf(task);
    const what = `${standing} ${task.attempt} ${task.state === "queued" ? `${task.waiting_for} ${task.run_at}` : ""}`;
    const due = task.state === "running" && this.#said !== undefined && nowMs - this.#said.atMs >= runLineEveryMs;
    if (this.#said?.what === what && !due) return [];
    this.#said = { what, atMs: nowMs };
    const { progress, state } = task;
    const pace = state === "running" && progress !== null ? paceText(this.#meter, progress, nowMs) : "";
    return [[changeLine(task, nowMs), pace].filter((part) => part !== "").join(", ")];
  }
}

/** `completed d.j in 2.0 s, attempt 2, quakes commit 3`: the answer when a task is over. */
export function outcomeText(task: Task, paint: (text: string) => string, bold: (text: string) => string): string {
  const took = elapsedMs(task, Date.parse(task.ended_at ?? task.created_at));
  const parts = [
    `${paint(task.state)} ${bold(`${task.dag}.${task.job}`)}${took === undefined ? "" : ` in ${duration(took)}`}`,
    ...(task.attempt > 1 ? [`attempt ${task.attempt}`] : []),
    ...task.commits.map((commit) => `${commit.dataset} commit ${commit.commit}`),
  ];
  return parts.join(", ");
}
