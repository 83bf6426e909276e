/** The error pages (docs/errors) and the catalogue say the same. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { apiErrors } from "./api.ts";
import { cliErrors } from "./cli.ts";
import { dagErrors } from "./dag.ts";
import { datasetErrors } from "./dataset.ts";
import { type ErrorDefinition, errorCatalogue } from "./index.ts";
import { localErrors } from "./local.ts";
import { operatorErrors } from "./operator.ts";
import { taskErrors } from "./task.ts";

const folder = join(import.meta.dirname, "../../../../docs/errors");
const codes = Object.entries<ErrorDefinition>(errorCatalogue);
const sections = ["Meaning", "Cause", "Fix"];
/** Shorter than this is a heading without a text. */
const sectionCharsMin = 30;

/** What is wrong with a page; nothing when it fits its code. */
function faultsOf(code: string, definition: ErrorDefinition, page: string): string[] {
  const { title, family, httpStatus } = definition;
  const faults: string[] = [];
  const head = `# ${code}: ${title}\n\nFamily: ${family}. HTTP status: ${httpStatus}.\n\n`;
  if (!page.startsWith(head)) faults.push(`does not open with: ${JSON.stringify(head)}`);
  const headings = [...page.matchAll(/^## (.*)$/gm)].map((match) => match[1]);
  if (headings.join() !== sections.join()) faults.push(`has the sections ${headings.join(", ")}`);
  for (const part of page.split(/^## /m).slice(1)) {
    const [heading, ...text] = part.split("\n");
    if (text.join("\n").trim().length < sectionCharsMin) faults.push(`says next to nothing under ${heading}`);
  }
  return faults;
}

describe("error pages", () => {
  test.each(codes)("%s has a page with its title, family, status and three sections", (code, definition) => {
    expect(faultsOf(code, definition, readFileSync(join(folder, `${code}.md`), "utf8"))).toEqual([]);
  });

  test("there is no page without a code", () => {
    const pages = readdirSync(folder).map((name) => name.replace(/\.md$/, ""));
    expect(pages.filter((name) => !Object.hasOwn(errorCatalogue, name))).toEqual([]);
  });

  test("a page is refused for another title, a missing section, and a section without words", () => {
    const definition: ErrorDefinition = { title: "Stale lease", family: "terminal", httpStatus: 409 };
    const words = "Words that take up more room than the least that counts as an explanation.";
    const good = `# TR-1: Stale lease\n\nFamily: terminal. HTTP status: 409.\n\n## Meaning\n\n${words}\n\n## Cause\n\n${words}\n\n## Fix\n\n${words}\n`;
    expect(faultsOf("TR-1", definition, good)).toEqual([]);
    expect(faultsOf("TR-1", { ...definition, family: "retryable" }, good)).toHaveLength(1);
    expect(faultsOf("TR-1", definition, good.replace("## Cause", "### Cause"))).toEqual([
      "has the sections Meaning, Fix",
    ]);
    expect(faultsOf("TR-1", definition, good.slice(0, -words.length))).toEqual(["says next to nothing under Fix"]);
  });
});

test.each([
  ["1", apiErrors],
  ["2", dagErrors],
  ["3", taskErrors],
  ["4", datasetErrors],
  ["5", operatorErrors],
  ["6", localErrors],
  ["7", cliErrors],
])("codes of area %s have four digits that begin with it, so that no area overwrites another's code", (digit, area) => {
  const pattern = new RegExp(`^TR-${digit}\\d{3}$`);
  expect(Object.keys(area).filter((code) => !pattern.test(code))).toEqual([]);
});
