/**
 * The reaper: closes sessions that stopped beating and ends the leases nobody holds any more, so that their tasks run
 * elsewhere. Any number of dispatchers may run it side by side: rows are taken with SKIP LOCKED.
 */
import { TraceError } from "@trace/contracts";
import { type Database, type Log, Loop } from "@trace/kit";
import type { Completions } from "../completions.ts";
import { reaperEveryMs, reaperLeasesMax } from "../limits.ts";
import { expireSessions, type LockExpiredLeasesRow, lockExpiredLeases } from "../sql/statements.gen.ts";

export interface ReaperOptions {
  readonly db: Database;
  readonly completions: Completions;
  readonly log: Log;
  onExpired(count: number): void;
  onReady(): void;
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

export function createReaper(options: ReaperOptions): Loop {
  const { db, completions, log } = options;
  return new Loop({
    name: "reaper",
    everyMs: reaperEveryMs,
    log,
    async pass() {
      for (const session of await db.query(expireSessions, {})) {
        log.warn({ worker: session.worker }, "a worker session expired");
      }
      const count = await db.transaction(async (tx) => {
        const leases = await tx.query(lockExpiredLeases, { limit: reaperLeasesMax });
        await completions.expire(
          tx,
          leases.map((lease) =>
            lease.past_deadline
              ? { lease, event: { kind: "overdue" }, error: overdue(lease) }
              : { lease, event: { kind: "lost" }, error: lost(lease) },
          ),
        );
        return leases.length;
      });
      if (count > 0) {
        log.info({ leases: count }, "requeued tasks of lost leases");
        options.onExpired(count);
        options.onReady();
      }
      return count === reaperLeasesMax ? "again" : "idle";
    },
  });
}
