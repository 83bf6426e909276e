/**
 * The test of the dataset checker: dispatchers in which a condition of each kind is gone must make it see that, each by the rule
 * that is broken.
 */
import { PackagesCopy } from "../../run/copy.ts";
import type { Finding } from "../../run/report.ts";
import type { Rule } from "../check/verdict.ts";
import { brokenWriters } from "./limits.ts";
import { type DatasetsOptions, runDatasets } from "./run.ts";

interface Broken {
  readonly file: string;
  readonly condition: string;
  readonly without: string;
  /** What must be seen without it. */
  readonly rule: Rule;
  readonly what: string;
}

export const brokenConditions: readonly Broken[] = [
  {
    file: "packages/dispatcher/src/sql/statements.gen.ts",
    condition: "(t.kind = 'replace' or z.append_key = t.append_key)",
    without: "(t.kind = 'replace')",
    rule: "contents",
    what: "a slice that is written again is doubled",
  },
  {
    file: "packages/dispatcher/src/rules/supersede.ts",
    condition: "facts.revertedCommit > facts.claimedHead",
    without: "facts.revertedCommit < 0",
    rule: "over_revert",
    what: "what was claimed before a revert overwrites it",
  },
  {
    file: "packages/dispatcher/src/sql/statements.gen.ts",
    condition: "p.commit_no < $2 and (p.expires_at is null or p.expires_at > clock_timestamp())",
    without: "p.commit_no < $2 and false",
    rule: "pinned",
    what: "a purge takes what is pinned",
  },
];

export async function seesBroken(options: Omit<DatasetsOptions, "broken">): Promise<Finding[]> {
  const copy = new PackagesCopy();
  try {
    for (const { file, condition, without } of brokenConditions) copy.replaceOnce(file, condition, without);
    options.say(`dispatchers with ${brokenConditions.length} broken conditions, and the datasets they make`);
    const { verdict } = await runDatasets({
      ...options,
      writers: brokenWriters,
      datasets: 8,
      broken: {
        dispatcherFile: copy.mainFile,
        seen: (found) => brokenConditions.every(({ rule }) => found.of(rule) > 0),
      },
    });
    return brokenConditions.map(({ rule, what }) => ({
      ok: verdict.of(rule) > 0,
      what: `the checker sees it when ${what}: ${verdict.of(rule)} by the rule '${rule}'`,
    }));
  } finally {
    copy.remove();
  }
}
