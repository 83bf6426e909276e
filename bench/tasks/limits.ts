/** What is measured, how long and how hard, and the settings that each side is run with. Units are in the names. */

/** Rounds of each measure and side that count. Noisy ones are done again, at most this often in all. */
export const roundsDefault = { drain: 3, sustained: 3, latency: 2, pinned: 2, finished: 2, floor: 1 } as const;
export const triesPerRound = 2;

/** JSON of one payload, bytes. */
export const payloadBytes = 200;
/** Tasks of a drain. */
export const drainTasksDefault = 200_000;
/** Run before each timed part, so that no side is measured with cold code. */
export const warmupTasks = 20_000;
/** Most tasks created and not yet ended while both go on. */
export const outstandingMax = 10_000;
/** A producer of hundreds: items in a call, calls in flight. */
export const hundreds = { batch: 100, lanes: 2 } as const;
/** A producer of single calls. */
export const singles = { batch: 1, lanes: 16 } as const;
/** Filling a queue before a drain. */
export const filling = { batch: 1_000, lanes: 2 } as const;
/** Both go on for this long before the clock starts, then are measured for that long, milliseconds. */
export const sustainedWarmupMs = 2_000;
export const sustainedMs = 10_000;
/** Creates in the latency measure, a second, and for how long, milliseconds. */
export const latencyRate = 20;
export const latencyMs = 20_000;
/** A snapshot is held open for this long, milliseconds. */
export const pinnedMs = 60_000;
/** Finished tasks beside which the others run. */
export const finishedTasksDefault = 5_000_000;
/** A worker says how far it is this often, milliseconds: what bounds the tasks outstanding. */
export const progressEveryMs = 10;
/** Anything that hangs ends the benchmark after this, milliseconds. */
export const drainMaxMs = 300_000;
export const stepMaxMs = 120_000;

const graphileBase = { concurrency: 10, poolConnections: 10, completeBatchDelayMs: 0 } as const;

/** graphile-worker as it was found best here, for each measure: bench/README.md, "Tuning graphile-worker". */
export const graphileSettings = {
  drain: { ...graphileBase, localQueueTasks: 8_000 },
  hundreds: { ...graphileBase, localQueueTasks: 2_000 },
  singles: { ...graphileBase, localQueueTasks: 2_000, refetchDelayMs: 100 },
  latency: { ...graphileBase, localQueueTasks: 2_000 },
  /** Connections of the producer, for 16 calls in flight. */
  producerConnections: 16,
} as const;

/** Our lean worker: a client of the worker API with an empty handler. */
export const leanWorker = {
  /** Tasks it holds at once: as many as the peer's local queue. */
  slots: 8_000,
  claimBatch: 1_000,
  claimsInFlight: 2,
  completeBatch: 1_000,
  completionsInFlight: 2,
} as const;

/** A soak: how long, tasks a second, tasks in one create call, and how often it looks. */
export const soakDefault = { minutes: 30, rate: 2_000 } as const;
export const soakBatch = 10;
export const soakSampleMs = 60_000;
/** A hot relation is flat when it has not grown by more than this share, or by less than that many bytes. */
export const flatShare = 0.25;
export const flatBytes = 1024 * 1024;
