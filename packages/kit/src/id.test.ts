import fc from "fast-check";
import { expect, test } from "vitest";
import { newId } from "./id.ts";

test("an id is a UUID of version 7 that holds its time", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (nowMs) => {
      const id = newId(nowMs);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(nowMs);
    }),
  );
});

test("ids of one millisecond differ, and ids of later ones sort later", () => {
  expect(new Set(Array.from({ length: 10_000 }, () => newId(1))).size).toBe(10_000);
  expect(newId(1_000) < newId(1_001)).toBe(true);
});
