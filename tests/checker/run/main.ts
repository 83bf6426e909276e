/**
 * The checker's command:
 *
 *   npm run checker -- [--attempts N] [--seed S] [--report=FILE] [--only chaos|fence] [--keep]
 *
 * Exits 1 when the checker finds a violation, or when a run did not have what it was to have.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { fence } from "./fence.ts";
import { attemptsDefault } from "./limits.ts";
import { type Finding, judgeRun, printRun } from "./report.ts";
import { run } from "./run.ts";

const { values } = parseArgs({
  options: {
    attempts: { type: "string", default: String(attemptsDefault) },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    report: { type: "string" },
    only: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});

// Leaving by the door, so that what was started is ended.
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.once(signal, () => process.exit(code));
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const attempts = Number(values.attempts);
if (!Number.isSafeInteger(attempts) || attempts < 1)
  throw new RangeError(`--attempts is a whole number, not '${values.attempts}'`);

const findings: Finding[] = [];
if (values.only !== "chaos") findings.push(...(await fence({ seed: values.seed, say })));
if (values.only !== "fence") {
  say(`chaos run: ${attempts} attempts, seed ${values.seed}`);
  const result = await run({ attempts, seed: values.seed, keep: values.keep, say });
  printRun(result, say);
  findings.push(...judgeRun(result, attempts));
}
for (const { ok, what } of findings) say(`${ok ? "ok    " : "FAILED"} ${what}`);
const failed = findings.filter(({ ok }) => !ok).length;
const passed = findings.length - failed;
say(`${passed} passed, ${failed} failed`);
if (values.report !== undefined) writeFileSync(values.report, JSON.stringify({ passed, failed }));
process.exit(failed === 0 && passed > 0 ? 0 : 1);
