import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newToken, SecretFile, tokenHash } from "./token.ts";

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
