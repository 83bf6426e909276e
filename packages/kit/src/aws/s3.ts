/**
 * S3 for services: the few calls Trace makes, with errors mapped to the catalogue. The endpoint comes from the standard
 * variables (AWS_ENDPOINT_URL_S3, region, credentials); against the embedded stack only these differ.
 */
import type { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { presignedSecondsMax, TraceError } from "@trace/contracts";
import type { Service } from "../service.ts";
import { base64Of, failure, hexOf, statusOf } from "./s3failure.ts";
import {
  abortUpload,
  deleteObjects,
  type ListedObject,
  type ListedUpload,
  type ListOptions,
  listObjects,
  listUploads,
} from "./s3many.ts";
import { type ObjectUpload, S3Upload, type UploadOptions } from "./s3parts.ts";
import { type PlainAnswer, PlainReads } from "./s3plain.ts";
import { type AwsCredentials, amzTime, encodePart, SigningKey, scopeOf } from "./sigv4.ts";

export interface S3Options {
  /** Undefined: AWS itself. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  /** Of a role, or of a session (`TokenService.assumeRole`): one store per set of keys. */
  readonly credentials: AwsCredentials;
  readonly triesMax?: number;
}

export interface ObjectHead {
  readonly bytes: number;
  readonly etag: string;
  /** Lower-case hex, when the object was stored with one; of its parts (`sha256OfParts`) where it came in parts. */
  readonly sha256: string | undefined;
}

/** A piece of one version of an object. */
export interface ObjectPart {
  readonly etag: string;
  readonly start: number;
  readonly end: number;
}

export interface PutOptions {
  readonly bucket: string;
  readonly key: string;
  readonly body: Uint8Array | NodeJS.ReadableStream;
  readonly bytes: number;
  /** Lower-case hex; sent as the checksum the store must verify and keep. */
  readonly sha256: string;
  readonly contentType?: string;
  /** `If-None-Match: *`: refuse when the key exists. Always on in the datasets bucket. */
  readonly ifAbsent: boolean;
  readonly signal?: AbortSignal;
}

function tooLarge(bucket: string, key: string, how: string, bytesMax: number): TraceError {
  return new TraceError("TR-4009", {
    detail: `s3://${bucket}/${key} ${how}; at most ${bytesMax} bytes are read`,
    fix: "write smaller objects of this kind",
  });
}

/** The whole body, refused when longer than `bytesMax`. The length is what the store says; the bytes are counted as well. */
async function readBody(
  object: { readonly Body?: unknown; readonly ContentLength?: number | undefined },
  bytesMax: number,
  bucket: string,
  key: string,
): Promise<Uint8Array | undefined> {
  if (object.Body === undefined) return undefined;
  const body = object.Body as Readable;
  const chunks: Buffer[] = [];
  let bytes = 0;
  if ((object.ContentLength ?? 0) > bytesMax) {
    body.destroy();
    throw tooLarge(bucket, key, `is ${object.ContentLength} bytes`, bytesMax);
  }
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bucket, key, "is longer than it said", bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function headOf(answer: PlainAnswer): ObjectHead {
  return {
    bytes: Number(answer.header("content-length") ?? 0),
    etag: answer.header("etag") ?? "",
    sha256: hexOf(answer.header("x-amz-checksum-sha256")),
  };
}

/** The body of an answer that is just right, refused when it is too long; undefined when the library is to ask again. */
async function plainBody(
  answer: PlainAnswer | undefined,
  status: number,
  bytesMax: number,
  bucket: string,
  key: string,
): Promise<Uint8Array | undefined> {
  if (answer === undefined || answer.status !== status) {
    await answer?.drop();
    return undefined;
  }
  const said = answer.header("content-length");
  try {
    const object = { Body: answer.body, ...(said === undefined ? {} : { ContentLength: Number(said) }) };
    return await readBody(object, bytesMax, bucket, key);
  } catch (error) {
    if (error instanceof TraceError) throw error;
    // It broke off on its way.
    return undefined;
  }
}

export class ObjectStore implements Service {
  readonly #client: S3Client;
  readonly #options: S3Options;
  /** Undefined for AWS itself, where the library knows which host a bucket is at. */
  readonly #reads: PlainReads | undefined;
  readonly #signing: SigningKey;

  constructor(options: S3Options) {
    this.#options = options;
    const { credentials, endpoint, region } = options;
    this.#signing = new SigningKey(credentials.secretAccessKey);
    this.#reads = endpoint === undefined ? undefined : new PlainReads({ endpoint, region, credentials });
    this.#client = new S3Client({
      region: options.region,
      credentials: sdkCredentials(options.credentials),
      maxAttempts: options.triesMax ?? 3,
      // Checksums are ours (SHA-256 of every file, known before the upload); the SDK's own would only double the work.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: new NodeHttpHandler({ connectionTimeout: 3_000, socketTimeout: 60_000 }),
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint, forcePathStyle: true }),
    });
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    await this.#reads?.stop();
  }

  /** Stores an object. Returns `exists` when `ifAbsent` is set and the key was there: nothing was written. */
  async put(options: PutOptions): Promise<"stored" | "exists"> {
    try {
      await this.#client.send(
        new PutObjectCommand({
          Bucket: options.bucket,
          Key: options.key,
          Body: options.body as Uint8Array,
          ContentLength: options.bytes,
          ContentType: options.contentType ?? "application/octet-stream",
          ChecksumSHA256: base64Of(options.sha256),
          ...(options.ifAbsent ? { IfNoneMatch: "*" } : {}),
        }),
        options.signal === undefined ? {} : { abortSignal: options.signal },
      );
      return "stored";
    } catch (error) {
      if (statusOf(error) === 412) return "exists";
      if (options.signal?.aborted) throw error;
      throw failure(error, "PutObject", options.bucket, options.key);
    }
  }

  /** Begins an object that is sent in parts, each of 5 MiB at least but the last. */
  startUpload(options: UploadOptions): Promise<ObjectUpload> {
    return S3Upload.start(this.#client, options);
  }

  /** An upload that was begun with other keys. */
  upload(options: UploadOptions, id: string): ObjectUpload {
    return new S3Upload(this.#client, options, id);
  }

  /** Undefined when there is no such object. */
  async head(bucket: string, key: string): Promise<ObjectHead | undefined> {
    const plain = await this.#reads?.send("HEAD", bucket, key, { "x-amz-checksum-mode": "ENABLED" });
    await plain?.drop();
    if (plain?.status === 200) return headOf(plain);
    if (plain?.status === 404) return undefined;
    try {
      const head = await this.#client.send(
        new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: "ENABLED" }),
      );
      return { bytes: head.ContentLength ?? 0, etag: head.ETag ?? "", sha256: hexOf(head.ChecksumSHA256) };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw failure(error, "HeadObject", bucket, key);
    }
  }

  /** The whole object, refused when larger than `bytesMax`; undefined when there is none. */
  async get(bucket: string, key: string, bytesMax: number): Promise<Uint8Array | undefined> {
    const plain = await this.#reads?.send("GET", bucket, key);
    if (plain?.status === 404) {
      await plain.drop();
      return undefined;
    }
    const read = await plainBody(plain, 200, bytesMax, bucket, key);
    if (read !== undefined) return read;
    try {
      const object = await this.#client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      return await readBody(object, bytesMax, bucket, key);
    } catch (error) {
      if (error instanceof TraceError) throw error;
      if (statusOf(error) === 404) return undefined;
      throw failure(error, "GetObject", bucket, key);
    }
  }

  /**
   * Bytes `start` up to, not including, `end` of the version with this ETag. Undefined when that version is no longer
   * there, or ends before `start`.
   */
  async range(bucket: string, key: string, part: ObjectPart): Promise<Uint8Array | undefined> {
    const range = { range: `bytes=${part.start}-${part.end - 1}`, "if-match": part.etag };
    const plain = await this.#reads?.send("GET", bucket, key, range);
    const read = await plainBody(plain, 206, part.end - part.start, bucket, key);
    if (read !== undefined) return read;
    try {
      const object = await this.#client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          Range: `bytes=${part.start}-${part.end - 1}`,
          IfMatch: part.etag,
        }),
      );
      return await readBody(object, part.end - part.start, bucket, key);
    } catch (error) {
      if (error instanceof TraceError) throw error;
      const status = statusOf(error);
      if (status === 404 || status === 412 || status === 416) return undefined;
      throw failure(error, "GetObject", bucket, key);
    }
  }

  /** The object as a stream, for files too large to hold. */
  async stream(bucket: string, key: string, signal?: AbortSignal): Promise<NodeJS.ReadableStream> {
    try {
      const object = await this.#client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key }),
        signal === undefined ? {} : { abortSignal: signal },
      );
      if (object.Body === undefined) throw new Error("the answer has no body");
      return object.Body as unknown as NodeJS.ReadableStream;
    } catch (error) {
      if (signal?.aborted) throw error;
      throw failure(error, "GetObject", bucket, key);
    }
  }

  async delete(bucket: string, key: string): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    } catch (error) {
      throw failure(error, "DeleteObject", bucket, key);
    }
  }

  /**
   * Deletes these, at most `deleteKeysMax`; what is not there is deleted already. Throws when one could not be deleted: the
   * others are gone all the same, and the call may be made again.
   */
  deleteMany(bucket: string, keys: readonly string[]): Promise<void> {
    return deleteObjects(this.#client, bucket, keys);
  }

  /** One page of objects in the order of their keys; `more` when others follow the last. */
  list(options: ListOptions): Promise<{ objects: ListedObject[]; more: boolean }> {
    return listObjects(this.#client, options);
  }

  /** One page of the uploads in parts that were begun under a prefix and neither finished nor given up. */
  listUploads(bucket: string, prefix: string): Promise<{ uploads: ListedUpload[]; more: boolean }> {
    return listUploads(this.#client, bucket, prefix);
  }

  /** Gives up an upload in parts; one that is not there any more is given up already. */
  abortUpload(bucket: string, upload: ListedUpload): Promise<void> {
    return abortUpload(this.#client, bucket, upload);
  }

  /**
   * A link that reads one object without a key, for at most 15 minutes. Signature Version 4 in
   * the query string, as in the S3 API reference, "Authenticating Requests: Using Query Parameters".
   */
  presignGet(bucket: string, key: string, seconds: number, nowMs: number): string {
    const { region, credentials } = this.#options;
    const endpoint = this.#options.endpoint ?? `https://s3.${region}.amazonaws.com`;
    const scope = { region, service: "s3", time: amzTime(nowMs) };
    const path = `/${encodePart(bucket)}/${key.split("/").map(encodePart).join("/")}`;
    const query = [
      ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
      ["X-Amz-Credential", `${credentials.accessKeyId}/${scopeOf(scope)}`],
      ["X-Amz-Date", scope.time],
      ["X-Amz-Expires", String(Math.min(seconds, presignedSecondsMax))],
      ...(credentials.sessionToken === undefined ? [] : [["X-Amz-Security-Token", credentials.sessionToken]]),
      ["X-Amz-SignedHeaders", "host"],
    ]
      .map(([name, value]) => `${encodePart(name ?? "")}=${encodePart(value ?? "")}`)
      .join("&");
    const canonical = `GET\n${path}\n${query}\nhost:${new URL(endpoint).host}\n\nhost\nUNSIGNED-PAYLOAD`;
    const signed = this.#signing.sign(scope, canonical);
    return `${endpoint.replace(/\/$/, "")}${path}?${query}&X-Amz-Signature=${signed}`;
  }
}

function sdkCredentials({ accessKeyId, secretAccessKey, sessionToken }: AwsCredentials) {
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}
