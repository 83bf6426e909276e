/**
 * The checker's command:
 *
 *   npm run checker -- [--attempts N] [--seed S] [--report=FILE] [--only chaos|fence] [--keep]
 *   npm run checker -- --only datasets [--minutes 10] [--writers 64] [--datasets 8] [--seed S]
 *
 * Exits 1 when the checker finds a violation, or when a run did not have what it was to have.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { datasets } from "../datasets/datasets.ts";
import { datasetsDefault, minutesDefault, writersDefault } from "../datasets/run/limits.ts";
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
    minutes: { type: "string", default: String(minutesDefault) },
    writers: { type: "string", default: String(writersDefault) },
    datasets: { type: "string", default: String(datasetsDefault) },
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

function whole(name: "attempts" | "writers" | "datasets"): number {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new RangeError(`--${name} is a whole number, not '${values[name]}'`);
}

const parts = ["fence", "chaos", "datasets"] as const;
if (values.only !== undefined && !parts.some((part) => part === values.only))
  throw new RangeError(`--only is one of ${parts.join(", ")}, not '${values.only}'`);
const asked = (part: (typeof parts)[number]) => (values.only ?? part) === part;
const attempts = whole("attempts");
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new RangeError(`--minutes is a number above 0, not '${values.minutes}'`);

const findings: Finding[] = [];
if (asked("fence")) findings.push(...(await fence({ seed: values.seed, say })));
if (asked("datasets")) {
  const { keep, seed } = values;
  findings.push(
    ...(await datasets({ minutes, writers: whole("writers"), datasets: whole("datasets"), seed, keep, say })),
  );
}
if (asked("chaos")) {
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
