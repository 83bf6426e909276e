/** Fetches the source of a URL through the guard into a file of the attempt, within bounds of bytes and time. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { downloadConnectMs, downloadIdleMs } from "../limits.ts";
import { workFolderError } from "../workplace.ts";
import type { OperatorContext } from "./operator.ts";

export interface Download {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * GETs `url` into the new file `path`. Throws what the guard throws (TR-53xx), TR-5012 when the disk does not take it, and
 * the signal's reason when the attempt is aborted.
 */
export async function download(context: OperatorContext, url: string, path: string): Promise<Download> {
  const { get, guardAllow, sourceBytesMax } = context.services;
  let bytes = 0;
  let total: number | undefined;
  const reply = await get({
    url,
    allowHostPorts: guardAllow,
    bytesMax: sourceBytesMax,
    connectTimeoutMs: downloadConnectMs,
    idleTimeoutMs: downloadIdleMs,
    totalTimeoutMs: context.leftMs(),
    signal: context.signal,
    onProgress: (_, expected) => {
      total = expected;
    },
  });
  const hash = createHash("sha256");
  async function* counted(body: AsyncIterable<Uint8Array>) {
    for await (const chunk of body) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      const progress = { message: "downloading", done: bytes, unit: "bytes" } as const;
      context.progress(total === undefined ? progress : { ...progress, total });
      yield chunk;
    }
  }
  try {
    await pipeline(counted(reply.body), createWriteStream(path, { flags: "wx", mode: 0o600 }), {
      signal: context.signal,
    });
  } catch (error) {
    context.signal.throwIfAborted();
    throw workFolderError(error, path);
  }
  return { bytes, sha256: hash.digest("hex") };
}
