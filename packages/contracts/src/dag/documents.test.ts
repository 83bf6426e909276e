/** What is said of DAG files: the page about them, and the JSON Schema for editors. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { operatorNames } from "./definition.ts";
import { dagJsonSchema, expectations } from "./form.ts";
import { meanings } from "./meanings.ts";
import { parseDag } from "./parse.ts";

const root = join(import.meta.dirname, "../../../..");
const page = readFileSync(join(root, "docs/dag-files.md"), "utf8");
const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? "");

describe("the page about DAG files", () => {
  test.each(examples.map((text) => [text.split("\n")[0] ?? "", text] as const))(
    "its example '%s' is right",
    (_name, text) => {
      const result = parseDag(text, "docs/dag-files.md");
      expect(result.ok ? result.warnings : result.diagnostics).toEqual([]);
    },
  );

  test("has every key in an example", () => {
    const used = new Set(examples.join("\n").match(/\b[a-z_]+(?=:)/g));
    const keys = Object.keys(meanings).map((place) => place.slice(place.lastIndexOf(".") + 1));
    // A noop is for tests of the platform, and dialects name what was not found by looking.
    const left = new Set(["duration", "description", "header", "quote", "escape"]);
    expect(keys.filter((key) => !used.has(key) && !left.has(key))).toEqual([]);
  });
});

test("every key has a meaning, and every meaning a key", () => {
  const keys = Object.keys(expectations).filter((place) => place !== "" && !place.endsWith("*"));
  expect(Object.keys(meanings).sort()).toEqual(keys.sort());
});

type Schema = { [key: string]: unknown };

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null;
}

describe("the JSON Schema", () => {
  test("explains every key of a mapping, and allows no other", () => {
    const unexplained: string[] = [];
    const open: string[] = [];
    const walk = (schema: unknown, path: string): void => {
      if (!isSchema(schema)) return;
      if (isSchema(schema.properties)) {
        if (schema.additionalProperties !== false) open.push(path);
        for (const [key, part] of Object.entries(schema.properties)) {
          const explained = isSchema(part) && (typeof part.description === "string" || part.$ref === "#/$defs/Name");
          if (!explained) unexplained.push(`${path}.${key}`);
        }
      }
      for (const [key, part] of Object.entries(schema)) walk(part, `${path}.${key}`);
    };
    walk(dagJsonSchema(), "");
    expect({ unexplained, open }).toEqual({ unexplained: [], open: [] });
  });

  test("has one form for each operator", () => {
    const text = JSON.stringify(dagJsonSchema());
    for (const name of operatorNames) expect(text).toContain(`"const":"${name}"`);
  });
});

test("every example names the schema in its first line", () => {
  const files = readdirSync(join(root, "examples"), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".yaml"),
  );
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const [first = ""] = readFileSync(join(root, "examples", file), "utf8").split("\n");
    expect([file, first]).toEqual([file, "# yaml-language-server: $schema=../../docs/dag.schema.json"]);
  }
});
