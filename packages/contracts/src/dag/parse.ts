/** From the text of a DAG file to its definition, or to everything that is wrong with it. */
import { dagSourceBytesMax } from "../limits.ts";
import { checkFile, checkJob, Findings, isValues } from "./check.ts";
import { controlProblems, tooLarge } from "./decode.ts";
import type {
  CsvOptions,
  DagDefinition,
  IngestSource,
  JobDefinition,
  JobInput,
  JobOutput,
  JobPartitions,
} from "./definition.ts";
import { dagContentHash } from "./definition.ts";
import type { Diagnostic, Problem } from "./diagnostic.ts";
import { toDiagnostics } from "./diagnostic.ts";
import type { JobForm, WhereForm } from "./form.ts";
import { fileForm, jobForms } from "./form.ts";
import { SourceText } from "./frame.ts";
import { checkJobRules } from "./job-rules.ts";
import { jobRetriesDefault, jobTimeoutMsDefault } from "./limits.ts";
import { rangeOf } from "./partition-rules.ts";
import { boundKey } from "./partitions.ts";
import type { ReadResult } from "./read.ts";
import { readYaml } from "./read.ts";
import { checkGraph, mentionsOf } from "./rules.ts";
import { sourceFormatOf } from "./source-rules.ts";
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
  const findings = new Findings(read.place, source.text);
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
    inputs: (form.inputs ?? []).map(toInput),
    outputs: toOutputs(form.outputs ?? []),
    execution: "whole" as const,
    retries: form.retries ?? jobRetriesDefault,
    timeout_ms: duration_ms(form.timeout ?? "") ?? jobTimeoutMsDefault,
    ...(form.max_concurrency === undefined ? {} : { max_concurrency: form.max_concurrency }),
  };
  if (form.operator === "noop") {
    return { ...shared, operator: "noop", config: { duration_ms: duration_ms(form.duration ?? "") ?? 0 } };
  }
  const partitions = form.partitions === undefined ? {} : { partitions: toPartitions(form.partitions) };
  if (form.operator === "sql") {
    const execution = form.execution ?? "whole";
    return { ...shared, ...partitions, execution, operator: "sql", config: { sql: form.sql.trim() } };
  }
  const config = {
    source: toSource(form.source),
    ...(form.sql === undefined ? {} : { sql: form.sql.trim() }),
    on_bad_row: form.on_bad_row ?? ("fail" as const),
  };
  return { ...shared, ...partitions, operator: "ingest", config };
}

function toInput(form: NonNullable<JobForm["inputs"]>[number]): JobInput {
  if (typeof form === "string") return { dataset: form, read: "all" };
  const { dataset, where, read = "all" } = form;
  return { dataset, ...(where === undefined ? {} : { where: toWhere(where) }), read };
}

function toWhere(form: WhereForm): NonNullable<JobInput["where"]> {
  return Object.fromEntries(
    Object.entries(form).map(([column, wanted]) => [column, Array.isArray(wanted) ? wanted : [wanted]]),
  );
}

function toOutputs(forms: NonNullable<JobForm["outputs"]>): JobOutput[] {
  const parts = forms.map((form) => (typeof form === "string" ? { dataset: form } : form));
  const first = parts[0]?.strategy ?? "replace";
  return parts.map(({ dataset, strategy, version = 1, partition_by, sql, bad_rows }) => ({
    dataset,
    // Bad rows are kept as the rows beside them.
    strategy: strategy ?? (bad_rows === true ? first : "replace"),
    version,
    ...(partition_by === undefined ? {} : { partition_by }),
    ...(sql === undefined ? {} : { sql: sql.trim() }),
    ...(bad_rows === true ? { bad_rows } : {}),
  }));
}

function toPartitions(form: NonNullable<Extract<JobForm, { operator: "sql" }>["partitions"]>): JobPartitions {
  const range = rangeOf(form.range ?? {});
  if (range === undefined) return { kind: "keys", keys: form.keys ?? [] };
  const { from, to, every } = range;
  return { kind: "range", from: boundKey(from, every), to: boundKey(to, every), every };
}

function toSource(form: Extract<JobForm, { operator: "ingest" }>["source"]): IngestSource {
  const told = sourceFormatOf(form);
  const format = sourceFormats.find((known) => known === told) ?? "json";
  const parts = {
    format,
    compression: form.compression ?? ("auto" as const),
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
  escape?: string | undefined;
  comment?: string | undefined;
  skip?: number | undefined;
  null_text?: string | undefined;
  ragged?: "fail" | "pad" | undefined;
}): CsvOptions {
  const { null_text, ...others } = form;
  return Object.fromEntries(Object.entries({ ...others, null_text }).filter(([, value]) => value !== undefined));
}
