/** The last line of .ci/run is what people and machines trust: it must not call a broken run a good one. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const script = join(import.meta.dirname, "../../.ci/summary.mjs");
const folder = mkdtempSync(join(tmpdir(), "trace-summary-"));
afterAll(() => rmSync(folder, { recursive: true }));

const goodTests = { numPassedTests: 7, numFailedTests: 0, numPendingTests: 2, numTodoTests: 1, testResults: [] };
const goodCheck = { passed: 3, failed: 0 };

/** Reports, each with the exit code of what wrote it: the tests first. */
function summary(...runs: readonly unknown[]) {
  const args = runs.map((value, at) => {
    if (at % 2 === 1) return String(value);
    const path = join(folder, `${at}.json`);
    rmSync(path, { force: true });
    if (value !== undefined) writeFileSync(path, JSON.stringify(value));
    return path;
  });
  const ended = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
  return { line: ended.stdout, exit: ended.status };
}

test("a good run adds tests and checks and exits 0", () => {
  expect(summary(goodTests, 0, goodCheck, 0)).toEqual({ line: "10 passed, 0 failed, 3 skipped\n", exit: 0 });
});

test("every further report counts, and its failure is one", () => {
  const more = { passed: 20, failed: 0 };
  expect(summary(goodTests, 0, goodCheck, 0, more, 0).line).toBe("30 passed, 0 failed, 3 skipped\n");
  const red = summary(goodTests, 0, goodCheck, 0, { passed: 19, failed: 1 }, 1);
  expect(red).toEqual({ line: "29 passed, 1 failed, 3 skipped\n", exit: 1 });
  expect(summary(goodTests, 0, goodCheck, 0, undefined, 0).exit).toBe(1);
});

test("what a further report skipped is told, and does not hide that it ran nothing", () => {
  expect(summary(goodTests, 0, goodCheck, 0, { passed: 5, failed: 0, skipped: 4 }, 0).line).toBe(
    "15 passed, 0 failed, 7 skipped\n",
  );
  expect(summary(goodTests, 0, goodCheck, 0, { passed: 0, failed: 0, skipped: 9 }, 0).exit).toBe(1);
});

test.each([
  ["a failed test", { ...goodTests, numPassedTests: 6, numFailedTests: 1 }, 1, goodCheck, 0, "9 passed, 1 failed"],
  ["a failed check", goodTests, 0, { passed: 2, failed: 1 }, 1, "9 passed, 1 failed"],
  [
    "a test file that cannot be loaded",
    { ...goodTests, testResults: [{ status: "failed", assertionResults: [] }] },
    1,
    goodCheck,
    0,
    "10 passed, 1 failed",
  ],
  ["an unhandled error that failed no test", goodTests, 1, goodCheck, 0, "10 passed, 1 failed"],
  ["tests that died without a report", undefined, 137, goodCheck, 0, "3 passed, 1 failed"],
  ["checks that timed out", goodTests, 0, undefined, 124, "7 passed, 1 failed"],
  ["no test at all", { ...goodTests, numPassedTests: 0 }, 0, goodCheck, 0, "3 passed, 0 failed"],
  ["no check at all", goodTests, 0, undefined, 0, "7 passed, 0 failed"],
])("%s is no success", (_, tests, testsExit, check, checkExit, line) => {
  const ended = summary(tests, testsExit, check, checkExit);
  expect(ended.line).toContain(line);
  expect(ended.exit).toBe(1);
});
