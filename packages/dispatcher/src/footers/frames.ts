/**
 * What parent and child exchange over the child's file descriptor 3: four bytes of length (big endian), then bytes. The parent
 * sends eight bytes of file size and a footer, the child answers with JSON. Neither keeps a byte of a frame above its bound.
 */

/** The child's first frame, once it can be asked. */
export const readyWord = "ready";

export function encodeFrame(parts: readonly Uint8Array[]): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 0));
  return Buffer.concat([length, ...parts]);
}

export function encodeRequest(fileBytes: number, footer: Uint8Array): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(fileBytes));
  return encodeFrame([size, footer]);
}

export function decodeRequest(frame: Buffer): { fileBytes: number; footer: Buffer } {
  return { fileBytes: Number(frame.readBigUInt64BE(0)), footer: frame.subarray(8) };
}

export class FrameReader {
  readonly #bytesMax: number;
  readonly #onFrame: (frame: Buffer) => void;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #wanted: number | undefined;

  constructor(bytesMax: number, onFrame: (frame: Buffer) => void) {
    this.#bytesMax = bytesMax;
    this.#onFrame = onFrame;
  }

  /** Throws on a frame above the bound; the stream is then useless. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      this.#wanted ??= this.#bytes < 4 ? undefined : this.#take(4).readUInt32BE(0);
      if (this.#wanted === undefined) return;
      if (this.#wanted > this.#bytesMax) throw new RangeError(`a frame of ${this.#wanted} bytes`);
      if (this.#bytes < this.#wanted) return;
      const frame = this.#take(this.#wanted);
      this.#wanted = undefined;
      this.#onFrame(frame);
    }
  }

  #take(bytes: number): Buffer {
    const all = Buffer.concat(this.#chunks, this.#bytes);
    const rest = all.subarray(bytes);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#bytes = rest.length;
    return all.subarray(0, bytes);
  }
}
