/** The rules as people read them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rules, Verdict } from "./verdict.ts";

test("the documentation names every rule in the checker's own words", () => {
  const page = readFileSync(join(import.meta.dirname, "..", "..", "..", "docs", "checker.md"), "utf8");
  // Those of datasets, further down, are held to their own checker.
  const [text = ""] = page.split(/^## Datasets$/m);
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (.+) \|$/gm)].map(([, rule, words]) => [rule, words]);
  expect(rows).toEqual(Object.entries(rules));
});

test("every violation is counted, however many are kept with their words", () => {
  const verdict = new Verdict();
  for (let n = 0; n < 1_000; n += 1) verdict.add({ rule: "one_end", what: `${n}`, why: "", lines: [] });
  expect([verdict.total, verdict.of("one_end"), verdict.of("two_live")]).toEqual([1_000, 1_000, 0]);
  expect(verdict.violations.length).toBeLessThan(1_000);
});

test("a clock that was set takes back what it explains and nothing else", () => {
  const verdict = new Verdict();
  for (const marginNs of [10, 20, 30, undefined]) {
    verdict.add({ rule: "stale_accept", what: String(marginNs), why: "", lines: [], marginNs });
  }
  verdict.settleClock(20);
  expect(verdict.violations.map(({ what }) => what)).toEqual(["30", "undefined"]);
  expect([verdict.total, verdict.fact("taken back, as the clock was set")]).toEqual([2, 2]);
});
