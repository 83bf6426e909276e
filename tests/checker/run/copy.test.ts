/** The copy in which the fence is broken, and that there still is one line which breaks it. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PackagesCopy } from "./copy.ts";
import { brokenFence } from "./fence.ts";

let copy: PackagesCopy;
beforeEach(() => {
  copy = new PackagesCopy();
});
afterEach(() => copy.remove());

test("the condition that is the fence is in the statements exactly once, and is gone from the copy alone", () => {
  const { file, condition, without } = brokenFence;
  copy.replaceOnce(file, condition, without);
  const [ours, theirs] = [join(import.meta.dirname, "..", "..", ".."), copy.dir].map((dir) =>
    readFileSync(join(dir ?? "", file), "utf8"),
  );
  expect(ours).toContain(condition);
  expect(theirs).not.toContain(condition);
  expect(theirs?.split("\n").filter((line, index) => line !== ours?.split("\n")[index])).toHaveLength(1);
});

test("a text that is not there, or there twice, is not replaced", () => {
  const { file } = brokenFence;
  expect(() => copy.replaceOnce(file, "no such words", "x")).toThrow("0 times");
  expect(() => copy.replaceOnce(file, "select", "x")).toThrow("not once");
});

test("packages of the copy import each other, and not those of the checkout", () => {
  const program = 'process.stdout.write(import.meta.resolve("@trace/kit"))';
  const at = join(copy.dir, "packages", "dispatcher", "src", "probe.ts");
  copy.write("packages/dispatcher/src/probe.ts", program);
  expect(execFileSync(process.execPath, [at], { encoding: "utf8" })).toContain(copy.dir);
});
