/**
 * Frames between parent and child: four bytes of length (big endian), then JSON. Both sides refuse a length above their
 * bound before they keep a byte of it, so neither can make the other grow.
 */

export function encodeFrame(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message), "utf8");
  const frame = Buffer.allocUnsafe(body.length + 4);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, 4);
  return frame;
}

export class FrameReader {
  /** The largest frame accepted; a request may raise it. */
  bytesMax: number;
  readonly #onMessage: (message: unknown, bytes: number) => void;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number, onMessage: (message: unknown, bytes: number) => void) {
    this.bytesMax = bytesMax;
    this.#onMessage = onMessage;
  }

  /** Throws on a frame above the bound and on text that is not JSON; the stream is then useless. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      const length = this.#peekLength();
      if (length === undefined) return;
      if (length > this.bytesMax) throw new RangeError(`a frame of ${length} bytes, bound ${this.bytesMax}`);
      if (this.#bytes < length + 4) return;
      const all = Buffer.concat(this.#chunks, this.#bytes);
      const rest = all.subarray(length + 4);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#bytes = rest.length;
      this.#onMessage(JSON.parse(all.toString("utf8", 4, length + 4)), length);
    }
  }

  #peekLength(): number | undefined {
    if (this.#bytes < 4) return undefined;
    let head = this.#chunks[0];
    if (head === undefined || head.length < 4) {
      head = Buffer.concat(this.#chunks, this.#bytes);
      this.#chunks = [head];
    }
    return head.readUInt32BE(0);
  }
}
