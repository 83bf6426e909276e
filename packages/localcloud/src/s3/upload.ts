/** Bytes on their way to disk: one temporary file for an object or a part of one. */
import { type FileHandle, unlink } from "node:fs/promises";
import { encodeTail, type ObjectDescription, type ObjectSummary } from "./objectfile.ts";

/** A temporary file that becomes an object, or nothing. */
export class Upload {
  readonly #handle: FileHandle;
  readonly #path: string;
  #written = 0;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** The write under way: the next bytes are received and hashed meanwhile. */
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  #moved = false;

  constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  get path(): string {
    return this.#path;
  }

  /** Takes a chunk over; what comes off a socket in small pieces reaches the file in larger ones. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes >= writeBytes) await this.#flush();
  }

  /** Hands what waits to the file; throws what the write before it met. */
  async #flush(): Promise<void> {
    await this.#writing;
    const chunk = Buffer.concat(this.#waiting, this.#waitingBytes);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#writing = this.#writeOut(chunk);
    // Whoever writes, seals or closes next meets the error; between those calls it must not count as unhandled.
    this.#writing.catch(() => undefined);
  }

  async #writeOut(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const { bytesWritten } = await this.#handle.write(chunk, at, chunk.length - at, this.#written);
      at += bytesWritten;
      this.#written += bytesWritten;
    }
  }

  /** Writes the description behind the data and makes both durable. */
  async seal(description: ObjectDescription, summary: ObjectSummary): Promise<void> {
    await this.write(encodeTail(description, summary));
    await this.#flush();
    await this.#writing;
    await this.#handle.sync();
    await this.#close();
  }

  /** The temporary name was given up by a rename. */
  moved(): void {
    this.#moved = true;
  }

  /** Leaves nothing under the temporary name. Safe after `seal` and after a failure of it. */
  async discard(): Promise<void> {
    await this.#close();
    if (!this.#moved) await unlink(this.#path);
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A discarded upload has reported its error already, or has none that matters.
    await this.#writing.catch(() => undefined);
    await this.#handle.close();
  }
}

/** Bytes of one write to the file. */
const writeBytes = 256 * 1024;
