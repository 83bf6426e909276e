/**
 * What makes one generation of a dataset another one, and how partitions go through a DAG: which datasets have them, and which
 * jobs wait for a single partition of another. Pure.
 */
import { canonicalJson, type DagDefinition, type JobDefinition, type JobOutput, jobOrder } from "@trace/contracts";

/** What a generation is made by. Another definition is another generation; the jobs' own code is not part of it. */
export interface GenerationDefinition {
  readonly strategy: string;
  /** The kind of its keys: a month is no day, and a column is another one. `none`: it has no partitions. */
  readonly partitioning: string;
  /** What people raise when a change is not to be mixed with what is there. */
  readonly version: number;
}

export const notPartitioned = "none";

export function sameDefinition(a: unknown, b: GenerationDefinition): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** The definitions of all that a DAG writes, by dataset. `elsewhere` has the partitioning of the datasets it only reads. */
export function generationDefinitions(
  dag: DagDefinition,
  elsewhere: ReadonlyMap<string, string>,
): Map<string, GenerationDefinition> {
  const kinds = new Map(elsewhere);
  const jobs = new Map(dag.jobs.map((job) => [job.name, job]));
  const made = new Map<string, GenerationDefinition>();
  for (const name of jobOrder(dag)) {
    const job = jobs.get(name);
    for (const output of job?.outputs ?? []) {
      const partitioning = partitioningOf(job as JobDefinition, output, kinds);
      kinds.set(output.dataset, partitioning);
      made.set(output.dataset, { strategy: output.strategy, partitioning, version: output.version });
    }
  }
  return made;
}

function partitioningOf(job: JobDefinition, output: JobOutput, kinds: ReadonlyMap<string, string>): string {
  if (job.partitions !== undefined) {
    return job.partitions.kind === "keys" ? "keys" : `range by ${job.partitions.every}`;
  }
  if (job.execution === "per_partition") return inputKinds(job, kinds).join(" and ") || notPartitioned;
  return output.partition_by === undefined ? notPartitioned : `column ${output.partition_by}`;
}

/** The kinds of partitions that a job's inputs have, each once, in order. */
export function inputKinds(job: JobDefinition, kinds: ReadonlyMap<string, string>): string[] {
  const found = job.inputs.map((input) => kinds.get(input.dataset) ?? notPartitioned);
  return [...new Set(found.filter((kind) => kind !== notPartitioned))].sort();
}

/** Jobs that run per partition of their inputs, and why they cannot. */
export function partitionFaults(
  dag: DagDefinition,
  kinds: ReadonlyMap<string, string>,
): { readonly job: string; readonly detail: string }[] {
  return dag.jobs.flatMap((job) => {
    if (job.execution !== "per_partition") return [];
    const found = inputKinds(job, kinds);
    if (found.length === 0) {
      return [{ job: job.name, detail: `job '${job.name}' runs per partition, and none of its inputs has partitions` }];
    }
    const ranges = found.filter((kind) => kind.startsWith("range by "));
    if (ranges.length < 2) return [];
    return [
      { job: job.name, detail: `the inputs of job '${job.name}' have partitions of two kinds: ${ranges.join(", ")}` },
    ];
  });
}

/** Inputs that are to be read by the keys of partitions, of datasets that have none: nothing could ever be read. */
export function partitionFilterFaults(
  dag: DagDefinition,
  kinds: ReadonlyMap<string, string>,
): { readonly job: string; readonly dataset: string; readonly at: number }[] {
  return dag.jobs.flatMap((job) =>
    job.inputs.flatMap(({ dataset, where }, at) => {
      const keys = where?.partition;
      // The one partition of such a dataset has the empty key.
      if (keys === undefined || keys.includes("") || kinds.get(dataset) !== notPartitioned) return [];
      return [{ job: job.name, dataset, at }];
    }),
  );
}

/**
 * For each job, the ancestors of which a task of one partition waits for the same partition alone: every way from the one to the
 * other goes through tasks of single partitions. Of all others it waits for every task.
 */
export function keyAncestorsOf(
  dag: DagDefinition,
  ancestors: ReadonlyMap<string, ReadonlySet<string>>,
  kinds: ReadonlyMap<string, string>,
): Map<string, string[]> {
  const writers = new Map(dag.jobs.flatMap((job) => job.outputs.map((output) => [output.dataset, job] as const)));
  const jobs = new Map(dag.jobs.map((job) => [job.name, job]));
  const found = new Map<string, string[]>();
  for (const name of jobOrder(dag)) {
    const job = jobs.get(name);
    const byKey = new Set<string>();
    const wide = new Set<string>();
    for (const input of job?.inputs ?? []) {
      const writer = writers.get(input.dataset);
      if (writer === undefined) continue;
      const narrow =
        job?.execution === "per_partition" &&
        (writer.partitions !== undefined || writer.execution === "per_partition") &&
        kinds.get(input.dataset) !== notPartitioned;
      (narrow ? byKey : wide).add(writer.name);
      const through = new Set(narrow ? found.get(writer.name) : []);
      for (const further of ancestors.get(writer.name) ?? []) (through.has(further) ? byKey : wide).add(further);
    }
    found.set(
      name,
      [...byKey].filter((one) => !wide.has(one)),
    );
  }
  return found;
}
