/** Bounds and rhythms of the dispatcher. Units are in the names. */

/** A session without a beat for this long is over. */
export const sessionTtlMs = 15_000;
export const sessionBeatMs = 5_000;
/** Closed sessions are kept this long for people to look at. */
export const sessionKeptMs = 24 * 3_600_000;
/** Between two passes of the reaper. With the TTL it bounds how late a dead worker's tasks run again. */
export const reaperEveryMs = 1_000;
/** Leases ended by one pass; a pass that finds this many runs again at once. */
export const reaperLeasesMax = 500;
/** Attempts lost with their lease before a task is dead: they say nothing about the task, so the bound is generous. */
export const leaseLossesMax = 10;
/** A failed attempt is tried again after min(max, base * 2^failures) * rand(0.5..1.5). */
export const retryBaseMs = 30_000;
export const retryMaxMs = 600_000;
/** The outbox looks by itself this often; a commit in this process nudges it at once. */
export const outboxEveryMs = 250;
export const outboxRowsMax = 200;
/** Answers that blame a row before it is kept as failed. */
export const outboxTriesMax = 20;
/** An unavailable destination pauses its lane. */
export const lanePauseBaseMs = 1_000;
export const lanePauseMaxMs = 300_000;
/** The reconciler looks this often, and speaks for tasks that have been ready this long without a claim. */
export const reconcileEveryMs = 2_000;
export const reconcileAfterMs = 5_000;
export const reconcileTasksMax = 1_000;
/** While nobody claims, it speaks for a queue ever more rarely, down to once in this time. */
export const reconcileQuietMaxMs = 60_000;
/** Sessions and other closed rows are swept this often. */
export const housekeepingEveryMs = 600_000;
/** Objects looked at side by side while a manifest is checked. */
export const manifestChecksInFlight = 16;
/** Commits shown with a dataset. */
export const commitsShownMax = 20;
/** A dedupe key outlives its task by this; then it is free again. */
export const taskKeyKeptMs = 30 * 24 * 3_600_000;
/** Keys forgotten in one pass of the housekeeping. */
export const taskKeysForgottenMax = 10_000;
