/** Small files that a crash never leaves half written: written beside, flushed, then renamed or linked into place. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

/** Flushes a folder, so that a rename in it survives a power cut. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function writeFlushed(path: string, text: string, mode: number): void {
  rmSync(path, { force: true });
  // "wx": a name that somebody put there meanwhile (a link, say) is refused, never followed.
  const descriptor = openSync(path, "wx", mode);
  try {
    writeFileSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Replaces a file as a whole. One writer at a time (the holder of the state folder). */
export function writeAtomic(path: string, text: string, mode: number): void {
  const temporary = `${path}.tmp`;
  writeFlushed(temporary, text, mode);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Creates a file unless it exists, and returns what it holds. Safe with any number of writers: the first one wins. */
export function createOnce(path: string, text: string, mode: number): string {
  if (!existsSync(path)) {
    const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    writeFlushed(temporary, text, mode);
    try {
      linkSync(temporary, path);
      syncFolder(dirname(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another writer was first
    } finally {
      rmSync(temporary, { force: true });
    }
  }
  return readFileSync(path, "utf8");
}
