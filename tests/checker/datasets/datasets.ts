/** The dataset checker as a part of the command: the run with broken conditions, the run itself, and what they are told as. */
import type { Finding } from "../run/report.ts";
import type { Tally } from "../run/tally.ts";
import { type Rule, rules } from "./check/verdict.ts";
import { seesBroken } from "./run/broken.ts";
import { faultKinds } from "./run/faults.ts";
import { type DatasetsOptions, type DatasetsResult, runDatasets } from "./run/run.ts";

/** Violations shown with their words. */
const shownMax = 20;

export async function datasets(options: Omit<DatasetsOptions, "broken" | "had">): Promise<Finding[]> {
  const { minutes, seed, say, writers } = options;
  const findings = await seesBroken(options);
  say(`dataset run: ${minutes} min, ${writers} writers, ${options.datasets} datasets, seed ${seed}`);
  const result = await runDatasets({ ...options, had: (tally) => missingOf(tally).length === 0 });
  print(result, say);
  return [...findings, ...judge(result)];
}

function print(result: DatasetsResult, say: (line: string) => void): void {
  const row = (name: string, count: number) => say(`  ${name.padEnd(58)}${count.toLocaleString("en").padStart(12)}`);
  const sorted = (counts: ReadonlyMap<string, number>) => [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  say("");
  say("what was done");
  for (const [name, count] of sorted(result.tally.counts)) row(name, count);
  row("calls", result.calls);
  say("");
  say("what the checker read");
  for (const [name, count] of sorted(result.verdict.facts)) row(name, count);
  say("");
  say(`${result.seconds.toFixed(0)} s of faults, ${result.endSeconds.toFixed(0)} s to the end`);
  const { verdict } = result;
  if (verdict.total === 0) return;
  say("");
  say(`${verdict.total} violations; the logs are in ${result.folder}/logs`);
  for (const rule of Object.keys(rules) as Rule[])
    if (verdict.of(rule) > 0) row(`${rule}: ${rules[rule]}`, verdict.of(rule));
  for (const { rule, where, what, why } of verdict.violations.slice(0, shownMax))
    say(`  ${rule}: ${where}: ${what}: ${why}`);
}

/** What happened in every run that is long enough to be one. */
const wanted = [
  ...faultKinds,
  "writers killed",
  "writers stopped past their lease",
  "manifests that lie",
  "completions made twice",
  "completions made twice at once",
  "completions contradicted",
  "answers lost",
  "keys written again",
  "staged more after its end",
  "reverts",
  "purges",
  "pins",
  "inputs read by attempts",
  "files read",
];

function missingOf(tally: Tally): string[] {
  return wanted.filter((name) => tally.get(name) === 0);
}

function judge({ verdict, tally, tasksLeft, garbageLeft }: DatasetsResult): Finding[] {
  const fact = (name: string) => (verdict.facts.get(name) ?? 0).toLocaleString("en");
  const missing = missingOf(tally);
  const commits = `${fact("commits by completions")} commits and ${fact("commits by reverts")} reverts`;
  return [
    {
      ok: verdict.total === 0,
      what: `the checker finds no violation in ${fact("snapshots read")} snapshots of ${commits}: ${verdict.total}`,
    },
    {
      ok: missing.length === 0,
      what: `each of ${wanted.length} kinds of trouble was had${missing.length === 0 ? "" : `; not ${missing.join(", ")}`}`,
    },
    { ok: tasksLeft === 0, what: `every task of a dataset came to its end: ${tasksLeft} did not` },
    { ok: garbageLeft === 0, what: `garbage collection came to its end: ${garbageLeft} places and files are left` },
  ];
}
