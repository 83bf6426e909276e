/**
 * The life of a task as a table: state x event -> what becomes of it, or the code that refuses. Pure data: attempt.ts acts by
 * it, and docs/task-states.md is drawn from it (`npm run generate`).
 */
import type { AttemptState, ErrorCode, TaskState } from "@trace/contracts";

/** What can happen to a task. The first line are calls of people, the second calls of workers, the third what the reaper finds. */
export const taskEvents = [
  ...(["cancel", "retry", "replay"] as const),
  ...(["claim", "start", "success", "retryable", "terminal", "snooze", "release"] as const),
  ...(["lost", "overdue"] as const),
] as const;
export type TaskEvent = (typeof taskEvents)[number];

export interface Transition {
  readonly task: TaskState;
  /** How the attempt that ran has ended; missing when it goes on or there is none. */
  readonly attempt?: Exclude<AttemptState, "running">;
  /** What is counted. At its bound the task is dead instead. */
  readonly counts?: "failures" | "lease_losses";
  /** When a queued task may run: after the backoff, after the delay that was asked for; otherwise at once. */
  readonly delay?: "backoff" | "asked";
  /** For people who read the drawing. */
  readonly note?: string;
}

export interface Refusal {
  readonly refused: ErrorCode;
}

/** An event that a state does not name comes from a token without a live lease, and is refused as stale. */
export const staleRefusal: Refusal = { refused: "TR-3001" };

export const taskMachine = {
  queued: {
    claim: { task: "running", note: "begins an attempt" },
    cancel: { task: "canceled" },
    retry: { task: "queued", note: "due now" },
    replay: { refused: "TR-3015" },
  },
  running: {
    start: { task: "running", note: "binds the attempt to one invocation" },
    success: { task: "completed", attempt: "succeeded" },
    retryable: { task: "queued", attempt: "failed", counts: "failures", delay: "backoff" },
    terminal: { task: "dead", attempt: "failed" },
    overdue: { task: "queued", attempt: "expired", counts: "failures", delay: "backoff" },
    lost: { task: "queued", attempt: "expired", counts: "lease_losses" },
    release: { task: "queued", attempt: "released", note: "takes the attempt back" },
    snooze: { task: "queued", attempt: "snoozed", delay: "asked" },
    cancel: { task: "canceled", attempt: "canceled" },
    retry: { task: "running", note: "runs already" },
    replay: { refused: "TR-3015" },
  },
  completed: {
    cancel: { refused: "TR-3014" },
    retry: { refused: "TR-3014" },
    replay: { refused: "TR-3014" },
  },
  canceled: {
    cancel: { task: "canceled", note: "canceled already" },
    retry: { refused: "TR-3014" },
    replay: { task: "queued", note: "counts at zero" },
  },
  dead: {
    cancel: { refused: "TR-3014" },
    retry: { refused: "TR-3014" },
    replay: { task: "queued", note: "counts at zero" },
  },
} as const satisfies Record<TaskState, Partial<Record<TaskEvent, Transition | Refusal>>>;

export function transitionOf(state: TaskState, event: TaskEvent): Transition | Refusal {
  const row: Partial<Record<TaskEvent, Transition | Refusal>> = taskMachine[state];
  return row[event] ?? staleRefusal;
}

/** The table as a page: a diagram, then every pair of state and event. */
export function taskStatesPage(): string {
  const states = Object.keys(taskMachine) as TaskState[];
  const edges = states.flatMap((from) =>
    taskEvents.flatMap((event) => {
      const next = transitionOf(from, event);
      if ("refused" in next || (next.task === from && from !== "queued")) return [];
      const dead = next.counts === undefined ? [] : [`  ${from} --> dead: ${event}, at its bound`];
      return [`  ${from} --> ${next.task}: ${event}`, ...dead];
    }),
  );
  const rows = states.flatMap((from) =>
    taskEvents.map((event) => {
      const next = transitionOf(from, event);
      if ("refused" in next) return `| ${from} | ${event} | refused: ${next.refused} | | | | |`;
      const { task, attempt = "", counts, delay = "", note = "" } = next;
      const bound = counts === undefined ? task : `${task}; dead at the bound of ${counts}`;
      return `| ${from} | ${event} | ${bound} | ${attempt} | ${counts ?? ""} | ${delay} | ${note} |`;
    }),
  );
  return [
    "# The states of a task",
    "",
    "Made from [rules/machine.ts](../packages/dispatcher/src/rules/machine.ts) by `npm run generate`. Do not edit.",
    "",
    "```mermaid",
    "stateDiagram-v2",
    "  [*] --> queued: create",
    ...edges,
    "  completed --> [*]",
    "```",
    "",
    "`retryable` and `terminal` are failures, told apart by the family of their error's code; `overdue` is an attempt past its",
    "deadline, `lost` one whose session is over. A token without a live lease is refused with TR-3001, whatever it asks for.",
    "",
    "| state | event | task becomes | attempt becomes | counts | delay | |",
    "|---|---|---|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}
