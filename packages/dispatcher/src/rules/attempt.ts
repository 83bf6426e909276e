/** What becomes of a task when an attempt ends. Pure: counts and an event in, the next state out, by the table of machine.ts. */
import type { AttemptState, TaskState } from "@trace/contracts";
import { backoffMs, type Random } from "@trace/kit";
import { retryBaseMs, retryMaxMs } from "../limits.ts";
import { type Transition, taskMachine } from "./machine.ts";

export interface AttemptCounts {
  /** Attempts begun, this one included. */
  readonly attempt: number;
  readonly failures: number;
  readonly failuresMax: number;
  readonly leaseLosses: number;
  readonly leaseLossesMax: number;
}

export type AttemptEvent =
  | { readonly kind: "success" | "retryable" | "terminal" | "lost" | "overdue" | "release" | "cancel" }
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
  const next: Transition & Required<Pick<Transition, "attempt">> = taskMachine.running[event.kind];
  const failed = next.counts === "failures" || event.kind === "terminal";
  const failures = counts.failures + (failed ? 1 : 0);
  const leaseLosses = counts.leaseLosses + (next.counts === "lease_losses" ? 1 : 0);
  const atBound =
    (next.counts === "failures" && failures >= counts.failuresMax) ||
    (next.counts === "lease_losses" && leaseLosses >= counts.leaseLossesMax);
  const backoff = { baseMs: retryBaseMs, maxMs: retryMaxMs };
  return {
    attemptState: next.attempt,
    taskState: atBound ? "dead" : next.task,
    // A release was no attempt.
    attempt: counts.attempt - (event.kind === "release" ? 1 : 0),
    failures,
    leaseLosses,
    delayMs:
      event.kind === "snooze"
        ? event.delayMs
        : next.delay === "backoff" && !atBound
          ? Math.round(backoffMs(backoff, counts.failures, random))
          : 0,
  };
}
