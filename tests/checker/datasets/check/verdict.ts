/** The rules that datasets are held to, and what was found against them. */

export const rules = {
  numbers: "commit numbers of a dataset are 1, 2, 3, ... without a gap",
  times: "commit times strictly increase, and commits of one completion share one",
  owner:
    "a commit is of one completion or revert that was accepted, or may have been, and an accepted one has its commits",
  lies: "nothing is published of a manifest that lies",
  stale: "nothing is published of an attempt that is over",
  same_answer: "the same completion again gets the same answer, and another one of the same attempt none",
  moved_back: "a partition is never moved to what was made from older inputs",
  over_revert: "an attempt that was claimed before a revert of its partition does not overwrite it",
  withdrawn: "a slice that was taken back stays away until it is asked for by hand",
  slices: "what is new of an input is read once: slices neither overlap nor leave a gap",
  append_key: "a slice has the key that its task was given",
  superseded: "what is superseded is older than what is there, or was taken back; it moves nothing",
  unchanged: "what is unchanged is what is there, and is not committed again",
  contents: "a commit holds what accepted completions and reverts make of it, whenever it is read",
  snapshot: "a commit that was read is the same however often it is read",
  moment: "a moment shows the last commit that is not later",
  together: "datasets that are committed together are seen together",
  head: "a head is never older than what somebody was told before",
  pinned: "a commit can be read until it is purged, and a pinned one is not",
  bytes: "files that readers are given are there with their bytes and checksum",
  overwritten: "what was stored once is never stored again under its key",
  needed: "every file of every commit that can be read is there after garbage collection",
  garbage: "garbage collection leaves nothing that belongs to no commit that can be read",
} as const;
export type Rule = keyof typeof rules;

export interface Violation {
  readonly rule: Rule;
  readonly what: string;
  readonly why: string;
  /** The dataset, lease or object. */
  readonly where: string;
}

/** Violations kept with their words; all are counted. */
const keptMax = 200;

export class Verdict {
  readonly violations: Violation[] = [];
  readonly #counts = new Map<Rule, number>();
  readonly #facts = new Map<string, number>();

  add(rule: Rule, where: string, what: string, why: string): void {
    this.#counts.set(rule, this.of(rule) + 1);
    if (this.violations.length < keptMax) this.violations.push({ rule, where, what, why });
  }

  of(rule: Rule): number {
    return this.#counts.get(rule) ?? 0;
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  count(fact: string, by = 1): void {
    this.#facts.set(fact, (this.#facts.get(fact) ?? 0) + by);
  }

  get facts(): ReadonlyMap<string, number> {
    return this.#facts;
  }
}
