/** Links of the documents lead somewhere: a file that was moved or renamed takes its links along. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

function documents(): string[] {
  const inFolder = (folder: string) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name));
  const packages = readdirSync(join(root, "packages")).map((name) => join("packages", name, "README.md"));
  const atRoot = readdirSync(root).filter((name) => name.endsWith(".md"));
  return [...atRoot, ...inFolder("docs"), ...packages.filter((path) => existsSync(join(root, path)))];
}

/** Targets of `[text](target)` outside code blocks, without those of other sites and of the same page. */
function linksIn(text: string): string[] {
  const prose = text.replace(/^( *)```[\s\S]*?^\1```/gm, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? "")
    .filter((target) => !/^(https?:|mailto:|#)/.test(target));
}

/** Links of one document whose file is missing or that leave the repository. */
function brokenIn(path: string, text: string): string[] {
  return linksIn(text).filter((target) => {
    const file = resolve(root, dirname(path), target.replace(/#.*$/, ""));
    return relative(root, file).startsWith("..") || !existsSync(file);
  });
}

test.each(documents())("%s has no broken link", (path) => {
  expect(brokenIn(path, readFileSync(join(root, path), "utf8"))).toEqual([]);
});

test("documents with links are found, and a link to nothing or out of the repository is told", () => {
  expect(documents()).toContain("ARCHITECTURE.md");
  expect(linksIn(readFileSync(join(root, "ARCHITECTURE.md"), "utf8")).length).toBeGreaterThan(30);
  const text =
    "[a](gone.md) [b](../README.md#x) [c](https://example.org/x) [d](../../elsewhere.md)\n```\n[e](gone-too.md)\n```\n";
  expect(brokenIn("docs/cli.md", text)).toEqual(["gone.md", "../../elsewhere.md"]);
});
