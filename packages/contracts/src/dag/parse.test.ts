import { describe, expect, test } from "vitest";
import { dagSourceBytesMax } from "../limits.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { dagDiagnosticsMax, dagJobsMax } from "./limits.ts";
import type { DagParseResult } from "./parse.ts";
import { parseDag } from "./parse.ts";

function diagnosticsOf(result: DagParseResult): Diagnostic[] {
  return result.ok ? result.warnings : result.diagnostics;
}

/** `code line:column-endColumn path`, what a test of places wants to see. */
function places(text: string): string[] {
  return diagnosticsOf(parseDag(text, "quakes.yaml")).map(
    (found) => `${found.code} ${found.line}:${found.column}-${found.endColumn} ${found.path}`,
  );
}

function only(text: string): Diagnostic {
  const found = diagnosticsOf(parseDag(text, "quakes.yaml"));
  expect(found.map((one) => `${one.code} ${one.message}`)).toHaveLength(1);
  return found[0] as Diagnostic;
}

const job = (lines: string) => `dag: quakes\njobs:\n  a:\n    ${lines.replaceAll("\n", "\n    ")}\n`;
const sqlJob = (more: string) => job(`operator: sql\nsql: select 1\ninputs: [q]\noutputs: [a]\n${more}`);
const ingestJob = (source: string) => job(`operator: ingest\noutputs: [a]\nsource: ${source}`);

describe("a correct file", () => {
  const text = `# the example
dag: quakes
description: What shook, and where
jobs:
  ingest_quakes:
    operator: ingest
    source:
      file: earthquakes.json
      format: geojson
      columns: { id: VARCHAR }
    outputs: [quakes]
    timeout: 5m
  summary:
    operator: sql
    inputs: [quakes]
    sql: |
      select region, count(*) as n
      from quakes group by all
    outputs:
      - { dataset: quake_summary, strategy: replace }
    retries: 0
  wait:
    operator: noop
    inputs: [quake_summary]
    duration: 250ms
`;

  test("becomes a definition with its defaults filled in and its times in milliseconds", () => {
    const result = parseDag(text, "quakes.yaml");
    expect(result).toEqual({
      ok: true,
      contentHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      warnings: [],
      dag: {
        dag: "quakes",
        description: "What shook, and where",
        jobs: [
          {
            name: "ingest_quakes",
            operator: "ingest",
            inputs: [],
            outputs: [{ dataset: "quakes", strategy: "replace", version: 1 }],
            execution: "whole",
            retries: 2,
            timeout_ms: 300_000,
            config: {
              source: {
                kind: "file",
                path: "earthquakes.json",
                format: "geojson",
                compression: "auto",
                columns: { id: "VARCHAR" },
              },
              on_bad_row: "fail",
            },
          },
          {
            name: "summary",
            operator: "sql",
            inputs: [{ dataset: "quakes", read: "all" }],
            outputs: [{ dataset: "quake_summary", strategy: "replace", version: 1 }],
            execution: "whole",
            retries: 0,
            timeout_ms: 600_000,
            config: { sql: "select region, count(*) as n\nfrom quakes group by all" },
          },
          {
            name: "wait",
            operator: "noop",
            inputs: [{ dataset: "quake_summary", read: "all" }],
            outputs: [],
            execution: "whole",
            retries: 2,
            timeout_ms: 600_000,
            config: { duration_ms: 250 },
          },
        ],
      },
    });
  });

  test("keeps its version when comments, formatting or the order of jobs change, and not when a value does", () => {
    const hash = (source: string): string => {
      const result = parseDag(source, "quakes.yaml");
      if (!result.ok) throw new Error(result.diagnostics.map((found) => found.message).join());
      return result.contentHash;
    };
    const [head = "", ...jobs] = text.split(/(?=^ {2}\w+:$)/m);
    expect(jobs).toHaveLength(3);
    expect(hash(text.replace("# the example", "# another"))).toBe(hash(text));
    expect(hash(text.replaceAll("\n", "\r\n"))).toBe(hash(text));
    expect(hash(text.replace("timeout: 5m", "timeout: '300s'\n    retries: 2"))).toBe(hash(text));
    expect(hash([head, ...jobs.reverse()].join(""))).toBe(hash(text));
    expect(hash(text.replace("timeout: 5m", "timeout: 6m"))).not.toBe(hash(text));
    expect(hash(text.replace("id: VARCHAR", "id: TEXT"))).not.toBe(hash(text));
  });

  test.each([
    ["csv", "csv"],
    ["json", "json"],
    ["jsonl", "json"],
    ["ndjson", "json"],
    ["geojson", "geojson"],
    ["PARQUET", "parquet"],
    ["csv.gz", "csv"],
    ["jsonl.ZST", "json"],
  ])("may leave the format out when the source ends with .%s", (extension, format) => {
    for (const source of [`{ file: x.${extension} }`, `{ url: "https://example.com/x.${extension}?v=1.txt" }`]) {
      const result = parseDag(ingestJob(source), "quakes.yaml");
      expect(result).toMatchObject({ ok: true, dag: { jobs: [{ config: { source: { format } } }] } });
    }
  });

  test("may use an alias for a value it has written before", () => {
    const result = parseDag(
      "dag: d\njobs:\n  a: &job { operator: noop, inputs: &in [x] }\n  b: *job\n  c: { operator: noop, inputs: *in }\n",
      "f",
    );
    expect(result).toMatchObject({
      ok: true,
      dag: { jobs: Array(3).fill({ inputs: [{ dataset: "x" }] }) },
    });
  });
});

describe("one mistake is shown once, at its place", () => {
  test.each<[string, string, string]>([
    ["an unknown operator", job("operator: ingst"), "TR-2003 4:15-20 jobs.a.operator"],
    ["a missing operator", job("retries: 1"), "TR-2005 3:3-4 jobs.a"],
    ["an unknown key of the file", `owner: me\n${job("operator: noop")}`, "TR-2004 1:1-6 owner"],
    ["an unknown key of a job", job("operator: noop\nretires: 1"), "TR-2004 5:5-12 jobs.a.retires"],
    ["an unknown key of a source", ingestJob("{ file: x.csv, csvs: {} }"), "TR-2004 6:28-32 jobs.a.source.csvs"],
    ["a key of another operator", sqlJob("duration: 2s"), "TR-2008 8:5-13 jobs.a.duration"],
    ["a missing dag", "jobs: { a: { operator: noop } }", "TR-2005 1:1-2 "],
    ["missing jobs", "dag: quakes", "TR-2005 1:1-2 "],
    ["empty jobs", "dag: quakes\njobs: {}", "TR-2005 2:1-5 jobs"],
    ["jobs that are nothing", "dag: quakes\njobs:\n", "TR-2006 2:1-5 jobs"],
    ["missing sql", job("operator: sql\ninputs: [q]\noutputs: [a]"), "TR-2005 3:3-4 jobs.a"],
    ["a missing source", job("operator: ingest\noutputs: [a]"), "TR-2005 3:3-4 jobs.a"],
    ["a wrong type", job("operator: noop\nretries: many"), "TR-2006 5:14-18 jobs.a.retries"],
    ["a wrong type over several lines", job("operator: noop\nretries:\n  - 1\n  - 2"), "TR-2006 5:5-12 jobs.a.retries"],
    ["a value out of range", job("operator: noop\nretries: 21"), "TR-2007 5:14-16 jobs.a.retries"],
    ["a time without a unit", job("operator: noop\ntimeout: 5"), "TR-2006 5:14-15 jobs.a.timeout"],
    ["a time beyond its bound", job("operator: noop\ntimeout: 25h"), "TR-2007 5:14-17 jobs.a.timeout"],
    ["a time below its bound", job("operator: noop\ntimeout: 999ms"), "TR-2007 5:14-19 jobs.a.timeout"],
    ["a bad name of a DAG", "dag: Quakes\njobs: { a: { operator: noop } }", "TR-2009 1:6-12 dag"],
    ["a bad name of a job", "dag: quakes\njobs: { Bad Job: { operator: noop } }", "TR-2009 2:9-16 jobs.Bad Job"],
    ["a bad name of a dataset", job("operator: noop\ninputs: [a-b]"), "TR-2009 5:14-17 jobs.a.inputs[0]"],
    ["a name too long", `dag: ${"a".repeat(129)}\njobs: { a: { operator: noop } }`, "TR-2009 1:6-135 dag"],
    ["a list that is no list", job("operator: noop\ninputs: quakes"), "TR-2006 5:13-19 jobs.a.inputs"],
    ["an item that is no name", job("operator: noop\ninputs: [3]"), "TR-2006 5:14-15 jobs.a.inputs[0]"],
    ["an input listed twice", job("operator: noop\ninputs: [x, x]"), "TR-2025 5:17-18 jobs.a.inputs[1]"],
    [
      "a job that reads its output",
      job("operator: sql\nsql: x\ninputs: [a]\noutputs: [a]"),
      "TR-2011 6:14-15 jobs.a.inputs[0]",
    ],
    ["an ingest with inputs", ingestJob("{ file: x.csv }\ninputs: [b]"), "TR-2024 7:5-11 jobs.a.inputs"],
    ["a sql job without inputs", job("operator: sql\nsql: x\noutputs: [a]"), "TR-2024 3:3-4 jobs.a"],
    ["a noop with outputs", job("operator: noop\noutputs: [a]"), "TR-2024 5:5-12 jobs.a.outputs"],
    [
      "another strategy",
      job("operator: sql\nsql: x\ninputs: [q]\noutputs: [{dataset: a, strategy: upsert}]"),
      "TR-2007 7:38-44 jobs.a.outputs[0].strategy",
    ],
    [
      "an output without a dataset",
      job("operator: sql\nsql: x\ninputs: [q]\noutputs: [{strategy: replace}]"),
      "TR-2005 7:15-16 jobs.a.outputs[0]",
    ],
    ["blank sql", job("operator: sql\nsql: '  '\ninputs: [q]\noutputs: [a]"), "TR-2007 5:10-14 jobs.a.sql"],
    ["NUL in sql", job('operator: sql\nsql: "a\\0"\ninputs: [q]\noutputs: [a]'), "TR-2007 5:10-15 jobs.a.sql"],
    ["half a surrogate pair", job('operator: noop\ndescription: "\\ud800"'), "TR-2007 5:18-26 jobs.a.description"],
    ["neither file nor url", ingestJob("{ format: csv }"), "TR-2019 6:5-11 jobs.a.source"],
    [
      "both file and url",
      ingestJob("{ file: x.csv, url: 'https://example.com/x.csv' }"),
      "TR-2019 6:28-31 jobs.a.source.url",
    ],
    ["a format that cannot be told", ingestJob("{ file: x.txt }"), "TR-2020 6:21-26 jobs.a.source.file"],
    ["an unknown format", ingestJob("{ file: x.csv, format: cvs }"), "TR-2007 6:36-39 jobs.a.source.format"],
    [
      "csv options of a JSON file",
      ingestJob("{ file: x.json, csv: { header: true } }"),
      "TR-2007 6:29-32 jobs.a.source.csv",
    ],
    [
      "a long delimiter",
      ingestJob('{ file: x.csv, csv: { delimiter: ";;" } }'),
      "TR-2007 6:46-50 jobs.a.source.csv.delimiter",
    ],
    [
      "a type that is SQL",
      ingestJob('{ file: x.csv, columns: { c: "INT); drop table x" } }'),
      "TR-2007 6:42-62 jobs.a.source.columns.c",
    ],
    ["a path that climbs", ingestJob("{ file: ../secrets.csv }"), "TR-2007 6:21-35 jobs.a.source.file"],
    [
      "a URL written as a file",
      ingestJob("{ file: 'https://example.com/x.csv' }"),
      "TR-2007 6:21-48 jobs.a.source.file",
    ],
    ["another scheme", ingestJob("{ url: 'ftp://example.com/x.csv' }"), "TR-2007 6:20-45 jobs.a.source.url"],
    ["a key written twice", job("operator: noop\nretries: 1\nretries: 2"), "TR-2002 6:5-12 jobs.a.retries"],
    ["a job written twice", "dag: d\njobs:\n  a: { operator: noop }\n  a: { operator: noop }", "TR-2002 4:3-4 jobs.a"],
    ["a merge key", "dag: d\njobs:\n  a: { operator: noop, <<: { retries: 1 } }", "TR-2021 3:24-26 jobs.a"],
    ["a key that is no text", "dag: d\n1: x\njobs: { a: { operator: noop } }", "TR-2021 2:1-2 "],
    ["a tag", "dag: !name d\njobs: { a: { operator: noop } }", "TR-2021 1:6-11 "],
    ["a prototype", "dag: d\njobs: { a: { operator: noop, __proto__: { x: 1 } } }", "TR-2021 2:30-39 jobs.a"],
    ["a tab as indentation", "dag: d\njobs:\n\ta: { operator: noop }", "TR-2001 3:1-2 "],
    ["a second document", "dag: d\njobs: { a: { operator: noop } }\n---\ndag: e", "TR-2015 4:1-2 "],
    ["an empty file", "", "TR-2022 1:1-1 "],
    ["a file of comments", "# nothing yet\n", "TR-2022 1:1-1 "],
    ["a file that is a list", "- a\n", "TR-2006 1:1-2 "],
    [
      "an alias without an anchor",
      "dag: d\njobs: { a: { operator: noop, retries: *r } }",
      "TR-2001 2:39-41 jobs.a.retries",
    ],
  ])("%s", (_name, text, expected) => {
    expect(places(text)).toEqual([expected]);
  });

  test("never shows the password of a URL, neither in the message nor in the excerpt", () => {
    const found = only(ingestJob("{ url: 'https://ann:s3cret@example.com/x.csv' }"));
    expect(found.code).toBe("TR-2007");
    expect(JSON.stringify(found)).not.toMatch(/s3cret|ann:/);
    expect(JSON.stringify(only(ingestJob("{ file: 'https://ann:s3cret@example.com/x.csv' }")))).not.toContain("s3cret");
  });

  test.each([
    [job("operator: ingst"), "did you mean 'ingest'?"],
    [job("operator: noop\nretires: 1"), "did you mean 'retries'?"],
    [ingestJob("{ file: x.csv, format: cvs }"), "did you mean 'csv'?"],
    ["dag: My-Quakes\njobs: { a: { operator: noop } }", "did you mean 'my_quakes'?"],
    [job("operator: noop\ninputs: quakes"), "write inputs: [quakes]"],
    [job("operator: noop\ntimeout: 5"), "add the unit, such as 5s or 5m"],
    [ingestJob("{ file: 'https://example.com/x.csv' }"), "write it under 'url' instead of 'file'"],
  ])("and says what to write instead: %#", (text, suggestion) => {
    expect(only(text).suggestion).toBe(suggestion);
  });
});

describe("rules between jobs", () => {
  const sql = (name: string, input: string, output: string) =>
    `  ${name}: { operator: sql, sql: x, inputs: [${input}], outputs: [${output}] }\n`;

  test("two jobs that write one dataset are shown at the second, with the line of the first", () => {
    const found = only(`dag: d\njobs:\n${sql("a", "x", "same")}${sql("b", "y", "same")}`);
    expect(found).toMatchObject({ code: "TR-2010", line: 4, path: "jobs.b.outputs[0]" });
    expect(found.message).toBe("dataset 'same' is written by job 'a' already (line 3)");
  });

  test("a cycle is shown once, with its whole path and the line of each edge", () => {
    const found = only(
      `dag: d\njobs:\n${sql("quakes", "from_b", "from_q")}${sql("b", "from_a", "from_b")}${sql("a", "from_q", "from_a")}`,
    );
    expect(found.code).toBe("TR-2012");
    expect(found.message).toBe(
      "jobs form a cycle: quakes -> a -> b -> quakes (line 5: a reads from_q; line 4: b reads from_a; line 3: quakes reads from_b)",
    );
  });

  test("an input that resembles an output is a warning, and the file is taken", () => {
    const result = parseDag(`dag: d\njobs:\n${sql("a", "x", "quakes")}${sql("b", "quaks", "other")}`, "f");
    expect(result.ok).toBe(true);
    expect(diagnosticsOf(result)).toMatchObject([
      { code: "TR-2013", severity: "warning", path: "jobs.b.inputs[0]", suggestion: "did you mean 'quakes'?" },
    ]);
  });

  test("a name that differs in digits only, or a short one, is no misspelling", () => {
    const text = `dag: d\njobs:\n${sql("a", "x", "quakes_2023")}${sql("b", "quakes_2024", "c_out")}${sql("c", "d_out", "e")}`;
    expect(parseDag(text, "f")).toMatchObject({ ok: true, warnings: [] });
  });

  test("an input that resembles no output comes from elsewhere and is no problem", () => {
    expect(parseDag(`dag: d\njobs:\n${sql("a", "elsewhere", "quakes")}`, "f")).toMatchObject({
      ok: true,
      warnings: [],
    });
  });
});

describe("all problems are reported at once", () => {
  test("mistakes in several jobs, broken YAML among them, in the order of the file", () => {
    const text = `dag: Quakes
jobs:
  a:
    operator: ingst
    retries: many
  b:
    operator: sql
    inputs: [c_out]
    outputs: [b_out]
    sql: "select
  c: { operator: noop, retires: 1 }
`;
    expect(places(text).map((place) => place.split(" ")[0])).toEqual(["TR-2009", "TR-2003", "TR-2001"]);
    expect(places(text.replace('"select', "select")).map((place) => place.split(" ").slice(0, 2).join(" "))).toEqual([
      "TR-2009 1:6-12",
      "TR-2003 4:15-20",
      "TR-2006 5:14-18",
      "TR-2004 11:24-31",
    ]);
  });

  test("beyond a bound the last one says how many are left, and the file stays refused", () => {
    const jobs = Array.from({ length: dagDiagnosticsMax + 50 }, (_, index) => `  j${index}: { operator: nop }\n`).join(
      "",
    );
    const found = diagnosticsOf(parseDag(`dag: d\njobs:\n${jobs}`, "f"));
    expect(found).toHaveLength(dagDiagnosticsMax + 1);
    expect(found.at(-1)).toMatchObject({
      code: "TR-2023",
      severity: "error",
      message: "50 further problems are not shown",
    });
  });
});

describe("hostile files are refused within bounds", () => {
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (const [index, key] of [..."bcdefghi"].entries()) {
    bomb.push(`${key}: &${key} [${Array(9).fill(`*${"abcdefgh"[index]}`).join(", ")}]`);
  }
  const half = dagSourceBytesMax / 2 - 5;
  test.each<[string, string, string]>([
    ["an alias bomb", bomb.join("\n"), "TR-2017"],
    ["an anchor that contains itself", "dag: &a [*a]", "TR-2017"],
    ["brackets without end", "[".repeat(half), "TR-2014"],
    ["deep brackets", "[".repeat(5_000), "TR-2018"],
    ["levels beyond the bound", `dag: ${"[".repeat(20)}${"]".repeat(20)}`, "TR-2018"],
    ["directives without end", "%\n".repeat(half), "TR-2014"],
    ["documents without end", "---\n".repeat(half / 2), "TR-2015"],
    ["more bytes than the bound", "x".repeat(dagSourceBytesMax + 1), "TR-2014"],
    ["more bytes than the bound in fewer characters", "é".repeat(dagSourceBytesMax / 2 + 1), "TR-2014"],
    [
      "too many jobs",
      `dag: d\njobs:\n${Array.from({ length: dagJobsMax + 1 }, (_, i) => `  j${i}: { operator: noop }\n`).join("")}`,
      "TR-2016",
    ],
  ])("%s", (_name, text, code) => {
    const result = parseDag(text, "f");
    expect(result.ok).toBe(false);
    expect(diagnosticsOf(result).map((found) => found.code)).toContain(code);
  });

  test("as many jobs as the bound allows are taken", () => {
    const jobs = Array.from({ length: dagJobsMax }, (_, index) => `  j${index}: { operator: noop }\n`).join("");
    expect(parseDag(`dag: d\njobs:\n${jobs}`, "f").ok).toBe(true);
  });

  test("a dense tangle of cycles is answered, and briefly", () => {
    const names = Array.from({ length: 60 }, (_, index) => `d${index}`);
    const jobs = names.map(
      (name) =>
        `  j${name}: { operator: sql, sql: x, outputs: [${name}], inputs: [${names.filter((other) => other !== name).join(", ")}] }\n`,
    );
    const found = diagnosticsOf(parseDag(`dag: d\njobs:\n${jobs.join("")}`, "f"));
    expect(new Set(found.map((one) => one.code))).toEqual(new Set(["TR-2012"]));
    expect(Math.max(...found.map((one) => one.message.length))).toBeLessThan(2_000);
  });

  test("control characters of the file never reach a message, a path or an excerpt", () => {
    const result = parseDag('"\\e[31mdag": "\\e]0;x\\a"\n\u001b[31mjobs: 1\n"a\\u202eb": 1', "f");
    expect(JSON.stringify(diagnosticsOf(result).map((found) => Object.values(found)))).not.toMatch(
      /\\u001b|\\u0007|\u202e/,
    );
    expect(result.ok).toBe(false);
  });
});

describe("control characters that YAML forbids", () => {
  const around = (control: string) => `dag: d\ndescription: "a${control}b"\njobs:\n  a: { operator: noop }\n`;

  test.each(["\0", "\u0007", "\u001b", "\u007f", "\u0080", "\u009f"])("%j is refused with its place", (control) => {
    const found = diagnosticsOf(parseDag(around(control), "f"));
    const named = found.find(({ message }) => message.includes("control character U+00"));
    expect(named).toMatchObject({ code: "TR-2001", severity: "error", line: 2, column: 16 });
  });

  test.each(["\t", "\u0085", "\u00a0", "é", "\ufffd"])("%j is text", (allowed) => {
    expect(parseDag(around(allowed), "f").ok).toBe(true);
  });

  test("one is shown of each line, and a file of nothing else is bounded", () => {
    expect(diagnosticsOf(parseDag("# \u001b \u001b\n# \u001b\ndag: d\njobs: {}\n", "f")).slice(0, 2)).toMatchObject([
      { line: 1, column: 3 },
      { line: 2, column: 3 },
    ]);
    expect(diagnosticsOf(parseDag("#\u0001\n".repeat(100_000), "f")).length).toBeLessThanOrEqual(dagDiagnosticsMax + 1);
  });
});
