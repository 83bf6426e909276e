/**
 * The file of an object: its data, then its description (JSON), then a trailer of fixed size that says where each begins.
 *
 * One file, so that data and description appear and are replaced together, by one link or rename. The description stands
 * behind the data because length and checksums are known only at the end of a stream. What is written is checked again
 * when it is read: magic, lengths, checksums, and that the file describes the key it was asked for.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { TraceError } from "@trace/contracts";
import { footerBytesMax } from "../limits.ts";
import type { Checksum } from "./checksum.ts";

export interface ObjectDescription {
  readonly key: string;
  /** Standard headers given back as they were sent: content-type, cache-control, ... */
  readonly headers: Readonly<Record<string, string>>;
  /** User metadata, names without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly checksum?: Checksum | undefined;
  /** Of an object put together from parts: how many parts of which size, in order, equal neighbours counted together. */
  readonly parts?: readonly PartRun[] | undefined;
}

export interface PartRun {
  readonly bytes: number;
  readonly count: number;
}

/** What a listing needs, read from the trailer alone. */
export interface ObjectSummary {
  readonly bytes: number;
  /** Without quotes: MD5 in hex, or of an object put together from parts the MD5 of their MD5s, `-` and their number. */
  readonly etag: string;
  readonly modifiedMs: number;
  readonly dataCrc32: number;
}

export interface OpenObject extends ObjectSummary {
  readonly description: ObjectDescription;
  /** Data at offset 0. The handle keeps seeing this object when it is replaced or deleted. Close it. */
  readonly handle: FileHandle;
}

const magic = Buffer.from("TRACEOB1");
export const trailerBytes = 64;
/** One read of this size at the end of the file brings trailer and nearly every description. */
const tailBytes = 4 * 1024;

/** Footer and trailer to be written behind the data. */
export function encodeTail(description: ObjectDescription, summary: ObjectSummary): Buffer {
  const footer = Buffer.from(JSON.stringify(description));
  // Nothing that a request may hold comes near it; what could not be read again must not be written.
  if (footer.length > footerBytesMax) throw new RangeError(`a description of ${footer.length} bytes`);
  const trailer = Buffer.alloc(trailerBytes);
  magic.copy(trailer, 0);
  trailer.writeBigUInt64BE(BigInt(summary.bytes), 8);
  trailer.writeUInt32BE(footer.length, 16);
  trailer.writeUInt32BE(summary.dataCrc32, 20);
  const [md5 = "", parts = "0"] = summary.etag.split("-");
  Buffer.from(md5, "hex").copy(trailer, 24);
  trailer.writeBigUInt64BE(BigInt(summary.modifiedMs), 40);
  trailer.writeUInt32BE(crc32(footer), 48);
  trailer.writeUInt32BE(Number(parts), 52);
  trailer.writeUInt32BE(crc32(trailer.subarray(0, 60)), 60);
  return Buffer.concat([footer, trailer]);
}

function damaged(path: string, why: string): TraceError {
  return new TraceError("TR-6105", {
    detail: `A stored object cannot be read: ${why}.`,
    where: path,
    why: "The file was changed, cut or replaced by something other than the object store, or the disk lost it.",
    fix: "Remove the file and produce the object again: replay the task that wrote it.",
  });
}

interface Trailer extends ObjectSummary {
  readonly footerBytes: number;
  readonly footerCrc32: number;
}

function parseTrailer(trailer: Buffer, fileBytes: number, path: string): Trailer {
  if (trailer.length !== trailerBytes || !trailer.subarray(0, 8).equals(magic)) throw damaged(path, "no trailer");
  if (trailer.readUInt32BE(60) !== crc32(trailer.subarray(0, 60))) throw damaged(path, "its trailer is corrupt");
  const bytes = Number(trailer.readBigUInt64BE(8));
  const footerBytes = trailer.readUInt32BE(16);
  const parts = trailer.readUInt32BE(52);
  const md5 = trailer.toString("hex", 24, 40);
  if (bytes + footerBytes + trailerBytes !== fileBytes || footerBytes > footerBytesMax) {
    throw damaged(path, `${fileBytes} bytes do not fit its trailer`);
  }
  return {
    bytes,
    etag: parts === 0 ? md5 : `${md5}-${parts}`,
    modifiedMs: Number(trailer.readBigUInt64BE(40)),
    dataCrc32: trailer.readUInt32BE(20),
    footerBytes,
    footerCrc32: trailer.readUInt32BE(48),
  };
}

/** Never follows a link that somebody planted in the place of an object. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW;

async function readFully(handle: FileHandle, from: number, bytes: number): Promise<Buffer> {
  // Filled or cut below: bytes that were not read never leave this function.
  const buffer = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await handle.read(buffer, filled, bytes - filled, from + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

export async function readSummary(path: string): Promise<ObjectSummary> {
  const handle = await open(path, readFlags);
  try {
    const { size } = await handle.stat();
    return parseTrailer(await readFully(handle, Math.max(0, size - trailerBytes), trailerBytes), size, path);
  } finally {
    await handle.close();
  }
}

/** Opens an object for reading. ENOENT passes through; a file that is not what was written is TR-6105. */
export async function openObject(path: string, key: string): Promise<OpenObject> {
  const handle = await open(path, readFlags);
  try {
    const { size } = await handle.stat();
    const tailFrom = Math.max(0, size - tailBytes);
    const tail = await readFully(handle, tailFrom, size - tailFrom);
    const trailer = parseTrailer(tail.subarray(Math.max(0, tail.length - trailerBytes)), size, path);
    const footer =
      trailer.bytes >= tailFrom
        ? tail.subarray(trailer.bytes - tailFrom, tail.length - trailerBytes)
        : await readFully(handle, trailer.bytes, trailer.footerBytes);
    if (crc32(footer) !== trailer.footerCrc32) throw damaged(path, "its description is corrupt");
    const description = JSON.parse(footer.toString()) as ObjectDescription;
    if (description.key !== key) throw damaged(path, "it describes another key");
    return { ...trailer, description, handle };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Data from `start` to `end` (inclusive). When that is the whole object its checksum is compared at the end, and a
 * mismatch throws before the last chunk is handed on, so that the reader's transfer is cut and not completed.
 */
export async function* readData(object: OpenObject, start: number, end: number, path: string): AsyncGenerator<Buffer> {
  const whole = start === 0 && end === object.bytes - 1;
  const read = (at: number) => readFully(object.handle, at, Math.min(readChunkBytes, end + 1 - at));
  let crc = 0;
  let next = start <= end ? read(start) : undefined;
  try {
    for (let at = start; next !== undefined; ) {
      const chunk: Buffer = await next;
      if (chunk.length === 0) throw damaged(path, "its data ends early");
      at += chunk.length;
      crc = whole ? crc32(chunk, crc) : crc;
      if (whole && at > end && crc !== object.dataCrc32) throw damaged(path, "its data does not match its checksum");
      // The disk reads on while the network sends.
      next = at <= end ? read(at) : undefined;
      // Met at the next turn; until then it must not count as unhandled.
      next?.catch(() => undefined);
      yield chunk;
    }
  } finally {
    // When the reader goes away, nobody is left to want this read, nor its error.
    await next?.catch(() => undefined);
  }
}

const readChunkBytes = 256 * 1024;
