/**
 * Admission: gives free slots of limited jobs to tasks that wait. Whoever frees a slot does so in his own transaction; this
 * loop is for what no transaction sees: a task whose time comes, a limit that a deploy raised or dropped.
 */
import { type Database, type Log, Loop } from "@trace/kit";
import { admit } from "../endings.ts";
import { admissionEveryMs, admissionJobsMax } from "../limits.ts";
import { jobsWithWaiting, lockJobs } from "../sql/statements.gen.ts";
import type { WakeupRow } from "../wakeups.ts";

export interface AdmissionOptions {
  readonly db: Database;
  readonly log: Log;
  onReady(wakeups: readonly WakeupRow[]): void;
}

export function createAdmission(options: AdmissionOptions): Loop {
  const { db, log } = options;
  return new Loop({
    name: "admission",
    everyMs: admissionEveryMs,
    log,
    async pass() {
      const jobs = await db.query(jobsWithWaiting, { limit: admissionJobsMax });
      // Job by job, so that one with many tasks holds up no other.
      for (const { job_id } of jobs) {
        const wakeups = await db.transaction(async (tx) => {
          await tx.query(lockJobs, { job_ids: [job_id] });
          return admit(tx, [job_id]);
        });
        if (wakeups.length > 0) options.onReady(wakeups);
      }
      return "idle";
    },
  });
}
