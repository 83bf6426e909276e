/** Bearer tokens: made of 256 random bits, kept as SHA-256 (no dictionary fits 256 bits, so no slow hash is needed). */
import { createHash, randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { knownTokenMs, knownTokensMax } from "./limits.ts";

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

export interface KnownTokensOptions<P> {
  /** Who a token belongs to; undefined for one that nobody knows. */
  find(token: string): Promise<P | undefined>;
  readonly nowMs?: () => number;
}

/**
 * Remembers whom tokens belong to for `knownTokenMs`, so that a caller who calls often is looked up once and not at each call.
 * Only what was found is remembered: a new token works at once, and a revoked one for that long.
 */
export class KnownTokens<P> {
  readonly #options: KnownTokensOptions<P>;
  readonly #nowMs: () => number;
  readonly #known = new Map<string, { readonly owner: P; readonly untilMs: number }>();

  constructor(options: KnownTokensOptions<P>) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  async owner(token: string): Promise<P | undefined> {
    const key = tokenHash(token).toString("base64");
    const known = this.#known.get(key);
    if (known !== undefined && this.#nowMs() < known.untilMs) return known.owner;
    this.#known.delete(key);
    // The time of the question, not of its answer: what was revoked while it was on its way is not remembered longer.
    const untilMs = this.#nowMs() + knownTokenMs;
    const owner = await this.#options.find(token);
    if (owner === undefined) return undefined;
    if (this.#known.size >= knownTokensMax) this.#known.clear();
    this.#known.set(key, { owner, untilMs });
    return owner;
  }
}
