/** Rules between the jobs of a DAG file, and the datasets that each job names. */

import { type Findings, isValues } from "./check.ts";
import { quoted } from "./frame.ts";
import { cyclePath, cyclesOf, writersOf } from "./graph.ts";
import { dagCycleJobsShownMax, dagNearNamesCheckedMax } from "./limits.ts";
import type { Path } from "./read.ts";
import { nearest } from "./suggest.ts";

/** A dataset named by a job, and where. */
export interface Mention {
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
  if (!isValues(job)) return { name, inputs: [], outputs: [] };
  const inputs = named(job.inputs, ["jobs", name, "inputs"]);
  return { name, inputs, outputs: named(job.outputs, ["jobs", name, "outputs"]) };
}

function named(list: unknown, path: Path): Mention[] {
  return listOf(list).flatMap((item, index): Mention[] => {
    if (typeof item === "string") return [{ dataset: item, path: [...path, index] }];
    if (!isValues(item) || typeof item.dataset !== "string") return [];
    return [{ dataset: item.dataset, path: [...path, index, "dataset"] }];
  });
}

/** A list, or nothing where the file holds something else. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
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
