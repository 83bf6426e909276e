/** What a queued task waits for, in words. Pure. */
import type { Task } from "@trace/contracts";
import { momentAhead, relative } from "../terminal/format.ts";

/** Undefined unless it is queued. `concurrency`: how many tasks its job runs at once, where that is known. */
export function waitingText(task: Task, nowMs: number, concurrency?: number): string | undefined {
  if (task.state !== "queued") return undefined;
  if (task.waiting_for === "slot") {
    return concurrency === undefined
      ? "waits for a slot: its job runs no more at once"
      : `waits for a slot: the job runs at most ${concurrency} at once`;
  }
  // Between two looks the time may have come.
  const due = task.run_at !== null && Date.parse(task.run_at) > nowMs;
  if (task.waiting_for !== "due" || !due || task.run_at === null) return "waits for a worker";
  return `waits until ${momentAhead(task.run_at, nowMs)} (${relative(task.run_at, nowMs)})`;
}
