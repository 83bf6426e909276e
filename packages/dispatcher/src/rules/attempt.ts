/**
 * What becomes of a task when an attempt ends. Pure: counts and an event in, the next state out.
 *
 *   event       attempt     task
 *   success  -> succeeded   completed
 *   retryable-> failed      queued after a backoff; dead when failures reach their bound
 *   terminal -> failed      dead
 *   snooze   -> snoozed     queued after the delay asked for; counts nothing
 *   lost     -> expired     queued at once; dead when losses reach their bound of their own
 *   overdue  -> expired     as retryable: the attempt ran past its deadline, which is the task's doing
 *   release  -> released    queued at once, as if it had not been claimed
 */
import type { AttemptState, TaskState } from "@trace/contracts";
import { backoffMs, type Random } from "@trace/kit";
import { retryBaseMs, retryMaxMs } from "../limits.ts";

export interface AttemptCounts {
  /** Attempts begun, this one included. */
  readonly attempt: number;
  readonly failures: number;
  readonly failuresMax: number;
  readonly leaseLosses: number;
  readonly leaseLossesMax: number;
}

export type AttemptEvent =
  | { readonly kind: "success" | "retryable" | "terminal" | "lost" | "overdue" | "release" }
  | { readonly kind: "snooze"; readonly delayMs: number };

export interface AttemptEnd {
  readonly attemptState: Exclude<AttemptState, "running">;
  readonly taskState: TaskState;
  /** Counts the task goes on with. */
  readonly attempt: number;
  readonly failures: number;
  readonly leaseLosses: number;
  /** How long a queued task waits before it may run. */
  readonly delayMs: number;
}

export function endOfAttempt(counts: AttemptCounts, event: AttemptEvent, random: Random): AttemptEnd {
  const { attempt, failures, leaseLosses } = counts;
  const same = { attempt, failures, leaseLosses, delayMs: 0 };
  switch (event.kind) {
    case "success":
      return { ...same, attemptState: "succeeded", taskState: "completed" };
    case "terminal":
      return { ...same, attemptState: "failed", taskState: "dead", failures: failures + 1 };
    case "retryable":
    case "overdue": {
      const dead = failures + 1 >= counts.failuresMax;
      return {
        ...same,
        attemptState: event.kind === "overdue" ? "expired" : "failed",
        taskState: dead ? "dead" : "queued",
        failures: failures + 1,
        delayMs: dead ? 0 : Math.round(backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, failures, random)),
      };
    }
    case "snooze":
      return { ...same, attemptState: "snoozed", taskState: "queued", delayMs: event.delayMs };
    case "lost": {
      const dead = leaseLosses + 1 >= counts.leaseLossesMax;
      return { ...same, attemptState: "expired", taskState: dead ? "dead" : "queued", leaseLosses: leaseLosses + 1 };
    }
    case "release":
      return { ...same, attemptState: "released", taskState: "queued", attempt: attempt - 1 };
  }
}
