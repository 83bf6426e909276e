/** What a stack may read: flags, then the environment, then the last time. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepSettings, settingsOf } from "./settings.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "trace-settings-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const nothing = { roots: undefined, allow: undefined };

test("nothing may be read until somebody says so", () => {
  expect(settingsOf(dir, nothing, {}, "/here")).toEqual({ roots: [], allow: [] });
});

test("what was given is kept for the next start, and a flag or the environment replaces it", () => {
  keepSettings(dir, settingsOf(dir, { roots: ["data", "/abs"], allow: ["127.0.0.1:80"] }, {}, "/here"));
  expect(settingsOf(dir, nothing, {}, "/there")).toEqual({ roots: ["/here/data", "/abs"], allow: ["127.0.0.1:80"] });
  expect(settingsOf(dir, nothing, { TRACE_FILE_ROOTS: '["/env"]' }, "/there")).toEqual({
    roots: ["/env"],
    allow: ["127.0.0.1:80"],
  });
  const both = settingsOf(dir, { roots: ["/flag"], allow: undefined }, { TRACE_FILE_ROOTS: '["/env"]' }, "/there");
  expect(both.roots).toEqual(["/flag"]);
});

test("a damaged file is refused with the command that removes it, and not taken for an empty one", () => {
  writeFileSync(join(dir, "settings.json"), '{"roots": "all"}');
  expect(() => settingsOf(dir, nothing, {}, "/")).toThrow(expect.objectContaining({ code: "TR-6004" }));
});
