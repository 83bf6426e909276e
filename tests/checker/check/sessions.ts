/** Rules of sessions: opening, beats and closing. */
import type { CallRules, OpenCall, Outcome } from "./calls.ts";
import { fieldsOf, listOf, numberOf, textOf } from "./json.ts";
import { judgeSession } from "./over.ts";
import { markGone, nsPerMs, type Session, type World } from "./world.ts";

export const openSession: CallRules = {
  settle(world, call, { kind, body, at, line }) {
    if (kind !== "answered") return;
    const answer = fieldsOf(body);
    const id = textOf(answer.session_id);
    const ttlNs = numberOf(answer.ttl_ms) * nsPerMs;
    if (id === "" || !(ttlNs > 0)) {
      world.verdict.add({
        rule: "answers",
        what: "a session was opened without id or time to live",
        why: "",
        lines: [line],
      });
      return;
    }
    if (world.sessions.has(id)) {
      const what = `session ${id} was opened twice`;
      world.verdict.add({ rule: "dead_session", what, why: "session ids are never used again", lines: [line] });
      return;
    }
    world.sessions.set(id, {
      id,
      ttlNs,
      aliveTo: at,
      aliveLine: line,
      aliveFrom: call.start,
      beating: 0,
      deferred: [],
      closedFrom: Number.POSITIVE_INFINITY,
      over: undefined,
    });
    world.verdict.count("sessions");
  },
};

export const heartbeat: CallRules = {
  begin(world, call) {
    const session = world.sessions.get(call.id);
    if (session !== undefined) session.beating += 1;
  },
  settle(world, call, outcome) {
    const session = world.sessions.get(call.id);
    if (session === undefined) {
      if (outcome.kind === "answered") beatOfNobody(world, call, outcome);
      return;
    }
    session.beating -= 1;
    if (outcome.kind === "answered") beaten(world, session, call, outcome);
    else if (outcome.kind === "unknown") session.aliveTo = Math.max(session.aliveTo, outcome.at + world.lateNs);
    else if (outcome.code === "TR-3002") markOver(session, outcome, "refused a call, as over");
    if (session.beating === 0) for (const judge of session.deferred.splice(0)) judge();
  },
};

export const closeSession: CallRules = {
  begin(world, call) {
    const session = world.sessions.get(call.id);
    if (session !== undefined) session.closedFrom = Math.min(session.closedFrom, call.start);
  },
  settle(world, call, outcome) {
    const session = world.sessions.get(call.id);
    if (session !== undefined && outcome.kind === "answered") markOver(session, outcome, "closed");
  },
};

export function markOver(session: Session, { at, line }: Outcome, why: string): void {
  if (session.over === undefined || at < session.over.at) session.over = { at, line, why };
}

function beatOfNobody(world: World, call: OpenCall, outcome: Outcome): void {
  const what = `a beat of session ${call.id} was accepted, which was never opened`;
  world.verdict.add({ rule: "dead_session", what, why: "no answer named it", lines: [call.line, outcome.line] });
}

function beaten(world: World, session: Session, call: OpenCall, { body, at, line }: Outcome): void {
  judgeSession(world, session, call.start, ({ why, lines, marginNs }) => {
    const what = `a beat of session ${session.id} was accepted`;
    world.verdict.add({ rule: "dead_session", what, why, lines: [...lines, call.line, line], marginNs });
  });
  world.verdict.count("beats accepted");
  session.aliveFrom = Math.max(session.aliveFrom, call.start);
  if (at > session.aliveTo) {
    session.aliveTo = at;
    session.aliveLine = line;
  }
  const lost = new Set(listOf(fieldsOf(body).lost).map(numberOf));
  for (const no of listOf(fieldsOf(call.body).leases).map(numberOf)) {
    const lease = world.leases.get(no);
    if (lease === undefined || lease.session !== session) continue;
    if (lost.has(no)) {
      world.verdict.count("leases told lost");
      markGone(lease, { at, line, why: `a beat was told that lease ${no} is lost` });
    } else if (lease.gone !== undefined && lease.gone.at < call.start) {
      world.verdict.add({
        rule: "lost_list",
        what: `a beat sent lease ${no} and was not told that it is over`,
        why: lease.gone.why,
        task: lease.task.id,
        lease: no,
        lines: [lease.gone.line, call.line, line],
      });
    }
  }
}
