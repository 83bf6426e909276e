/** What is measured, how much of it, and what is wanted. Units are in the names. */

/** Clients that publish at once, each one commit in a request. */
export const clients = 16;
/** Commits of a round, and over how many datasets those are spread. */
export const commitsDefault = 6_400;
export const datasets = 64;
/** Commits in a request of the batched figure. */
export const batchItems = 100;
/** Partitions that are in the hot dataset already, where their weight is measured, and rows of the statement that writes some. */
export const partitionsDefault = 1_000_000;
export const partitionsPerCommit = 10_000;
/** Partitions that one call of `resolve` asks for, and calls. */
export const resolvedPartitions = 1_000;
export const resolveCalls = 100;
/** Commits whose requests to the store are counted. */
export const countedCommits = 64;
/** Rounds of each contender that count. */
export const roundsDefault = 3;
/** Rows of the file that each commit publishes: some ten kilobytes. */
export const fileRows = 500;
/** Tasks that one claim asks for, and uploads on their way at once, before the timed part. */
export const claimBatch = 1_000;
export const uploadsInFlight = 32;
/** Anything that hangs ends the benchmark after this, milliseconds. */
export const stepMaxMs = 300_000;

export const wanted = { commitsPerSecond: 500, lossMax: 0.1, resolveMsMax: 20 } as const;
