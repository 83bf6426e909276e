/** Judges a history as a whole. */
import { checkCommits } from "./commits.ts";
import { checkEnds } from "./ends.ts";
import type { History } from "./facts.ts";
import type { Lists } from "./lists.ts";
import { Reads } from "./reads.ts";
import type { Verdict } from "./verdict.ts";
import { World } from "./world.ts";

export function check(history: History, lists: Lists, verdict: Verdict): World {
  const world = new World(history, verdict);
  checkCommits(world, verdict);
  checkEnds(world, verdict);
  new Reads(world, lists, verdict).check();
  return world;
}
