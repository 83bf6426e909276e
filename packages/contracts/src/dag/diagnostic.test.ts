import { describe, expect, test } from "vitest";
import { diagnosticSchema, renderDiagnostics } from "./diagnostic.ts";
import { dagJsonSchema } from "./form.ts";
import { frameOf, SourceText } from "./frame.ts";
import { parseDag } from "./parse.ts";
import { editDistance, nearest } from "./suggest.ts";

function frameAt(text: string, part: string): string {
  const source = new SourceText(text);
  const start = text.indexOf(part);
  return frameOf(source, source.position(start, start + part.length));
}

describe("the excerpt", () => {
  test("underlines the place", () => {
    expect(frameAt("a: 1\n  operator: ingst\n", "ingst")).toBe("  |\n2 |   operator: ingst\n  |             ^^^^^");
  });

  test("keeps the carets under the place after tabs and after characters two columns wide", () => {
    expect(frameAt("\tx: 漢字🌋é bad", "bad")).toBe(`  |\n1 |     x: 漢字🌋é bad\n  | ${" ".repeat(4 + 3 + 6 + 2)}^^^`);
    expect(frameAt("e\u0301e\u0301 bad", "bad")).toBe("  |\n1 | e\u0301e\u0301 bad\n  |    ^^^");
    expect(frameAt("x: 漢字", "漢字")).toBe("  |\n1 | x: 漢字\n  |    ^^^^");
  });

  test("shows a window of a very long line", () => {
    const frame = frameAt(`${"a".repeat(5_000)}BAD${"b".repeat(5_000)}`, "BAD");
    const [, source = "", carets = ""] = frame.split("\n");
    expect(source.length).toBeLessThan(120);
    expect(source.slice(carets.indexOf("^"), carets.lastIndexOf("^") + 1)).toBe("BAD");
    expect(source).toMatch(/^1 \| …a+BADb+…$/);
  });

  test("replaces control characters, so that a file cannot write to the terminal", () => {
    expect(frameAt("x: \u001b[31m\u202ebad", "bad")).toBe("  |\n1 | x: \ufffd[31m\ufffdbad\n  |          ^^^");
  });

  test("of a range over several lines ends with its first line, with LF and with CRLF", () => {
    for (const end of ["\n", "\r\n"]) {
      const source = new SourceText(`a: 1${end}b:${end}  c: 2${end}`);
      expect(source.position(0, 12)).toEqual({ line: 1, column: 1, endColumn: 5 });
    }
  });

  test("of an offset outside the text is moved inside", () => {
    const source = new SourceText("ab\n");
    expect(source.position(99, 120)).toEqual({ line: 2, column: 1, endColumn: 1 });
    expect(source.position(-5, -1)).toEqual({ line: 1, column: 1, endColumn: 1 });
  });
});

describe("diagnostics on a terminal", () => {
  const text =
    "dag: d\njobs:\n  a: { operator: sql, sql: x, inputs: [x], outputs: [quakes] }\n  b: { operator: ingst, inputs: [quaks] }\n";
  const result = parseDag(text, "quakes.yaml");
  const found = result.ok ? result.warnings : result.diagnostics;

  test("look like a compiler's and end with a count", () => {
    expect(renderDiagnostics(found, { color: false })).toBe(
      [
        "error[TR-2003] unknown operator 'ingst'",
        " --> quakes.yaml:4:18",
        "  |",
        "4 |   b: { operator: ingst, inputs: [quaks] }",
        "  |                  ^^^^^",
        "help: did you mean 'ingest'?",
        "",
        "warning[TR-2013] no job of this file writes 'quaks', and one writes the similar 'quakes'",
        " --> quakes.yaml:4:34",
        "  |",
        "4 |   b: { operator: ingst, inputs: [quaks] }",
        "  |                                  ^^^^^",
        "help: did you mean 'quakes'?",
        "",
        "1 error, 1 warning",
      ].join("\n"),
    );
  });

  test("are coloured on request only, and the words stay the same", () => {
    const colored = renderDiagnostics(found, { color: true });
    expect(colored).toContain("\u001b[1;31merror[TR-2003]\u001b[0m");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escapes are what is taken away
    expect(colored.replaceAll(/\u001b\[[\d;]*m/g, "")).toBe(renderDiagnostics(found, { color: false }));
  });

  test("are nothing when there are none", () => {
    expect(renderDiagnostics([], { color: true })).toBe("");
  });

  test("fit their own schema", () => {
    for (const one of found) expect(diagnosticSchema.parse(JSON.parse(JSON.stringify(one)))).toEqual(one);
  });
});

describe("suggestions", () => {
  test("find one slip, a swap among them", () => {
    expect(nearest("ingst", ["noop", "ingest", "sql"])).toBe("ingest");
    expect(nearest("sqll", ["noop", "ingest", "sql"])).toBe("sql");
    expect(nearest("dga", ["dag", "jobs"])).toBe("dag");
    expect(nearest("INPUTS", ["inputs", "outputs"])).toBe("inputs");
  });

  test("stay silent when nothing is near", () => {
    expect(nearest("python", ["noop", "ingest", "sql"])).toBeUndefined();
    expect(nearest("a", ["b", "c"])).toBeUndefined();
    expect(nearest("x".repeat(10_000), ["noop"])).toBeUndefined();
  });

  test("measure at most as far as asked", () => {
    expect(editDistance("kitten", "sitting", 5)).toBe(3);
    expect(editDistance("kitten", "sitting", 2)).toBe(3);
    expect(editDistance("ab", "ba", 2)).toBe(1);
  });
});

test("the JSON Schema for editors names every key and forbids others", () => {
  const schema = JSON.stringify(dagJsonSchema());
  for (const key of ["dag", "jobs", "operator", "source", "null_text", "columns", "strategy", "timeout", "duration"]) {
    expect(schema).toContain(`"${key}":`);
  }
  expect(schema).toContain('"additionalProperties":false');
  expect(schema).not.toContain("undefined");
});
