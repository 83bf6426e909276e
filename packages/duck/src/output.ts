/** The output folder as the parent sees it while a child writes: its size, against the limit, and its end when it fails. */
import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { outputLookShare, progressEveryMs } from "./limits.ts";
import type { DuckProgress } from "./types.ts";

export class OutputWatch {
  readonly #folders: readonly string[];
  readonly #bytesMax: number;
  readonly #onProgress: ((progress: DuckProgress) => void) | undefined;
  #reportedAt = 0;
  #nextLookAt = 0;

  constructor(
    folders: readonly string[],
    bytesMax: number,
    onProgress: ((progress: DuckProgress) => void) | undefined,
  ) {
    this.#folders = folders;
    this.#bytesMax = bytesMax;
    this.#onProgress = onProgress;
  }

  /** An error when the outputs have grown too large. Many files take a while to count, so that is done less often. */
  look(): TraceError | undefined {
    const now = performance.now();
    if (this.#folders.length === 0 || now < this.#nextLookAt) return undefined;
    const error = this.lookNow();
    this.#nextLookAt = now + outputLookShare * (performance.now() - now);
    return error;
  }

  lookNow(): TraceError | undefined {
    const bytes = this.#folders.reduce(
      (sum, folder) => sum + bytesIn(folder, readdirSync(folder, { withFileTypes: true })),
      0,
    );
    if (bytes > this.#bytesMax) return tooLarge(this.#bytesMax);
    const now = performance.now();
    if (bytes > 0 && now - this.#reportedAt >= progressEveryMs) {
      this.#reportedAt = now;
      this.#onProgress?.({ bytes });
    }
    return undefined;
  }

  /** Empties the folders: the caller made them for this run alone, and half a file is no result. */
  async discard(): Promise<void> {
    for (const folder of this.#folders) {
      for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

function bytesIn(folder: string, entries: readonly Dirent[]): number {
  let bytes = 0;
  for (const entry of entries) {
    const path = join(folder, entry.name);
    // DuckDB renames its temporary file at the end; a name that is gone is found under the other one next time.
    bytes += entry.isDirectory()
      ? bytesIn(path, entriesOf(path))
      : (lstatSync(path, { throwIfNoEntry: false })?.size ?? 0);
  }
  return bytes;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    // A folder of a partition, moved meanwhile.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

export function tooLarge(bytesMax: number): TraceError {
  return new TraceError("TR-5209", {
    detail: `The query's output grew past ${bytesMax} bytes and was discarded.`,
    fix: "Select fewer rows or columns, aggregate, or raise the limit of the output.",
  });
}
