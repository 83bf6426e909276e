/** Every bound of the embedded endpoints, with its unit. What S3 documents is S3's; the rest is for one machine. */

/** Largest object of one PutObject, part of an upload, or source of a copy, bytes (S3: 5 GiB; larger ones come in parts). */
export const objectBytesMax = 5 * 1024 ** 3;
/** Smallest part of a multipart upload but its last, bytes (S3). */
export const partBytesMin = 5 * 1024 ** 2;
/** Highest number of a part (S3). With `objectBytesMax` it bounds an object made of parts: 48.8 TiB, as at S3. */
export const partNumberMax = 10_000;
/** Parts of one page of ListParts, and uploads of one page of ListMultipartUploads (S3). */
export const listUploadsMax = 1_000;
/** Multipart uploads open at the same time, all buckets together. More are answered 503 SlowDown. */
export const openUploadsMax = 10_000;
/** Life of a multipart upload that is neither completed nor aborted, milliseconds; as long as a presigned URL may live. */
export const uploadLifeMsMax = 604_800 * 1_000;
/** Silence after which the client of a long completion or copy is sent white space so that it waits on, milliseconds. */
export const patienceMs = 10_000;
/** Keys of one DeleteObjects (S3). */
export const deleteKeysMax = 1_000;
/** Deletes of one DeleteObjects that run at the same time. */
export const deletesAtOnceMax = 16;
/** An XML document that a client sends, bytes: 1,000 keys of 1,024 bytes with each character escaped, or 10,000 parts. */
export const xmlBytesMax = 8 * 1024 ** 2;
/** Elements within each other in such a document. */
export const xmlDepthMax = 8;
/** Longest key, UTF-8 bytes (S3). */
export const keyBytesMax = 1_024;
/** User metadata of one object, bytes of names and values together (S3: 2 KB). */
export const userMetadataBytesMax = 2_048;
/** All headers of one request, bytes. S3 allows 8 KB; a key of 1,024 bytes alone takes 3 KiB percent-encoded. */
export const headerBytesMax = 16 * 1024;
/** Longest line of aws-chunked framing or trailer, bytes. */
export const chunkLineBytesMax = 4 * 1024;
/** Trailer lines after an aws-chunked body. */
export const trailerLinesMax = 16;
/** Keys and common prefixes of one page of a listing (S3). */
export const listKeysMax = 1_000;
/** Distance between a request's date and our clock, milliseconds (S3: 15 minutes). */
export const clockSkewMsMax = 15 * 60 * 1_000;
/** Life of a presigned URL, seconds (S3: 7 days). */
export const presignedSecondsMax = 604_800;
/** Requests served at the same time; more are answered 503 SlowDown, which clients retry. */
export const concurrentRequestsMax = 256;
/** Silence on a body or an answer before the connection is cut, milliseconds. */
export const bodyIdleMsMax = 30_000;
/** Time for the headers of a request to arrive, milliseconds. */
export const headersMsMax = 15_000;
/** Time for one whole request to arrive, milliseconds: bounds uploads that trickle without ever going silent. */
export const requestMsMax = 60 * 60 * 1_000;
/** How long an unused connection is kept, milliseconds; longer than clients keep theirs, so that they close first. */
export const keepAliveMs = 65_000;
/** How long `stop` waits for running requests before it cuts them, milliseconds. */
export const stopGraceMs = 5_000;
/** How much of a refused body is read and thrown away so that the client sees the answer, bytes. */
export const drainBytesMax = 1024 ** 2;
/** How long it is read for, milliseconds. */
export const drainMsMax = 2_000;
/** Description of an object (key, headers, metadata, sizes of its parts) behind its data in its file, bytes. */
export const footerBytesMax = 512 * 1024;
/** Tries of the last step of a write when deletes keep removing the folder under it. */
export const placeTriesMax = 10;

/** Receives of one message before it goes to its dead-letter queue, unless the queue says otherwise. */
export const queueReceivesMax = 100;
/** How long a dead-letter queue keeps a message, seconds (SQS: at most 14 days). */
export const deadLetterRetentionSeconds = 1_209_600;

/** Life of a session, seconds (STS: 15 minutes to 12 hours; an hour unless asked for otherwise). */
export const sessionSecondsMin = 900;
export const sessionSecondsMax = 43_200;
export const sessionSecondsDefault = 3_600;
/** Longest session policy, characters (STS). */
export const sessionPolicyCharsMax = 2_048;
/** Longest session token that is looked at, characters: a policy of that length, each character as two bytes, in base64. */
export const sessionTokenCharsMax = 6 * 1_024;
/** Body of one call of STS, bytes: a policy of 2,048 characters with each of them percent-encoded as UTF-8, and the rest. */
export const stsBodyBytesMax = 16 * 1_024;
/** Shortest secret that sessions are signed with, characters. */
export const sessionSecretCharsMin = 32;
