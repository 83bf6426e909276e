/** Bounds and rhythms of the dispatcher. Units are in the names. */

/** A session without a beat for this long is over. */
export const sessionTtlMs = 15_000;
/** Tests shorten it to this, never production: a worker that is held up for a moment must not lose its work. */
export const sessionTtlMsMin = 1_000;
/** A session is to beat this often within its time to live. */
export const sessionBeatsPerTtl = 3;
/** Closed sessions are kept this long for people to look at. */
export const sessionKeptMs = 24 * 3_600_000;
/** Between two passes of the reaper. With the TTL it bounds how late a dead worker's tasks run again. */
export const reaperEveryMs = 1_000;
/**
 * It looks for leases past their deadline this often, for which it looks through all that live. Nobody waits for it: calls past
 * the deadline are refused by the clock, and the worker itself has ended the attempt at its timeout, 10 s before.
 */
export const reaperDeadlineEveryMs = 5_000;
/** Leases ended by one pass; a pass that finds this many runs again at once. */
export const reaperLeasesMax = 500;
/** Attempts lost with their lease before a task is dead: they say nothing about the task, so the bound is generous. */
export const leaseLossesMax = 10;
/** A failed attempt is tried again after min(max, base * 2^failures) * rand(0.5..1.5). */
export const retryBaseMs = 30_000;
export const retryMaxMs = 600_000;
/** The loop of an outbox lane looks this often, at this many rows. */
export const outboxEveryMs = 250;
export const outboxRowsMax = 200;
/** It looks at what came due this long ago: longer than transactions that write to the outbox take to commit. */
export const outboxLagMs = 2_000;
/** And at the whole lane this often, or as rarely as keeps that to one part in `outboxSweepShare` of the time. */
export const outboxSweepEveryMs = 1_000;
export const outboxSweepShare = 20;
/** Of a wake-up that is overdue by this, tasks that were claimed meanwhile are left out. */
export const wakeupLateMs = 5_000;
/** Calls to SQS, and to EventBridge, that are on their way at once. */
export const wakeupSendsInFlightMax = 4;
export const eventPutsInFlightMax = 4;
/** Calls to SQS that are not full, by one writer: so many at once, and so many a second; more is sent in fewer and fuller ones. */
export const wakeupSendBurst = 8;
export const wakeupSendsPerSecond = 100;
/** Ids that a writer has in hand; what comes beyond is left to the loop. */
export const wakeupIdsInHandMax = 50_000;
/** Rows that a writer has sent are deleted this often. */
export const wakeupDeleteEveryMs = 50;
/** Answers that blame a row before it is kept as failed. */
export const outboxTriesMax = 20;
/** A row that was blamed is tried again after min(max, base * 2^tries). */
export const outboxRetryBaseMs = 1_000;
export const outboxRetryMaxMs = 60_000;
/** Failed rows are kept this long for people to look at. */
export const failedKeptMs = 30 * 24 * 3_600_000;
export const failedForgottenMax = 10_000;
export const failedForgetEveryMs = 3_600_000;
/** Rows are counted for metrics and people up to this (also in sql/outbox.sql). */
export const countedRowsMax = 100_000;
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
/**
 * A claim starts where claims were this long ago, longer than most transactions that create tasks take to commit. What one that
 * takes longer created is found by its wake-up, by a claim that is called for it, or by the next sweep.
 */
export const claimLagMs = 20;
/** And looks at the front of the queue again this often, or as rarely as keeps it to one part in `claimSweepShare` of the time. */
export const claimSweepEveryMs = 250;
export const claimSweepShare = 20;
/** Definitions of jobs kept in memory; versions of jobs never change. */
export const jobsKeptMax = 2_000;
/** Group commit: items that share one transaction, transactions at once, and items that may wait before calls are turned away. */
export const createBatchMax = 1_000;
export const createsInFlightMax = 2;
export const createsWaitingMax = 50_000;
export const completeBatchMax = 1_000;
export const completesInFlightMax = 2;
export const completesWaitingMax = 50_000;
/** Another transaction goes beside one that takes longer than this, milliseconds. */
export const slowBatchMs = 20;
/** What a caller who was turned away is asked to wait, seconds. */
export const turnedAwaySeconds = 1;
/** Claims that wait for work in one dispatcher; one more is answered at once. */
export const claimsWaitingMax = 1_000;
/** Between two claims of one queue that waited, milliseconds: under load one takes what several would have. */
export const claimGapMs = 8;
/** A wake-up that is likely to be claimed without being sent waits this long for that, milliseconds; ids that wait so. */
export const wakeupHoldMs = 25;
export const wakeupHoldIdsMax = 50_000;
/** The writer of an immediate wake-up sends it itself; the outbox loop does so when this time has passed (also in sql/*.sql). */
export const writerGraceMs = 500;
/** Limited jobs are looked at this often: tasks that came due, limits that a deploy raised. */
export const admissionEveryMs = 1_000;
export const admissionJobsMax = 1_000;
/** An action on tasks looks again for those that were between two places, this often at most. */
export const actionRoundsMax = 8;
/** Partitions of history kept ready beyond the one in use, and how often they are looked at. */
export const historyPartitionsAhead = 2;
export const historyEveryMs = 30_000;
/** Ids of tasks in one row of the outbox (also in sql/*.sql). */
export const outboxTaskIdsMax = 1_000;
/** A task that somebody watches is looked at this often: while it runs, and while it waits. */
export const watchRunningEveryMs = 500;
export const watchQueuedEveryMs = 1_000;
/** The store is asked this often whether the log of a running attempt has grown. */
export const watchLogEveryMs = 1_000;
/** A watched log is read in pieces of this size, bytes; a line of it is far shorter. */
export const logPieceBytes = 256 * 1024;
/** Versions of the log of an attempt that is over, looked at before its reader is asked to come back. */
export const logVersionsMax = 5;
/** The first line of a log that lost its front is at most this long, bytes. */
export const logMarkerBytesMax = 64;
/** Attempts that an event shows of a task, bytes of JSON: the newest ones. */
export const watchAttemptsBytes = 256 * 1024;
/** Tasks of one claim, whatever was asked for; where payloads are large, as many as `claimPayloadBytesMax` is likely to hold. */
export const claimTasksMax = 1_000;
/** Payloads of one claim's answer, bytes: half of what a client reads (kit, answerBytesMax). */
export const claimPayloadBytesMax = 32 * 1024 * 1024;
