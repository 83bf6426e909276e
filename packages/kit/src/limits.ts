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
/** What `Retry-After` says of a refusal that may pass, seconds. */
export const retryAfterSeconds = 1;
/** How long `stop` waits for requests in flight, milliseconds. */
export const drainMs = 5_000;
/** Calls between services give up after this, milliseconds. */
export const callTimeoutMs = 30_000;
/** Connecting to a service gives up after this, milliseconds. */
export const connectMs = 5_000;
/** A call that is refused before anything of it was done (TR-1008, TR-1015) is sent this often in all. */
export const refusedTriesMax = 5;
/** What `Retry-After` may ask of a client, milliseconds. */
export const retryAfterMsMax = 10_000;
/** The wait where a refusal does not ask for one, milliseconds. */
export const refusedRetry = { baseMs: 250, maxMs: 5_000 } as const;
/** Connections of one client to one service. */
export const callConnectionsMax = 16;
/** Largest answer a client reads, bytes. */
export const answerBytesMax = 64 * 1024 * 1024;
/**
 * Bytes of a body that are taken in before its reader asks for them. undici 7 must never wait for a reader: a server that hangs
 * up at that moment would end the process (nodejs/undici#5360). Whoever reads as it comes has far fewer in hand at a time.
 */
export const bodyAheadBytesMax = 16 * 1024 * 1024;
/** Plain reads of objects that one store has on their way; more of them wait. */
export const plainReadsInFlightMax = 32;
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
/** Streams one listener has open; beyond it answers 503 with Retry-After. */
export const streamsOpenMax = 256;
/** A stream is answered with its first event, or after this, milliseconds: until then the call can still be refused. */
export const streamOpenMs = 1_000;
/** A stream without news says so this often, milliseconds, so that its reader knows that it lives. */
export const streamBeatMs = 15_000;
/** A reader that takes nothing for this long while events wait is cut off, milliseconds. */
export const streamStallMs = 30_000;
/** A stream is closed after this, milliseconds; its reader comes back and shows its token again. */
export const streamMsMax = 3_600_000;
/** A stream that ends waits this long for its reader to take the rest, milliseconds. */
export const streamFarewellMs = 1_000;
/** Largest event of a stream, bytes. */
export const streamEventBytesMax = 1024 * 1024;
/** A stream that brings nothing for this long, not even a beat, is lost, milliseconds. */
export const streamSilenceMsMax = 3 * streamBeatMs;
/** Tries to take up a lost stream again, about a minute; each event that comes starts the count anew. */
export const streamRetriesMax = 15;
/** Waits between them, milliseconds. */
export const streamRetry = { baseMs: 250, maxMs: 5_000 } as const;
/** Streams one client has open at one service. */
export const streamConnectionsMax = 256;
/** A token that was looked up is not looked up again for this long, milliseconds: so long a revoked one still opens. */
export const knownTokenMs = 2_000;
/** Tokens remembered; beyond it all are forgotten and looked up anew. */
export const knownTokensMax = 1_000;
/** A call of STS gives up after this, milliseconds. */
export const stsCallMs = 10_000;
/** Largest answer of STS that is read, bytes; a session token may have 4,096 characters at AWS. */
export const stsAnswerBytesMax = 64 * 1024;
/** Waits before a call of STS is made again, milliseconds. */
export const stsRetry = { baseMs: 200, maxMs: 2_000 } as const;
/** A service whose clock is further from ours than this takes no signature of ours, milliseconds (AWS: 5 minutes for most). */
export const stsSkewMsMax = 4 * 60_000;
/** Longest session policy, characters (STS). */
export const sessionPolicyCharsMax = 2_048;
/** Objects that one call to S3 deletes; more is refused by S3 itself. */
export const deleteKeysMax = 1_000;
