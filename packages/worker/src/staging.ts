/**
 * Stages the output of an attempt: its files under the attempt's own prefix and, last, the manifest that names them.
 * Nothing here makes anything visible; the dispatcher commits what the manifest says, or nobody ever reads it.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import {
  columnsMax,
  type Manifest,
  type ManifestFile,
  manifestBytesMax,
  manifestFilesMax,
  manifestSchema,
  type StagedOutput,
  TraceError,
} from "@trace/contracts";
import type { DuckColumnStats, DuckFile, DuckResult } from "@trace/duck";
import { backoffMs } from "@trace/kit";
import { uploadRetryBaseMs, uploadRetryMaxMs, uploadTriesMax } from "./limits.ts";
import type { OperatorContext } from "./operators/operator.ts";
import { wait } from "./timers.ts";

interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly contentType: string;
  /** Made anew for each try: a stream is read once. */
  body(): Uint8Array | NodeJS.ReadableStream;
}

/**
 * Stages the result as the job's only output. Throws TR-5011 (does not fit a manifest), TR-5010 (the store holds something
 * else under the key), TR-4005 (the claim names no place for it) and what the store throws.
 */
export async function stageOutput(context: OperatorContext, result: DuckResult): Promise<StagedOutput> {
  const { task } = context;
  const [place, ...others] = task.staging;
  if (place === undefined || others.length > 0) {
    throw new TraceError("TR-4005", {
      detail: `the claim names ${task.staging.length} places for outputs; operator '${task.job.operator}' writes one`,
      where: `job ${task.job.name}`,
      fix: "deploy the DAG again with one output for this job",
    });
  }
  const results = result.files ?? [];
  requireFits(results, result.columns.length, task.job.name);
  const files: ManifestFile[] = [];
  for (const [index, file] of results.entries()) {
    const key = `${place.prefix}${index}.parquet`;
    files.push(await stageFile(context, place.bucket, key, file));
  }
  const manifest: Manifest = {
    format: "trace-manifest-1",
    dataset: place.dataset,
    task_id: task.task_id,
    lease_no: task.lease_no,
    partition: null,
    schema: result.columns.map(({ name, type }) => ({ name, type })),
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files,
  };
  const text = Buffer.from(JSON.stringify(checked(manifest, task.job.name)), "utf8");
  const manifest_key = `${place.prefix}manifest.json`;
  const manifest_sha256 = createHash("sha256").update(text).digest("hex");
  await upload(context, {
    bucket: place.bucket,
    key: manifest_key,
    bytes: text.byteLength,
    sha256: manifest_sha256,
    contentType: "application/json",
    body: () => text,
  });
  context.log.info(`staged ${manifest.rows} rows in ${files.length} files, ${manifest.bytes} bytes`);
  return { dataset: place.dataset, manifest_key, manifest_sha256 };
}

async function stageFile(context: OperatorContext, bucket: string, key: string, file: DuckFile): Promise<ManifestFile> {
  const { bytes, sha256 } = await digest(file.path, context.signal);
  if (bytes !== file.bytes) throw new Error(`a result file has ${bytes} bytes; DuckDB's runner said ${file.bytes}`);
  const contentType = "application/vnd.apache.parquet";
  await upload(context, { bucket, key, bytes, sha256, contentType, body: () => createReadStream(file.path) });
  return { key, bytes, rows: file.rows, sha256, columns: file.columns.map(statsOf) };
}

function statsOf({ name, type, min, max, nullCount }: DuckColumnStats): ManifestFile["columns"][number] {
  return {
    name,
    type,
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(nullCount === undefined ? {} : { null_count: nullCount }),
  };
}

async function digest(path: string, signal: AbortSignal): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(path, { signal })) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).byteLength;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Puts an object that must not exist, again after a pause while the store is away. */
async function upload(context: OperatorContext, file: Upload): Promise<void> {
  const { objectStore, random, timers } = context.services;
  const { bucket, bytes, contentType, key, sha256 } = file;
  for (let tries = 1; ; tries += 1) {
    context.signal.throwIfAborted();
    try {
      const { signal } = context;
      const put = await objectStore.put({
        bucket,
        key,
        body: file.body(),
        bytes,
        sha256,
        contentType,
        ifAbsent: true,
        signal,
      });
      if (put === "exists") await requireOwn(context, file);
      return;
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof TraceError && error.code === "TR-4006") || tries >= uploadTriesMax) throw error;
      context.log.warn(`upload of ${key} failed (${error.message}); trying again`);
      const rule = { baseMs: uploadRetryBaseMs, maxMs: uploadRetryMaxMs };
      await wait(timers, backoffMs(rule, tries - 1, random), context.signal);
    }
  }
}

/** The key is there already. Its prefix is this attempt's alone, so it is our own put whose answer was lost, or an error. */
async function requireOwn(context: OperatorContext, file: Upload): Promise<void> {
  const head = await context.services.objectStore.head(file.bucket, file.key);
  if (head?.bytes === file.bytes && head.sha256 === file.sha256) return;
  throw new TraceError("TR-5010", {
    detail: "an object of another content is stored under a key of this attempt",
    where: `s3://${file.bucket}/${file.key}`,
    why: `it has ${head?.bytes ?? "no"} bytes and SHA-256 ${head?.sha256 ?? "none"}; ${file.bytes} and ${file.sha256} were written`,
    fix: "the task is tried again under a new prefix by itself; find out who else writes to the datasets bucket",
  });
}

function requireFits(files: readonly DuckFile[], columns: number, job: string): void {
  if (files.length > 0 && files.length <= manifestFilesMax && columns > 0 && columns <= columnsMax) return;
  throw new TraceError("TR-5011", {
    detail: `the result has ${columns} columns in ${files.length} files; a dataset takes 1 to ${columnsMax} columns in 1 to ${manifestFilesMax} files`,
    where: `job ${job}`,
    fix: "select fewer columns, or turn columns into rows",
  });
}

/** What the dispatcher will check is checked here first, where the message still reaches the job's author. */
function checked(manifest: Manifest, job: string): Manifest {
  const parsed = manifestSchema.safeParse(manifest);
  const bytes = Buffer.byteLength(JSON.stringify(manifest));
  if (parsed.success && bytes <= manifestBytesMax) return manifest;
  const issue = parsed.error?.issues[0];
  throw new TraceError("TR-5011", {
    detail: "the manifest of the result would be refused",
    where: `job ${job}`,
    why:
      issue === undefined
        ? `it has ${bytes} bytes; at most ${manifestBytesMax} are read`
        : `${issue.path.join(".")}: ${issue.message}`,
    fix: "give columns shorter names and plainer types in the SQL of the job",
  });
}
