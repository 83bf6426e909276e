/** What an attempt says of one output: built and checked here as the dispatcher will read it. Pure. */
import {
  columnsMax,
  type Manifest,
  type ManifestFile,
  manifestBytesMax,
  manifestFilesMax,
  manifestSchema,
  type SourceState,
  type StagingPlace,
  TraceError,
} from "@trace/contracts";
import type { DuckColumnStats, DuckFile, DuckWrittenColumn } from "@trace/duck";

/** One output as it lies on the disk. */
export interface OutputFiles {
  readonly dataset: string;
  readonly columns: readonly DuckWrittenColumn[];
  readonly files: readonly DuckFile[];
  /** Each file holds one partition, named by itself. */
  readonly partitioned: boolean;
}

/** From what outputs were made, so that the next attempt can tell whether there is anything new. */
export interface Provenance {
  readonly fingerprint?: string | undefined;
  readonly source?: SourceState | undefined;
}

export interface ManifestParts extends Provenance {
  readonly task: { readonly task_id: string; readonly lease_no: number; readonly job: { readonly name: string } };
  readonly place: StagingPlace;
  readonly output: OutputFiles;
  /** In the order of the output's. */
  readonly files: readonly ManifestFile[];
}

/** The text of the manifest. Throws TR-5011 where it would be refused. */
export function manifestText(parts: ManifestParts): Buffer {
  const { files, fingerprint, output, place, source, task } = parts;
  const manifest: Manifest = {
    format: "trace-manifest-1",
    dataset: place.dataset,
    task_id: task.task_id,
    lease_no: task.lease_no,
    partition: output.partitioned ? null : (place.partition ?? null),
    schema: output.columns.map(({ fieldId, name, type }) => ({
      name,
      type,
      ...(fieldId === undefined ? {} : { field_id: fieldId }),
    })),
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files: [...files],
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(source === undefined ? {} : { source }),
  };
  const text = Buffer.from(JSON.stringify(manifest), "utf8");
  requireTaken(manifest, text.byteLength, task.job.name);
  return text;
}

/** Throws TR-5011 for what no manifest takes, before anything is stored. */
export function requireFits({ columns, dataset, files, partitioned }: OutputFiles, job: string): void {
  const filesMin = partitioned ? 0 : 1;
  const counts = files.length >= filesMin && files.length <= manifestFilesMax;
  if (!counts || columns.length === 0 || columns.length > columnsMax) {
    throw new TraceError("TR-5011", {
      detail: `the result has ${columns.length} columns in ${files.length} files; a dataset takes 1 to ${columnsMax} columns in ${filesMin} to ${manifestFilesMax} files`,
      where: `job ${job}, output ${dataset}`,
      fix: partitioned
        ? "select fewer columns, or partition by a column of fewer values"
        : "select fewer columns, or turn columns into rows",
    });
  }
}

export function statsOf({ max, min, name, nullCount, type }: DuckColumnStats): ManifestFile["columns"][number] {
  return {
    name,
    type,
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(nullCount === undefined ? {} : { null_count: nullCount }),
  };
}

/** What the dispatcher will check is checked here first, where the message still reaches the job's author. */
function requireTaken(manifest: Manifest, bytes: number, job: string): void {
  const parsed = manifestSchema.safeParse(manifest);
  if (parsed.success && bytes <= manifestBytesMax) return;
  const issue = parsed.error?.issues[0];
  throw new TraceError("TR-5011", {
    detail: "the manifest of the result would be refused",
    where: `job ${job}, output ${manifest.dataset}`,
    why:
      issue === undefined
        ? `it has ${bytes} bytes; at most ${manifestBytesMax} are read`
        : `${issue.path.join(".")}: ${issue.message}`,
    fix: "give columns shorter names and plainer types, and rows a partition of 1 to 256 characters, in the SQL of the job",
  });
}
