/**
 * Fetches data files by their presigned URLs into the cache. A presigned URL is a secret: no error, log or screen gets
 * one, so errors name the object instead, and never carry the cause, whose words may repeat the URL.
 */
import { createHash } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { type ResolvedFile, TraceError } from "@trace/contracts";
import { downloadMsMax, downloadsMax } from "../limits.ts";
import { systemReason } from "../state/settings-file.ts";
import type { ObjectCache } from "./cache.ts";

export interface Fetched {
  /** By SHA-256. */
  readonly paths: ReadonlyMap<string, string>;
  /** Bytes that came over the network; the rest was in the cache. */
  readonly bytes: number;
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** Called as bytes arrive. What is in the cache counts in neither figure. */
  readonly onProgress?: ((progress: { done: number; total: number; unit: "bytes" }) => void) | undefined;
}

/** Every file named, `downloadsMax` at a time. Throws TR-7005, TR-7006, TR-7007. */
export async function fetchFiles(
  cache: ObjectCache,
  files: readonly ResolvedFile[],
  { signal, onProgress }: FetchOptions,
): Promise<Fetched> {
  const paths = new Map<string, string>();
  const wanted: ResolvedFile[] = [];
  for (const file of new Map(files.map((one) => [one.sha256, one])).values()) {
    const kept = await cache.find(file.sha256, file.bytes);
    if (kept === undefined) wanted.push(file);
    else paths.set(file.sha256, kept);
  }
  const total = wanted.reduce((sum, file) => sum + file.bytes, 0);
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    onProgress?.({ done, total, unit: "bytes" });
  };
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const next = wanted[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (const file of { [Symbol.iterator]: () => next }) {
      either.throwIfAborted();
      paths.set(file.sha256, await download(cache, file, { signal: either, onBytes }));
    }
  };
  const lanes = Array.from({ length: Math.min(downloadsMax, wanted.length) }, async () => {
    try {
      await lane();
    } catch (error) {
      stop.abort();
      throw error;
    }
  });
  const settled = await Promise.allSettled(lanes);
  const failures = settled.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  // The others were cut by the first failure and only say so.
  if (failures.length > 0) throw failures.find((failure) => failure instanceof TraceError) ?? failures[0];
  return { paths, bytes: total };
}

function placeOf(file: ResolvedFile): string {
  return `object ${file.key} in bucket ${file.bucket}`;
}

function notFetched(file: ResolvedFile, why: string): TraceError {
  return new TraceError("TR-7007", {
    detail: "a data file could not be fetched",
    where: placeOf(file),
    why,
    fix: "run the query again: its links are made anew; if it stays, check the object store with 'trace doctor'",
  });
}

function damagedDownload(file: ResolvedFile, why: string): TraceError {
  return new TraceError("TR-7006", {
    detail: "a data file is not what was committed",
    where: placeOf(file),
    why,
    fix: "run the query again; if it stays, the object store has damaged it: look at its log and disk",
  });
}

interface DownloadOptions {
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

async function download(cache: ObjectCache, file: ResolvedFile, options: DownloadOptions): Promise<string> {
  const { signal, onBytes } = options;
  if (file.url === undefined) throw notFetched(file, "the dispatcher gave no link to it");
  const timed = AbortSignal.any([signal, AbortSignal.timeout(downloadMsMax)]);
  const body = await openBody(file, file.url, timed);
  const partial = cache.partialPath(file.sha256);
  try {
    await save(file, body, { path: partial, onBytes });
    return await cache.keep(partial, file.sha256);
  } catch (error) {
    await rm(partial, { force: true });
    if (error instanceof TraceError) throw error;
    signal.throwIfAborted();
    throw notFetched(file, timed.aborted ? `it did not arrive within ${downloadMsMax / 1_000} s` : reasonOf(error));
  }
}

async function openBody(file: ResolvedFile, url: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  let answer: Response;
  try {
    // A redirect would hand the signature to somebody else.
    answer = await fetch(url, { redirect: "error", signal });
  } catch (error) {
    throw notFetched(file, reasonOf(error));
  }
  if (answer.status === 200 && answer.body !== null) return answer.body;
  await answer.body?.cancel();
  throw notFetched(file, `the object store answered ${answer.status}`);
}

/** A system's error code, and no more of the error. */
function reasonOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  const found = [code, cause?.code].find(
    (candidate) => typeof candidate === "string" && /^[A-Z_0-9]+$/.test(candidate),
  );
  return found === undefined
    ? "the connection to the object store failed"
    : `the connection to the object store failed: ${found}`;
}

interface SaveOptions {
  readonly path: string;
  readonly onBytes: (bytes: number) => void;
}

async function save(file: ResolvedFile, body: ReadableStream<Uint8Array>, options: SaveOptions): Promise<void> {
  const { path, onBytes } = options;
  const hash = createHash("sha256");
  let bytes = 0;
  const target = await open(path, "wx", 0o600).catch((error: unknown) => {
    throw cannotWrite(path, error);
  });
  try {
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > file.bytes) break;
      hash.update(chunk);
      onBytes(chunk.length);
      await target.writeFile(chunk).catch((error: unknown) => {
        throw cannotWrite(path, error);
      });
    }
  } finally {
    await target.close();
  }
  if (bytes !== file.bytes) {
    const got = bytes > file.bytes ? "more" : `${bytes}`;
    throw damagedDownload(file, `it should have ${file.bytes} bytes, and ${got} came`);
  }
  if (hash.digest("hex") !== file.sha256) throw damagedDownload(file, "its SHA-256 differs from the manifest's");
}

function cannotWrite(path: string, error: unknown): TraceError {
  return new TraceError("TR-7005", {
    detail: "a fetched data file cannot be kept",
    where: path,
    why: systemReason(error),
    fix: "make room or the folder writable, or name another state folder with --state",
  });
}
