/** The table of states: every pair of state and event has an answer, attempts end by it, and the page says what it says. */
import { attemptStates, errorCatalogue, taskStates } from "@trace/contracts";
import { describe, expect, test } from "vitest";
import { type AttemptEvent, endOfAttempt } from "./attempt.ts";
import { staleRefusal, type TaskEvent, taskEvents, taskMachine, taskStatesPage, transitionOf } from "./machine.ts";

const pairs = taskStates.flatMap((state) => taskEvents.map((event) => [state, event] as const));

/** Told a second time, by hand: what is not here is refused as stale. */
const expected: Record<string, string> = {
  "queued claim": "running",
  "queued cancel": "canceled",
  "queued retry": "queued",
  "queued replay": "TR-3015",
  "running start": "running",
  "running success": "completed",
  "running retryable": "queued",
  "running terminal": "dead",
  "running snooze": "queued",
  "running release": "queued",
  "running lost": "queued",
  "running overdue": "queued",
  "running cancel": "canceled",
  "running retry": "running",
  "running replay": "TR-3015",
  "completed cancel": "TR-3014",
  "completed retry": "TR-3014",
  "completed replay": "TR-3014",
  "canceled cancel": "canceled",
  "canceled retry": "TR-3014",
  "canceled replay": "queued",
  "dead cancel": "TR-3014",
  "dead retry": "TR-3014",
  "dead replay": "queued",
};

describe("each state and event", () => {
  test.each(pairs)("%s, %s", (state, event) => {
    const next = transitionOf(state, event);
    expect("refused" in next ? next.refused : next.task).toBe(expected[`${state} ${event}`] ?? "TR-3001");
    if ("refused" in next) expect(errorCatalogue).toHaveProperty(next.refused);
    else {
      expect(taskStates).toContain(next.task);
      // Whatever takes a task out of `running` ends its attempt, and nothing else does.
      expect(next.attempt !== undefined).toBe(state === "running" && !["start", "retry"].includes(event));
      if (next.attempt !== undefined) expect(attemptStates).toContain(next.attempt);
    }
  });

  test("that the table does not know is refused as stale, and only a lease or a person can act", () => {
    expect(transitionOf("completed", "success")).toBe(staleRefusal);
    expect(transitionOf("queued", "lost")).toBe(staleRefusal);
    expect(Object.keys(taskMachine).sort()).toEqual([...taskStates].sort());
  });
});

describe("the end of an attempt follows the table", () => {
  const counts = { attempt: 4, failures: 1, failuresMax: 3, leaseLosses: 2, leaseLossesMax: 4 };
  const kinds = ["success", "retryable", "terminal", "lost", "overdue", "release", "cancel"] as const;
  const events: AttemptEvent[] = [...kinds.map((kind) => ({ kind })), { kind: "snooze", delayMs: 7 }];

  test.each(events.map((event) => [event.kind, event] as const))("%s, below the bounds", (kind, event) => {
    const next = transitionOf("running", kind);
    if ("refused" in next) throw new Error(`${kind} is refused`);
    const end = endOfAttempt(counts, event, () => 0.5);
    expect(end).toMatchObject({ attemptState: next.attempt, taskState: next.task });
    expect(end.delayMs > 0).toBe(next.delay !== undefined);
  });

  test.each(events.map((event) => [event.kind, event] as const))("%s, at both bounds", (kind, event) => {
    const next = transitionOf("running", kind);
    if ("refused" in next) throw new Error(`${kind} is refused`);
    const end = endOfAttempt({ ...counts, failures: 2, leaseLosses: 3 }, event, () => 0.5);
    expect(end.taskState).toBe(next.counts === undefined ? next.task : "dead");
    expect(end.attemptState).toBe(next.attempt);
  });
});

describe("the page", () => {
  const lines = taskStatesPage().split("\n");
  const rows = lines.filter((line) => /^\| (queued|running|completed|canceled|dead) \|/.test(line));
  const edges = lines.filter((line) => line.includes("-->"));

  test("has a row for every pair, with the code where it is refused", () => {
    expect(rows).toHaveLength(pairs.length);
    for (const [index, [state, event]] of pairs.entries()) {
      const next = transitionOf(state, event);
      expect(rows[index]).toContain(
        `| ${state} | ${event} | ${"refused" in next ? `refused: ${next.refused}` : next.task}`,
      );
    }
  });

  test("draws every move from one state to another, and death where something is counted", () => {
    for (const [state, event] of pairs as [keyof typeof taskMachine, TaskEvent][]) {
      const next = transitionOf(state, event);
      if ("refused" in next) {
        expect(edges.some((edge) => edge.startsWith(`  ${state} -->`) && edge.endsWith(`: ${event}`))).toBe(false);
        continue;
      }
      if (next.task !== state) expect(edges).toContain(`  ${state} --> ${next.task}: ${event}`);
      if (next.counts !== undefined) expect(edges).toContain(`  ${state} --> dead: ${event}, at its bound`);
    }
    expect(edges).toContain("  [*] --> queued: create");
  });
});
