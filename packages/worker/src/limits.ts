/** Every bound of the worker, with its unit. What an operator of a machine may want to change is in `config.ts`. */

const mib = 1024 * 1024;
const gib = 1024 * mib;

/** Tasks run at once when TRACE_SLOTS does not say. */
export const slotsDefault = 4;
export const slotsMax = 256;

/** One receive call waits this long for a message, seconds (the most SQS allows). */
export const receiveWaitSeconds = 20;
/** A received message is hidden this long, seconds; a worker that dies gives it back after that. */
export const visibilitySeconds = 30;
/** Messages whose tasks still run are hidden anew this often, milliseconds. */
export const extendEveryMs = 10_000;
/**
 * With free slots a claim waits at the dispatcher for the next tasks of the queue, this long, milliseconds (jittered by half;
 * half as much again is within what the contract allows and far below what a call may take). Then it is asked anew, which
 * also finds what other dispatchers have and no message told of.
 */
export const claimWaitMs = 5_000;
/** A waiting claim that brings nothing sooner than this, milliseconds, did not wait: the next one must not follow at once. */
export const claimWaitLeastMs = 1_000;
/**
 * A worker that stops gives its waiting claim this long, milliseconds, to bring what may be on its way to it, which is then
 * handed back and need not be requeued as a lost lease.
 */
export const lastAnswerMs = 200;
/** Wait after a failed receive or claim, or one that should have waited and did not: doubles from base to max, milliseconds. */
export const retryBaseMs = 250;
export const retryMaxMs = 5_000;
/** Progress is told at once, and not sooner than this after the beat before, milliseconds. */
export const progressEveryMs = 1_000;
/**
 * Closing the session of a worker that was killed is tried for this long, milliseconds: longer than a session lives without
 * a beat.
 */
export const predecessorMsMax = 30_000;
/** Closing a session gives up after this, milliseconds: the session ends by itself soon after. */
export const closeSessionMs = 3_000;

/** Completions in one call. */
export const completionsPerCallMax = 500;
/** Wait before a completion that met an unavailable service is sent again: doubles, milliseconds. */
export const completionRetryBaseMs = 200;
export const completionRetryMaxMs = 5_000;

/** `stop` lets running attempts end for this long, milliseconds, when TRACE_DRAIN_MS does not say. */
export const drainMsDefault = 25_000;
export const drainMsMax = 840_000;
/**
 * When that time is over, operators have this long to stop and their tasks to be handed back, milliseconds. What is left
 * then is requeued by closing the session.
 */
export const handBackMs = 5_000;
/** After that, what was cut off has this long to end, milliseconds: calls and uploads on their way. */
export const settleMs = 1_000;
/** Stopping what lies below (clients, the DuckDB runner, folders) takes no longer than this, milliseconds. */
export const stopBelowMs = 7_000;
/** A line of an attempt's log waits this long for others to be stored with it, milliseconds; a short attempt stores once. */
export const logUploadLingerMs = 200;
/** While the log of an attempt grows, uploads begin at least this far apart, milliseconds: people follow it live. */
export const logUploadEveryMs = 1_000;
/** Between uploads lies at least this many times what the last one took: a slow store is not made slower. */
export const logUploadRestTimes = 20;
/** Bytes uploaded for one attempt's log, per second: each upload carries all of it, so that large logs go more rarely. */
export const logUploadBytesPerSecond = 512 * 1024;
/** However large or slow, a log that grows is stored this often, milliseconds. */
export const logUploadEveryMsMax = 60_000;
/** Storing the log is given up after this, milliseconds: a store that hangs must not hold up a result. */
export const logUploadMsMax = 10_000;
/** The message of a progress report, characters (the contract's bound). */
export const progressCharsMax = 200;
/** One message of an attempt's log, characters; the rest is cut. */
export const logMessageCharsMax = 8_000;

/** A source file or download, bytes (5 GiB). */
export const sourceBytesMaxDefault = 5 * gib;
/** All pinned inputs of one attempt, bytes (20 GiB). */
export const inputsBytesMaxDefault = 20 * gib;
/** Input files fetched at once by one attempt. */
export const inputDownloadsMax = 4;
/** A download that brings nothing for this long is over, milliseconds. */
export const downloadIdleMs = 30_000;
/** Finding and reaching the server of a download may take this long, milliseconds. */
export const downloadConnectMs = 10_000;
/** Requests in a row that may bring nothing new of a source before the attempt gives up. */
export const downloadTriesMax = 5;
/** Requests for one source in all, however much each of them brings. */
export const downloadRequestsMax = 100;
/** Wait before a source is asked again: doubles, milliseconds. A source that says `Retry-After` is given that time. */
export const downloadRetryBaseMs = 500;
export const downloadRetryMaxMs = 30_000;
/** A source that wants a longer rest than this, milliseconds, gets it from the task: the attempt ends. */
export const downloadRestMsMax = 120_000;
/** What is kept of a source to ask whether it changed, characters: an ETag and a time. */
export const etagCharsMax = 1_024;
export const lastModifiedCharsMax = 128;
/** No DuckDB run is asked for a longer deadline, milliseconds (one hour, the most it takes). */
export const queryMsMax = 3_600_000;
/** Query processes kept ready, each for five minutes at most: a task then need not wait for one to start. */
export const queryProcessesReady = 1;
/**
 * How often an upload is tried when the store is away; waits between double from the base, milliseconds. Together some
 * 13 s: a store that is started again comes back within that, and a failed attempt would wait for 30 s.
 */
export const uploadTriesMax = 8;
export const uploadRetryBaseMs = 300;
export const uploadRetryMaxMs = 3_000;
/** Bytes read at once of a file that is hashed or stored: 1 MiB costs half the processor time of the 64 KiB that streams take. */
export const fileReadBytes = 1024 * 1024;
/** Files of one attempt that are stored at once. */
export const uploadsMax = 4;
/** A larger file is stored in parts, bytes: each can be sent again by itself. */
export const uploadWholeBytesMax = 128 * mib;
/** One part, bytes (64 MiB): 10,000 of them, the most there may be, are 625 GiB. */
export const uploadPartBytes = 64 * mib;
/** Parts of one file that are sent at once. */
export const uploadPartsInFlightMax = 2;
/** Throwing away the parts of a failed upload is given up after this, milliseconds; the bucket's rule does it then. */
export const uploadAbortMs = 3_000;
/** Keys of an attempt are replaced when they end within this, milliseconds. */
export const keysRenewMs = 120_000;
