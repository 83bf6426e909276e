/**
 * Brings the files of an attempt's pinned inputs to its folder. Each is checked against the checksum that was committed:
 * what a query reads is what the commit named, or the attempt fails.
 */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type CommitRef, type JobInput, type ResolvedDataset, type ResolvedFile, TraceError } from "@trace/contracts";
import { inLanes } from "./lanes.ts";
import { inputDownloadsMax } from "./limits.ts";
import type { OperatorContext } from "./operators/operator.ts";
import { workFolderError } from "./workplace.ts";

export interface FetchedInput {
  readonly dataset: ResolvedDataset;
  /** Local paths, in the commit's order. */
  readonly files: readonly string[];
}

/** In the `where` of an input, the key of the partition that a file belongs to, and no column of it. */
export const partitionName = "partition";

interface Fetch {
  readonly file: ResolvedFile;
  readonly path: string;
}

/**
 * Throws TR-4012 (an input has no commit), TR-4032 (a filter by partition of what has none), TR-5013 (the files are not those of
 * the claim), TR-5009 (too many bytes), TR-5008 (checksum), TR-5012 (disk), and what the store throws.
 */
export async function fetchInputs(context: OperatorContext): Promise<FetchedInput[]> {
  for (const pin of context.task.inputs) requireCommit(pin);
  const { inputs, job } = context.task;
  const pinned = matchPins(inputs, await context.inputs());
  const datasets = pinned.map((dataset) => pruned(context, dataset, job.inputs));
  const files = datasets.flatMap((dataset) => dataset.files);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > context.services.inputsBytesMax) {
    throw new TraceError("TR-5009", {
      detail: `the inputs have ${bytes} bytes; a worker takes at most ${context.services.inputsBytesMax}`,
      fix: "filter or aggregate in an earlier job, or raise TRACE_INPUTS_BYTES_MAX of the worker",
    });
  }
  const folder = join(await context.workDir(), "inputs");
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    throw workFolderError(error, folder);
  });
  let number = 0;
  const plan = datasets.map((dataset) => ({
    dataset,
    fetches: dataset.files.map((file): Fetch => ({ file, path: join(folder, `${number++}.parquet`) })),
  }));
  await fetchAll(
    context,
    plan.flatMap(({ fetches }) => fetches),
    bytes,
  );
  context.log.info(`fetched ${files.length} input files, ${bytes} bytes`);
  return plan.map(({ dataset, fetches }) => ({ dataset, files: fetches.map(({ path }) => path) }));
}

function requireCommit(pin: CommitRef): void {
  if (pin.commit > 0) return;
  throw new TraceError("TR-4012", {
    detail: `the input '${pin.dataset}' has no commit yet`,
    where: `dataset ${pin.dataset}`,
    fix: `run the job that writes it; 'trace dataset show ${pin.dataset}' names it`,
  });
}

/** In the order of the pins. What was pinned at the claim is what must come: an attempt reads one state to its end. */
function matchPins(pins: readonly CommitRef[], datasets: readonly ResolvedDataset[]): ResolvedDataset[] {
  return pins.map((pin) => {
    const found = datasets.find(({ dataset }) => dataset === pin.dataset);
    if (found?.commit === pin.commit && found.generation === pin.generation) return found;
    const got = found === undefined ? "nothing" : `commit ${found.commit} of generation ${found.generation}`;
    throw new TraceError("TR-5013", {
      detail: `the claim pinned commit ${pin.commit} of generation ${pin.generation} of '${pin.dataset}', and the task API names ${got}`,
      where: `dataset ${pin.dataset}`,
      fix: "nothing: the task is tried again by itself; if it stays, run the same version of Trace everywhere",
    });
  });
}

/** Without the files of partitions that the job does not want: they are not even fetched. */
function pruned(context: OperatorContext, dataset: ResolvedDataset, declared: readonly JobInput[]): ResolvedDataset {
  const wanted = declared.find((input) => input.dataset === dataset.dataset)?.where?.[partitionName];
  if (wanted === undefined) return dataset;
  // A dataset that has no partitions has one without a key.
  const keys = new Set(wanted.map((value) => (value === null ? "" : String(value))));
  if (dataset.partitioned === false && !keys.has("")) throw unpartitioned(dataset.dataset);
  const files = dataset.files.filter(({ partition = "" }) => keys.has(partition));
  context.log.info(
    `${files.length} of ${dataset.files.length} files of '${dataset.dataset}' are of the partitions wanted`,
  );
  return { ...dataset, files };
}

/** The deploy refuses what it knows of; the dataset of another DAG may have become one without partitions since. */
function unpartitioned(dataset: string): TraceError {
  return new TraceError("TR-4032", {
    detail: `the input '${dataset}' is to be read by the keys of partitions, and has none`,
    where: `dataset ${dataset}`,
    why: "no row would pass, and the job would work on nothing",
    fix: `filter by a column ('trace dataset show ${dataset}' shows them), or take 'partition' out of 'where' and deploy again`,
  });
}

async function fetchAll(context: OperatorContext, fetches: readonly Fetch[], total: number): Promise<void> {
  let done = 0;
  const report = (bytes: number) => {
    done += bytes;
    context.progress({ message: "fetching inputs", done, total, unit: "bytes" });
  };
  await inLanes(fetches, inputDownloadsMax, context.signal, (fetch, signal) =>
    fetchOne(context, fetch, signal, report),
  );
}

async function fetchOne(
  context: OperatorContext,
  { file, path }: Fetch,
  signal: AbortSignal,
  report: (bytes: number) => void,
): Promise<void> {
  const body = await context.services.objectStore.stream(file.bucket, file.key, signal);
  const hash = createHash("sha256");
  let bytes = 0;
  async function* counted(chunks: AsyncIterable<unknown>) {
    try {
      for await (const chunk of chunks) {
        hash.update(chunk as Buffer);
        bytes += (chunk as Buffer).byteLength;
        // Never writes more than was committed, whatever the store sends.
        if (bytes > file.bytes) return;
        report((chunk as Buffer).byteLength);
        yield chunk;
      }
    } catch (error) {
      throw brokenOff(error, file);
    }
  }
  try {
    await pipeline(counted(body), createWriteStream(path, { flags: "wx", mode: 0o600 }), { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw workFolderError(error, path);
  }
  const sha256 = hash.digest("hex");
  if (bytes === file.bytes && sha256 === file.sha256) return;
  throw new TraceError("TR-5008", {
    detail: `an input file is not what was committed: ${bytes} bytes with SHA-256 ${sha256}, expected ${file.bytes} with ${file.sha256}`,
    where: `s3://${file.bucket}/${file.key}`,
    fix: "it is tried again by itself; if it stays, the stored file is damaged: run the job that writes the dataset again",
  });
}

function brokenOff(error: unknown, file: ResolvedFile): TraceError {
  return new TraceError("TR-4006", {
    detail: "the object store broke off while an input file was read",
    where: `s3://${file.bucket}/${file.key}`,
    why: error instanceof Error ? error.message : String(error),
    fix: "it is tried again by itself; 'trace doctor' tells whether the store answers",
    cause: error,
  });
}
