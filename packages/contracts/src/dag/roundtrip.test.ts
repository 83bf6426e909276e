/** Random definitions, printed as files: they read back equal, and no damage makes the reader throw. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import type { DagDefinition, IngestSource, JobDefinition } from "./definition.ts";
import { dagDefinitionSchema } from "./definition.ts";
import type { Diagnostic } from "./diagnostic.ts";
import type { DagParseResult } from "./parse.ts";
import { parseDag } from "./parse.ts";

function diagnosticsOf(result: DagParseResult): Diagnostic[] {
  return result.ok ? result.warnings : result.diagnostics;
}

const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,11}$/);
const words = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" }).filter((text) => !text.includes("\0"));
const sql = words.map((text) => text.trim()).filter((text) => text !== "");
const character = fc.constantFrom(",", ";", "\t", "|", "'", " ", "#", "ü");

const source: fc.Arbitrary<IngestSource> = fc
  .record({
    url: fc.boolean(),
    format: fc.constantFrom("csv" as const, "json" as const, "geojson" as const, "parquet" as const),
    path: fc.stringMatching(/^[A-Za-z0-9 _#-]{1,10}(\/[a-z0-9]{1,5}){0,2}$/).filter((path) => path.trim() !== ""),
    csv: fc.option(
      fc.record(
        { header: fc.boolean(), delimiter: character, quote: fc.constantFrom('"', ""), null_text: words },
        { requiredKeys: [] },
      ),
      { nil: undefined },
    ),
    columns: fc.option(fc.dictionary(words, fc.constantFrom("VARCHAR", "DECIMAL(18, 3)", "DOUBLE[]"), { maxKeys: 3 }), {
      nil: undefined,
    }),
  })
  .map(({ url, format, path, csv, columns }) => {
    const parts = {
      format,
      compression: "auto" as const,
      ...(csv === undefined || format !== "csv" ? {} : { csv }),
      ...(columns === undefined ? {} : { columns: Object.fromEntries(Object.entries(columns)) }),
    };
    return url
      ? { kind: "url", url: `https://example.com/${encodeURI(path)}`, ...parts }
      : { kind: "file", path, ...parts };
  });

/** Valid definitions: a job reads what jobs before it write, or what no job writes. */
const definitions: fc.Arbitrary<DagDefinition> = fc
  .record({
    dag: name,
    description: fc.option(words, { nil: undefined }),
    jobs: fc.uniqueArray(
      fc.record({
        name,
        description: fc.option(words, { nil: undefined }),
        operator: fc.constantFrom("noop" as const, "ingest" as const, "sql" as const),
        inputs: fc.array(fc.nat(), { maxLength: 4 }),
        retries: fc.nat(20),
        timeout_ms: fc.integer({ min: 1_000, max: 86_400_000 }),
        duration_ms: fc.nat(86_400_000),
        sql,
        withSql: fc.boolean(),
        source,
      }),
      { minLength: 1, maxLength: 6, selector: (job) => job.name },
    ),
  })
  .map(({ dag, description, jobs }) => {
    const known = ["outside_one", "outside_two"];
    const definitions = jobs.map((job, index): JobDefinition => {
      const picked = new Set(job.inputs.map((pick) => known[pick % known.length] ?? ""));
      const inputs = [...picked].map((dataset) => ({ dataset, read: "all" as const }));
      const output = { dataset: `made_${index}_${job.name}`, strategy: "replace" as const, version: 1 };
      const shared = {
        name: job.name,
        ...(job.description === undefined ? {} : { description: job.description }),
        retries: job.retries,
        timeout_ms: job.timeout_ms,
        execution: "whole" as const,
      };
      if (job.operator === "noop") {
        return { ...shared, operator: "noop", inputs, outputs: [], config: { duration_ms: job.duration_ms } };
      }
      known.push(output.dataset);
      if (job.operator === "sql") {
        const some = inputs.length === 0 ? [{ dataset: "outside_one", read: "all" as const }] : inputs;
        return { ...shared, operator: "sql", inputs: some, outputs: [output], config: { sql: job.sql } };
      }
      const config = { source: job.source, ...(job.withSql ? { sql: job.sql } : {}), on_bad_row: "fail" as const };
      return { ...shared, operator: "ingest", inputs: [], outputs: [output], config };
    });
    return { dag, ...(description === undefined ? {} : { description }), jobs: definitions };
  });

/** The file that says what a definition says. */
function printDag(dag: DagDefinition): string {
  const jobs = Object.fromEntries(dag.jobs.map(({ name: job, ...definition }) => [job, jobForm(definition)]));
  return stringify({ ...dag, jobs });
}

function jobForm(job: Omit<JobDefinition, "name">): Record<string, unknown> {
  const { timeout_ms, config, ...shared } = job;
  const form: Record<string, unknown> = { ...shared, timeout: `${timeout_ms}ms` };
  if ("duration_ms" in config) form.duration = `${config.duration_ms}ms`;
  if ("sql" in config) form.sql = config.sql;
  if ("source" in config) {
    const { kind: _kind, csv, ...rest } = config.source;
    const where = "path" in rest ? { file: rest.path } : { url: rest.url };
    const { null_text, ...options } = csv ?? {};
    const csvForm =
      csv === undefined ? {} : { csv: null_text === undefined ? options : { ...options, null_text: null_text } };
    form.source = {
      ...where,
      format: rest.format,
      ...csvForm,
      ...(rest.columns === undefined ? {} : { columns: rest.columns }),
    };
  }
  return form;
}

describe("properties", () => {
  test("a definition printed as a file and read again is the same definition", () => {
    fc.assert(
      fc.property(definitions, (dag) => {
        const text = printDag(dag);
        const result = parseDag(text, "f");
        if (!result.ok) throw new Error(`${text}\n${result.diagnostics.map((found) => found.message).join("\n")}`);
        expect(result.dag).toEqual(dag);
        expect(dagDefinitionSchema.parse(JSON.parse(JSON.stringify(result.dag)))).toEqual(dag);
      }),
      { numRuns: 150 },
    );
  });

  test("a damaged file never throws, and every place it reports is inside it", () => {
    const noise = fc.constantFrom(
      "\t",
      ":",
      "- ",
      "[",
      "}",
      '"',
      "|",
      "&a ",
      "*a ",
      "!t ",
      "\n",
      "\r",
      "---\n",
      "\0",
      "\ud800",
      "漢",
      "?",
      "% ",
      "#",
      "<<: ",
      "1",
    );
    const edits = fc.array(fc.record({ at: fc.nat(), cut: fc.nat(12), put: fc.option(noise, { nil: "" }) }), {
      minLength: 1,
      maxLength: 5,
    });
    let refused = 0;
    fc.assert(
      fc.property(definitions, edits, (dag, changes) => {
        let text = printDag(dag);
        for (const { at, cut, put } of changes) {
          const start = at % (text.length + 1);
          text = text.slice(0, start) + put + text.slice(start + cut);
        }
        const result = parseDag(text, "f");
        if (!result.ok) refused += 1;
        expectInside(text, diagnosticsOf(result));
        if (result.ok) expect(dagDefinitionSchema.safeParse(result.dag).error).toBeUndefined();
      }),
      { numRuns: 300 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test("any text at all never throws, and every place it reports is inside it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        expectInside(text, diagnosticsOf(parseDag(text, "f")));
      }),
      { numRuns: 300 },
    );
  });
});

function expectInside(text: string, found: readonly Diagnostic[]): void {
  const lines = text.split("\n");
  for (const one of found) {
    const line = lines[one.line - 1];
    expect(line).toBeDefined();
    expect(one.column).toBeGreaterThanOrEqual(1);
    expect(one.endColumn).toBeGreaterThanOrEqual(one.column);
    expect(one.endColumn).toBeLessThanOrEqual((line ?? "").length + 1);
    expect(one.frame.split("\n")).toHaveLength(3);
    expect(one.frame).toMatch(/\^$/);
  }
}
