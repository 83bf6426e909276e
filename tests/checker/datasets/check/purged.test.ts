/** Which commits may be given up, and which must be. */
import { beforeEach, expect, test } from "vitest";
import { file, Told } from "../testing/told.ts";
import { checkPurged } from "./purged.ts";
import { Verdict } from "./verdict.ts";
import { World } from "./world.ts";

let told: Told;
beforeEach(() => {
  told = new Told();
});

function why(): string[] {
  const verdict = new Verdict();
  checkPurged(new World(told.history(), verdict), verdict);
  return verdict.violations.map((violation) => violation.why);
}

const commit = (lease: number, purged: boolean) => told.commit(lease, "plain", [file(`f${lease}`)], {}, { purged });
const purge = (before: number) => told.purges.push({ ...told.span(), dataset: "plain", before, code: undefined });
const pin = (at: number, droppedMs?: number) =>
  told.pins.push({ ...told.span(), dataset: "plain", commit: at, expiresMs: undefined, droppedMs });

test("a commit goes with the purge that names it, and no other", () => {
  commit(1, true);
  commit(2, false);
  expect(why()).toEqual(["nobody purged it"]);
  purge(2);
  expect(why()).toEqual([]);
});

test("one that is pinned stays", () => {
  commit(1, false);
  commit(2, false);
  pin(1);
  purge(2);
  expect(why()).toEqual([]);
});

test("one that went although it was pinned is seen; one that was pinned too late is not", () => {
  commit(1, true);
  pin(1);
  purge(2);
  expect(why()).toEqual(["it was pinned whenever somebody purged"]);
  told.pins.splice(0);
  pin(1);
  expect(why()).toEqual([]);
});

test("one that nobody holds goes with the last purge", () => {
  commit(1, false);
  commit(2, false);
  purge(2);
  expect(why()).toEqual(["it was purged, and nobody held it"]);
});
