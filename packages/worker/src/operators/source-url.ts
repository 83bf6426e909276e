/**
 * Fetches the source of a URL through the guard into a file of the attempt. A line that breaks is taken up where it broke,
 * as long as the server shows that it still has the same version; a server that is busy is asked again; one that has nothing
 * new says so and sends nothing. Bounded in requests, bytes and time, whatever the server does.
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { type SourceState, TraceError } from "@trace/contracts";
import { backoffMs, type GuardedReply } from "@trace/kit";
import {
  downloadConnectMs,
  downloadIdleMs,
  downloadRequestsMax,
  downloadRestMsMax,
  downloadRetryBaseMs,
  downloadRetryMaxMs,
  downloadTriesMax,
} from "../limits.ts";
import { wait } from "../timers.ts";
import { workFolderError } from "../workplace.ts";
import type { OperatorContext } from "./operator.ts";
import { partFrom, restMs, type SourcePart, type SourceVersion, versionOf } from "./source-version.ts";

export type Downloaded =
  | { readonly kind: "unchanged" }
  | { readonly kind: "fetched"; readonly bytes: number; readonly sha256: string; readonly version: SourceVersion };

/** Statuses that are made sense of here: unchanged, no such range, too many requests, unavailable. */
const ownStatuses = [304, 416, 429, 503];
/** Sources are kept as they are sent; DuckDB's child unpacks them. Other encodings the guard refuses (TR-5313). */
const encodings = ["gzip", "x-gzip", "zstd"];
/** Names, connections, slowness, failing servers and replies that do not fit together. */
const passing: ReadonlySet<string> = new Set(["TR-5305", "TR-5306", "TR-5307", "TR-5309", "TR-5315"]);

/**
 * GETs `url` into the new file `path`; with `known`, only if it is another version than that. Throws what the guard throws
 * (TR-53xx), TR-5315 when replies contradict each other to the end, TR-5012 when the disk does not take it, and the signal's
 * reason when the attempt is aborted.
 */
export async function download(
  context: OperatorContext,
  url: string,
  path: string,
  known?: Pick<SourceState, "etag" | "last_modified">,
): Promise<Downloaded> {
  const handle = await open(path, "wx", 0o600).catch((error: unknown) => {
    throw workFolderError(error, path);
  });
  try {
    return await new Download(context, url, known, { handle, path }).run();
  } finally {
    await handle.close();
  }
}

/** A failure of one request, and how long the server wants to be left alone. */
class Failed extends Error {
  readonly error: TraceError;
  readonly restMs: number;

  constructor(error: TraceError, restMs = 0) {
    super(error.message);
    this.error = error;
    this.restMs = restMs;
  }
}

class Download {
  readonly #context: OperatorContext;
  readonly #url: string;
  readonly #host: string;
  readonly #known: Pick<SourceState, "etag" | "last_modified"> | undefined;
  readonly #file: { readonly handle: FileHandle; readonly path: string };
  #hash: Hash = createHash("sha256");
  #bytes = 0;
  /** The most that was ever there: only more than that is progress. */
  #most = 0;
  #version: SourceVersion | undefined;
  /** The server sent a part that was not the one asked for: no more parts are asked of it. */
  #wholeOnly = false;

  constructor(
    context: OperatorContext,
    url: string,
    known: Pick<SourceState, "etag" | "last_modified"> | undefined,
    file: { readonly handle: FileHandle; readonly path: string },
  ) {
    this.#context = context;
    this.#url = url;
    this.#host = new URL(url).host;
    this.#known = known;
    this.#file = file;
  }

  async run(): Promise<Downloaded> {
    const { signal } = this.#context;
    for (let requests = 1, tries = 0; ; requests += 1) {
      const most = this.#most;
      try {
        const end = await this.#request();
        if (end !== "more") return end;
        tries = 0;
      } catch (error) {
        signal.throwIfAborted();
        const failed = failedBy(error);
        tries = this.#most > most ? 0 : tries + 1;
        if (tries >= downloadTriesMax || requests >= downloadRequestsMax) throw failed.error;
        await this.#rest(failed, tries);
      }
      signal.throwIfAborted();
      if (requests >= downloadRequestsMax) throw this.#contradiction("sends the source in ever more pieces");
    }
  }

  async #rest({ error, restMs }: Failed, tries: number): Promise<void> {
    const { leftMs, log, services, signal } = this.#context;
    const rule = { baseMs: downloadRetryBaseMs, maxMs: downloadRetryMaxMs };
    const ms = Math.max(restMs, backoffMs(rule, Math.max(0, tries - 1), services.random));
    if (restMs > downloadRestMsMax || ms >= leftMs()) throw error;
    const from = this.#resumesFrom();
    const then = from > 0 ? `going on from byte ${from}` : "beginning anew";
    log.warn(`${error.code}: ${error.message} After ${this.#bytes} bytes; ${then} in ${(ms / 1_000).toFixed(1)} s`);
    await wait(services.timers, ms, signal);
  }

  /** `more`: the server sent a part of what is left, and has the rest. */
  async #request(): Promise<Downloaded | "more"> {
    const from = this.#resumesFrom();
    const conditions = from > 0 ? this.#rangeFrom(from) : this.#onlyIfChanged();
    const { leftMs, services, signal } = this.#context;
    const reply = await services.get({
      url: this.#url,
      allowHostPorts: services.guardAllow,
      bytesMax: services.sourceBytesMax,
      connectTimeoutMs: downloadConnectMs,
      idleTimeoutMs: downloadIdleMs,
      totalTimeoutMs: leftMs(),
      signal,
      headersOnEachHop: conditions,
      statuses: ownStatuses,
      encodings,
    });
    const { status } = reply;
    if (status === 304 && from === 0 && Object.keys(conditions).length > 0) return { kind: "unchanged" };
    if (status === 429 || status === 503) throw new Failed(this.#busy(reply), restMs(reply.headers));
    const part = status === 206 && from > 0 ? partFrom(reply.headers, from, this.#version) : undefined;
    if (status === 304 || status === 416 || (status === 206 && part === undefined)) {
      await this.#distrust();
      await leave(reply);
      throw this.#contradiction(`answers with status ${status}, which does not fit what it was asked`);
    }
    if (part === undefined) await this.#begin(versionOf(reply.headers));
    else this.#version = { ...this.#version, bytes: part.total };
    await this.#read(reply);
    return this.#end(from, part);
  }

  async #end(from: number, part: SourcePart | undefined): Promise<Downloaded | "more"> {
    const version = this.#version ?? {};
    const announced = part === undefined ? version.bytes : from + part.bytes;
    if (announced !== undefined && this.#bytes !== announced) {
      const sent = this.#bytes - from;
      await this.#distrust();
      throw this.#contradiction(`announced ${announced - from} bytes and sent ${sent}`);
    }
    if (part !== undefined && this.#bytes < part.total) return "more";
    return { kind: "fetched", bytes: this.#bytes, sha256: this.#hash.digest("hex"), version };
  }

  /** What is there may be of another version: nothing of it is used, nor this server's idea of a part. */
  #distrust(): Promise<void> {
    this.#wholeOnly = true;
    return this.#begin(undefined);
  }

  async #read(reply: GuardedReply): Promise<void> {
    const { progress, services } = this.#context;
    const total = this.#version?.bytes;
    if ((total ?? 0) > services.sourceBytesMax) {
      await leave(reply);
      throw this.#tooLarge();
    }
    for await (const chunk of reply.body) {
      if (this.#bytes + chunk.byteLength > services.sourceBytesMax) throw this.#tooLarge();
      await this.#append(chunk);
      const done = { message: "downloading", done: this.#bytes, unit: "bytes" } as const;
      progress(total === undefined ? done : { ...done, total });
    }
  }

  async #append(chunk: Uint8Array): Promise<void> {
    try {
      for (let written = 0; written < chunk.byteLength; ) {
        const { bytesWritten } = await this.#file.handle.write(
          chunk,
          written,
          chunk.byteLength - written,
          this.#bytes + written,
        );
        written += bytesWritten;
      }
    } catch (error) {
      throw workFolderError(error, this.#file.path);
    }
    this.#hash.update(chunk);
    this.#bytes += chunk.byteLength;
    this.#most = Math.max(this.#most, this.#bytes);
  }

  /** Forgets what is there; what comes now is of this version. */
  async #begin(version: SourceVersion | undefined): Promise<void> {
    this.#version = version;
    if (this.#bytes === 0) return;
    this.#bytes = 0;
    this.#hash = createHash("sha256");
    await this.#file.handle.truncate(0);
  }

  #resumesFrom(): number {
    return this.#wholeOnly || this.#version?.validator === undefined ? 0 : this.#bytes;
  }

  #rangeFrom(from: number): Record<string, string> {
    const validator = this.#version?.validator;
    return validator === undefined ? {} : { range: `bytes=${from}-`, "if-range": validator };
  }

  #onlyIfChanged(): Record<string, string> {
    const { etag, last_modified } = this.#known ?? {};
    if (etag !== undefined) return { "if-none-match": etag };
    return last_modified === undefined ? {} : { "if-modified-since": last_modified };
  }

  #busy(reply: GuardedReply): TraceError {
    const asked = restMs(reply.headers);
    const rest = asked > 0 ? ` and wants to be left alone for ${Math.ceil(asked / 1_000)} s` : "";
    return new TraceError("TR-5309", {
      detail: `${this.#host} answers with HTTP status ${reply.status}${rest}.`,
      where: this.#host,
      fix: "Nothing at first: the request is tried again. If it lasts, ask the source less often.",
    });
  }

  #contradiction(what: string): TraceError {
    return new TraceError("TR-5315", {
      detail: `${this.#host} ${what}.`,
      where: this.#host,
      fix: "Nothing at first: the source is fetched again from its start. If it lasts, ask whoever runs it.",
    });
  }

  #tooLarge(): TraceError {
    const { sourceBytesMax } = this.#context.services;
    return new TraceError("TR-5310", {
      detail: `The source at ${this.#host} is larger than ${sourceBytesMax} bytes.`,
      where: this.#host,
      fix: "Ask the source for less, by a filter or a page, or raise TRACE_SOURCE_BYTES_MAX of the worker.",
    });
  }
}

/** A failure that may pass, or throws the error itself. */
function failedBy(error: unknown): Failed {
  if (error instanceof Failed) return error;
  if (error instanceof TraceError && passing.has(error.code)) return new Failed(error);
  throw error;
}

/** Closes a reply without reading it: a body that was begun and left closes its connection. */
async function leave(reply: GuardedReply): Promise<void> {
  for await (const _ of reply.body) return;
}
