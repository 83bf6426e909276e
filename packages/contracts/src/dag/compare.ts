/** What is different between two versions of a DAG, in the words of the file. Pure. */
import type { DagDefinition, JobDefinition } from "./definition.ts";
import { canonicalJson } from "./definition.ts";

/** A value that changed; null where there is none. */
export interface KeyChange {
  /** As in the file, with datasets by name: `sql`, `source.columns.id`, `outputs.flights.version`. */
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

export interface JobChange {
  readonly job: string;
  readonly change: "added" | "removed" | "changed" | "unchanged";
  readonly operator: JobDefinition["operator"];
  /** For a job that is changed. */
  readonly changes: KeyChange[];
}

/** Every job of both, those of the newer version first and in its order. */
export function compareDags(before: DagDefinition | undefined, after: DagDefinition): JobChange[] {
  const old = new Map((before?.jobs ?? []).map((job) => [job.name, job]));
  const jobs = after.jobs.map((job): JobChange => {
    const was = old.get(job.name);
    old.delete(job.name);
    if (was === undefined) return { job: job.name, change: "added", operator: job.operator, changes: [] };
    const changes = changesOf(keysOf(was), keysOf(job)).filter((one) => !goesWithoutSaying(one));
    return { job: job.name, change: changes.length === 0 ? "unchanged" : "changed", operator: job.operator, changes };
  });
  const gone = [...old.values()].map(
    (job): JobChange => ({ job: job.name, change: "removed", operator: job.operator, changes: [] }),
  );
  return [...jobs, ...gone];
}

/** What an input or output has by default says nothing of one that comes or goes with it. */
const defaults: Readonly<Record<string, unknown>> = { read: "all", strategy: "replace", version: 1 };

function goesWithoutSaying({ key, before, after }: KeyChange): boolean {
  const part = /^(?:inputs|outputs)\.[^.]+\.([^.]+)$/.exec(key)?.[1];
  if (part === undefined || !Object.hasOwn(defaults, part)) return false;
  return (before === null && after === defaults[part]) || (after === null && before === defaults[part]);
}

/** The keys that differ between two sets of values. */
export function changesOf(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): KeyChange[] {
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort();
  return keys.flatMap((key): KeyChange[] => {
    const [was, is] = [before.get(key) ?? null, after.get(key) ?? null];
    return canonicalJson(was) === canonicalJson(is) ? [] : [{ key, before: was, after: is }];
  });
}

/** Keys whose stored name is not that of the file, and times as the file has them. */
const fileKeys: Readonly<Record<string, string>> = { timeout_ms: "timeout", duration_ms: "duration", path: "file" };

function keysOf(job: JobDefinition): Map<string, unknown> {
  const { name: _name, inputs, outputs, config, partitions, ...rest } = job;
  const keys = new Map<string, unknown>();
  walk({ ...rest, ...config }, "", keys);
  if (partitions !== undefined) keys.set("partitions", withoutKind(partitions));
  // The order counts: the first output has the SQL of the job.
  keys.set(
    "inputs",
    inputs.map((input) => input.dataset),
  );
  keys.set(
    "outputs",
    outputs.map((output) => output.dataset),
  );
  for (const { dataset, ...parts } of inputs) walk(parts, `inputs.${dataset}.`, keys);
  for (const { dataset, ...parts } of outputs) walk(parts, `outputs.${dataset}.`, keys);
  return keys;
}

function withoutKind(partitions: NonNullable<JobDefinition["partitions"]>): unknown {
  if (partitions.kind === "keys") return { keys: partitions.keys };
  const { kind: _kind, ...range } = partitions;
  return { range };
}

function walk(values: object, prefix: string, keys: Map<string, unknown>): void {
  for (const [key, value] of Object.entries(values)) {
    const named = `${prefix}${fileKeys[key] ?? key}`;
    if (value === undefined || named === "source.kind") continue;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) walk(value, `${named}.`, keys);
    else keys.set(named, key.endsWith("_ms") && typeof value === "number" ? durationText(value) : value);
  }
}

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** A time in its largest whole unit: `90s`, `10m`. */
function durationText(ms: number): string {
  const unit = units.find(([, size]) => ms > 0 && ms % size === 0);
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`;
}
