/**
 * The import rule of the repository holds, and the checker that says so is able to say no: a checker that sees nothing
 * passes everything, so it is tried on a fixture with one planted violation of each kind and on look-alikes.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { checkBoundaries, mayImport } from "../../tools/boundaries.ts";
import { importsOf } from "../../tools/imports.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/**
 * A copy of the fixture whose files carry their real names. Where they are kept they end in `.fixture`, so that neither
 * the compiler, the formatter nor the test runner takes them for code of the repository.
 */
function copyOfFixture(): string {
  const folder = mkdtempSync(join(tmpdir(), "trace-boundaries-"));
  cpSync(new URL("fixture/", import.meta.url), folder, { recursive: true });
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (path.endsWith(".fixture")) renameSync(path, path.slice(0, -".fixture".length));
  }
  return folder;
}

const fixture = copyOfFixture();
afterAll(() => rmSync(fixture, { recursive: true, force: true }));

describe("this repository", () => {
  const report = checkBoundaries(root);

  test("keeps its boundaries", () => {
    const shown = report.violations.map(({ kind, file, line, message }) => `${kind} ${file}:${line} ${message}`);
    expect(shown).toEqual([]);
  });

  test("was really looked at: every package, many files, many imports", () => {
    expect(report.packages).toEqual(
      expect.arrayContaining(["cli", "contracts", "dispatcher", "duck", "kit", "localcloud", "worker"]),
    );
    expect(report.filesSeen).toBeGreaterThan(40);
    expect(report.importsSeen).toBeGreaterThan(150);
  });

  test("has a table of layers that allows nothing upward, nothing sideways between services, and no circle", () => {
    const reaches = (from: string, to: string, seen = new Set<string>()): boolean => {
      if (seen.has(from)) return false;
      seen.add(from);
      return (mayImport[from] ?? []).some((next) => next === to || reaches(next, to, seen));
    };
    for (const name of Object.keys(mayImport)) expect([name, reaches(name, name)]).toEqual([name, false]);
    expect(mayImport.contracts).toEqual([]);
    expect(mayImport.worker).not.toContain("localcloud");
    expect(mayImport.cli).toContain("worker");
  });
});

describe("the fixture", () => {
  const report = checkBoundaries(fixture);

  test("has each of its planted violations found, once, at its line, and nothing else", () => {
    const found = report.violations.map(({ kind, file, line }) => `${kind} ${file.replace("packages/", "")}:${line}`);
    expect(found.sort()).toEqual(
      [
        "computed dispatcher/src/index.ts:14",
        "computed dispatcher/src/index.ts:15",
        "deep duck/src/index.ts:6",
        "escape contracts/src/inner/names.ts:2",
        "escape worker/src/index.test.ts:6",
        "escape worker/src/index.ts:2",
        "escape worker/src/index.ts:3",
        "escape worker/src/index.ts:4",
        "sideways cli/src/index.ts:4",
        "sideways dispatcher/package.json:0",
        "sideways dispatcher/src/index.ts:11",
        "sideways dispatcher/src/index.ts:5",
        "sideways dispatcher/src/inside.ts:3",
        "sideways kit/src/index.ts:5",
        "support worker/src/notest.ts:4",
        "support worker/src/notest.ts:5",
        "undeclared cli/src/index.ts:4",
        "undeclared dispatcher/src/index.ts:19",
        "undeclared dispatcher/src/index.ts:19",
        "undeclared dispatcher/src/index.ts:19",
        "undeclared dispatcher/src/index.ts:9",
        "undeclared kit/src/index.ts:5",
        "undeclared worker/src/index.test.ts:8",
        "undeclared worker/src/notest.ts:2",
        "unlisted helpers/package.json:0",
        "upward contracts/package.json:0",
        "upward contracts/src/index.ts:6",
        "upward dispatcher/src/index.ts:19",
        "upward dispatcher/src/index.ts:9",
        "vendor dispatcher/package.json:0",
        "vendor dispatcher/src/index.ts:19",
        "vendor dispatcher/src/index.ts:19",
        "vendor dispatcher/src/index.ts:7",
        "vendor kit/package.json:0",
        "vendor kit/src/index.ts:3",
        "vendor worker/src/index.test.ts:8",
        "vendor worker/src/notest.ts:2",
        "version kit/package.json:0",
        "version package.json:0",
        "version worker/package.json:0",
      ].sort(),
    );
  });

  test("holds a violation of every kind that the checker knows", () => {
    const kinds = new Set(report.violations.map((violation) => violation.kind));
    expect([...kinds].sort()).toEqual([
      "computed",
      "deep",
      "escape",
      "sideways",
      "support",
      "undeclared",
      "unlisted",
      "upward",
      "vendor",
      "version",
    ]);
  });

  test("has look-alikes in comments, strings, templates and regular expressions, and none is taken for an import", () => {
    const decoys = readFileSync(join(fixture, "packages/dispatcher/src/decoys.ts"), "utf8");
    expect(decoys.match(/@trace.{1,2}cli/g)?.length).toBeGreaterThan(10);
    expect(importsOf(decoys)).toEqual([]);
  });
});

describe("the scanner of imports", () => {
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are source text, holes and all
  test.each<[string, (string | undefined)[]]>([
    ['import "a";import b from"b";import*as c from\'c\'', ["a", "b", "c"]],
    ['import d, { type e as f } from "d"; import type { g } from "g"', ["d", "g"]],
    [
      'export * from "a"; export * as b from "b"; export { c } from "c"; export type { d } from "d"',
      ["a", "b", "c", "d"],
    ],
    ['import a = require("a"); const b = require("b")', ["a", "b"]],
    ['const a = await import("a", { with: { type: "json" } })', ["a"]],
    ['type A = typeof import("a"); let b: import("b").C', ["a", "b"]],
    ["import(`a`); import(`a${1}`); import(a); import('a' + b)", ["a", undefined, undefined, undefined]],
    ['import /* x */ a /* from "no" */ from /* y */ "a" // "no"', ["a"]],
    ['import("\\u0061\\x62")', ["ab"]],
    ['f(...import("a"))', ["a"]],
    ['const x = a / b; const y = "/"; import "c"', ["c"]],
    ["const x = `${a ? `${{ b: 1 }}` : '}'}`; import 'c'", ["c"]],
    ['return /[/"]/.test(x); import "c"', ["c"]],
    ["const it = 'don\\'t'; import 'c'", ["c"]],
    ["#!/usr/bin/env node 'x\nimport 'c'", ["c"]],
    ["const o = { import(a = (1)) {}, require() {} }; class C { import(b) { return import('c') } }", ["c"]],
    ["", []],
  ])("reads %s", (source, specifiers) => {
    expect(importsOf(source).map((found) => found.specifier)).toEqual(specifiers);
  });

  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: the rest holds none
  test("tells the line of the specifier", () => {
    expect(importsOf('\n/*\n*/import {\n a,\n} from "a"\nimport("b")').map((found) => found.line)).toEqual([5, 6]);
  });

  test("ends on any text, however it is broken", () => {
    for (const source of ["'", '"\\', "`$" + "{", "`$" + "{`", "/", "/*", "import(", "from", "/[", "}", "$" + "{}"]) {
      expect(Array.isArray(importsOf(source))).toBe(true);
    }
  });
});
