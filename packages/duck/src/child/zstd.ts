/**
 * Where the frames of a zstd file begin and end. Node's decompressor stops at a frame's end and forgets what came in with
 * it, and takes what follows for nothing; so each frame is found by its own headers and unpacked alone.
 */
import type { FileHandle } from "node:fs/promises";

export interface Span {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** The file ends within a frame, or holds what is none. */
export class BrokenFrames extends Error {}

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const fieldBytes = [0, 1, 2, 4];
const sizeBytes = [0, 2, 4, 8];

/** Frames with data, in order; skippable ones are left out. */
export async function* zstdFrames(file: FileHandle, bytes: number): AsyncGenerator<Span> {
  const read = async (at: number, length: number): Promise<Buffer> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
    if (bytesRead < length) throw new BrokenFrames("it ends in the middle");
    return buffer;
  };
  let start = 0;
  while (start < bytes) {
    const magic = (await read(start, 4)).readUInt32LE(0);
    if ((magic & 0xfffffff0) >>> 0 === skippableMagic) {
      start += 8 + (await read(start + 4, 4)).readUInt32LE(0);
      continue;
    }
    if (magic !== frameMagic) throw new BrokenFrames(`what begins at byte ${start} is no zstd`);
    const flags = (await read(start + 4, 1)).readUInt8(0);
    const single = (flags & 0x20) !== 0;
    const content = single && flags >> 6 === 0 ? 1 : (sizeBytes[flags >> 6] ?? 0);
    let at = start + 5 + (single ? 0 : 1) + (fieldBytes[flags & 3] ?? 0) + content;
    for (let last = false; !last; ) {
      const header = (await read(at, 3)).readUIntLE(0, 3);
      last = (header & 1) !== 0;
      // A run of one byte is stored as that byte, however long it is.
      at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
    }
    const end = at + ((flags & 4) === 0 ? 0 : 4);
    if (end > bytes) throw new BrokenFrames("it ends in the middle");
    yield { start, end };
    start = end;
  }
  if (start > bytes) throw new BrokenFrames("it ends in the middle");
}
