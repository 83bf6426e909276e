/**
 * An object that is too large for one request, stored in parts: each part can be sent again by itself. The store's checksum
 * of such an object is that of its parts' checksums, `<sha256>-<parts>`, since S3 has no SHA-256 of the whole for it.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 */
import { createHash } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { base64Of, failure, statusOf } from "./s3failure.ts";

export interface UploadOptions {
  readonly bucket: string;
  readonly key: string;
  readonly contentType?: string;
  /** `If-None-Match: *` on completion: refuse when the key exists by then. */
  readonly ifAbsent: boolean;
  readonly signal?: AbortSignal;
}

export interface UploadPart {
  /** From 1. */
  readonly number: number;
  readonly body: Uint8Array | NodeJS.ReadableStream;
  readonly bytes: number;
  /** Lower-case hex; the store verifies it. */
  readonly sha256: string;
}

export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
  readonly sha256: string;
}

/** What the store keeps as the SHA-256 of an object in parts: `<hex>-<parts>`. */
export function sha256OfParts(sha256s: readonly string[]): string {
  const hash = createHash("sha256");
  for (const sha256 of sha256s) hash.update(Buffer.from(sha256, "hex"));
  return `${hash.digest("hex")}-${sha256s.length}`;
}

/** One upload, begun. Whoever has it completes it or aborts it: parts that are left cost space until the bucket's rule ends them. */
export interface ObjectUpload {
  /** With it another store goes on, one of newer keys say. */
  readonly id: string;
  /** Sends one part; the same number again replaces it. */
  put(part: UploadPart): Promise<UploadedPart>;
  /**
   * Makes the parts one object. `exists` when `ifAbsent` is set and the key is there, or the upload is not: an earlier
   * completion whose answer was lost leaves both so. Whoever may have made one looks at what is stored.
   */
  complete(parts: readonly UploadedPart[]): Promise<"stored" | "exists">;
  /** Throws away what was sent. The upload's own signal does not end it: an abort is when it is needed. */
  abort(signal?: AbortSignal): Promise<void>;
}

export class S3Upload implements ObjectUpload {
  readonly id: string;
  readonly #client: S3Client;
  readonly #options: UploadOptions;

  constructor(client: S3Client, options: UploadOptions, id: string) {
    this.#client = client;
    this.#options = options;
    this.id = id;
  }

  static async start(client: S3Client, options: UploadOptions): Promise<S3Upload> {
    const { bucket, key } = options;
    try {
      const { UploadId: uploadId } = await client.send(
        new CreateMultipartUploadCommand({
          Bucket: bucket,
          Key: key,
          ContentType: options.contentType ?? "application/octet-stream",
          ChecksumAlgorithm: "SHA256",
          ChecksumType: "COMPOSITE",
        }),
        abortable(options.signal),
      );
      if (uploadId === undefined) throw new Error("the answer names no upload");
      return new S3Upload(client, options, uploadId);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw failure(error, "CreateMultipartUpload", bucket, key);
    }
  }

  async put(part: UploadPart): Promise<UploadedPart> {
    try {
      const { ETag: etag } = await this.#client.send(
        new UploadPartCommand({
          ...this.#name(),
          PartNumber: part.number,
          Body: part.body as Uint8Array,
          ContentLength: part.bytes,
          ChecksumSHA256: base64Of(part.sha256),
        }),
        abortable(this.#options.signal),
      );
      if (etag === undefined) throw new Error("the answer has no ETag");
      return { number: part.number, etag, sha256: part.sha256 };
    } catch (error) {
      throw this.#failure(error, "UploadPart");
    }
  }

  async complete(parts: readonly UploadedPart[]): Promise<"stored" | "exists"> {
    const ordered = [...parts].sort((a, b) => a.number - b.number);
    const Parts = ordered.map(({ number, etag, sha256 }) => {
      return { PartNumber: number, ETag: etag, ChecksumSHA256: base64Of(sha256) };
    });
    try {
      await this.#client.send(
        new CompleteMultipartUploadCommand({
          ...this.#name(),
          MultipartUpload: { Parts },
          ...(this.#options.ifAbsent ? { IfNoneMatch: "*" } : {}),
        }),
        abortable(this.#options.signal),
      );
      return "stored";
    } catch (error) {
      if (statusOf(error) === 412 || isGone(error)) return "exists";
      throw this.#failure(error, "CompleteMultipartUpload");
    }
  }

  async abort(signal?: AbortSignal): Promise<void> {
    try {
      await this.#client.send(new AbortMultipartUploadCommand(this.#name()), abortable(signal));
    } catch (error) {
      if (isGone(error)) return;
      throw failure(error, "AbortMultipartUpload", this.#options.bucket, this.#options.key);
    }
  }

  #name() {
    return { Bucket: this.#options.bucket, Key: this.#options.key, UploadId: this.id };
  }

  #failure(error: unknown, operation: string): unknown {
    const { bucket, key, signal } = this.#options;
    if (signal?.aborted) return error;
    return failure(error, operation, bucket, key);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && error.name === "NoSuchUpload";
}

function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
