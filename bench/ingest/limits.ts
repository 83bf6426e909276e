/** What is measured, how much of it, and what is wanted. Units are in the names. */

/** The flights file so many times: 30,000,000 rows. */
export const copiesDefault = 10;
export const roundsDefault = 3;
/** Small inputs are run this often in each round, and the middle counts. */
export const runsPerRound = 7;
/** Rows of the tiny file. */
export const tinyRows = 100;
/** A worker is at rest, its next child ready, when it used less than this share of a core for so long, milliseconds. */
export const restShare = 0.15;
export const restLookMs = 400;
export const restMaxMs = 30_000;
/** Threads of either engine: what a query of ours may use (packages/duck/src/limits.ts). */
export const threads = 2;
/** One task, and anything else that hangs, ends the benchmark after this, milliseconds. */
export const taskMaxMs = 1_200_000;
export const stepMaxMs = 300_000;

export const wanted = { ratioMax: 1.5, overheadMsMax: 150 } as const;
