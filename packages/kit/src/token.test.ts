import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { knownTokenMs, knownTokensMax } from "./limits.ts";
import { KnownTokens, newToken, SecretFile, tokenHash } from "./token.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-token-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("tokens say what they are, hold 256 bits and never repeat", () => {
  const tokens = Array.from({ length: 1_000 }, () => newToken("trace"));
  expect(new Set(tokens).size).toBe(1_000);
  for (const token of tokens) expect(token).toMatch(/^trace_[A-Za-z0-9_-]{43}$/);
  expect(newToken("tracew")).toMatch(/^tracew_/);
});

test("a hash is SHA-256, as published", () => {
  expect(tokenHash("abc").toString("hex")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("a rotated file is read again, written in place or replaced; blank lines and line ends of other systems are none of it", async () => {
  const path = join(folder, "secret");
  writeFileSync(path, "new\r\n\nold \n");
  const file = new SecretFile(path);
  expect(await file.lines()).toEqual(["new", "old"]);
  writeFileSync(path, "newer\nnew\n");
  expect(await file.lines()).toEqual(["newer", "new"]);
  writeFileSync(`${path}.tmp`, "newest\n");
  renameSync(`${path}.tmp`, path);
  expect(await file.lines()).toEqual(["newest"]);
});

test("a file that is not there is an error each time, and found when it comes", async () => {
  const path = join(folder, "later");
  const file = new SecretFile(path);
  await expect(file.lines()).rejects.toMatchObject({ code: "ENOENT" });
  writeFileSync(path, "x");
  expect(await file.lines()).toEqual(["x"]);
});

describe("known tokens", () => {
  function world() {
    const owners = new Map([["good", "ann"]]);
    let nowMs = 0;
    let asked = 0;
    const known = new KnownTokens({
      find: (token) => {
        asked += 1;
        return Promise.resolve(owners.get(token));
      },
      nowMs: () => nowMs,
    });
    const pass = (ms: number) => {
      nowMs += ms;
    };
    return { owners, known, asked: () => asked, pass };
  }

  test("are looked up once while they are remembered", async () => {
    const { known, asked } = world();
    expect([await known.owner("good"), await known.owner("good")]).toEqual(["ann", "ann"]);
    expect(asked()).toBe(1);
  });

  test("that nobody knows are asked for each time, so that a new one works at once", async () => {
    const { known, owners, asked } = world();
    expect(await known.owner("new")).toBeUndefined();
    owners.set("new", "bob");
    expect(await known.owner("new")).toBe("bob");
    expect(asked()).toBe(2);
  });

  test("that were revoked open nothing when their time is over", async () => {
    const { known, owners, pass } = world();
    await known.owner("good");
    owners.delete("good");
    pass(knownTokenMs - 1);
    expect(await known.owner("good")).toBe("ann");
    pass(1);
    expect(await known.owner("good")).toBeUndefined();
  });

  test("beyond the bound are forgotten and looked up anew", async () => {
    const { known, owners, asked } = world();
    for (let n = 0; n <= knownTokensMax; n += 1) {
      owners.set(`t${n}`, "x");
      await known.owner(`t${n}`);
    }
    const before = asked();
    expect(await known.owner("t0")).toBe("x");
    expect(asked()).toBe(before + 1);
  });
});
