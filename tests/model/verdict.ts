/**
 * Reads what Spin's search programs print. Pure: text in, verdict out. It trusts nothing that is not said: a search that
 * was cut short, that compressed states with loss, or that did not look for what it should, has no verdict.
 */

/** What a search program was built and called for. */
export type SearchKind = "safety" | "liveness";

export interface SearchEnd {
  /** Why it proves nothing; empty for a search that came to its end or, by rights, to an error. */
  readonly faults: readonly string[];
  readonly errors: number;
  /** An infinite run was found that is fair and never comes to what it should. */
  readonly cycle: boolean;
  /** A state in which nobody can go on and somebody should. */
  readonly stuck: boolean;
  readonly states: number;
  readonly depth: number;
  readonly memoryMb: number;
}

function numberIn(out: string, pattern: RegExp): number {
  return Number(pattern.exec(out)?.[1] ?? Number.NaN);
}

/** What must have been looked for, as the search says at its head: `+` for yes. */
const lookedFor: Readonly<Record<SearchKind, readonly [string, RegExp][]>> = {
  safety: [
    ["assertions", /^\s*assertion violations\s+\+/m],
    ["stuck states", /^\s*invalid end states\s+\+/m],
  ],
  liveness: [
    ["assertions", /^\s*assertion violations\s+\+/m],
    ["runs without end", /^\s*acceptance\s+cycles\s+\+ \(fairness enabled\)/m],
    ["the formula", /^\s*never claim\s+\+ \(ends\)/m],
  ],
};

/** `exit` is the exit code, or the signal that ended it. */
export function readSearch(out: string, exit: number | string, kind: SearchKind): SearchEnd {
  const errors = numberIn(out, /\berrors: (\d+)/);
  const found = errors > 0;
  const faults: string[] = [];
  if (exit !== 0) faults.push(`the search ended with ${exit}`);
  if (Number.isNaN(errors)) faults.push("the search did not say how it ended");
  // Bitstate and hash-compact searches say `Bit statespace search` and `Hash-Compact N search` here.
  if (!/^Full statespace search for:/m.test(out)) faults.push("the search was not exhaustive");
  for (const [what, pattern] of lookedFor[kind]) {
    if (!pattern.test(out)) faults.push(`the search did not look for ${what}`);
  }
  if (/max search depth too small/.test(out)) faults.push("the search was cut at its depth");
  if (/reached -DMEMLIM|out of memory/i.test(out)) faults.push("the search ran out of memory");
  // Spin stops at the first error and says so; without one it must have come to the end.
  if (!found && /search not completed/i.test(out)) faults.push("the search was not completed");
  return {
    faults,
    errors: Number.isNaN(errors) ? 0 : errors,
    cycle: /acceptance cycle \(at depth/.test(out),
    stuck: /invalid end state \(at depth/.test(out),
    states: numberIn(out, /(\d[\d.e+]*) states, stored/),
    depth: numberIn(out, /depth reached (\d+)/),
    memoryMb: Math.round(numberIn(out, /([\d.]+)\s+total actual memory usage/)),
  };
}

export interface Coverage {
  /** Places, `file:line`, that have a statement in this search. */
  readonly all: ReadonlySet<string>;
  /** Those at which one was executed. */
  readonly reached: ReadonlySet<string>;
}

/**
 * Which lines of the model the search came by. `table` is what the search program prints for `-d`: every statement that
 * it has, so that a line that was left out by a flag is not taken for one that was reached. An inline stands in several
 * processes; its line is reached when one of them came by.
 */
export function coverageOf(table: string, out: string): Coverage {
  const unreached = new Set<string>();
  const sections = new Set<string>();
  let process = "";
  for (const line of out.split("\n")) {
    const head = /^unreached in (?:proctype |claim )?(\w+)/.exec(line);
    if (head?.[1] !== undefined) {
      process = head[1];
      sections.add(process);
    }
    const state = /^\t\S+\.pml:\d+, state (\d+), /.exec(line);
    if (state !== null) unreached.add(`${process} ${state[1]}`);
  }
  const all = new Set<string>();
  const reached = new Set<string>();
  for (const line of table.split("\n")) {
    const head = /^(?:proctype |claim )(\w+)|^(init)\b/.exec(line);
    if (head !== null) process = head[1] ?? head[2] ?? "";
    const state = /^\tstate +(\d+) -\(tr .*? (?:\S*\/)?([\w-]+\.pml:\d+) => (.*)$/.exec(line);
    if (state === null || state[3] === "-end-") continue;
    const place = state[2] ?? "";
    all.add(place);
    if (sections.has(process) && !unreached.has(`${process} ${state[1]}`)) reached.add(place);
  }
  return { all, reached };
}

/** Those of `names` at whose places (place by place, the name that stands there) no statement was reached. */
export function notSeen(names: readonly string[], at: ReadonlyMap<string, string>, coverage: Coverage): string[] {
  const seen = new Set([...at].filter(([place]) => coverage.reached.has(place)).map(([, name]) => name));
  return names.filter((name) => !seen.has(name));
}

/** Lines that none of the searches came by: a step that cannot be taken is one that was not checked. */
export function deadPlaces(coverages: readonly Coverage[], mayBeDead: ReadonlySet<string>): string[] {
  const reached = new Set(coverages.flatMap((one) => [...one.reached]));
  const all = new Set(coverages.flatMap((one) => [...one.all]));
  return [...all].filter((place) => !reached.has(place) && !mayBeDead.has(place)).sort();
}

/** `words` is `holds`, the property that is broken, or why there is no verdict. */
export function isAsExpected(expected: string, words: string, missing: readonly string[]): boolean {
  return (expected === "holds" ? words === "holds" : words.startsWith(`${expected}:`)) && missing.length === 0;
}

/** The steps that the model tells of on the way to an error, and the place of the assertion that broke, if one did. */
export interface Counterexample {
  readonly steps: readonly string[];
  readonly place: string | undefined;
}

/** `out` is what Spin prints when it replays a trail of a model that was built to tell. */
export function readCounterexample(out: string): Counterexample {
  const steps: string[] = [];
  let number = 0;
  for (const line of out.split("\n")) {
    const told = /^\s*\| (.*)$/.exec(line)?.[1];
    if (told !== undefined) {
      number += 1;
      steps.push(`${String(number).padStart(3)}  ${told}`);
    } else if (line.includes("START OF CYCLE")) steps.push("     and from here on, for ever:");
  }
  if (steps.at(-1)?.endsWith("for ever:") === true) steps.push("     nothing");
  return { steps, place: /([\w-]+\.pml:\d+), Error: assertion violated/.exec(out)?.[1] };
}

/** Places in the model, `file:line`, by what stands beside them in a comment that begins with these words. */
export function placesOf(file: string, text: string, words: string): Map<string, string> {
  const places = new Map<string, string>();
  for (const [index, line] of text.split("\n").entries()) {
    const found = new RegExp(`/\\* (${words}.*?) \\*/`).exec(line)?.[1];
    if (found !== undefined) places.set(`${file}:${index + 1}`, found);
  }
  return places;
}
