/**
 * The graph of a DAG: who writes what, who waits for whom, and what is wrong with that. Pure; knows jobs, their inputs
 * and their outputs by name only, so that the file and the stored definition are judged by the same rules.
 */
import { TraceError } from "../errors/index.ts";
import { dagCycleJobsShownMax, dagCyclesMax } from "./limits.ts";

export interface GraphJob {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** One job waits for another: `reader` reads `dataset`, which `writer` writes. Numbers are places in the job list. */
export interface GraphEdge {
  readonly writer: number;
  readonly reader: number;
  readonly dataset: string;
}

/** The first writer of each dataset, and every later one. */
export function writersOf(jobs: readonly GraphJob[]): {
  readonly first: ReadonlyMap<string, number>;
  readonly again: readonly { readonly dataset: string; readonly first: number; readonly job: number }[];
} {
  const first = new Map<string, number>();
  const again: { dataset: string; first: number; job: number }[] = [];
  jobs.forEach((job, index) => {
    for (const dataset of new Set(job.outputs)) {
      const writer = first.get(dataset);
      if (writer === undefined) first.set(dataset, index);
      else again.push({ dataset, first: writer, job: index });
    }
  });
  return { first, again };
}

/** For each job, the edges to the jobs that it waits for. A job that reads its own output is no edge. */
export function edgesOf(jobs: readonly GraphJob[]): GraphEdge[][] {
  const { first } = writersOf(jobs);
  return jobs.map((job, reader) => {
    const edges = new Map<number, GraphEdge>();
    for (const dataset of job.inputs) {
      const writer = first.get(dataset);
      if (writer === undefined || writer === reader || job.outputs.includes(dataset)) continue;
      if (!edges.has(writer)) edges.set(writer, { writer, reader, dataset });
    }
    return [...edges.values()];
  });
}

/**
 * Cycles, each as its edges in the order the data flows, starting at the job that comes first in the list. A graph may
 * hold exponentially many; these are one per edge that closes a loop in a depth-first walk, so that a graph without
 * those edges has none. The walk ends after `dagCyclesMax` of them.
 */
export function cyclesOf(jobs: readonly GraphJob[]): GraphEdge[][] {
  const waitsFor = edgesOf(jobs);
  const state = new Uint8Array(jobs.length); // 0 unseen, 1 on the walk, 2 done
  const cycles: GraphEdge[][] = [];
  // The walk is a list and not recursion: a chain of a thousand jobs must not depend on the depth of the stack.
  for (let root = 0; root < jobs.length && cycles.length < dagCyclesMax; root++) {
    if (state[root] !== 0) continue;
    const walk: { job: number; next: number; via: GraphEdge | undefined }[] = [{ job: root, next: 0, via: undefined }];
    state[root] = 1;
    for (let top = walk.at(-1); top !== undefined && cycles.length < dagCyclesMax; top = walk.at(-1)) {
      const edge = waitsFor[top.job]?.[top.next];
      if (edge === undefined) {
        state[top.job] = 2;
        walk.pop();
        continue;
      }
      top.next += 1;
      if (state[edge.writer] === 0) {
        state[edge.writer] = 1;
        walk.push({ job: edge.writer, next: 0, via: edge });
      } else if (state[edge.writer] === 1) {
        const from = walk.findIndex((step) => step.job === edge.writer);
        const backwards = walk.slice(from + 1).flatMap((step) => (step.via === undefined ? [] : [step.via]));
        cycles.push(fromFirstJob([...backwards, edge].reverse()));
      }
    }
  }
  return cycles;
}

function fromFirstJob(cycle: GraphEdge[]): GraphEdge[] {
  let start = 0;
  cycle.forEach((edge, index) => {
    if (edge.writer < (cycle[start]?.writer ?? 0)) start = index;
  });
  return [...cycle.slice(start), ...cycle.slice(0, start)];
}

function namesOf(job: {
  readonly name: string;
  readonly inputs: readonly { readonly dataset: string }[];
  readonly outputs: readonly { readonly dataset: string }[];
}): GraphJob {
  return {
    name: job.name,
    inputs: job.inputs.map((input) => input.dataset),
    outputs: job.outputs.map((output) => output.dataset),
  };
}

/** What is wrong with the graph of a definition, one sentence each; empty when nothing is. */
export function dagGraphFaults(
  jobs: readonly {
    name: string;
    inputs: readonly { dataset: string }[];
    outputs: readonly { dataset: string }[];
  }[],
): string[] {
  const plain = jobs.map(namesOf);
  const name = (index: number): string => plain[index]?.name ?? "";
  const faults: string[] = [];
  const names = new Set<string>();
  for (const job of plain) {
    if (names.has(job.name)) faults.push(`two jobs are named '${job.name}'`);
    names.add(job.name);
    if (new Set(job.outputs).size < job.outputs.length) faults.push(`job '${job.name}' names an output twice`);
    if (new Set(job.inputs).size < job.inputs.length) faults.push(`job '${job.name}' names an input twice`);
    const own = job.inputs.find((input) => job.outputs.includes(input));
    if (own !== undefined) faults.push(`job '${job.name}' reads its own output '${own}'`);
  }
  for (const { dataset, first, job } of writersOf(plain).again) {
    faults.push(`jobs '${name(first)}' and '${name(job)}' both write dataset '${dataset}'`);
  }
  for (const cycle of cyclesOf(plain)) faults.push(`jobs form a cycle: ${cyclePath(plain, cycle)}`);
  return faults;
}

/** `quakes -> a -> b -> quakes`, the names of the jobs in the order the data flows. */
export function cyclePath(
  jobs: readonly { name: string }[],
  cycle: readonly GraphEdge[],
  shownMax = dagCycleJobsShownMax,
): string {
  const names = cycle.map((edge) => jobs[edge.writer]?.name ?? "");
  const shown = names.length <= shownMax ? names : [...names.slice(0, shownMax - 1), "…", names.at(-1)];
  return [...shown, names[0]].join(" -> ");
}

/**
 * The names of the jobs so that each comes after all it waits for; among those that could come next, the order of the
 * definition decides. Throws TR-2012 for a definition with a cycle, which `dagDefinitionSchema` would have refused.
 */
export function jobOrder(dag: {
  readonly jobs: readonly {
    readonly name: string;
    readonly inputs: readonly { readonly dataset: string }[];
    readonly outputs: readonly { readonly dataset: string }[];
  }[];
}): string[] {
  const jobs = dag.jobs.map(namesOf);
  const edges = edgesOf(jobs);
  const missing = edges.map((waitsFor) => waitsFor.length);
  const readers = jobs.map((): number[] => []);
  for (const edge of edges.flat()) readers[edge.writer]?.push(edge.reader);
  const ready = missing.flatMap((count, index) => (count === 0 ? [index] : []));
  const order: string[] = [];
  while (ready.length > 0) {
    const next = Math.min(...ready);
    ready.splice(ready.indexOf(next), 1);
    order.push(jobs[next]?.name ?? "");
    for (const reader of readers[next] ?? []) {
      missing[reader] = (missing[reader] ?? 0) - 1;
      if (missing[reader] === 0) ready.push(reader);
    }
  }
  if (order.length < jobs.length) {
    const cycle = cyclesOf(jobs)[0] ?? [];
    throw new TraceError("TR-2012", {
      detail: `Jobs form a cycle: ${cyclePath(jobs, cycle)}.`,
      fix: "Remove one of these inputs, or split a job, so that no job waits for itself.",
    });
  }
  return order;
}
