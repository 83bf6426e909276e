/** From the text of a DAG file to its definition, or to everything that is wrong with it. */
import { dagSourceBytesMax } from "../limits.ts";
import { checkFile, checkJob, Findings, isValues } from "./check.ts";
import { controlProblems, tooLarge } from "./decode.ts";
import type { CsvOptions, DagDefinition, IngestSource, JobDefinition } from "./definition.ts";
import { dagContentHash } from "./definition.ts";
import type { Diagnostic, Problem } from "./diagnostic.ts";
import { toDiagnostics } from "./diagnostic.ts";
import type { JobForm } from "./form.ts";
import { fileForm, jobForms } from "./form.ts";
import { SourceText } from "./frame.ts";
import { jobRetriesDefault, jobTimeoutMsDefault } from "./limits.ts";
import type { ReadResult } from "./read.ts";
import { readYaml } from "./read.ts";
import { checkGraph, checkJobRules, mentionsOf, sourceFormatOf } from "./rules.ts";
import { duration_ms, sourceFormats } from "./text.ts";

export type DagParseResult =
  | { readonly ok: true; readonly dag: DagDefinition; readonly contentHash: string; readonly warnings: Diagnostic[] }
  | { readonly ok: false; readonly diagnostics: Diagnostic[] };

/**
 * Reads a DAG file. Reports all problems at once, each with its place; never throws, whatever the text. `fileName` is
 * only shown.
 */
export function parseDag(text: string, fileName: string): DagParseResult {
  const bytes = Buffer.byteLength(text);
  if (bytes > dagSourceBytesMax) return { ok: false, diagnostics: tooLarge(bytes, text.slice(0, 1_000), fileName) };
  const source = new SourceText(text);
  const read = readYaml(text);
  const found = read.value === undefined || read.value === null ? withoutContent(read) : check(read, source);
  const problems = [...read.problems, ...found, ...controlProblems(text)];
  const diagnostics = toDiagnostics(problems, source, fileName);
  if (problems.some((problem) => problem.severity !== "warning")) return { ok: false, diagnostics };
  const dag = toDefinition(read.value);
  return { ok: true, dag, contentHash: dagContentHash(dag), warnings: diagnostics };
}

function withoutContent(read: ReadResult): Problem[] {
  if (read.problems.length > 0) return [];
  const suggestion = "start with 'dag: name' and 'jobs:'";
  return [{ code: "TR-2022", message: "the file holds no DAG", suggestion, range: [0, 0] }];
}

function check(read: ReadResult, source: SourceText): Problem[] {
  const findings = new Findings(read.place);
  const jobs = checkFile(read.value, findings);
  const mentions = Object.entries(jobs).map(([name, job]) => {
    checkJob(name, job, findings);
    const mentioned = mentionsOf(name, job);
    if (isValues(job)) checkJobRules(mentioned, job, findings);
    return mentioned;
  });
  checkGraph(mentions, findings, (offset) => source.position(offset, offset).line);
  return read.malformed ? withoutEchoes(findings.problems, read.problems, source) : findings.problems;
}

/**
 * Where the YAML is broken, what follows from the break would drown it: a key that seems to be missing, a value of
 * another type, anything on a broken line. Everything else is still worth reporting in the same go.
 */
function withoutEchoes(found: readonly Problem[], broken: readonly Problem[], source: SourceText): Problem[] {
  const line = (problem: Problem): number => source.position(problem.range[0], problem.range[1]).line;
  const brokenLines = new Set(broken.map(line));
  const echoes = new Set(["TR-2005", "TR-2006", "TR-2024", "TR-2013"]);
  return found.filter((problem) => !echoes.has(problem.code) && !brokenLines.has(line(problem)));
}

/** Only for a value in which no error was found. */
function toDefinition(value: unknown): DagDefinition {
  const file = fileForm.parse(value);
  return {
    dag: file.dag,
    ...(file.description === undefined ? {} : { description: file.description }),
    jobs: Object.entries(file.jobs).map(([name, job]) => toJob(name, job)),
  };
}

function toJob(name: string, value: unknown): JobDefinition {
  const operator = isValues(value) ? value.operator : undefined;
  const form: JobForm =
    operator === "noop"
      ? jobForms.noop.parse(value)
      : operator === "sql"
        ? jobForms.sql.parse(value)
        : jobForms.ingest.parse(value);
  const shared = {
    name,
    ...(form.description === undefined ? {} : { description: form.description }),
    inputs: (form.inputs ?? []).map((dataset) => ({ dataset, read: "all" as const })),
    outputs: (form.outputs ?? []).map((output) => ({
      ...(typeof output === "string" ? { dataset: output, strategy: "replace" as const } : output),
      version: 1,
    })),
    execution: "whole" as const,
    retries: form.retries ?? jobRetriesDefault,
    timeout_ms: duration_ms(form.timeout ?? "") ?? jobTimeoutMsDefault,
    ...(form.max_concurrency === undefined ? {} : { max_concurrency: form.max_concurrency }),
  };
  if (form.operator === "noop") {
    return { ...shared, operator: "noop", config: { duration_ms: duration_ms(form.duration ?? "") ?? 0 } };
  }
  if (form.operator === "sql") return { ...shared, operator: "sql", config: { sql: form.sql.trim() } };
  const config = {
    source: toSource(form.source),
    ...(form.sql === undefined ? {} : { sql: form.sql.trim() }),
    on_bad_row: "fail" as const,
  };
  return { ...shared, operator: "ingest", config };
}

function toSource(form: Extract<JobForm, { operator: "ingest" }>["source"]): IngestSource {
  const told = sourceFormatOf(form);
  const format = sourceFormats.find((known) => known === told) ?? "json";
  const parts = {
    format,
    compression: "auto" as const,
    ...(form.csv === undefined ? {} : { csv: toCsv(form.csv) }),
    ...(form.columns === undefined ? {} : { columns: form.columns }),
  };
  if (form.url !== undefined) return { kind: "url", url: form.url, ...parts };
  return { kind: "file", path: form.file ?? "", ...parts };
}

function toCsv(form: {
  header?: boolean | undefined;
  delimiter?: string | undefined;
  quote?: string | undefined;
  null_text?: string | undefined;
}): CsvOptions {
  const { null_text, ...others } = form;
  return Object.fromEntries(Object.entries({ ...others, null_text }).filter(([, value]) => value !== undefined));
}
