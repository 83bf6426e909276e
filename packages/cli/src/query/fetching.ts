/** From pinned datasets to inputs of DuckDB: their files, fetched or found in the cache, each under its table's name. */
import { homedir } from "node:os";
import { join } from "node:path";
import { type ResolvedDataset, type ResolvedFile, TraceError } from "@trace/contracts";
import type { DuckAt, DuckInput } from "@trace/duck";
import type { Cli } from "../cli.ts";
import { cacheBytesMax } from "../limits.ts";
import { ProgressReport } from "../terminal/report.ts";
import { ObjectCache } from "./cache.ts";
import { fetchFiles } from "./download.ts";
import type { PinnedTable } from "./pinning.ts";

function cacheFolder(cli: Cli): string {
  const { dir, exists } = cli.state;
  // No stack on this machine: a state folder is not made for a cache.
  const home = cli.io.env.XDG_CACHE_HOME || join(cli.io.env.HOME ?? homedir(), ".cache");
  return exists ? join(dir, "cache", "objects") : join(home, "trace", "objects");
}

export interface FetchedFiles {
  /** Local path by SHA-256. */
  readonly paths: ReadonlyMap<string, string>;
  /** Bytes that came over the network. */
  readonly bytes: number;
}

/** Fetches what is not here yet, with a bar. Throws TR-7005, TR-7006, TR-7007. */
export async function fetchAll(cli: Cli, files: readonly ResolvedFile[], signal: AbortSignal): Promise<FetchedFiles> {
  if (files.length === 0) return { paths: new Map(), bytes: 0 };
  const cache = new ObjectCache({ folder: cacheFolder(cli), bytesMax: cacheBytesMax, clock: cli.io.clock });
  await cache.open();
  const report = new ProgressReport(cli, "fetching");
  try {
    const fetched = await fetchFiles(cache, files, { signal, onProgress: (progress) => report.show(progress) });
    await cache.evict();
    return fetched;
  } finally {
    report.end();
  }
}

function inputOf(dataset: ResolvedDataset, paths: ReadonlyMap<string, string>): Omit<DuckInput, "name"> {
  if (dataset.files.length === 0 && dataset.schema.length === 0) throw nothingCommitted(dataset);
  const schema = dataset.schema.map(({ name, type }) => ({ name, type }));
  return {
    files: dataset.files.map((file) => paths.get(file.sha256) ?? ""),
    format: "parquet",
    ...(schema.length === 0 ? {} : { schema }),
  };
}

function nothingCommitted(dataset: ResolvedDataset): TraceError {
  return new TraceError("TR-4012", {
    detail: `nothing has been committed to '${dataset.dataset}' yet`,
    fix: `run the DAG that writes it; 'trace dataset show ${dataset.dataset}' names it`,
  });
}

/** One input for each dataset and version, however many tables of the query it answers. */
export function inputsOf(tables: readonly PinnedTable[], paths: ReadonlyMap<string, string>): DuckInput[] {
  const inputs: DuckInput[] = [];
  const versions = new Map<string, { dataset: ResolvedDataset; at: DuckAt[] }>();
  for (const { name, at, dataset } of tables) {
    if (at === undefined) {
      inputs.push({ name, ...inputOf(dataset, paths) });
      continue;
    }
    const key = `${name} ${dataset.generation} ${dataset.commit}`;
    const version = versions.get(key) ?? { dataset, at: [] };
    version.at.push(at);
    versions.set(key, version);
  }
  for (const { dataset, at } of versions.values()) {
    inputs.push({ name: dataset.dataset, at, ...inputOf(dataset, paths) });
  }
  return inputs;
}
