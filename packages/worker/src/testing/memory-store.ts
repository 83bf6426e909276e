/**
 * An object store in memory with the rules that staging relies on: a put if absent, objects in parts, and checksums that are
 * verified.
 */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { TraceError } from "@trace/contracts";
import {
  type ObjectHead,
  type ObjectUpload,
  type PutOptions,
  type Service,
  sha256OfParts,
  type UploadedPart,
  type UploadOptions,
  type UploadPart,
} from "@trace/kit";
import { Journal } from "./journal.ts";

export class MemoryStore implements Service {
  readonly journal = new Journal();
  readonly objects = new Map<string, Buffer>();
  /** What the store keeps as the checksum of objects that came in parts. */
  readonly composites = new Map<string, string>();
  /** Uploads that were begun and neither completed nor aborted: their parts by number. */
  readonly uploads = new Map<string, Map<number, Buffer>>();
  /** Keys in the order of their puts. */
  readonly puts: string[] = [];
  /**
   * Thrown by the next puts whose key fits, one each: of objects, `KEY#3` of parts, `KEY#complete` of completions;
   * `stored` first stores it, as when only the answer is lost.
   */
  readonly failNext: { fits: RegExp; stored: boolean; code?: "TR-4006" | "TR-4008" }[] = [];
  #uploadNo = 0;

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  async put(options: PutOptions): Promise<"stored" | "exists"> {
    const name = `${options.bucket}/${options.key}`;
    const body = await readAll(options.body);
    return this.#failing(name, () => {
      if (options.ifAbsent && this.objects.has(name)) return "exists";
      requireDigest(name, body, options);
      this.#place(name, body);
      return "stored";
    });
  }

  startUpload(options: UploadOptions): Promise<ObjectUpload> {
    this.#uploadNo += 1;
    const id = `upload-${this.#uploadNo}`;
    return this.#failing(`${options.bucket}/${options.key}#start`, () => {
      this.uploads.set(id, new Map());
      return this.upload(options, id);
    });
  }

  upload(options: UploadOptions, id: string): ObjectUpload {
    const name = `${options.bucket}/${options.key}`;
    return {
      id,
      put: (part) => this.#putPart(name, id, part),
      complete: (parts) => this.#failing(`${name}#complete`, () => this.#complete(name, id, parts)),
      abort: async () => void this.uploads.delete(id),
    };
  }

  async #putPart(name: string, id: string, part: UploadPart): Promise<UploadedPart> {
    const body = await readAll(part.body);
    return this.#failing(`${name}#${part.number}`, () => {
      requireDigest(name, body, part);
      const parts = this.uploads.get(id);
      if (parts === undefined) throw away(name);
      parts.set(part.number, body);
      return { number: part.number, etag: `"${part.sha256}"`, sha256: part.sha256 };
    });
  }

  #complete(name: string, id: string, parts: readonly UploadedPart[]): "stored" | "exists" {
    const sent = this.uploads.get(id);
    if (sent === undefined || this.objects.has(name)) return "exists";
    const ordered = parts.toSorted((a, b) => a.number - b.number);
    const bodies = ordered.map(({ number, sha256 }) => {
      const body = sent.get(number) ?? Buffer.alloc(0);
      requireDigest(name, body, { bytes: body.length, sha256 });
      return body;
    });
    this.uploads.delete(id);
    this.composites.set(name, sha256OfParts(ordered.map(({ sha256 }) => sha256)));
    this.#place(name, Buffer.concat(bodies));
    return "stored";
  }

  async #failing<T>(name: string, call: () => T): Promise<T> {
    const failure = this.failNext.findIndex(({ fits }) => fits.test(name));
    const [fails] = failure === -1 ? [] : this.failNext.splice(failure, 1);
    if (fails?.stored === false) throw away(name, fails.code);
    const answer = call();
    if (fails !== undefined) throw away(name, fails.code);
    return answer;
  }

  #place(name: string, body: Buffer): void {
    this.objects.set(name, body);
    this.puts.push(name);
    this.journal.note();
  }

  head(bucket: string, key: string): Promise<ObjectHead | undefined> {
    const name = `${bucket}/${key}`;
    const body = this.objects.get(name);
    if (body === undefined) return Promise.resolve(undefined);
    return Promise.resolve({ bytes: body.length, etag: "", sha256: this.composites.get(name) ?? digestOf(body) });
  }

  stream(bucket: string, key: string): Promise<NodeJS.ReadableStream> {
    const body = this.objects.get(`${bucket}/${key}`);
    if (body === undefined) return Promise.reject(away(`${bucket}/${key}`));
    return Promise.resolve(Readable.from([body.subarray(0, body.length >> 1), body.subarray(body.length >> 1)]));
  }

  text(name: string): string {
    return this.objects.get(name)?.toString("utf8") ?? "";
  }
}

async function readAll(body: Uint8Array | NodeJS.ReadableStream): Promise<Buffer> {
  if (body instanceof Uint8Array) return Buffer.from(body);
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as unknown as Buffer);
  return Buffer.concat(chunks);
}

function digestOf(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}

function requireDigest(name: string, body: Buffer, said: { readonly bytes: number; readonly sha256: string }): void {
  if (digestOf(body) !== said.sha256 || body.length !== said.bytes) throw new Error(`BadDigest: ${name}`);
}

function away(name: string, code: "TR-4006" | "TR-4008" = "TR-4006"): TraceError {
  return new TraceError(code, { detail: `the object store did not carry out PutObject of s3://${name}` });
}
