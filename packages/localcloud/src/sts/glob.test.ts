/** Wild cards, against the regular expressions that mean the same. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { matches, readGlob } from "./glob.ts";

test.each([
  ["", "", true],
  ["", "a", false],
  ["*", "", true],
  ["a*", "a", true],
  ["a*c", "abbbc", true],
  ["a*c", "abcd", false],
  ["?", "", false],
  ["?", "ab", false],
  ["?", "🌍", true],
  ["a?c*", "abcc", true],
  ["x/*", "x", false],
  ["x/*", "x/", true],
  ["x/*", "xy/a", false],
  ["x.y", "xzy", false],
  ["[a-z]", "b", false],
])("'%s' and '%s': %s", (pattern, text, wanted) => {
  expect(matches(readGlob(pattern), text)).toBe(wanted);
});

test("agrees with a regular expression on any pattern", () => {
  const piece = fc.constantFrom("a", "b", "*", "?", "/", ".", "é", "🌍");
  const words = (most: number) => fc.array(piece, { maxLength: most }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(words(8), words(12), (pattern, text) => {
      const escaped = [...pattern].map((c) =>
        c === "*" ? ".*" : c === "?" ? "." : c.replace(/[.^$+()[\]{}|\\/]/, "\\$&"),
      );
      expect(matches(readGlob(pattern), text)).toBe(new RegExp(`^${escaped.join("")}$`, "su").test(text));
    }),
    { numRuns: 2_000 },
  );
});

test("takes no longer than pattern times text, whatever the pattern", () => {
  const startedMs = performance.now();
  expect(matches(readGlob("*a".repeat(500)), `${"a".repeat(1_023)}b`)).toBe(false);
  expect(performance.now() - startedMs).toBeLessThan(500);
});
