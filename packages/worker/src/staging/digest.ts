/** Checksums of a file, read once and never held: of the whole, and of its parts where it is stored in parts. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { fileReadBytes } from "../limits.ts";

export interface FilePart {
  readonly start: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Digest {
  readonly bytes: number;
  readonly sha256: string;
  /** One at least, unless the file is empty or no size of parts was given. */
  readonly parts: readonly FilePart[];
}

export async function digestFile(path: string, signal: AbortSignal, partBytes?: number): Promise<Digest> {
  const whole = createHash("sha256");
  const parts: FilePart[] = [];
  let part = createHash("sha256");
  let start = 0;
  let bytes = 0;
  const endPart = () => {
    parts.push({ start, bytes: bytes - start, sha256: part.digest("hex") });
    part = createHash("sha256");
    start = bytes;
  };
  for await (const chunk of createReadStream(path, { signal, highWaterMark: fileReadBytes })) {
    let rest = chunk as Buffer;
    whole.update(rest);
    while (partBytes !== undefined && rest.length > 0) {
      const some = rest.subarray(0, start + partBytes - bytes);
      part.update(some);
      bytes += some.length;
      rest = rest.subarray(some.length);
      if (bytes - start === partBytes) endPart();
    }
    bytes += rest.length;
  }
  if (partBytes !== undefined && bytes > start) endPart();
  return { bytes, sha256: whole.digest("hex"), parts };
}
