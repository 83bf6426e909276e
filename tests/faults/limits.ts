/** Bounds of the fault-injecting proxies. Units are in the names. */

/** A request to the SQS proxy may have this many bytes; SQS itself takes 1 MiB. */
export const requestBytesMax = 2 * 1024 * 1024;
/** Messages whose id of the backend is translated into the one that the sender was told; the oldest are forgotten. */
export const idsRememberedMax = 100_000;
/** A held message that the backend could not take is offered again after this, milliseconds. */
export const redeliverMs = 250;

/** Of a message of Postgres' protocol this much is looked at, bytes; a commit at the end of longer SQL is not seen. */
export const lookedAtBytesMax = 64 * 1024;
/** A message longer than this is none: the connection speaks something else, bytes (Postgres' own bound is 1 GiB). */
export const wireMessageBytesMax = 1024 * 1024 * 1024;
/** A direction that holds back this many bytes stops reading more. */
export const heldBytesMax = 1024 * 1024;
