/**
 * What an ingest would make, as one checksum: equal where the same content goes through the same job. What a dataset holds
 * already is neither made nor committed a second time. Pure.
 */
import { createHash } from "node:crypto";
import {
  type ClaimedTask,
  canonicalJson,
  partitionBounds,
  type SourceState,
  type StagingPlace,
} from "@trace/contracts";

/** To be raised when the same source and job come to make other rows, so that everything is made again once. */
const ingestFormat = 1;

type Task = Omit<ClaimedTask, "lease_token">;

/**
 * The address of the source counts as well as its content: what is kept of a source (an ETag) means nothing at another
 * address. Names, limits and retries do not count.
 */
export function fingerprintOf({ job, partition }: Pick<Task, "job" | "partition">, contentSha256: string): string {
  const { config, operator, outputs, partitions } = job;
  const bounds = partition === null || partitions === undefined ? undefined : partitionBounds(partitions, partition);
  const made = { format: ingestFormat, content: contentSha256, operator, config, outputs, partition, bounds };
  return createHash("sha256").update(canonicalJson(made)).digest("hex");
}

export interface Remembered {
  readonly fingerprint: string;
  readonly source: SourceState;
}

/**
 * What every output was last made from, if it is the same for all and this very job would make the same of it: then the source
 * need only be asked whether it changed.
 */
export function rememberedOf(task: Pick<Task, "job" | "partition" | "staging">): Remembered | undefined {
  const [first, ...others] = task.staging.map(({ previous }: StagingPlace) => previous);
  if (first?.source?.sha256 === undefined) return undefined;
  if (!others.every((other) => other?.fingerprint === first.fingerprint)) return undefined;
  const { fingerprint, source } = first;
  return fingerprintOf(task, first.source.sha256) === fingerprint ? { fingerprint, source } : undefined;
}
