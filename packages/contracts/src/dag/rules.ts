/** Rules of a DAG file that look at more than one key: inside a job, and between jobs. */

import type { Values } from "./check.ts";
import { type Findings, isValues, operatorOf } from "./check.ts";
import type { OperatorName } from "./definition.ts";
import { quoted } from "./frame.ts";
import { cyclePath, cyclesOf, writersOf } from "./graph.ts";
import { dagCycleJobsShownMax, dagNearNamesCheckedMax } from "./limits.ts";
import type { Path } from "./read.ts";
import { nearest } from "./suggest.ts";
import { formatOfPath, knownExtensions } from "./text.ts";

/** A dataset named by a job, and where. */
interface Mention {
  readonly dataset: string;
  readonly path: Path;
}

/** What the graph rules need of a job, as far as the file gives it. */
export interface JobMentions {
  readonly name: string;
  readonly inputs: readonly Mention[];
  readonly outputs: readonly Mention[];
}

export function mentionsOf(name: string, job: unknown): JobMentions {
  const inputs: Mention[] = [];
  const outputs: Mention[] = [];
  if (!isValues(job)) return { name, inputs, outputs };
  listOf(job.inputs).forEach((item, index) => {
    if (typeof item === "string") inputs.push({ dataset: item, path: ["jobs", name, "inputs", index] });
  });
  listOf(job.outputs).forEach((item, index) => {
    const path = ["jobs", name, "outputs", index];
    if (typeof item === "string") outputs.push({ dataset: item, path });
    else if (isValues(item) && typeof item.dataset === "string") {
      outputs.push({ dataset: item.dataset, path: [...path, "dataset"] });
    }
  });
  return { name, inputs, outputs };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Rules inside one job that no single key can break. */
export function checkJobRules(mentions: JobMentions, job: Values, findings: Findings): void {
  const operator = operatorOf(job);
  if (operator !== undefined) checkCounts(mentions, job, operator, findings);
  checkListedTwice(mentions.inputs, findings);
  checkListedTwice(mentions.outputs, findings);
  if (operator === "ingest" && isValues(job.source)) checkSource(mentions.name, job.source, findings);
}

const counts: Readonly<
  Record<OperatorName, { inputs: readonly [number, number]; outputs: readonly [number, number] }>
> = {
  noop: { inputs: [0, Number.POSITIVE_INFINITY], outputs: [0, 0] },
  ingest: { inputs: [0, 0], outputs: [1, 1] },
  sql: { inputs: [1, Number.POSITIVE_INFINITY], outputs: [1, 1] },
};

function checkCounts(mentions: JobMentions, job: Values, operator: OperatorName, findings: Findings): void {
  for (const key of ["inputs", "outputs"] as const) {
    // Of something that is no list, the form has said what is to be said.
    if (job[key] !== undefined && !Array.isArray(job[key])) continue;
    const count = listOf(job[key]).length;
    const [least, most] = counts[operator][key];
    if (count >= least && count <= most) continue;
    const noun = most === 1 || least === 1 ? key.slice(0, -1) : key;
    const needs = most === 0 ? `no ${key}` : least === most ? `exactly one ${noun}` : `at least one ${noun}`;
    const has = count === 0 ? "none" : String(count);
    const path = job[key] === undefined ? ["jobs", mentions.name] : ["jobs", mentions.name, key];
    const suggestion =
      most === 0 ? `remove '${key}'` : count === 0 ? `add '${key}: [name_of_a_dataset]'` : "use a job for each";
    const message = `operator ${operator} takes ${needs}, and job ${quoted(mentions.name)} has ${has}`;
    findings.add("TR-2024", path, "key", { message, suggestion });
  }
}

function checkListedTwice(mentions: readonly Mention[], findings: Findings): void {
  const seen = new Set<string>();
  for (const { dataset, path } of mentions) {
    if (seen.has(dataset)) {
      const message = `${quoted(dataset)} is listed twice`;
      findings.add("TR-2025", path, "value", { message, suggestion: "remove one of them" });
    }
    seen.add(dataset);
  }
}

function checkSource(job: string, source: Values, findings: Findings): void {
  const path = ["jobs", job, "source"];
  const named = (["file", "url"] as const).filter((key) => source[key] !== undefined);
  if (named.length !== 1) {
    const message =
      named.length === 0
        ? "'source' has neither 'file' nor 'url'"
        : "'source' has both 'file' and 'url', and one is to be read";
    const suggestion = named.length === 0 ? "add 'file: path/to/data.csv' or 'url: https://...'" : "remove one of them";
    findings.add("TR-2019", named.length === 0 ? path : [...path, "url"], "key", { message, suggestion });
  }
  const format = sourceFormatOf(source);
  const [first] = named;
  if (source.format === undefined && format === undefined && first !== undefined && typeof source[first] === "string") {
    const message = `the end of ${quoted(source[first])} does not tell the format`;
    const suggestion = `add 'format:' (csv, json, geojson or parquet); ${knownExtensions.join(", ")} tell it by themselves`;
    findings.add("TR-2020", [...path, first], "value", { message, suggestion });
  }
  if (source.csv !== undefined && format !== undefined && format !== "csv") {
    const message = `'csv' holds options of CSV files, and this source is ${quoted(format)}`;
    findings.add("TR-2007", [...path, "csv"], "key", { message, suggestion: "remove 'csv', or set 'format: csv'" });
  }
  const csv = source.csv;
  if (isValues(csv) && typeof csv.delimiter === "string" && csv.delimiter === csv.quote) {
    const message = "'delimiter' and 'quote' are the same character";
    findings.add("TR-2007", [...path, "csv", "quote"], "value", { message });
  }
}

/** The format of a source: what it says, or what the end of its path tells. */
export function sourceFormatOf(source: Values): string | undefined {
  if (source.format !== undefined) return typeof source.format === "string" ? source.format : undefined;
  if (typeof source.file === "string") return formatOfPath(source.file);
  if (typeof source.url === "string" && URL.canParse(source.url)) return formatOfPath(new URL(source.url).pathname);
  return undefined;
}

/** Rules between jobs. `lineOf` gives the line of a place, for the edges of a cycle. */
export function checkGraph(jobs: readonly JobMentions[], findings: Findings, lineOf: (offset: number) => number): void {
  const graph = jobs.map((job) => ({
    name: job.name,
    inputs: job.inputs.map((input) => input.dataset),
    outputs: job.outputs.map((output) => output.dataset),
  }));
  const line = (path: Path): number => lineOf(findings.range(path, "value")[0]);
  const writers = writersOf(graph);
  for (const { dataset, first, job } of writers.again) {
    const path = jobs[job]?.outputs.find((output) => output.dataset === dataset)?.path ?? [];
    const firstPath = jobs[first]?.outputs.find((output) => output.dataset === dataset)?.path ?? [];
    const message = `dataset ${quoted(dataset)} is written by job ${quoted(jobs[first]?.name ?? "")} already (line ${line(firstPath)})`;
    findings.add("TR-2010", path, "value", { message, suggestion: "give each job a dataset of its own" });
  }
  for (const job of jobs) {
    const own = new Set(job.outputs.map((output) => output.dataset));
    for (const input of job.inputs) {
      if (!own.has(input.dataset)) continue;
      const message = `job ${quoted(job.name)} reads its own output ${quoted(input.dataset)}`;
      const suggestion = "write to another dataset, or read from the one before it";
      findings.add("TR-2011", input.path, "value", { message, suggestion });
    }
  }
  for (const cycle of cyclesOf(graph)) {
    const edges = cycle.map((edge) => {
      const path = jobs[edge.reader]?.inputs.find((input) => input.dataset === edge.dataset)?.path ?? [];
      return { path, text: `line ${line(path)}: ${jobs[edge.reader]?.name} reads ${edge.dataset}` };
    });
    const shown = edges.slice(0, dagCycleJobsShownMax).map((edge) => edge.text);
    if (edges.length > shown.length) shown.push("…");
    const message = `jobs form a cycle: ${cyclePath(graph, cycle)} (${shown.join("; ")})`;
    findings.add("TR-2012", edges[0]?.path ?? [], "value", { message, suggestion: "remove one of these inputs" });
  }
  warnOfNearNames(jobs, [...writers.first.keys()], findings);
}

/** An input that no job writes may come from another DAG. When it looks like an output of this one, say so. */
function warnOfNearNames(jobs: readonly JobMentions[], outputs: readonly string[], findings: Findings): void {
  const known = new Set(outputs);
  const near = new Map<string, string | undefined>();
  for (const input of jobs.flatMap((job) => job.inputs)) {
    if (known.has(input.dataset)) continue;
    if (!near.has(input.dataset)) {
      if (near.size >= dagNearNamesCheckedMax) return;
      near.set(input.dataset, likelyMeant(input.dataset, outputs));
    }
    const output = near.get(input.dataset);
    if (output === undefined) continue;
    const message = `no job of this file writes ${quoted(input.dataset)}, and one writes the similar ${quoted(output)}`;
    findings.add("TR-2013", input.path, "value", {
      severity: "warning",
      message,
      suggestion: `did you mean '${output}'?`,
    });
  }
}

/** Short names and names that differ in digits only (years, versions) are alike on purpose too often to warn. */
function likelyMeant(input: string, outputs: readonly string[]): string | undefined {
  const withoutDigits = input.replaceAll(/\d/g, "");
  const output = nearest(input, outputs, input.length < 9 ? 1 : 2);
  if (output === undefined || Math.max(output.length, input.length) < 6) return undefined;
  return output.replaceAll(/\d/g, "") === withoutDigits ? undefined : output;
}
