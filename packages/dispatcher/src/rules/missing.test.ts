import { expect, test } from "vitest";
import { missingOf } from "./missing.ts";

const looked = [
  { partition: "a", held: true, taskId: null },
  { partition: "b", held: false, taskId: null },
  { partition: "c", held: false, taskId: "task" },
  { partition: "d", held: true, taskId: "task" },
];

test("what has no content is missing, made just now or not", () => {
  expect(missingOf(looked)).toEqual([
    { partition: "b", taskId: null },
    { partition: "c", taskId: "task" },
  ]);
});

test("of those asked for, and of no others", () => {
  expect(missingOf(looked, new Set(["a", "c", "z"]))).toEqual([{ partition: "c", taskId: "task" }]);
  expect(missingOf(looked, new Set())).toEqual([]);
});
