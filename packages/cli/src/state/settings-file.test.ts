import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readSmallFile } from "./settings-file.ts";

const fault = { code: "TR-7004", what: "the file", fix: "name another" } as const;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-settings-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a plain file within the bound is read", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "some text");
  expect(await readSmallFile(path, fault, 9)).toBe("some text");
});

test("a file above the bound is refused unread", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "some text");
  await expect(readSmallFile(path, fault, 8)).rejects.toMatchObject({ code: "TR-7004", where: path });
});

test("a pipe that nobody writes to is refused at once and not waited for", async () => {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  await expect(readSmallFile(path, fault)).rejects.toMatchObject({
    code: "TR-7004",
    why: expect.stringContaining("pipe"),
  });
});

test.each([
  ["a device without end", () => "/dev/zero"],
  ["a folder", () => folder],
  ["nothing at all", () => join(folder, "none")],
])("%s is refused", async (_, path) => {
  await expect(readSmallFile(path(), fault)).rejects.toMatchObject({ code: "TR-7004", fix: "name another" });
});
