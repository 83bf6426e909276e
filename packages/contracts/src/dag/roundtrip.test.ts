/** Random definitions, printed as files: they read back equal, and no damage makes the reader throw. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import type { DagDefinition, IngestSource, JobDefinition, JobOutput, JobPartitions } from "./definition.ts";
import { dagDefinitionSchema } from "./definition.ts";
import type { Diagnostic } from "./diagnostic.ts";
import type { DagParseResult } from "./parse.ts";
import { parseDag } from "./parse.ts";

function diagnosticsOf(result: DagParseResult): Diagnostic[] {
  return result.ok ? result.warnings : result.diagnostics;
}

const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,11}$/);
const words = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" }).filter((text) => !text.includes("\0"));
/** Without `$`, which would begin a parameter: those have tests of their own. */
const sql = words.map((text) => text.replaceAll("$", "").trim()).filter((text) => text !== "");
const character = fc.constantFrom(",", ";", "\t", "|", "'", " ", "#", "ü");

const source: fc.Arbitrary<IngestSource> = fc
  .record({
    url: fc.boolean(),
    format: fc.constantFrom("csv" as const, "json" as const, "geojson" as const, "parquet" as const),
    path: fc.stringMatching(/^[A-Za-z0-9 _#-]{1,10}(\/[a-z0-9]{1,5}){0,2}$/).filter((path) => path.trim() !== ""),
    csv: fc.option(
      fc.record(
        {
          header: fc.boolean(),
          delimiter: character,
          quote: fc.constantFrom('"', ""),
          escape: fc.constantFrom('"', "\\", ""),
          comment: fc.constantFrom("%", "!"),
          skip: fc.nat(1_000_000),
          null_text: words,
          ragged: fc.constantFrom("fail" as const, "pad" as const),
        },
        { requiredKeys: [] },
      ),
      { nil: undefined },
    ),
    compression: fc.constantFrom("auto" as const, "none" as const, "gzip" as const, "zstd" as const),
    columns: fc.option(fc.dictionary(words, fc.constantFrom("VARCHAR", "DECIMAL(18, 3)", "DOUBLE[]"), { maxKeys: 3 }), {
      nil: undefined,
    }),
  })
  .map(({ url, format, path, csv, columns, compression }) => {
    const parts = {
      format,
      compression: format === "parquet" ? ("auto" as const) : compression,
      ...(csv === undefined || format !== "csv" ? {} : { csv }),
      ...(columns === undefined ? {} : { columns: Object.fromEntries(Object.entries(columns)) }),
    };
    return url
      ? { kind: "url", url: `https://example.com/${encodeURI(path)}`, ...parts }
      : { kind: "file", path, ...parts };
  });

const scalar = fc.oneof(
  words,
  fc.integer(),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value))
    .map((value) => value + 0),
  fc.boolean(),
  fc.constant(null),
);
const where = fc.option(
  fc.dictionary(
    words.filter((column) => column !== "partition"),
    fc.uniqueArray(scalar, { minLength: 1, maxLength: 4 }),
    { minKeys: 1, maxKeys: 3 },
  ),
  { nil: undefined },
);

const partitions: fc.Arbitrary<JobPartitions> = fc.oneof(
  fc.uniqueArray(words, { minLength: 1, maxLength: 5 }).map((keys) => ({ kind: "keys" as const, keys })),
  fc.constantFrom<JobPartitions>(
    { kind: "range", from: "2001", to: "2004", every: "year" },
    { kind: "range", from: "2001-01", to: "2001-07", every: "month" },
    { kind: "range", from: "1999-12-31", to: "2000-03-01", every: "day" },
    { kind: "range", from: "2001-01-01T00", to: "2001-01-02T07", every: "hour" },
  ),
);

/** How a job is divided: by itself, by its inputs, by a column of the result, or not at all. */
const division = fc.constantFrom("none" as const, "partitions" as const, "inputs" as const, "column" as const);
const strategy = fc.constantFrom("replace" as const, "append" as const);

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
        division,
        partitions,
        strategy,
        version: fc.integer({ min: 1, max: 1_000_000 }),
        further: fc.array(fc.record({ sql, strategy }), { maxLength: 2 }),
        setAside: fc.boolean(),
        where,
      }),
      { minLength: 1, maxLength: 6, selector: (job) => job.name },
    ),
  })
  .map(({ dag, description, jobs }) => {
    const known = ["outside_one", "outside_two"];
    const definitions = jobs.map((job, index): JobDefinition => {
      const picked = [...new Set(job.inputs.map((pick) => known[pick % known.length] ?? ""))];
      const shared = {
        name: job.name,
        ...(job.description === undefined ? {} : { description: job.description }),
        retries: job.retries,
        timeout_ms: job.timeout_ms,
        execution: "whole" as const,
      };
      if (job.operator === "noop") {
        const inputs = picked.map((dataset) => ({ dataset, read: "all" as const }));
        return { ...shared, operator: "noop", inputs, outputs: [], config: { duration_ms: job.duration_ms } };
      }
      const own = `made_${index}_${job.name}`;
      const divided = job.division === "column" ? { partition_by: "month" } : {};
      const outputs: JobOutput[] = [
        { dataset: own, strategy: job.strategy, version: job.version, ...divided },
        ...job.further.map((output, place) => ({ ...output, dataset: `${own}_${place}`, version: 1 })),
      ];
      known.push(...outputs.map((output) => output.dataset));
      const partitions = job.division === "partitions" ? { partitions: job.partitions } : {};
      if (job.operator === "sql") {
        const onlyNew = job.division !== "partitions" && job.division !== "inputs";
        const appends = outputs.every((output) => output.strategy === "append");
        const read = onlyNew && appends ? ("new" as const) : ("all" as const);
        const filter = job.where === undefined ? {} : { where: { ...job.where } };
        const inputs = (picked.length === 0 ? ["outside_one"] : picked).map((dataset) => ({
          dataset,
          ...filter,
          read,
        }));
        const execution = job.division === "inputs" ? ("per_partition" as const) : ("whole" as const);
        return { ...shared, ...partitions, execution, operator: "sql", inputs, outputs, config: { sql: job.sql } };
      }
      if (job.setAside) outputs.push({ dataset: `${own}_bad`, strategy: job.strategy, version: 1, bad_rows: true });
      const on_bad_row = job.setAside ? ("set_aside" as const) : ("fail" as const);
      const config = { source: job.source, ...(job.withSql ? { sql: job.sql } : {}), on_bad_row };
      return { ...shared, ...partitions, operator: "ingest", inputs: [], outputs, config };
    });
    return { dag, ...(description === undefined ? {} : { description }), jobs: definitions };
  });

/** The file that says what a definition says. */
function printDag(dag: DagDefinition): string {
  const jobs = Object.fromEntries(dag.jobs.map(({ name: job, ...definition }) => [job, jobForm(definition)]));
  return stringify({ ...dag, jobs });
}

function jobForm(job: Omit<JobDefinition, "name">): Record<string, unknown> {
  const { timeout_ms, config, execution, partitions, inputs, ...shared } = job;
  const form: Record<string, unknown> = { ...shared, timeout: `${timeout_ms}ms` };
  form.inputs = inputs.map(({ dataset, where, read }) => {
    if (where === undefined && read === "all") return dataset;
    const scalars = Object.entries(where ?? {}).map(([column, values]) => [
      column,
      values.length === 1 ? values[0] : values,
    ]);
    return { dataset, read, ...(where === undefined ? {} : { where: Object.fromEntries(scalars) }) };
  });
  if (execution !== "whole") form.execution = execution;
  if (partitions?.kind === "keys") form.partitions = { keys: partitions.keys };
  if (partitions?.kind === "range") {
    const { kind: _kind, ...range } = partitions;
    form.partitions = { range };
  }
  if ("duration_ms" in config) form.duration = `${config.duration_ms}ms`;
  if ("sql" in config) form.sql = config.sql;
  if ("source" in config) {
    form.on_bad_row = config.on_bad_row;
    const { kind: _kind, csv, ...rest } = config.source;
    const where = "path" in rest ? { file: rest.path } : { url: rest.url };
    const { null_text, ...options } = csv ?? {};
    const csvForm =
      csv === undefined ? {} : { csv: null_text === undefined ? options : { ...options, null_text: null_text } };
    form.source = {
      ...where,
      format: rest.format,
      ...(rest.compression === "auto" ? {} : { compression: rest.compression }),
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
