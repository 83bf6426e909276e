/**
 * When a lease, or a session, is over: the two questions that every rule about fencing comes down to. Was it over before this
 * moment for sure? (Then nothing may be accepted.) May it have been over by this moment? (Else nobody else may have it.)
 */
import { type Lease, type Session, seconds, type World } from "./world.ts";

export interface Evidence {
  readonly why: string;
  readonly lines: readonly number[];
  /** Judged by time: by how much. */
  readonly marginNs?: number;
}

/** `unsure`: beats are on their way, whose answers will tell. */
export function sessionOverBefore(world: World, session: Session, start: number): Evidence | "unsure" | undefined {
  const { over } = session;
  if (over !== undefined && over.at < start) return { why: `its session was ${over.why}`, lines: [over.line] };
  const marginNs = start - (session.aliveTo + session.ttlNs + world.slackNs);
  if (marginNs <= 0) return undefined;
  if (session.beating > 0) return "unsure";
  const why = `its session had its last beat ${seconds(start - session.aliveTo)} before the call and lives ${seconds(session.ttlNs)} without one`;
  return { why, lines: [session.aliveLine], marginNs };
}

/** What shows that the lease was over before a call that began at `start`, whatever the dispatcher was slow with. */
export function leaseOverBefore(world: World, lease: Lease, start: number): Evidence | "unsure" | undefined {
  if (lease.gone !== undefined && lease.gone.at < start) return { why: lease.gone.why, lines: [lease.gone.line] };
  const session = sessionOverBefore(world, lease.session, start);
  if (session !== undefined && session !== "unsure") return session;
  const marginNs = start - (lease.limitTo + lease.timeoutNs + world.graceNs + world.slackNs);
  if (marginNs > 0) {
    return { why: `its deadline was over by ${seconds(marginNs + world.slackNs)}`, lines: [lease.line], marginNs };
  }
  return session;
}

/** Whether anything can have ended the lease by `at`. If not, it was live then. */
export function mayBeOverBy(world: World, lease: Lease, at: number): boolean {
  const { session, task } = lease;
  if (lease.end !== undefined && lease.end.start < at) return true;
  if (lease.tries?.some((one) => one.start < at)) return true;
  if (session.closedFrom < at) return true;
  if (session.aliveFrom + session.ttlNs - world.slackNs < at) return true;
  if (lease.limitFrom + lease.timeoutNs + world.graceNs - world.slackNs < at) return true;
  return task.cancels?.some((cancel) => cancel.start < at && cancel.at > lease.claimStart) === true;
}

/**
 * Reports `report` when the lease was over before `start`: at once, or when beats that are on their way have been answered
 * and do not explain it.
 */
export function judgeLease(world: World, lease: Lease, start: number, report: (evidence: Evidence) => void): void {
  judge(world, lease.session, () => leaseOverBefore(world, lease, start), report);
}

export function judgeSession(
  world: World,
  session: Session,
  start: number,
  report: (evidence: Evidence) => void,
): void {
  judge(world, session, () => sessionOverBefore(world, session, start), report);
}

function judge(
  world: World,
  session: Session,
  look: () => Evidence | "unsure" | undefined,
  report: (evidence: Evidence) => void,
): void {
  const found = look();
  if (found === "unsure") {
    world.verdict.count("judged after the beats on their way");
    session.deferred.push(() => {
      const later = look();
      if (later !== undefined && later !== "unsure") report(later);
    });
  } else if (found !== undefined) report(found);
}
