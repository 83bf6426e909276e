/** Bearer tokens: made of 256 random bits, kept as SHA-256 (no dictionary fits 256 bits, so no slow hash is needed). */
import { createHash, randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";

/** A new token with a prefix that says what it is: `trace_` for people, `tracew_` for workers. */
export function newToken(prefix: "trace" | "tracew"): string {
  return `${prefix}_${randomBytes(32).toString("base64url")}`;
}

export function tokenHash(token: string): Buffer {
  return createHash("sha256").update(token, "utf8").digest();
}

/**
 * A file of texts, one a line, read again when it changes: how a rotated secret reaches a running role without a
 * restart. On AWS the same file is a mounted secret.
 */
export class SecretFile {
  readonly #path: string;
  #lines: readonly string[] = [];
  #changed = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Newest first. Looks at the file's change time each call, one system call when nothing changed. */
  async lines(): Promise<readonly string[]> {
    const { mtimeMs, ino, size } = await stat(this.#path);
    const changed = `${mtimeMs}:${ino}:${size}`;
    if (changed !== this.#changed) {
      this.#lines = (await readFile(this.#path, "utf8"))
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "");
      this.#changed = changed;
    }
    return this.#lines;
  }
}
