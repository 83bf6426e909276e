/** Bounds and defaults of the local stack. Units are in the names. */

/** Keys for one attempt live this long at most, seconds: as long as STS lets any. */
export const stagingSecondsMax = 43_200;

/** The first choice of ports; another is taken, and kept, where one is in use. */
export const preferredPorts = {
  user: 7400,
  worker: 7401,
  task: 7402,
  s3: 7410,
  sqs: 7411,
  postgresState: 7420,
  postgresData: 7421,
  opsDispatcher: 7430,
  opsWorker: 7431,
  opsLocalcloud: 7432,
} as const;

/** Size of one log file before it is rotated, bytes, and how many are kept. */
export const logBytesMax = 10 * 1024 * 1024;
export const logFilesKept = 3;
/** The workers' token is replaced this often; the one before stays good until the next time. */
export const workerTokenRotationMs = 12 * 3_600_000;
/** A role that is not ready by then failed, milliseconds. */
export const roleReadyMsMax = 30_000;
/** A dispatcher that stops has this long, milliseconds. */
export const roleStopMsMax = 15_000;
/** SQS hides a wake-up this long unless its worker extends it, seconds. */
export const wakeupVisibilitySeconds = 30;
/** Memory at rest is measured this long after the example has ended, milliseconds. */
export const restMs = 2_000;
/** Ports may be taken between their choice and their use; this often others are chosen. */
export const portTriesMax = 3;
/**
 * Flags of Node for the processes of a small stack. A young generation of 4 MB instead of 16 keeps some 15 MB less in
 * each process at rest; the dispatcher, which may be busy, keeps the default.
 */
export const smallProcessFlags = ["--max-semi-space-size=4"] as const;
