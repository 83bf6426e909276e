import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs } from "./backoff.ts";

const rule = fc
  .record({ baseMs: fc.integer({ min: 1, max: 60_000 }), more: fc.nat(1_000_000) })
  .map(({ baseMs, more }) => ({ baseMs, maxMs: baseMs + more }));
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("a wait lies within half and one and a half of the doubled base, capped, for any number of tries", () => {
  fc.assert(
    fc.property(rule, fc.nat(10_000), random, (bounds, tries, draw) => {
      const full = Math.min(bounds.maxMs, bounds.baseMs * 2 ** tries);
      const wait = backoffMs(bounds, tries, () => draw);
      expect(wait).toBeGreaterThanOrEqual(full * 0.5);
      expect(wait).toBeLessThanOrEqual(full * 1.5);
    }),
  );
});

test("the middle of the draw doubles from try to try until the cap", () => {
  const waits = [0, 1, 2, 3, 4].map((tries) => backoffMs({ baseMs: 100, maxMs: 800 }, tries, () => 0.5));
  expect(waits).toEqual([100, 200, 400, 800, 800]);
});
