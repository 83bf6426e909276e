/** Lists of files as readers see them, each kept once however often it is seen: two lists are equal when their digests are. */
import { createHash } from "node:crypto";

export interface ListedFile {
  readonly key: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
  readonly partition: string;
}

function lineOf({ key, sha256, bytes, rows, partition }: ListedFile): string {
  return JSON.stringify([partition, key, sha256, bytes, rows]);
}

export function digestOf(files: readonly ListedFile[]): string {
  const hash = createHash("sha256");
  for (const line of files.map(lineOf).sort()) hash.update(line).update("\n");
  return hash.digest("base64url");
}

export class Lists {
  readonly #files = new Map<string, readonly ListedFile[]>();

  add(files: readonly ListedFile[]): string {
    const digest = digestOf(files);
    if (!this.#files.has(digest)) this.#files.set(digest, files);
    return digest;
  }

  get(digest: string): readonly ListedFile[] {
    return this.#files.get(digest) ?? [];
  }
}

/** What two lists do not have in common, in a few words. */
export function difference(expected: readonly ListedFile[], seen: readonly ListedFile[]): string {
  const [wanted, there] = [expected, seen].map((files) => new Set(files.map(lineOf)));
  const missing = [...(wanted ?? [])].filter((line) => there?.has(line) !== true);
  const more = [...(there ?? [])].filter((line) => wanted?.has(line) !== true);
  const twice = seen.length - (there?.size ?? 0);
  const words = (name: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : [`${lines.length} ${name}, ${lines[0]}`];
  return [...words("missing", missing), ...words("too many", more), ...(twice > 0 ? [`${twice} twice`] : [])].join(
    "; ",
  );
}
