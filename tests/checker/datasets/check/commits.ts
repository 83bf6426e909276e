/** Commits against who made them: numbers, times, owners, and that none moves its dataset back. */
import type { Claim, Input, Row } from "./facts.ts";
import { type Step, sliceOf } from "./model.ts";
import type { Verdict } from "./verdict.ts";
import { answeredBy, type Told, type World } from "./world.ts";

export function checkCommits(world: World, verdict: Verdict): void {
  for (const told of world.told.values()) {
    for (const [index, step] of told.steps.entries()) {
      const before = told.steps[index - 1];
      verdict.count(step.row.kind === "revert" ? "commits by reverts" : "commits by completions");
      if (before !== undefined && step.row.committedAt <= before.row.committedAt) {
        const words = ({ row }: Step) =>
          `commit ${row.commit} (${row.kind}, ${row.lease ?? row.reason}) is of ${row.committedAt}`;
        const what = `${words(step)}, ${words(before)}`;
        verdict.add("times", told.name, what, "times strictly increase");
      }
      if (step.row.kind === "revert") checkRevertRow(world, told, step.row, verdict);
      else checkOwned(world, told, index, verdict);
    }
    if (told.shape.news !== undefined) checkSlices(world, told, told.shape.news, verdict);
  }
  checkTogether(world, verdict);
}

function checkRevertRow(world: World, { name }: Told, row: Row, verdict: Verdict): void {
  const calls = world.revertsOf(row);
  const call = calls.find(({ commit }) => commit === row.commit) ?? calls.find((one) => one.answeredMs === undefined);
  const what = `commit ${row.commit} is a revert to ${row.revertedTo}`;
  if (call === undefined) {
    verdict.add("owner", name, what, `no revert was accepted, or can have been, with the reason '${row.reason}'`);
  } else if (call.dataset !== name || call.to !== row.revertedTo || call.expectedHead !== row.commit - 1) {
    const asked = `'${call.dataset}' to ${call.to} from ${call.expectedHead}`;
    verdict.add("owner", name, what, `what was asked for was ${asked}`);
  }
}

function checkOwned(world: World, told: Told, index: number, verdict: Verdict): void {
  const step = told.steps[index] as Step;
  const { row } = step;
  const { name } = told;
  const attempt = world.attempts.get(row.lease ?? 0);
  const end = world.endOf(row.lease ?? 0);
  const what = `commit ${row.commit} is of lease ${row.lease}`;
  if (attempt === undefined) {
    verdict.add("owner", name, what, "that lease was never handed out");
    return;
  }
  if (end?.contents.has(name) !== true) {
    const lied = attempt.ends.find(({ lie }) => lie !== undefined);
    if (lied === undefined) verdict.add("owner", name, what, "no completion of it was accepted, or can have been");
    else verdict.add("lies", name, what, `its manifest lies: ${lied.lie}`);
    return;
  }
  const answer = end.published.find(({ dataset }) => dataset === name);
  if (end.accepted && (answer?.outcome !== "committed" || answer.commit !== row.commit)) {
    verdict.add("owner", name, what, `its caller was told ${answer?.outcome ?? "nothing"} of commit ${answer?.commit}`);
  }
  const before = told.steps[index - 1];
  checkNews(world, told, step, before, attempt.claim, verdict);
  if (told.shape.strategy === "append") checkSlice(world, told, step, before, attempt.claim, verdict);
  else checkReverted(told, step, index, attempt.claim, world, verdict);
}

/** Older inputs than those of what it takes the place of; the same content once more. */
function checkNews(
  world: World,
  told: Told,
  { row, touched }: Step,
  before: Step | undefined,
  claim: Claim,
  verdict: Verdict,
): void {
  if (told.shape.strategy === "append" || before === undefined) return;
  const replaced = [...touched].flatMap((partition) => before.state.get(partition) ?? []);
  for (const holder of world.holders(replaced)) {
    const older = olderInput(claim.inputs, holder.inputs);
    if (older === undefined) continue;
    const why = `it read ${older}, and took the place of lease ${holder.lease}, which had read a newer one`;
    verdict.add("moved_back", told.name, `commit ${row.commit} of lease ${claim.lease}`, why);
  }
  const fingerprint = world.fingerprintOf(claim.lease, told.name);
  if (fingerprint === undefined || replaced.length === 0 || told.shape.whole) return;
  if (replaced.every((file) => world.fingerprintOf(file.lease, told.name) === fingerprint)) {
    const what = `commit ${row.commit} of lease ${claim.lease}`;
    verdict.add("unchanged", told.name, what, "it has the fingerprint of what was there");
  }
}

export function olderInput(ours: readonly Input[], theirs: readonly Input[]): string | undefined {
  const others = new Map(theirs.map((input) => [input.dataset, input.commit]));
  const older = ours.find(({ dataset, commit }) => commit < (others.get(dataset) ?? 0));
  return older === undefined ? undefined : `commit ${older.commit} of '${older.dataset}'`;
}

/** No revert between the claim and the commit. Only what was surely claimed before the revert was even asked for is held to it. */
function checkReverted(told: Told, step: Step, index: number, claim: Claim, world: World, verdict: Verdict): void {
  for (let at = index - 1; at >= 0; at -= 1) {
    const earlier = told.steps[at] as Step;
    if (earlier.row.kind !== "revert") continue;
    const sentMs = Math.min(...world.revertsOf(earlier.row).map((call) => call.sentMs));
    // Reverts before it were asked for earlier still: each expects the head that the one before made.
    if (!(answeredBy(claim) < sentMs)) return;
    const both = told.shape.whole || [...step.touched].some((partition) => earlier.touched.has(partition));
    if (!both) continue;
    const why = `commit ${earlier.row.commit} took its partition back after it was claimed`;
    verdict.add("over_revert", told.name, `commit ${step.row.commit} of lease ${claim.lease}`, why);
    return;
  }
}

function checkSlice(
  world: World,
  told: Told,
  { row }: Step,
  before: Step | undefined,
  claim: Claim,
  verdict: Verdict,
): void {
  const what = `commit ${row.commit} of lease ${claim.lease} has the slice '${row.appendKey}'`;
  const wanted = claim.asked ?? claim.task;
  if (told.shape.news === undefined && row.appendKey !== wanted)
    verdict.add("append_key", told.name, what, `its task was given '${wanted}'`);
  const took = before?.withdrawn.get(sliceOf(claim.partition, row.appendKey ?? ""));
  if (took === undefined) return;
  const revert = world.step(told.name, took)?.row;
  const first = world.tasks.get(claim.task)?.[0]?.claim ?? claim;
  const replayed = world.history.replays.some(({ task, sentMs }) => task === claim.task && sentMs < answeredBy(claim));
  const asked = revert === undefined ? 0 : Math.min(...world.revertsOf(revert).map((call) => call.sentMs));
  if (replayed || !(answeredBy(first) < asked)) return;
  const why = `commit ${took} took it back, and the task had its slice before that and was not replayed`;
  verdict.add("withdrawn", told.name, what, why);
}

/** Ranges of what is new: the same key is the same range, different ones neither overlap nor leave a gap. */
function checkSlices(world: World, { name, steps }: Told, input: string, verdict: Verdict): void {
  const ranges = new Map<string, { from: number; to: number }>();
  for (const { row } of steps) {
    if (row.kind !== "append") continue;
    const pin = world.attempts.get(row.lease ?? 0)?.claim.inputs.find(({ dataset }) => dataset === input);
    if (pin === undefined) continue;
    const range = { from: pin.from ?? 0, to: pin.commit };
    const known = ranges.get(row.appendKey ?? "");
    if (known !== undefined && (known.from !== range.from || known.to !== range.to)) {
      const why = `it is of ${known.from}-${known.to} elsewhere, and of ${range.from}-${range.to} here`;
      verdict.add("slices", name, `slice '${row.appendKey}' of commit ${row.commit}`, why);
    }
    ranges.set(row.appendKey ?? "", range);
  }
  let end = 0;
  for (const [key, { from, to }] of [...ranges].sort(([, a], [, b]) => a.from - b.from || a.to - b.to)) {
    if (from !== end) {
      const what = `slice '${key}' begins after commit ${from} of '${input}'`;
      verdict.add("slices", name, what, `what was read before ends with commit ${end}`);
    }
    end = Math.max(end, to);
  }
}

/** Commits of one completion share a time; `checkEnds` sees to that none is missing. */
function checkTogether(world: World, verdict: Verdict): void {
  for (const [one, other] of world.history.together) {
    const times = new Map(world.told.get(other)?.steps.map(({ row }) => [row.lease, row.committedAt]));
    for (const { row } of world.told.get(one)?.steps ?? []) {
      const time = row.lease === undefined ? row.committedAt : times.get(row.lease);
      if (time === row.committedAt) continue;
      const what = `commit ${row.commit} of lease ${row.lease} is of ${row.committedAt}`;
      verdict.add("times", one, what, `that of '${other}' by the same completion is of ${time ?? "nowhere"}`);
    }
  }
}
