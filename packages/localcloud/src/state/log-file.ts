/** A log file that is rotated by size: `worker.log`, then `worker.log.1`, ... up to a number of files. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import { stateLimits } from "./limits.ts";

export interface LogFileOptions {
  readonly path: string;
  readonly bytesMax?: number | undefined;
  readonly filesMax?: number | undefined;
  /** Told once, when writing begins to fail (a full disk): losing log lines must not stop the stack. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

export class LogFile {
  readonly #options: LogFileOptions;
  #descriptor: number | undefined;
  #bytes = 0;
  #failing = false;

  constructor(options: LogFileOptions) {
    this.#options = options;
  }

  /** Adds one line. Synchronous: lines are small, few, and must be there after a crash of this process. */
  write(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    try {
      if (this.#descriptor === undefined) this.#open();
      if (this.#bytes > 0 && this.#bytes + bytes.length > (this.#options.bytesMax ?? stateLimits.logFileBytesMax)) {
        this.#rotate();
      }
      if (this.#descriptor !== undefined) this.#bytes += writeSync(this.#descriptor, bytes);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#options.onFailure?.(error);
      this.#failing = true;
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #open(): void {
    this.#descriptor = openSync(this.#options.path, "a", 0o600);
    this.#bytes = fstatSync(this.#descriptor).size;
  }

  #rotate(): void {
    this.close();
    const { path } = this.#options;
    for (let number = (this.#options.filesMax ?? stateLimits.logFilesMax) - 2; number >= 0; number--) {
      try {
        renameSync(number === 0 ? path : `${path}.${number}`, `${path}.${number + 1}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // not that many yet
      }
    }
    this.#open();
  }
}
