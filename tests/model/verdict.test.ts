/** A search that proved nothing must not pass for a proof. What is read here is what Spin 6.5.2 printed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { configurations, witnesses } from "./configurations.ts";
import { coverageOf, deadPlaces, isAsExpected, notSeen, placesOf, readCounterexample, readSearch } from "./verdict.ts";

const safety = `Depth=    1250 States=    1e+06 Transitions= 6.3e+06 Memory=   197.142	t=     2.04 R=   5e+05

(Spin Version 6.5.2 -- 6 December 2019)
	+ Partial Order Reduction

Full statespace search for:
	never claim         	- (none specified)
	assertion violations	+
	cycle checks       	- (disabled by -DSAFETY)
	invalid end states	+

State-vector 116 byte, depth reached 1250, errors: 0
  3040549 states, stored
 21120397 states, matched
 24160946 transitions (= stored+matched)
2.8924836e+08 atomic steps
hash conflicts:   2185121 (resolved)

Stats on memory usage (in Megabytes):
  474.624	equivalent memory usage for states (stored*(State-vector + overhead))
   64.000	memory used for hash table (-w23)
  423.021	total actual memory usage


unreached in proctype Worker
	lifecycle.pml:30, state 46, "session[h] = 0"
	(1 of 979 states)
unreached in proctype Observer
	lifecycle.pml:64, state 32, "witness = 1"
	lifecycle.pml:70, state 37, "-end-"
	(2 of 37 states)
unreached in init
	(0 of 33 states)
`;

const liveness = safety
  .replace("never claim         	- (none specified)", "never claim         	+ (ends)")
  .replace("assertion violations	+", "assertion violations	+ (if within scope of claim)")
  .replace("cycle checks       	- (disabled by -DSAFETY)", "acceptance   cycles 	+ (fairness enabled)")
  .replace("invalid end states	+", "invalid end states	- (disabled by never claim)");

const table = `proctype Worker
	state  46 -(tr 454)-> state  20  [id  14 tp   2] [A---G] /somewhere/lifecycle.pml:30 => session[h] = 0
	state  47 -(tr 457)-> state  25  [id  23 tp   2] [A-e-G] /somewhere/lifecycle.pml:31 => (busy[w])
proctype Reaper
	state   5 -(tr 454)-> state  20  [id  14 tp   2] [A---G] /somewhere/lifecycle.pml:30 => session[h] = 0
proctype Observer
	state  31 -(tr  40)-> state  33  [id 1620 tp   2] [A---G] /somewhere/lifecycle.pml:63 => witness = 1
	state  32 -(tr  40)-> state  34  [id 1621 tp   2] [A---G] /somewhere/lifecycle.pml:64 => witness = 1
	state  37 -(tr  19)-> state   0  [id 1660 tp 3500] [--e-L] /somewhere/lifecycle.pml:70 => -end-
`;
const reaperReached = safety.replace(
  "unreached in proctype Observer",
  "unreached in proctype Reaper\n	(0 of 5 states)\nunreached in proctype Observer",
);

test("a search that came to its end without an error is a proof", () => {
  expect(readSearch(safety, 0, "safety")).toEqual({
    faults: [],
    errors: 0,
    cycle: false,
    stuck: false,
    states: 3_040_549,
    depth: 1250,
    memoryMb: 423,
  });
  expect(readSearch(liveness, 0, "liveness").faults).toEqual([]);
});

test.each([
  ["cut at its depth", safety.replace("\n\n(Spin", "\nerror: max search depth too small\n\n(Spin"), "cut at its depth"],
  ["out of memory", safety.replace("\n\n(Spin", "\npan: reached -DMEMLIM bound\n\n(Spin"), "ran out of memory"],
  ["not completed", safety.replace("2019)\n", "2019)\nWarning: Search not completed\n"), "was not completed"],
  ["bitstate", safety.replace("Full statespace", "Bit statespace"), "was not exhaustive"],
  ["hash-compact", safety.replace("Full statespace", "Hash-Compact 4"), "was not exhaustive"],
  ["without assertions", safety.replace("violations\t+", "violations\t- (disabled by -A flag)"), "look for assertions"],
  ["without stuck states", safety.replace("end states\t+", "end states\t-"), "look for stuck states"],
  ["silent", "", "did not say how it ended"],
])("a safety search that was %s has no verdict", (_, out, fault) => {
  expect(readSearch(out, 0, "safety").faults.join("; ")).toContain(fault);
});

test("a search that was killed has no verdict, whatever it printed before", () => {
  expect(readSearch(safety, "SIGTERM", "safety").faults).toEqual(["the search ended with SIGTERM"]);
});

test.each([
  ["without fairness", liveness.replace("fairness enabled", "fairness disabled"), "look for runs without end"],
  ["without the formula", liveness.replace("+ (ends)", "- (none specified)"), "look for the formula"],
  ["of safety alone", safety, "look for runs without end"],
])("a liveness search %s has no verdict", (_, out, fault) => {
  expect(readSearch(out, 0, "liveness").faults.join("; ")).toContain(fault);
});

test("an error is told from a cut: Spin stops at it, and says so as if it had not completed", () => {
  const broken = safety
    .replace("Depth=", "pan:1: assertion violated (k==1) (at depth 43)\nDepth=")
    .replace("2019)\n", "2019)\nWarning: Search not completed\n")
    .replace("errors: 0", "errors: 1");
  expect(readSearch(broken, 0, "safety")).toMatchObject({ faults: [], errors: 1, cycle: false, stuck: false });
  expect(readSearch(`pan:1: acceptance cycle (at depth 54)\n${broken}`, 0, "safety").cycle).toBe(true);
  expect(readSearch(`pan:1: invalid end state (at depth 7)\n${broken}`, 0, "safety").stuck).toBe(true);
});

test("a line is reached when one of the processes that have it came by", () => {
  expect([...coverageOf(table, safety).reached]).toEqual(["lifecycle.pml:31", "lifecycle.pml:63"]);
  expect([...coverageOf(table, reaperReached).reached].sort()).toEqual([
    "lifecycle.pml:30",
    "lifecycle.pml:31",
    "lifecycle.pml:63",
  ]);
});

test("a witness is missing when its line was not reached, and when a flag left the line out", () => {
  const at = new Map([
    ["lifecycle.pml:63", "seen"],
    ["lifecycle.pml:64", "not reached"],
    ["lifecycle.pml:65", "left out"],
  ]);
  const names = ["seen", "not reached", "left out"];
  expect(notSeen(names, at, coverageOf(table, safety))).toEqual(["not reached", "left out"]);
});

test("a search that does not list what it did not reach has reached nothing", () => {
  const cut = safety.slice(0, safety.indexOf("unreached in"));
  expect(coverageOf(table, cut).reached.size).toBe(0);
});

test("a line that no search came by is named, unless it is one that only a broken design comes by", () => {
  const one = coverageOf(table, safety);
  expect(deadPlaces([one], new Set())).toEqual(["lifecycle.pml:30", "lifecycle.pml:64"]);
  expect(deadPlaces([one, coverageOf(table, reaperReached)], new Set(["lifecycle.pml:64"]))).toEqual([]);
});

test("a verdict is as expected only with every witness, and with the very property", () => {
  expect(isAsExpected("holds", "holds", [])).toBe(true);
  expect(isAsExpected("holds", "holds", ["dead of failures"])).toBe(false);
  expect(isAsExpected("holds", "no verdict: the search ran out of memory", [])).toBe(false);
  expect(isAsExpected("property 2", "property 2: a stale token changes nothing", [])).toBe(true);
  expect(isAsExpected("property 2", "property 1: one lease of a task", [])).toBe(false);
  expect(isAsExpected("property 2", "holds", [])).toBe(false);
});

test("a counterexample is the steps that the model tells, in order, and the place that broke", () => {
  const out = `spin: trail starts
 12:	proc  1 (Worker:1) lifecycle.pml:73 (state 9)	[mine[w] = 0]
| worker 1 opens session 1
  | a person creates task 1
spin: /somewhere/statements.pml:88, Error: assertion violated
spin: text of failed assertion: assert((k==1))
`;
  expect(readCounterexample(out)).toEqual({
    steps: ["  1  worker 1 opens session 1", "  2  a person creates task 1"],
    place: "statements.pml:88",
  });
  expect(readCounterexample("| worker 1 is killed\n<<<<<START OF CYCLE>>>>>\nspin: trail ends").steps).toEqual([
    "  1  worker 1 is killed",
    "     and from here on, for ever:",
    "     nothing",
  ]);
});

const text = readFileSync(join(import.meta.dirname, "lifecycle.pml"), "utf8");

test("the model has each witness once, and a configuration of every run expects it", () => {
  const inModel = [...placesOf("lifecycle.pml", text, "witness:").values()].map((one) => one.replace("witness: ", ""));
  expect(inModel.toSorted()).toEqual(witnesses.toSorted());
  const expected = new Set(configurations.filter((one) => !one.deep).flatMap((one) => one.witnesses));
  expect([...expected].toSorted()).toEqual(witnesses.toSorted());
});

test("each defect that the model can have is planted, and each property is broken by one", () => {
  const inModel = [...text.matchAll(/^ \* {3}([A-Z_]+) {2,}/gm)].map((match) => match[1]);
  expect(inModel.length).toBeGreaterThan(0);
  const planted = configurations.flatMap((one) => one.defect ?? []);
  expect(planted.toSorted()).toEqual(inModel.toSorted());
  const broken = new Set(configurations.map((one) => one.expected).filter((one) => one !== "holds"));
  expect([...broken].toSorted()).toEqual([1, 2, 3, 4, 5, 6, 7].map((number) => `property ${number}`));
});
