/** Bounds of what kit builds for every role. Units are in the names. */

/** A request must be received whole within this, milliseconds. */
export const requestReceiveMs = 60_000;
/** Of a body that is refused, this much more is taken and thrown away, bytes, while its sender finds the answer. */
export const refusedBodyBytesMax = 1024 * 1024;
/** A sender that goes on with a refused body is cut off after this, milliseconds. */
export const refusedBodyMs = 2_000;
/** An idle keep-alive connection is closed after this, milliseconds. */
export const keepAliveMs = 30_000;
/** Requests one listener works on at once; beyond it answers 503 with Retry-After. */
export const requestsInFlightMax = 2_000;
/** How long `stop` waits for requests in flight, milliseconds. */
export const drainMs = 5_000;
/** Calls between services give up after this, milliseconds. */
export const callTimeoutMs = 30_000;
/** Connections of one client to one service. */
export const callConnectionsMax = 16;
/** Largest answer a client reads, bytes. */
export const answerBytesMax = 64 * 1024 * 1024;
/** Connections of one pool to Postgres. */
export const poolConnectionsMax = 12;
/** Waiting for a free connection gives up after this, milliseconds. */
export const poolWaitMs = 5_000;
/** A statement is cancelled by Postgres after this, milliseconds. */
export const statementMs = 30_000;
/** A transaction chosen as deadlock or serialization victim is run again this often. */
export const transactionTriesMax = 5;
/** Longest parameter in a path, characters; names have at most 128. */
export const pathParamCharsMax = 256;
