/** The table of what becomes of a task, for all counts and events. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { retryBaseMs, retryMaxMs } from "../limits.ts";
import { type AttemptCounts, type AttemptEvent, endOfAttempt } from "./attempt.ts";

/** Counts that a live attempt can have: below both bounds, attempt at least one. */
const counts: fc.Arbitrary<AttemptCounts> = fc
  .record({
    failuresMax: fc.integer({ min: 1, max: 101 }),
    leaseLossesMax: fc.integer({ min: 1, max: 50 }),
    failures: fc.nat(100),
    leaseLosses: fc.nat(49),
    snoozes: fc.nat(20),
  })
  .map(({ failuresMax, leaseLossesMax, failures, leaseLosses, snoozes }) => {
    const failed = failures % failuresMax;
    const lost = leaseLosses % leaseLossesMax;
    return { failuresMax, leaseLossesMax, failures: failed, leaseLosses: lost, attempt: failed + lost + snoozes + 1 };
  });

const kinds = ["success", "retryable", "terminal", "lost", "overdue", "release", "cancel"] as const;
const events: fc.Arbitrary<AttemptEvent> = fc.oneof(
  fc.constantFrom(...kinds).map((kind) => ({ kind })),
  fc.nat(86_400_000).map((delayMs) => ({ kind: "snooze" as const, delayMs })),
);
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

function check(property: (counts: AttemptCounts, event: AttemptEvent, draw: number) => void): void {
  fc.assert(fc.property(counts, events, random, property), { numRuns: 2_000 });
}

describe("the end of an attempt", () => {
  test("never makes a count negative or smaller, the attempt number of a release aside", () => {
    check((before, event, draw) => {
      const end = endOfAttempt(before, event, () => draw);
      expect(end.attempt).toBe(event.kind === "release" ? before.attempt - 1 : before.attempt);
      expect(end.attempt).toBeGreaterThanOrEqual(0);
      expect(end.failures - before.failures).toBe(["retryable", "overdue", "terminal"].includes(event.kind) ? 1 : 0);
      expect(end.leaseLosses - before.leaseLosses).toBe(event.kind === "lost" ? 1 : 0);
    });
  });

  test("is the task's death exactly at a bound or by a terminal error", () => {
    check((before, event, draw) => {
      const end = endOfAttempt(before, event, () => draw);
      const dies =
        event.kind === "terminal" ||
        (["retryable", "overdue"].includes(event.kind) && before.failures + 1 === before.failuresMax) ||
        (event.kind === "lost" && before.leaseLosses + 1 === before.leaseLossesMax);
      expect(end.taskState === "dead").toBe(dies);
      expect(end.taskState === "completed").toBe(event.kind === "success");
    });
  });

  test("delays a failed attempt by half to one and a half of the doubled base, capped; the others not, but for a snooze", () => {
    check((before, event, draw) => {
      const { delayMs, taskState } = endOfAttempt(before, event, () => draw);
      if (event.kind === "snooze") expect(delayMs).toBe(event.delayMs);
      else if (taskState === "queued" && (event.kind === "retryable" || event.kind === "overdue")) {
        const full = Math.min(retryMaxMs, retryBaseMs * 2 ** before.failures);
        expect(delayMs).toBeGreaterThanOrEqual(Math.floor(full * 0.5));
        expect(delayMs).toBeLessThanOrEqual(Math.ceil(full * 1.5));
        expect(Number.isInteger(delayMs)).toBe(true);
      } else expect(delayMs).toBe(0);
    });
  });

  test("reached by failing again and again comes after exactly failuresMax failures", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), random, (failuresMax, draw) => {
        let failures = 0;
        for (let attempt = 1; ; attempt += 1) {
          const at = { attempt, failures, failuresMax, leaseLosses: 0, leaseLossesMax: 10 };
          const end = endOfAttempt(at, { kind: "retryable" }, () => draw);
          failures = end.failures;
          if (end.taskState === "dead") return failures === failuresMax && attempt === failuresMax;
        }
      }),
    );
  });
});
