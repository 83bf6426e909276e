/** Rules of claims: who gets a lease, of which task, and when. */
import type { CallRules, OpenCall, Outcome } from "./calls.ts";
import { type Fields, fieldsOf, listOf, numberOf, textOf } from "./json.ts";
import { judgeSession, mayBeOverBy } from "./over.ts";
import { markOver } from "./sessions.ts";
import { type Lease, markGone, nsPerMs, numberOfToken, type Session, type Task, type World } from "./world.ts";

export const claim: CallRules = {
  settle(world, call, outcome) {
    const session = world.sessions.get(textOf(fieldsOf(call.body).session_id));
    if (outcome.kind === "refused" && outcome.code === "TR-3002" && session !== undefined) {
      markOver(session, outcome, "refused a claim, as over");
    }
    if (outcome.kind !== "answered") return;
    const answer = fieldsOf(outcome.body);
    const tasks = listOf(answer.tasks).map(fieldsOf);
    if (tasks.length === 0) return;
    if (session === undefined) {
      const what = `${tasks.length} tasks were claimed by a session that was never opened`;
      world.verdict.add({ rule: "dead_session", what, why: "no answer named it", lines: [call.line, outcome.line] });
      return;
    }
    judgeSession(world, session, call.start, ({ why, lines, marginNs }) => {
      const what = `${tasks.length} tasks were claimed by session ${session.id}`;
      world.verdict.add({ rule: "dead_session", what, why, lines: [...lines, call.line, outcome.line], marginNs });
    });
    const max = numberOf(fieldsOf(call.body).max);
    if (tasks.length > max) {
      const what = `a claim for ${max} tasks was answered with ${tasks.length}`;
      world.verdict.add({ rule: "answers", what, why: "", lines: [call.line, outcome.line] });
    }
    const jobs = listOf(answer.jobs).map(fieldsOf);
    for (const item of tasks) handedOut(world, session, call, outcome, item, jobs);
  },
};

function handedOut(
  world: World,
  session: Session,
  call: OpenCall,
  { at, line }: Outcome,
  item: Fields,
  jobs: readonly Fields[],
): void {
  const no = numberOf(item.lease_no);
  const token = textOf(item.lease_token);
  const task = world.task(textOf(item.task_id));
  const complain = complaintsOf(world, task, no);
  const timeoutMs = numberOf(fieldsOf(jobs[numberOf(item.job)]).timeout_ms);
  if (numberOfToken(token) !== no || !(timeoutMs > 0)) {
    complain("lease_numbers", "the token does not begin with the lease's number, or the job is missing", [line]);
    return;
  }
  const before = world.leases.get(no);
  if (before !== undefined) {
    complain("lease_numbers", `the number was handed out before, for task ${before.task.id}`, [before.line, line]);
    return;
  }
  const lease: Lease = {
    no,
    token,
    task,
    session,
    attempt: numberOf(item.attempt),
    claimStart: call.start,
    claimAt: at,
    line,
    timeoutNs: timeoutMs * nsPerMs,
    outputs: listOf(item.staging).length,
    limitTo: at,
    limitFrom: call.start,
    nonce: undefined,
    tries: undefined,
    end: undefined,
    gone: undefined,
    commits: undefined,
    stored: undefined,
  };
  world.leases.set(no, lease);
  world.verdict.count("leases handed out");
  requireTaskLives(world, lease, complain);
  for (const other of task.leases) compare(world, lease, other, complain);
  task.leases.push(lease);
}

type Complain = ReturnType<typeof complaintsOf>;

function complaintsOf(world: World, task: Task, no: number) {
  return (rule: Parameters<World["verdict"]["add"]>[0]["rule"], why: string, lines: readonly number[]) =>
    world.verdict.add({
      rule,
      what: `lease ${no} of task ${task.id} was handed out`,
      why,
      task: task.id,
      lease: no,
      lines,
    });
}

/** A task that is over is claimed only after a replay, or what may have been one. */
function requireTaskLives(_world: World, lease: Lease, complain: Complain): void {
  const { ended, replays } = lease.task;
  if (ended === undefined || ended.at >= lease.claimStart) return;
  if (replays?.some((replay) => replay.at > ended.start && replay.start < lease.claimAt)) return;
  complain("ended_task", `the task was ${ended.state} before`, [ended.line, lease.line]);
}

/** Two leases of one task: which was first, and whether the first had ended when the second was handed out. */
function compare(world: World, lease: Lease, other: Lease, complain: Complain): void {
  const [first, second] = other.no < lease.no ? [other, lease] : [lease, other];
  const lines = [first.line, second.line];
  if (second.claimAt < first.claimStart) {
    complain("lease_numbers", `number ${second.no} was handed out before ${first.no}: numbers do not grow`, lines);
    return;
  }
  if (!mayBeOverBy(world, first, second.claimAt)) {
    complain("two_live", `lease ${first.no} was live: nothing that ends one had happened to it`, lines);
  }
  if (second.attempt < first.attempt) {
    complain("attempt_numbers", `attempt ${first.attempt} came before attempt ${second.attempt}`, lines);
  }
  markGone(first, { at: second.claimAt, line: second.line, why: `lease ${second.no} of its task was handed out` });
}
