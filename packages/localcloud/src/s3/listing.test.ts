/** Listings against an in-memory model, over the real endpoint, with hostile keys. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostileKey } from "../testing/hostilekeys.ts";
import { type Bench, objectPath, send, startBench } from "../testing/s3bench.ts";
import { walkKeys } from "./walk.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

interface ListQuery {
  readonly prefix?: string;
  readonly delimiter?: string;
  readonly startAfter?: string;
  readonly maxKeys?: number;
}

/** Keys and common prefixes in the order of the answer's two lists, over all pages. */
async function listAll(query: ListQuery): Promise<{ keys: string[]; prefixes: string[]; pages: number }> {
  const found = { keys: [] as string[], prefixes: [] as string[], pages: 0 };
  let token: string | undefined;
  do {
    const answer = await send(bench.endpoint, {
      method: "GET",
      path: "/files",
      query: {
        "list-type": "2",
        "encoding-type": "url",
        ...(query.prefix === undefined ? {} : { prefix: query.prefix }),
        ...(query.delimiter === undefined ? {} : { delimiter: query.delimiter }),
        ...(query.startAfter === undefined ? {} : { "start-after": query.startAfter }),
        ...(query.maxKeys === undefined ? {} : { "max-keys": String(query.maxKeys) }),
        ...(token === undefined ? {} : { "continuation-token": token }),
      },
    });
    expect(answer.status).toBe(200);
    const xml = answer.body.toString();
    const texts = (pattern: RegExp) => [...xml.matchAll(pattern)].map(([, text = ""]) => decodeURIComponent(text));
    found.keys.push(...texts(/<Key>(.*?)<\/Key>/g));
    found.prefixes.push(...texts(/<CommonPrefixes><Prefix>(.*?)<\/Prefix>/g));
    found.pages += 1;
    token = /<NextContinuationToken>(.*?)</.exec(xml)?.[1];
    expect(xml.includes("<IsTruncated>true</IsTruncated>")).toBe(token !== undefined);
  } while (token !== undefined);
  return found;
}

function modelList(all: Iterable<string>, query: ListQuery): { keys: string[]; prefixes: string[] } {
  const { prefix = "", delimiter = "", startAfter = "" } = query;
  const sorted = [...all].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const matching = sorted.filter(
    (key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(startAfter)) > 0,
  );
  const cut = (key: string) => (delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length));
  const prefixes = matching.filter((key) => cut(key) !== -1).map((key) => key.slice(0, cut(key) + delimiter.length));
  return { keys: matching.filter((key) => cut(key) === -1), prefixes: [...new Set(prefixes)] };
}

async function clear(keys: Iterable<string>): Promise<void> {
  for (const key of keys) {
    expect((await send(bench.endpoint, { method: "DELETE", path: objectPath("files", key) })).status).toBe(204);
  }
}

test("what was put is listed and read under exactly its key, whatever the keys, prefixes, delimiters and page sizes", async () => {
  const keySets = fc.uniqueArray(hostileKey, { minLength: 1, maxLength: 14 });
  const query = fc.record({
    cut: fc.nat({ max: 20 }),
    from: fc.nat(),
    delimiter: fc.constantFrom("", "/", "a", "//", "-"),
    after: fc.option(hostileKey),
    maxKeys: fc.integer({ min: 1, max: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(keySets, fc.array(query, { minLength: 1, maxLength: 3 }), async (keys, queries) => {
      try {
        for (const key of keys) {
          const put = await send(bench.endpoint, { method: "PUT", path: objectPath("files", key), body: `of ${key}` });
          expect(put.status).toBe(200);
        }
        expect(await listAll({})).toMatchObject(modelList(keys, {}));
        for (const { cut, from, delimiter, after, maxKeys } of queries) {
          const base = [...(keys[from % keys.length] ?? "")].slice(0, cut).join("");
          const asked = { prefix: base, delimiter, maxKeys, ...(after === null ? {} : { startAfter: after }) };
          expect(await listAll(asked)).toMatchObject(modelList(keys, asked));
        }
        for (const key of keys) {
          const got = await send(bench.endpoint, { method: "GET", path: objectPath("files", key) });
          expect(got.body.toString()).toBe(`of ${key}`);
        }
      } finally {
        await clear(keys);
      }
      // Nothing stays behind, not even a folder.
      expect(await readdir(join(bench.root, "b", "files"))).toEqual([]);
    }),
    { numRuns: 20 },
  );
}, 120_000);

describe("a listing", () => {
  test("of a prefix reads the folder of the prefix and not the rest of the bucket", async () => {
    const { store } = bench.endpoint;
    for (const key of ["p/in/a", "p/in/b", "q/1", "q/2"]) {
      await send(bench.endpoint, { method: "PUT", path: objectPath("files", key), body: "x" });
    }
    const folder = store.bucketFolder("files");
    // A folder that would break the walk if it were read: its own entry cannot be listed.
    const { writeFile, rm } = await import("node:fs/promises");
    await writeFile(join(folder, "dbroken"), "a file where a folder is expected");
    const position = { after: Buffer.alloc(0), skip: Buffer.alloc(0) };
    const found: string[] = [];
    for await (const { key } of walkKeys(folder, "p/in/", position)) found.push(key);
    expect(found).toEqual(["p/in/a", "p/in/b"]);
    const all = async () => {
      for await (const { key } of walkKeys(folder, "", { after: Buffer.alloc(0), skip: Buffer.alloc(0) }))
        found.push(key);
    };
    await expect(all()).rejects.toMatchObject({ code: "ENOTDIR" });
    await rm(join(folder, "dbroken"));
    await clear(["p/in/a", "p/in/b", "q/1", "q/2"]);
  });

  test.each([
    [{ "list-type": "2", "max-keys": "-1" }],
    [{ "list-type": "2", "max-keys": "many" }],
    [{ "list-type": "2", "encoding-type": "base64" }],
    [{ "list-type": "2", "continuation-token": "!!" }],
    [{ "list-type": "2", "continuation-token": "eGFi" }],
    [{ "list-type": "3" }],
  ])("asked for with %j is refused", async (query: Record<string, string>) => {
    expect(await send(bench.endpoint, { method: "GET", path: "/files", query })).toMatchObject({
      status: 400,
      code: "InvalidArgument",
    });
  });

  test("of no keys is empty and complete", async () => {
    const query = { "list-type": "2", "max-keys": "0" };
    const answer = await send(bench.endpoint, { method: "GET", path: "/files", query });
    expect(answer.body.toString()).toContain("<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>");
  });

  test("of version 1 tells its next marker beside a delimiter only, as S3 does", async () => {
    for (const key of ["v/a", "v/b/c"]) await send(bench.endpoint, { method: "PUT", path: objectPath("files", key) });
    const list = async (query: Record<string, string>) =>
      (
        await send(bench.endpoint, {
          method: "GET",
          path: "/files",
          query: { ...query, prefix: "v/", "max-keys": "1" },
        })
      ).body.toString();
    const plain = await list({});
    expect(plain).toContain("<IsTruncated>true</IsTruncated>");
    expect(plain).not.toContain("NextMarker");
    expect(await list({ delimiter: "/" })).toContain("<NextMarker>v/a</NextMarker>");
    expect(await list({ delimiter: "/", marker: "v/a" })).toContain("<IsTruncated>false</IsTruncated>");
    await clear(["v/a", "v/b/c"]);
  });

  test("never holds more than 1,000 keys", async () => {
    const keys = Array.from({ length: 1_003 }, (_, i) => `many/${i}`);
    for (let i = 0; i < keys.length; i += 50) {
      const part = keys.slice(i, i + 50);
      await Promise.all(part.map((key) => send(bench.endpoint, { method: "PUT", path: objectPath("files", key) })));
    }
    const listed = await listAll({ prefix: "many/", maxKeys: 5_000 });
    expect(listed.keys.length).toBe(1_003);
    expect(listed.pages).toBe(2);
    await clear(keys);
  });
});
