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
/** Attempts that publish together, transactions of them at once, attempts that may wait, and files that one transaction commits. */
export const publishBatchMax = 64;
export const publishesInFlightMax = 4;
export const publishesWaitingMax = 10_000;
export const publishFilesMax = 10_000;
/** Attempts of one call whose manifests are read side by side: each may have 16 MiB. */
export const publishChecksInFlight = 16;
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
/** Rows of tasks written by one statement. */
export const createRowsMax = 1_000;
/**
 * Tasks that one settling of what was triggered starts, and keys that a sweep tells of: those that were started see to the rest
 * when they end. It looks this often, at most, for more that is free behind what is not.
 */
export const startKeysMax = 1_000;
export const settleRoundsMax = 12;
/** Tasks of one run that are created at its start, all in one transaction. */
export const runTasksMax = 20_000;
/** Missing partitions that one call tells of or repairs, and keys looked at by one statement. */
export const repairKeysMax = 10_000;
export const missingPageKeys = 10_000;
/** Files that one answer names, over all the datasets that were asked for: about 35 MB with links. */
export const resolvedFilesMax = 50_000;
/** A read as of a moment waits this long for commits that are on their way, milliseconds. */
export const settleLockMs = 2_000;
/** And looks again this often when a deploy put another generation in its place. */
export const settleTriesMax = 3;
/** Keys on either side of a mistyped one that are looked through for the one that was meant. */
export const partitionsAroundMax = 500;

/** Files that one revert looks at, on either side: commits to the dataset wait for it. */
export const revertFilesMax = 100_000;
/** Commits given up, and rows of files moved, by one transaction of a purge. */
export const purgeCommitsMax = 1_000;
export const purgeFilesMax = 5_000;
/** Pins of one organisation, and how many one list shows. */
export const pinsMax = 10_000;
export const pinsShownMax = 1_000;
/** Levels and commits of a lineage upwards, and commits made from its root. */
export const lineageDepthMax = 10;
export const lineageNodesMax = 500;
export const lineageReadersMax = 200;
/** Garbage is looked for this often. */
export const garbageEveryMs = 30_000;
/** Beyond `write_until`: clocks differ, and a request that was sent in time may arrive late. */
export const garbageStagingGraceMs = 5 * 60_000;
/** Objects of purged commits stay this long: links to them live for 15 minutes, and readers finish what they began. */
export const garbageFilesGraceMs = 3_600_000;
/** A place whose objects somebody began to delete is taken up by others after this. */
export const garbageRetryMs = 10 * 60_000;
/** Places, and rows of objects, that one pass takes; a pass that finds this many runs again at once. */
export const garbagePlacesMax = 50;
export const garbageObjectsMax = 1_000;
/** Pages of 1,000 objects looked at under one prefix: a manifest names 10,000 files at most, and nobody counts on strays. */
export const garbagePagesMax = 100;
/** Expired pins taken away by one pass. */
export const expiredPinsMax = 1_000;
/** While the object store is away, garbage waits: from this, doubling, to that. */
export const garbageRetryBaseMs = 1_000;
export const garbageRetryMaxMs = 300_000;
/** What is in scratch is kept for this long. */
export const scratchKeptMs = 7 * 24 * 3_600_000;
/** Objects of scratch looked at by one pass, and the rest after the last of them was seen. */
export const scratchObjectsMax = 1_000;
export const scratchRestMs = 3_600_000;
/** Keys of an attempt live this long at most, seconds; asked again, the same are given while they are good for so long, milliseconds. */
export const attemptKeysSecondsMax = 3_600;
export const attemptKeysLeftMs = 5 * 60_000;
/** The shortest life that STS gives, seconds. */
export const attemptKeysSecondsMin = 900;
/** Keys of attempts kept in memory. */
export const attemptKeysKeptMax = 2_000;

/** Inputs of a deploy that exist nowhere and are compared with the names that do. */
export const misspeltInputsMax = 50;
