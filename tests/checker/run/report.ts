/** What a run is told as: a table of counts, the checker's verdict, and what it was to have and had. */
import { type Rule, rules } from "../check/verdict.ts";
import { datasetPartMin, lostPartMin } from "./limits.ts";
import { type RunResult, rareOf } from "./run.ts";

export interface Finding {
  readonly ok: boolean;
  readonly what: string;
}

type Say = (line: string) => void;

function row(name: string, count: number): string {
  return `  ${name.padEnd(58)}${count.toLocaleString("en").padStart(12)}`;
}

export function printRun(result: RunResult, say: Say): void {
  const { verdict, faults } = result;
  say("");
  say("faults and what callers did");
  for (const [name, count] of faults) say(row(name, count));
  say("");
  say("what the checker read");
  for (const [name, count] of [...verdict.facts].sort(([a], [b]) => (a < b ? -1 : 1))) say(row(name, count));
  say("");
  const mib = (result.historyBytes / 2 ** 20).toFixed(0);
  const spent = `chaos ${result.chaosSeconds.toFixed(0)} s, drain ${result.drainSeconds.toFixed(0)} s`;
  say(`${spent}, check ${result.checkSeconds.toFixed(1)} s of a history of ${mib} MiB`);
  for (const failure of result.failures)
    say(`a story broke off: ${String(failure)}: ${String((failure as Error).cause)}`);
  if (verdict.total > 0) printViolations(result, say);
}

function printViolations({ verdict, folder }: RunResult, say: Say): void {
  say("");
  say(`${verdict.total} violations; the history is ${folder}/history.jsonl, the dump ${folder}/dump.jsonl`);
  for (const rule of Object.keys(rules) as Rule[]) {
    if (verdict.of(rule) > 0) say(row(`${rule}: ${rules[rule]}`, verdict.of(rule)));
  }
  for (const { rule, what, why, lines } of verdict.violations.slice(0, 20)) {
    say(`  ${rule}: ${what}: ${why} (lines ${lines.join(", ") || "none"})`);
  }
}

/** What the run was to have, and whether it had it. */
export function judgeRun(result: RunResult, attemptsMin: number): Finding[] {
  const { verdict, faults, faultTimesMin } = result;
  const attempts = verdict.fact("attempts");
  const lost = verdict.fact("attempts expired") + verdict.fact("attempts released") + verdict.fact("results refused");
  const ended = verdict.fact("tasks completed") + verdict.fact("tasks dead") + verdict.fact("tasks canceled");
  const commits = verdict.fact("commits");
  const rare = rareOf(faults, faultTimesMin);
  const n = (count: number) => count.toLocaleString("en");
  return [
    { ok: verdict.total === 0, what: `the checker finds no violation: ${n(verdict.total)} in ${n(attempts)} attempts` },
    { ok: attempts >= attemptsMin, what: `${n(attempts)} attempts, at least ${n(attemptsMin)}` },
    {
      ok: lost >= attemptsMin * lostPartMin,
      what: `${n(lost)} of them ended by expiry, release or refusal, at least ${n(attemptsMin * lostPartMin)}`,
    },
    {
      ok: commits >= ended * datasetPartMin,
      what: `${n(commits)} of ${n(ended)} tasks committed a dataset, at least a third`,
    },
    {
      ok: rare.length === 0,
      what: `each of ${faults.size} kinds of fault at least ${faultTimesMin} times${rare.length > 0 ? `; not ${rare.join(", ")}` : ""}`,
    },
    { ok: result.refused, what: "SQS refused for the whole of its window" },
    { ok: result.left === 0, what: `every task was worked off: ${result.left} are left` },
    { ok: result.failures.length === 0, what: `no story broke off: ${result.failures.length} did` },
  ];
}
