/** Completions against what became of them: lies, stale calls and repeats, and what is said to be superseded or unchanged. */

import { olderInput } from "./commits.ts";
import type { Claim, End, Published } from "./facts.ts";
import { nothing, sliceOf } from "./model.ts";
import type { Verdict } from "./verdict.ts";
import { type Attempt, answeredBy, type World } from "./world.ts";

export function checkEnds(world: World, verdict: Verdict): void {
  for (const attempt of world.attempts.values()) {
    verdict.count("attempts");
    checkWords(attempt, verdict);
    for (const end of attempt.ends) checkEnd(world, attempt, end, verdict);
    const accepted = attempt.ends.find((end) => end.accepted);
    for (const one of accepted?.published ?? []) checkOutcome(world, attempt, one, verdict);
  }
  checkStale(world, verdict);
}

function whereOf({ lease, task }: Claim): string {
  return `lease ${lease} of task ${task}`;
}

function checkEnd(world: World, { claim }: Attempt, end: End, verdict: Verdict): void {
  verdict.count("completions");
  if (end.answeredMs === undefined) verdict.count("completions without an answer");
  else if (end.accepted) verdict.count("completions accepted");
  else verdict.count(end.code === "TR-3001" ? "completions refused as stale" : `completions refused (${end.code})`);
  if (!end.accepted) return;
  if (end.lie !== undefined)
    verdict.add("lies", whereOf(claim), "its completion was accepted", `its manifest lies: ${end.lie}`);
  for (const { dataset, commit, outcome } of end.published) {
    if (outcome !== "committed") continue;
    const row = world.step(dataset, commit)?.row;
    if (row?.lease === claim.lease) continue;
    const what = `was told that it is commit ${commit} of '${dataset}'`;
    verdict.add("owner", whereOf(claim), what, `that is of ${row === undefined ? "nobody" : `lease ${row.lease}`}`);
  }
}

/** One call takes effect; the same words get the same answer, and others none. */
function checkWords({ claim, ends }: Attempt, verdict: Verdict): void {
  const accepted = ends.filter((end) => end.accepted);
  const [first] = accepted;
  if (first === undefined) return;
  for (const other of accepted.slice(1)) {
    const same = other.words === first.words && JSON.stringify(other.published) === JSON.stringify(first.published);
    if (!same)
      verdict.add("same_answer", whereOf(claim), "two completions were accepted", "they or their answers differ");
  }
}

/** Once another attempt of the task was handed out, or the attempt ended otherwise, nothing of it is published. */
function checkStale(world: World, verdict: Verdict): void {
  const others = Map.groupBy(world.history.others, (other) => other.lease);
  for (const attempts of world.tasks.values()) {
    for (const [index, { claim, ends }] of attempts.entries()) {
      const next = attempts[index + 1]?.claim;
      const ended = (others.get(claim.lease) ?? []).filter((other) => other.accepted);
      const overMs = Math.min(...(next === undefined ? [] : [answeredBy(next)]), ...ended.map(answeredBy));
      const accepted = ends.filter((end) => end.accepted);
      // What was called before may have taken effect then, and this is its repeat.
      const late = accepted.find(
        (end) =>
          end.sentMs > overMs &&
          !ends.some(
            (early) =>
              early.sentMs < overMs &&
              early.words === end.words &&
              early.lie === undefined &&
              (early.accepted || early.answeredMs === undefined),
          ),
      );
      if (late === undefined) continue;
      const why = next === undefined ? "the attempt had ended otherwise" : `lease ${next.lease} had been handed out`;
      verdict.add("stale", whereOf(claim), "its completion was accepted", why);
    }
  }
}

function checkOutcome(world: World, { claim, ends }: Attempt, one: Published, verdict: Verdict): void {
  verdict.count(`outputs ${one.outcome}`);
  if (one.outcome === "superseded") checkSuperseded(world, claim, ends, one, verdict);
  if (one.outcome === "unchanged") checkUnchanged(world, claim, ends, one, verdict);
}

/** Of all outputs of an attempt one is enough; each is judged at the head that its answer names. */
function checkSuperseded(world: World, claim: Claim, ends: readonly End[], one: Published, verdict: Verdict): void {
  const published = ends.find((end) => end.accepted)?.published ?? [];
  if (published[0] !== one || published.some(({ dataset, commit }) => isOld(world, claim, dataset, commit))) return;
  const why = `nothing up to commit ${one.commit} took its partition back or was made from newer inputs`;
  verdict.add("superseded", one.dataset, `${whereOf(claim)} was superseded`, why);
}

function isOld(world: World, claim: Claim, dataset: string, head: number): boolean {
  const told = world.told.get(dataset);
  if (told === undefined) return false;
  const step = told.steps[head - 1];
  const state = step?.state ?? nothing;
  if (told.shape.strategy === "append")
    return told.shape.news === undefined
      ? step?.withdrawn.has(sliceOf(claim.partition, claim.asked ?? claim.task)) === true
      : (step?.withdrawn.size ?? 0) > 0;
  const held = told.shape.whole ? [...state.values()].flat() : (state.get(claim.partition) ?? []);
  if (world.holders(held).some((holder) => olderInput(claim.inputs, holder.inputs) !== undefined)) return true;
  const there = told.shape.whole || state.has(claim.partition);
  return told.steps.slice(0, head).some(({ row, touched }) => {
    if (row.kind !== "revert") return false;
    const later = world.revertsOf(row).some((call) => answeredBy(call) > claim.sentMs);
    return later && (told.shape.whole || !there || touched.has(claim.partition));
  });
}

function checkUnchanged(world: World, claim: Claim, ends: readonly End[], one: Published, verdict: Verdict): void {
  const said = ends.find((end) => end.accepted)?.contents.get(one.dataset)?.fingerprint;
  const held = world.step(one.dataset, one.commit)?.state.get(claim.partition) ?? [];
  const same = held.length > 0 && held.every(({ lease }) => world.fingerprintOf(lease, one.dataset) === said);
  if (said !== undefined && same) return;
  const why = `commit ${one.commit} holds something else`;
  verdict.add("unchanged", one.dataset, `${whereOf(claim)} was told that it is there`, why);
}
