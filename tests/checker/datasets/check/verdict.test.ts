import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rules } from "./verdict.ts";

test("the documentation names every rule of datasets in the checker's own words", () => {
  const page = readFileSync(join(import.meta.dirname, "..", "..", "..", "..", "docs", "checker.md"), "utf8");
  const [, text = ""] = page.split(/^## Datasets$/m);
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (.+) \|$/gm)].map(([, rule, words]) => [rule, words]);
  expect(rows).toEqual(Object.entries(rules));
});
