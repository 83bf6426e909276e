/** What an operation is given and what it gives back. Operations know nothing of sockets. */
import type { Access } from "./access.ts";
import type { S3Error } from "./errors.ts";
import type { VerifiedSignature } from "./sigv4.ts";
import type { ObjectStore } from "./store.ts";
import type { RequestTarget } from "./target.ts";

export interface S3Bucket {
  readonly name: string;
  /** Refuse every write that could replace an object: whatever makes one needs `If-None-Match: *`. */
  readonly requireIfNoneMatch?: boolean | undefined;
}

export interface Exchange {
  readonly target: RequestTarget;
  /** Lower-case names. In a presigned request, `x-amz-` parameters of the query count as headers, as they do at S3. */
  readonly headers: ReadonlyMap<string, string>;
  readonly signature: VerifiedSignature;
  readonly access: Access;
  readonly buckets: readonly S3Bucket[];
  readonly store: ObjectStore;
  readonly nowMs: () => number;
  /** The body as it arrives; throws when it stalls or breaks off. Asks a waiting client for it on first use. */
  readonly body: () => AsyncIterable<Buffer>;
  /** How a failure is told to the client; what an operator should see of it goes to the log. */
  readonly judge: (error: unknown) => S3Error;
  /** The `Error` element of a failure that is met when the answer has begun. */
  readonly lateError: (error: unknown) => string;
  /** Silence after which a long answer is begun, milliseconds. */
  readonly patienceMs: number;
  /** Counts bytes of objects for `onRequest`. */
  readonly count: (bytes: number) => void;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | AsyncIterable<Buffer> | undefined;
  /** Always called when the answer is over, sent or not. */
  readonly release?: (() => Promise<void>) | undefined;
}

export const xmlHeaders = { "content-type": "application/xml" } as const;
