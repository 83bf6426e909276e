/**
 * Data files that a query fetched, kept by the SHA-256 of their content: a committed file never changes, so what is
 * here is right for ever. Bounded: the longest unused files go first.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import type { Clock } from "@trace/kit";
import { cacheSparedMs, partialMsMax } from "../limits.ts";
import { systemReason } from "../state/settings-file.ts";

export interface ObjectCacheOptions {
  readonly folder: string;
  readonly bytesMax: number;
  readonly clock: Clock;
}

interface Entry {
  readonly path: string;
  readonly bytes: number;
  readonly usedMs: number;
}

const objectName = /^[0-9a-f]{64}$/;
const partialName = /^[0-9a-f]{64}\.[0-9a-f]+\.part$/;

export class ObjectCache {
  readonly #options: ObjectCacheOptions;

  constructor(options: ObjectCacheOptions) {
    this.#options = options;
  }

  /** Makes the folder. Throws TR-7005. */
  async open(): Promise<void> {
    const { folder } = this.#options;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new TraceError("TR-7005", {
        detail: "the cache folder cannot be made",
        where: folder,
        why: systemReason(cause),
        fix: "make its parent writable for you, or name another state folder with --state",
        cause,
      });
    }
  }

  /** The path of a file that is there whole, marked as used now; undefined when it has to be fetched. */
  async find(sha256: string, bytes: number): Promise<string | undefined> {
    const path = join(this.#options.folder, sha256);
    try {
      if ((await stat(path)).size !== bytes) {
        await rm(path, { force: true });
        return undefined;
      }
      const now = new Date(this.#options.clock.nowMs());
      await utimes(path, now, now);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** A name to write to; two commands that fetch the same file do not meet. */
  partialPath(sha256: string): string {
    return join(this.#options.folder, `${sha256}.${randomBytes(6).toString("hex")}.part`);
  }

  /** Takes a file whose checksum was found right. */
  async keep(partialPath: string, sha256: string): Promise<string> {
    const path = join(this.#options.folder, sha256);
    await rename(partialPath, path);
    return path;
  }

  /** Removes what the bound has no room for, and downloads that a kill left behind. Files used lately stay. */
  async evict(): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    const entries: Entry[] = [];
    for (const name of await readdir(this.#options.folder)) {
      const path = join(this.#options.folder, name);
      if (!objectName.test(name) && !partialName.test(name)) continue;
      const found = await stat(path).catch(() => undefined); // another command evicted it meanwhile
      if (found === undefined) continue;
      if (partialName.test(name)) {
        if (nowMs - found.mtimeMs > partialMsMax) await rm(path, { force: true });
        continue;
      }
      entries.push({ path, bytes: found.size, usedMs: found.mtimeMs });
    }
    for (const path of evicted(entries, { bytesMax: this.#options.bytesMax, nowMs })) await rm(path, { force: true });
  }
}

/** Which files go: the longest unused, until the rest fits; never one used within `cacheSparedMs`. Pure. */
export function evicted(entries: readonly Entry[], bound: { bytesMax: number; nowMs: number }): string[] {
  let total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const gone: string[] = [];
  for (const entry of [...entries].sort((a, b) => a.usedMs - b.usedMs)) {
    if (total <= bound.bytesMax) break;
    if (bound.nowMs - entry.usedMs < cacheSparedMs) break;
    gone.push(entry.path);
    total -= entry.bytes;
  }
  return gone;
}
