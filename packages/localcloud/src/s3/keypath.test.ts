/** Keys become paths that tell them apart and stay inside. */
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hostileKey } from "../testing/hostilekeys.ts";
import { keyToNames, parseName, partBytesMax, prefixToNames, requireKey } from "./keypath.ts";

function namesToKey(names: readonly string[]): string {
  const bytes: Buffer[] = [];
  for (const name of names) {
    const parsed = parseName(name);
    if (parsed === undefined) throw new Error(`not a name: ${name}`);
    bytes.push(parsed.bytes);
    if (parsed.kind === "folder") bytes.push(Buffer.from("/"));
  }
  return Buffer.concat(bytes).toString();
}

test("the key can be read back from its path, so two keys never share one", () => {
  fc.assert(
    fc.property(hostileKey, (key) => {
      expect(namesToKey(keyToNames(key))).toBe(key);
    }),
    { numRuns: 1_000 },
  );
});

test("no name leaves its folder, hides in it, or is too long for a file system", () => {
  fc.assert(
    fc.property(hostileKey, (key) => {
      const names = keyToNames(key);
      for (const name of names) expect(name).toMatch(/^[dfl][a-z0-9._%-]{0,254}$/);
      expect(join("/root", ...names).startsWith("/root/")).toBe(true);
      expect(join("/root", ...names).split("/").length).toBe(names.length + 2);
    }),
    { numRuns: 1_000 },
  );
});

test("no path is a folder on the way to another file: a stands beside a/b", () => {
  fc.assert(
    fc.property(hostileKey, hostileKey, (a, b) => {
      fc.pre(a !== b);
      const [pathA, pathB] = [keyToNames(a).join("/"), keyToNames(b).join("/")];
      expect(pathB === pathA || pathB.startsWith(`${pathA}/`)).toBe(false);
    }),
    { numRuns: 1_000 },
  );
  expect(keyToNames("a")).toEqual(["fa"]);
  expect(keyToNames("a/b")).toEqual(["da", "fb"]);
  expect(keyToNames("A/../%2F//")).toEqual(["d%41", "d..", "d%252%46", "d", "f"]);
});

test("a prefix that ends with a slash is one folder of every key below it", () => {
  expect(prefixToNames("")).toEqual([]);
  expect(keyToNames("a/b/c").slice(0, 2)).toEqual(prefixToNames("a/b/"));
  const long = "x".repeat(partBytesMax * 2 + 1);
  expect(prefixToNames(`${long}/`).map((name) => name[0])).toEqual(["l", "l", "d"]);
});

test("keys beyond 1,024 bytes and keys with NUL are refused, keys of exactly 1,024 are not", () => {
  expect(() => requireKey("é".repeat(512))).not.toThrow();
  expect(() => requireKey(`${"é".repeat(512)}a`)).toThrow(/too long/);
  expect(() => requireKey("a\u0000b")).toThrow(/NUL/);
});

test("names that the map never writes are not taken for keys", () => {
  for (const name of ["", "x", "fA", "f%4", "f%zz", "f~", ".fa", "lost+found"]) expect(parseName(name)).toBeUndefined();
});
