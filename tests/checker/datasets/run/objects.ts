/** The object store as writers and readers use it: the client of AWS itself. */
import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { storeAgainMs, storeTriesMax } from "./limits.ts";

export interface ObjectsOptions {
  readonly endpoint: string;
  readonly bucket: string;
  readonly key: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function statusOf(error: unknown): number {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
}

export class Objects {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor({ endpoint, bucket, key }: ObjectsOptions) {
    this.#bucket = bucket;
    this.#client = new S3Client({
      endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: key,
      maxAttempts: 1,
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  stop(): void {
    this.#client.destroy();
  }

  /** The status of the answer: 200, or 412 where the key exists. */
  async put(key: string, bytes: Uint8Array): Promise<number> {
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: bytes,
      IfNoneMatch: "*",
      ChecksumSHA256: createHash("sha256").update(bytes).digest("base64"),
    });
    return this.#until(`PUT ${key}`, async () => {
      try {
        await this.#client.send(command);
        return 200;
      } catch (error) {
        if (statusOf(error) === 412) return 412;
        throw error;
      }
    });
  }

  /** Undefined: there is none. */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#until(`GET ${key}`, async () => {
      try {
        const answer = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key: key }));
        return (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  async list(): Promise<string[]> {
    const keys: string[] = [];
    let after: string | undefined;
    do {
      const command = new ListObjectsV2Command({
        Bucket: this.#bucket,
        ...(after === undefined ? {} : { ContinuationToken: after }),
      });
      const page = await this.#until("list", () => this.#client.send(command));
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
      after = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (after !== undefined);
    return keys;
  }

  /** By a link that somebody was given. */
  async fetch(link: string): Promise<Uint8Array | undefined> {
    return this.#until("GET of a link", async () => {
      const answer = await fetch(link);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw new Error(`the store answered ${answer.status}`);
      return bytes;
    });
  }

  /** While the store is away the same is tried again. */
  async #until<T>(what: string, act: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await act();
      } catch (cause) {
        const status = statusOf(cause);
        if (tries === storeTriesMax || (status >= 400 && status < 500)) throw new Error(`${what} failed`, { cause });
        await pause(storeAgainMs);
      }
    }
  }
}
