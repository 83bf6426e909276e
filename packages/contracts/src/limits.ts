/** Bounds of everything that crosses a process. Each has a unit in its name. */

/** Largest request body of any API, bytes (32 MiB). */
export const requestBytesMax = 32 * 1024 * 1024;
/** Items in one batched call. */
export const batchItemsMax = 10_000;
/** A claim waits for work this long at most, milliseconds: well below what a client waits for an answer. */
export const claimWaitMsMax = 20_000;
/** Task ids in one wake-up message. */
export const wakeupTaskIdsMax = 100;
/** Largest SQS message we send, bytes. The service allows 1 MiB; ours are far smaller and stay so. */
export const wakeupBytesMax = 64 * 1024;
/** Largest task payload, bytes of JSON. */
export const payloadBytesMax = 256 * 1024;
/** Files named by one manifest. */
export const manifestFilesMax = 10_000;
/** Largest manifest, bytes. */
export const manifestBytesMax = 16 * 1024 * 1024;
/** A partition key, characters. */
export const partitionKeyCharsMax = 256;
/** Partitions that one attempt writes. */
export const outputPartitionsMax = 10_000;
/** The key of an append, characters; a cursor's name and position. */
export const appendKeyCharsMax = 1_024;
export const cursorNameCharsMax = 256;
export const cursorPositionCharsMax = 1_024;
export const cursorsMax = 100;
/** Why a dataset was reverted, characters. */
export const reasonCharsMax = 1_000;
/** Datasets, or versions of them, that one call resolves. */
export const resolvedDatasetsMax = 100;
/** Who a pin is for, characters. */
export const pinHolderCharsMax = 128;
/** Columns of one dataset. */
export const columnsMax = 2_000;
/** Outputs of one attempt. */
export const outputsMax = 100;
/** Rows in one page of a list. */
export const pageRowsMax = 200;
/** Rows in one page of a list when the caller does not say. */
export const pageRowsDefault = 50;
/** Failed outbox rows that one call lists or gives back. */
export const failedOutboxMax = 1_000;
/** Text of a DAG file, bytes. */
export const dagSourceBytesMax = 1024 * 1024;
/** Log kept of one attempt, bytes; the oldest lines go first. */
export const attemptLogBytesMax = 10 * 1024 * 1024;
/** Life of a presigned link, seconds. */
export const presignedSecondsMax = 15 * 60;
/** Longest `Last-Event-ID` that a reader of a stream may send, characters. */
export const lastEventIdCharsMax = 200;
