/** Rules of completions and releases: an attempt ends once, while its lease is live, and every repeat is told the same. */
import { type CallRules, isNotNow, type OpenCall, type Outcome } from "./calls.ts";
import { canonical, codeOf, type Fields, fieldsOf, listOf, textOf } from "./json.ts";
import { judgeLease } from "./over.ts";
import { type EndTry, type Lease, type LeaseEnd, markGone, type World } from "./world.ts";

type Kind = LeaseEnd["kind"];

export const complete: CallRules = endsOf("complete");
export const release: CallRules = endsOf("release");

function endsOf(kind: Kind): CallRules {
  return {
    begin(world, call) {
      for (const item of itemsOf(call)) {
        const lease = world.leaseOf(textOf(item.lease_token));
        if (lease === undefined) continue;
        lease.tries ??= [];
        lease.tries.push({
          call: call.call,
          start: call.start,
          body: bodyOf(world, kind, item),
          outputs: outputsOf(item),
        });
      }
    },
    settle(world, call, outcome) {
      const items = itemsOf(call);
      if (outcome.kind === "unknown") {
        world.verdict.count(`${kind} calls without a certain end`);
        return;
      }
      const answers = listOf(fieldsOf(outcome.body).items).map(fieldsOf);
      if (outcome.kind === "answered" && answers.length !== items.length) {
        const what = `${items.length} items of a ${kind} call got ${answers.length} answers`;
        world.verdict.add({ rule: "answers", what, why: "", lines: [call.line, outcome.line] });
      }
      for (const [index, item] of items.entries()) {
        const answer = outcome.kind === "answered" ? answers[index] : { accepted: false };
        if (answer !== undefined) settleItem(world, { kind, call, outcome, item, answer });
      }
    },
  };
}

interface Settled {
  readonly kind: Kind;
  readonly call: OpenCall;
  readonly outcome: Outcome;
  readonly item: Fields;
  readonly answer: Fields;
}

function itemsOf(call: OpenCall): Fields[] {
  return listOf(fieldsOf(call.body).items).map(fieldsOf);
}

function outputsOf(item: Fields): number {
  return listOf(fieldsOf(item.result).outputs).length;
}

/** What the caller said, so that the same call can be told from another one: a success without outputs may leave them out. */
function bodyOf(world: World, kind: Kind, item: Fields): string {
  if (kind === "release") return "release";
  const result = fieldsOf(item.result);
  return world.texts.of(canonical(result.kind === "success" ? { outputs: [], ...result } : result));
}

function settleItem(world: World, settled: Settled): void {
  const { kind, call, outcome, item, answer } = settled;
  const lease = world.leaseOf(textOf(item.lease_token));
  const code = codeOf(answer.error);
  if (lease === undefined) {
    if (answer.accepted === true) acceptedOfNobody(world, settled);
    else world.verdict.count(`${kind} of a token that was never handed out, refused`);
    return;
  }
  // It may have taken effect: the try stays, and explains what comes later.
  if (outcome.kind === "answered" && answer.accepted !== true && isNotNow(code)) return;
  const body = bodyOf(world, kind, item);
  if (answer.accepted === true) accepted(world, lease, body, settled);
  lease.tries = without(lease.tries, call.call, body);
  if (answer.accepted !== true && outcome.kind === "answered") refused(world, lease, body, code, settled);
}

function without(tries: EndTry[] | undefined, call: number, body: string): EndTry[] | undefined {
  const left = tries?.filter((one) => one.call !== call || one.body !== body);
  return left === undefined || left.length === 0 ? undefined : left;
}

function acceptedOfNobody(world: World, { kind, call, outcome }: Settled): void {
  const what = `a ${kind} with a token that no claim handed out was accepted`;
  world.verdict.add({ rule: "unknown_token", what, why: "", lines: [call.line, outcome.line] });
}

function accepted(world: World, lease: Lease, body: string, settled: Settled): void {
  const { kind, call, outcome, answer } = settled;
  const said = world.texts.of(canonical(answer));
  const start = (lease.tries ?? []).reduce(
    (first, one) => (one.body === body ? Math.min(first, one.start) : first),
    call.start,
  );
  const { end } = lease;
  if (end !== undefined) {
    again(world, lease, end, { body, said, start, settled });
    return;
  }
  world.verdict.count(`${kind} accepted`);
  judgeLease(world, lease, start, ({ why, lines, marginNs }) => {
    const what = `a ${kind} of lease ${lease.no} was accepted, ${textOf(answer.attempt_state) || "released"}`;
    const at = { task: lease.task.id, lease: lease.no, lines: [...lines, call.line, outcome.line] };
    world.verdict.add({ rule: "stale_accept", what, why, marginNs, ...at });
  });
  const attemptState = kind === "release" ? "released" : textOf(answer.attempt_state);
  const taskState = kind === "release" ? "queued" : textOf(answer.task_state);
  lease.end = { kind, start, at: outcome.at, line: outcome.line, body, answer: said, attemptState, taskState };
  markGone(lease, { at: outcome.at, line: outcome.line, why: `its attempt had ended: ${attemptState}` });
  tellCommits(world, lease, settled);
  endTask(world, lease, lease.end);
}

interface Again {
  readonly body: string;
  readonly said: string;
  readonly start: number;
  readonly settled: Settled;
}

/** Accepted once more: a repeat of the call that ended it, told the same, or a second end. */
function again(world: World, lease: Lease, end: LeaseEnd, { body, said, start, settled }: Again): void {
  const { kind, call, outcome } = settled;
  const at = { task: lease.task.id, lease: lease.no, lines: [end.line, call.line, outcome.line] };
  if (end.body !== body) {
    const what = `lease ${lease.no} ended a second time, by another ${kind}`;
    world.verdict.add({ rule: "one_end", what, why: `it had ended as ${end.attemptState}`, ...at });
    return;
  }
  if (end.answer !== said) {
    const what = `the same ${kind} of lease ${lease.no} was answered differently`;
    world.verdict.add({ rule: "same_answer", what, why: `first ${end.answer}, then ${said}`, ...at });
    return;
  }
  world.verdict.count(`${kind} repeated, same answer`);
  end.start = Math.min(end.start, start);
  end.at = Math.min(end.at, outcome.at);
}

function tellCommits(world: World, lease: Lease, { call, outcome, item, answer }: Settled): void {
  const refs = listOf(answer.commits).map(fieldsOf);
  const at = { task: lease.task.id, lease: lease.no, lines: [call.line, outcome.line] };
  const wanted = textOf(answer.attempt_state) === "succeeded" ? lease.outputs : 0;
  if (refs.length !== wanted || (wanted > 0 && outputsOf(item) !== wanted)) {
    const what = `a completion of lease ${lease.no} was told ${refs.length} commits; its job has ${wanted} outputs`;
    world.verdict.add({ rule: "commit_owner", what, why: "an attempt that succeeds commits every output", ...at });
  }
  for (const ref of refs) {
    const key = `${textOf(ref.dataset)}/${String(ref.generation)}/${String(ref.commit)}`;
    const other = world.commits.get(key);
    if (other !== undefined) {
      const what = `commit ${key} was told to lease ${lease.no} and to lease ${other.no}`;
      world.verdict.add({ rule: "commit_owner", what, why: "a commit has one attempt", ...at });
      continue;
    }
    world.commits.set(key, lease);
    lease.commits ??= new Set();
    lease.commits.add(key);
  }
}

/** What the end of the attempt says of the task. */
function endTask(world: World, lease: Lease, end: LeaseEnd): void {
  const { task } = lease;
  if (end.taskState === "queued") return;
  if (end.taskState === "completed") {
    const other = task.leases.find((one) => one !== lease && one.end?.taskState === "completed");
    if (other !== undefined) {
      const what = `task ${task.id} was completed by lease ${other.no} and by lease ${lease.no}`;
      const lines = [other.end?.line ?? 0, end.line];
      world.verdict.add({ rule: "one_completion", what, why: "", task: task.id, lease: lease.no, lines });
    }
  }
  // A replay that may have come after this end has taken it back already.
  if (task.replays?.some((replay) => replay.at > end.start)) return;
  task.ended = {
    state: end.taskState,
    start: end.start,
    at: end.at,
    line: end.line,
    why: `the task is ${end.taskState}`,
  };
}

function refused(world: World, lease: Lease, body: string, code: string, settled: Settled): void {
  const { kind, call, outcome } = settled;
  world.verdict.count(`${kind} refused, ${code}`);
  const { end } = lease;
  const repeats = end?.kind === "complete" && end.body === body && call.start > end.at;
  if (repeats) {
    const what = `the same ${kind} of lease ${lease.no} was accepted first and refused later with ${code}`;
    const lines = [end.line, call.line, outcome.line];
    world.verdict.add({ rule: "same_answer", what, why: end.answer, task: lease.task.id, lease: lease.no, lines });
  }
  if (code === "TR-3001") {
    const why = `a ${kind} of it was refused as stale`;
    markGone(lease, { at: outcome.at, line: outcome.line, why });
  }
}
