/**
 * Stages what an attempt made: the files of all outputs under the attempt's own prefixes and then, last, a manifest for each
 * output that names its files. Nothing here makes anything visible; the dispatcher commits what the manifests say, all of them
 * together, or nobody ever reads it.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type ManifestFile, type StagedOutput, type StagingPlace, TraceError } from "@trace/contracts";
import type { DuckFile } from "@trace/duck";
import { inLanes } from "../lanes.ts";
import { fileReadBytes, uploadPartBytes, uploadsMax, uploadWholeBytesMax } from "../limits.ts";
import type { OperatorContext } from "../operators/operator.ts";
import { digestFile } from "./digest.ts";
import { manifestText, type OutputFiles, type Provenance, requireFits, statsOf } from "./manifest.ts";
import { putInParts } from "./parts.ts";
import { putWhole } from "./upload.ts";

const parquetType = "application/vnd.apache.parquet";

interface Plan {
  readonly place: StagingPlace;
  readonly output: OutputFiles;
  /** Filled in as files are stored, in the order of the output's. */
  readonly staged: ManifestFile[];
}

/**
 * Throws TR-4005 (the claim names other places than there are outputs), TR-5011 (does not fit a manifest), TR-5010 (the store
 * holds something else under a key), and what the store and the task API throw.
 */
export async function stageOutputs(
  context: OperatorContext,
  outputs: readonly OutputFiles[],
  provenance: Provenance = {},
): Promise<StagedOutput[]> {
  const { signal, task } = context;
  const plans = planOf(context, outputs);
  for (const { output } of plans) requireFits(output, task.job.name);
  const files = plans.flatMap((plan) => plan.output.files.map((file, index) => ({ plan, file, index })));
  const total = files.reduce((sum, { file }) => sum + file.bytes, 0);
  let done = 0;
  const report = (bytes: number) => {
    done += bytes;
    context.progress({ message: "staging", done, total, unit: "bytes" });
  };
  await inLanes(files, uploadsMax, signal, async ({ file, index, plan }, signal) => {
    const { bucket, prefix } = plan.place;
    plan.staged[index] = await stageFile(context, bucket, `${prefix}${index}.parquet`, file, { signal, report });
  });
  const manifests: StagedOutput[] = [];
  for (const plan of plans) manifests.push(await stageManifest(context, plan, provenance));
  return manifests;
}

function planOf({ task }: OperatorContext, outputs: readonly OutputFiles[]): Plan[] {
  const places = new Map(task.staging.map((place) => [place.dataset, place]));
  const plans = outputs.flatMap((output): Plan[] => {
    const place = places.get(output.dataset);
    return place === undefined ? [] : [{ place, output, staged: [] }];
  });
  if (plans.length === outputs.length && places.size === outputs.length && task.staging.length === outputs.length) {
    return plans;
  }
  throw new TraceError("TR-4005", {
    detail: `the claim names places for ${task.staging.map(({ dataset }) => `'${dataset}'`).join(", ") || "nothing"}; the job writes ${outputs.map(({ dataset }) => `'${dataset}'`).join(", ")}`,
    where: `job ${task.job.name}`,
    fix: "deploy the DAG again, and run the same version of Trace everywhere",
  });
}

async function stageFile(
  context: OperatorContext,
  bucket: string,
  key: string,
  file: DuckFile,
  { report, signal }: { readonly signal: AbortSignal; readonly report: (bytes: number) => void },
): Promise<ManifestFile> {
  const inParts = file.bytes > uploadWholeBytesMax;
  const { bytes, parts, sha256 } = await digestFile(file.path, signal, inParts ? uploadPartBytes : undefined);
  if (bytes !== file.bytes) throw new Error(`a result file has ${bytes} bytes; DuckDB's runner said ${file.bytes}`);
  const { partition, path, rows } = file;
  const columns = file.columns.map(statsOf);
  const described = { key, bytes, rows, sha256, columns, ...(partition === undefined ? {} : { partition }) };
  const place = { bucket, key, bytes, contentType: parquetType };
  if (inParts) {
    const stored_sha256 = await putInParts(context, { ...place, path }, parts, signal, report);
    return { ...described, stored_sha256 };
  }
  await putWhole(
    context,
    { ...place, sha256, body: () => createReadStream(path, { highWaterMark: fileReadBytes }) },
    signal,
  );
  report(bytes);
  return described;
}

async function stageManifest(context: OperatorContext, plan: Plan, provenance: Provenance): Promise<StagedOutput> {
  const { output, place, staged } = plan;
  const text = manifestText({ ...provenance, task: context.task, place, output, files: staged });
  const { bucket, dataset } = place;
  const key = `${place.prefix}manifest.json`;
  const sha256 = createHash("sha256").update(text).digest("hex");
  const upload = { bucket, key, bytes: text.byteLength, sha256, contentType: "application/json", body: () => text };
  await putWhole(context, upload, context.signal);
  const [rows, bytes] = [staged.reduce((sum, file) => sum + file.rows, 0), staged.reduce((sum, f) => sum + f.bytes, 0)];
  context.log.info(`staged ${rows} rows of '${dataset}' in ${staged.length} files, ${bytes} bytes`);
  return { dataset, manifest_key: key, manifest_sha256: sha256 };
}
