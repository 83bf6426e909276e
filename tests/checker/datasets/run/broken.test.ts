/** That the conditions are still where the dataset checker breaks them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { brokenConditions } from "./broken.ts";

const checkout = join(import.meta.dirname, "..", "..", "..", "..");

test.each(brokenConditions)("there is one place where $what without '$condition'", ({ file, condition, without }) => {
  const parts = readFileSync(join(checkout, file), "utf8").split(condition);
  expect(parts).toHaveLength(2);
  expect(condition).not.toBe(without);
});
