/**
 * The reaper: closes sessions that stopped beating and ends the leases nobody holds any more, so that their tasks run
 * elsewhere. Any number of dispatchers may run it side by side: rows are taken with SKIP LOCKED.
 */
import { TraceError, toErrorRecord } from "@trace/contracts";
import { type Database, type Log, Loop, noRace, type Queryable, type RacePoints, type Random } from "@trace/kit";
import { type Ending, end, endingOf, follow, jobsToLock } from "../endings.ts";
import type { Events } from "../events.ts";
import { reaperDeadlineEveryMs, reaperEveryMs, reaperLeasesMax } from "../limits.ts";
import { expireSessions, type LockExpiredLeasesRow, lockExpiredLeases } from "../sql/statements.gen.ts";
import { lockTriggered } from "../triggers.ts";
import type { WakeupRow } from "../wakeups.ts";

export interface ReaperOptions {
  readonly db: Database;
  readonly random: Random;
  readonly outgoing: Events;
  readonly log: Log;
  readonly race?: RacePoints;
  /** Between two looks for leases past their deadline, milliseconds. */
  readonly deadlineEveryMs?: number;
  onExpired(count: number): void;
  onReady(wakeups: readonly WakeupRow[]): void;
}

function lost(lease: LockExpiredLeasesRow): TraceError {
  return new TraceError("TR-3004", {
    detail: `worker ${lease.worker} stopped beating while it ran attempt ${lease.attempt}`,
    why: "it was killed, lost its network, or hung; the task runs again elsewhere",
    fix: "nothing, unless it repeats: then look at the worker's log and memory at that time",
  });
}

function overdue(lease: LockExpiredLeasesRow): TraceError {
  return new TraceError("TR-3005", {
    detail: `attempt ${lease.attempt} ran past its timeout on ${lease.worker}`,
    fix: "raise the job's `timeout`, or make its work smaller",
  });
}

function lostTooOften(losses: number, last: TraceError): TraceError {
  return new TraceError("TR-3006", {
    detail: `the task lost its lease ${losses} times and is given up`,
    why: last.message,
    fix: "look at the workers' logs and memory at these times; the task may be what kills them",
  });
}

function expired(lease: LockExpiredLeasesRow, random: Random): Ending {
  const ending = endingOf(lease, { kind: lease.past_deadline ? "overdue" : "lost" }, random);
  const reason = lease.past_deadline ? overdue(lease) : lost(lease);
  const given = ending.end.taskState === "dead" && !lease.past_deadline;
  return { ...ending, error: toErrorRecord(given ? lostTooOften(ending.end.leaseLosses, reason) : reason) };
}

/** One piece of work: the leases that this transaction found expired and ended. */
async function reap(
  tx: Queryable,
  options: ReaperOptions,
  overdueToo: boolean,
): Promise<{ count: number; wakeups: WakeupRow[] }> {
  const { random, race = noRace, outgoing } = options;
  const leases = await tx.query(lockExpiredLeases, { limit: reaperLeasesMax, overdue: overdueToo });
  const paused = race.reach("reap:locked");
  if (paused) await paused;
  const endings = leases.map((lease) => expired(lease, random));
  const { tracked, limited } = jobsToLock(endings);
  const locked = tracked.length + limited.length === 0 ? [] : await lockTriggered(tx, [...tracked, ...limited], []);
  const ended = await end(tx, endings, outgoing);
  return { count: endings.length, wakeups: [...ended, ...(await follow(tx, endings, locked))] };
}

export function createReaper(options: ReaperOptions): Loop {
  const { db, log, deadlineEveryMs = reaperDeadlineEveryMs } = options;
  let deadlinesAt = Number.NEGATIVE_INFINITY;
  return new Loop({
    name: "reaper",
    everyMs: reaperEveryMs,
    log,
    async pass() {
      const beganAt = performance.now();
      const overdueToo = beganAt - deadlinesAt >= deadlineEveryMs;
      for (const session of await db.query(expireSessions, {})) {
        log.warn({ worker: session.worker }, "a worker session expired");
      }
      const { count, wakeups } = await db.transaction((tx) => reap(tx, options, overdueToo));
      // A full pass may have left some: the next one, at once, looks for them too.
      if (overdueToo && count < reaperLeasesMax) deadlinesAt = beganAt;
      if (count > 0) {
        log.info({ leases: count }, "requeued tasks of lost leases");
        options.onExpired(count);
        options.onReady(wakeups);
      }
      return count === reaperLeasesMax ? "again" : "idle";
    },
  });
}
