/** A run of many tasks in one line: how many are where, and when it may be over. Pure but for the meters, which remember. */
import type { Run, Task } from "@trace/contracts";
import { tasksGuessMin } from "../limits.ts";
import { etaText } from "../terminal/eta.ts";
import { count, plural } from "../terminal/format.ts";
import { ProgressMeter } from "./progress.ts";

/** The speed of each task that runs. */
export class RunMeters {
  readonly #meters = new Map<string, ProgressMeter>();

  take(run: Run, nowMs: number): void {
    for (const task of run.tasks) {
      if (task.state === "running") this.of(task).take(task.progress, nowMs);
      else this.#meters.delete(task.task_id);
    }
  }

  of(task: Task): ProgressMeter {
    const known = this.#meters.get(task.task_id);
    if (known !== undefined) return known;
    const meter = new ProgressMeter();
    this.#meters.set(task.task_id, meter);
    return meter;
  }
}

const ended: readonly Task["state"][] = ["completed", "canceled", "dead"];

/**
 * Milliseconds to the end of the tasks there are, when the rest goes as those that have ended did; undefined before enough have,
 * and while a job still waits, whose tasks nobody knows.
 */
export function runLeftMs(run: Run, nowMs: number): number | undefined {
  const done = run.tasks.filter((task) => ended.includes(task.state)).length;
  const left = run.tasks.length - done;
  if (left === 0 || done < tasksGuessMin || run.waiting.length > 0) return undefined;
  const elapsedMs = nowMs - Date.parse(run.created_at);
  return elapsedMs > 0 ? (elapsedMs / done) * left : undefined;
}

/** `12 of 84 tasks completed, 4 running, 68 queued, about 2 min left`. */
export function tallyText(run: Run, nowMs: number): string {
  const number = (state: Task["state"]) => run.tasks.filter((task) => task.state === state).length;
  const parts = [`${count(number("completed"))} of ${plural(run.tasks.length, "task")} completed`];
  for (const state of ["dead", "canceled", "running", "queued"] as const) {
    if (number(state) > 0) parts.push(`${count(number(state))} ${state}`);
  }
  if (run.waiting.length > 0) parts.push(`${plural(run.waiting.length, "job")} waiting`);
  if (run.state === "running") parts.push(etaText(runLeftMs(run, nowMs)));
  return parts.join(", ");
}

/** `split 2001-03`: a job's task for one partition. */
export function taskName(task: Task): string {
  return task.partition === undefined || task.partition === null ? task.job : `${task.job} ${task.partition}`;
}
