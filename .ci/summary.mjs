// Adds up what .ci/run ran, prints `N passed, N failed, N skipped`, and exits 1 when anything failed or nothing ran.
//
//   node .ci/summary.mjs <vitest's JSON report> <its exit code> [<report of other checks> <its exit code>]...
//
// The others write {"passed": n, "failed": n}, some "skipped" as well: format and types, the model, the oracle, the checker.
//
// Plain JavaScript for Node 20. A report that is missing is a failure: a run that died says nothing, and nothing is no success.
import { readFileSync } from "node:fs";
import process from "node:process";

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // missing or cut off: counted as a failure below
  }
}

/** A test file that cannot be loaded has no tests to count, so it counts as one that failed. */
function ofTests(report) {
  if (report === undefined) return { passed: 0, failed: 0, skipped: 0 };
  const unloaded = (report.testResults ?? []).filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: report.numPassedTests ?? 0,
    failed: (report.numFailedTests ?? 0) + unloaded.length,
    skipped: (report.numPendingTests ?? 0) + (report.numTodoTests ?? 0),
  };
}

/** An exit code that no count explains (a crash, an unhandled error, a time-out) is one failure. */
function withExit(counts, exitCode) {
  return exitCode !== "0" && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

const [testsPath, testsExit, ...others] = process.argv.slice(2);
const tests = withExit(ofTests(readReport(testsPath)), testsExit);
const checks = [];
for (let at = 0; at < others.length; at += 2) {
  checks.push(withExit({ passed: 0, failed: 0, skipped: 0, ...readReport(others[at]) }, others[at + 1]));
}

const passed = checks.reduce((sum, check) => sum + check.passed, tests.passed);
const failed = checks.reduce((sum, check) => sum + check.failed, tests.failed);
const skipped = checks.reduce((sum, check) => sum + check.skipped, tests.skipped);
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
const nothingRan = [tests, ...checks].some((one) => one.passed === 0) || checks.length === 0;
process.exitCode = failed > 0 || nothingRan ? 1 : 0;
