/** The output folder as the parent sees it while a child writes: its size, against the limit, and its end when it fails. */
import { readdirSync, statSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { progressEveryMs } from "./limits.ts";
import type { ChildOutput } from "./messages.ts";
import type { DuckProgress } from "./types.ts";

export class OutputWatch {
  readonly #folder: string | undefined;
  readonly #bytesMax: number;
  readonly #onProgress: ((progress: DuckProgress) => void) | undefined;
  #reportedAt = 0;

  constructor(output: ChildOutput, bytesMax: number, onProgress: ((progress: DuckProgress) => void) | undefined) {
    this.#folder = output.kind === "parquet" ? output.folder : undefined;
    this.#bytesMax = bytesMax;
    this.#onProgress = onProgress;
  }

  /** An error when the output has grown too large. */
  look(): TraceError | undefined {
    if (this.#folder === undefined) return undefined;
    const bytes = this.#bytes(this.#folder);
    if (bytes > this.#bytesMax) return tooLarge(this.#bytesMax);
    const now = performance.now();
    if (bytes > 0 && now - this.#reportedAt >= progressEveryMs) {
      this.#reportedAt = now;
      this.#onProgress?.({ bytes });
    }
    return undefined;
  }

  /** Empties the folder: the caller made it for this run alone, and half a file is no result. */
  async discard(): Promise<void> {
    if (this.#folder === undefined) return;
    for (const name of await readdir(this.#folder)) await rm(join(this.#folder, name), { force: true });
  }

  #bytes(folder: string): number {
    let bytes = 0;
    for (const name of readdirSync(folder)) {
      // DuckDB renames its temporary file at the end; a name that is gone is found under the other one next time.
      bytes += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;
    }
    return bytes;
  }
}

export function tooLarge(bytesMax: number): TraceError {
  return new TraceError("TR-5209", {
    detail: `The query's output grew past ${bytesMax} bytes and was discarded.`,
    fix: "Select fewer rows or columns, aggregate, or raise the limit of the output.",
  });
}
