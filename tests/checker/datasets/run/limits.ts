/** Bounds and rhythms of the dataset run, with their units. */

/** The short form, which is a part of every run of the checker, minutes; the full one is asked for. */
export const minutesDefault = 1;
/** A run in which something did not happen yet goes on for up to this many times as long. */
export const longerMax = 2;
export const writersDefault = 64;
/** Each set of datasets has one of every way to write one. */
export const datasetsDefault = 8;
export const readersCount = 8;
export const dispatchersCount = 3;
/** Time to live of the writers' sessions, milliseconds: short, so that many expire. */
export const ttlMs = 3_000;

/** A call without an answer for so long has none, milliseconds: longer than a dispatcher is stopped. */
export const answerMsMax = 8_000;
/** A call that reached nobody is made again elsewhere, so often, after so many milliseconds. */
export const reachTriesMax = 40;
export const reachAgainMs = 250;
/** A request to the store that met its restart is made again, so often, after so many milliseconds. */
export const storeTriesMax = 30;
export const storeAgainMs = 200;
/** A claim stays open this long where there is nothing to do, milliseconds. */
export const claimWaitMs = 2_000;

/** Tasks are made this often, and what waits for its time is hurried this often, milliseconds. */
export const produceEveryMs = 250;
export const hurryEveryMs = 1_500;
/** People revert, purge and pin this often, milliseconds, give or take half of it. */
export const revertEveryMs = 700;
export const purgeEveryMs = 2_500;
export const pinEveryMs = 1_200;
/** Between two faults, milliseconds, give or take half of it. */
export const faultEveryMs = 2_000;
/** Backends ended at once. */
export const backendsAtOnce = 4;

/** Files of one list that a reader fetches; of a longer one some of them. */
export const fetchedMax = 8;
/** A reader that holds a pin resolves it again so often. */
export const pinnedReads = 6;
/** Commits that the last purge leaves, beside pinned ones. */
export const keptAtEnd = 3;

/** Until every task is over when no more are made, milliseconds. */
export const drainMsMax = 90_000;
/** Until garbage collection has nothing left, milliseconds, and how long it may stand still: it looks every 30 s. */
export const garbageMsMax = 300_000;
export const garbageQuietMsMax = 75_000;
/** The end is looked for this often, milliseconds. */
export const lookEveryMs = 300;
/** What a run is doing is told this often, milliseconds. */
export const tellEveryMs = 15_000;

/** The run with broken conditions: it ends when each is seen, or after this, milliseconds. */
export const brokenMsMax = 120_000;
export const brokenMsMin = 12_000;
export const brokenWriters = 24;
