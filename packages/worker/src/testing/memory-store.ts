/** An object store in memory with the rules that staging relies on: a put if absent, and checksums that are verified. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { TraceError } from "@trace/contracts";
import type { ObjectHead, PutOptions, Service } from "@trace/kit";
import { Journal } from "./journal.ts";

export class MemoryStore implements Service {
  readonly journal = new Journal();
  readonly objects = new Map<string, Buffer>();
  /** Keys in the order of their puts. */
  readonly puts: string[] = [];
  /** Thrown by the next puts whose key fits, one each; `stored` first stores it, as when only the answer is lost. */
  readonly failNext: { fits: RegExp; stored: boolean }[] = [];

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  async put(options: PutOptions): Promise<"stored" | "exists"> {
    const name = `${options.bucket}/${options.key}`;
    const chunks: Buffer[] = [];
    if (options.body instanceof Uint8Array) chunks.push(Buffer.from(options.body));
    else for await (const chunk of options.body) chunks.push(chunk as unknown as Buffer);
    const body = Buffer.concat(chunks);
    const failure = this.failNext.findIndex(({ fits }) => fits.test(name));
    const [fails] = failure === -1 ? [] : this.failNext.splice(failure, 1);
    if (fails?.stored === false) throw away(name);
    if (options.ifAbsent && this.objects.has(name)) return "exists";
    const sha256 = createHash("sha256").update(body).digest("hex");
    if (sha256 !== options.sha256 || body.length !== options.bytes) throw new Error(`BadDigest: ${name}`);
    this.objects.set(name, body);
    this.puts.push(name);
    this.journal.note();
    if (fails !== undefined) throw away(name);
    return "stored";
  }

  head(bucket: string, key: string): Promise<ObjectHead | undefined> {
    const body = this.objects.get(`${bucket}/${key}`);
    if (body === undefined) return Promise.resolve(undefined);
    return Promise.resolve({ bytes: body.length, etag: "", sha256: createHash("sha256").update(body).digest("hex") });
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

function away(name: string): TraceError {
  return new TraceError("TR-4006", { detail: `the object store did not carry out PutObject of s3://${name}` });
}
