/** Judges files that a run has kept: `node tests/checker/check/main.ts HISTORY [DUMP]`. Exits 1 when they show a violation. */
import { checkFiles } from "./check.ts";
import { type Rule, rules } from "./verdict.ts";

const shownMax = 50;
const [history, dump] = process.argv.slice(2);
if (history === undefined) throw new RangeError("name the file of a history, and that of its dump if there is one");
const verdict = await checkFiles(history, dump);
const say = (line: string) => process.stdout.write(`${line}\n`);
for (const [fact, count] of verdict.facts) say(`${fact.padEnd(60)}${count.toLocaleString("en").padStart(12)}`);
for (const { rule, what, why, lines } of verdict.violations.slice(0, shownMax)) {
  say(`${rule}: ${what}: ${why} (lines ${lines.join(", ") || "none"})`);
}
for (const rule of Object.keys(rules) as Rule[]) {
  if (verdict.of(rule) > 0) say(`${String(verdict.of(rule)).padStart(8)}  ${rule}: ${rules[rule]}`);
}
say(verdict.total === 0 ? "no violation" : `${verdict.total} violations`);
process.exitCode = verdict.total === 0 ? 0 : 1;
