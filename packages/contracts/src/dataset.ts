/** Datasets, commits and manifests as they cross a process. */
import { z } from "zod";
import { columnsMax, manifestFilesMax, partitionKeyCharsMax } from "./limits.ts";
import { leaseNoSchema, nameSchema, sha256Schema, timeSchema, uuidSchema } from "./names.ts";

/** One commit of one dataset: what a reader pins and what `VERSION` means in SQL. */
export const commitRefSchema = z
  .object({ dataset: nameSchema, generation: z.int().positive(), commit: z.int().nonnegative() })
  .meta({ id: "CommitRef" });
export type CommitRef = z.infer<typeof commitRefSchema>;

/** A partition of a dataset: a value of its partition column, or a key of its job's set. */
export const partitionKeySchema = z.string().min(1).max(partitionKeyCharsMax);

/** What became of an output: it moved the dataset, was older than what the dataset has, or is what the dataset has already. */
export const commitOutcomeSchema = z.enum(["committed", "superseded", "unchanged"]);
export type CommitOutcome = z.infer<typeof commitOutcomeSchema>;

/** An output of a completion. `commit` is that of the commit made, or of the dataset's head when none was made. */
export const publishedSchema = commitRefSchema.extend({ outcome: commitOutcomeSchema.default("committed") });
export type PublishedRef = z.infer<typeof publishedSchema>;

export const columnSchema = z.object({
  name: z.string().min(1).max(255),
  type: z.string().min(1).max(20_000),
  /** The column's Parquet field id: what a column is called may change, this does not. */
  field_id: z.int().positive().optional(),
});
export type Column = z.infer<typeof columnSchema>;

export const columnStatsSchema = columnSchema.extend({
  min: z.string().max(256).nullable().optional(),
  max: z.string().max(256).nullable().optional(),
  null_count: z.int().nonnegative().nullable().optional(),
});

/** Of a file stored in parts: S3 keeps no SHA-256 of the whole for it, but `<sha256>-<parts>`. */
const storedSha256Schema = z.string().regex(/^[0-9a-f]{64}-[1-9]\d{0,4}$/);

export const manifestFileSchema = z.object({
  /** Full object key; must lie under the attempt's prefix. */
  key: z.string().min(1).max(1024),
  bytes: z.int().positive(),
  rows: z.int().nonnegative(),
  sha256: sha256Schema,
  columns: z.array(columnStatsSchema).max(columnsMax),
  /** As the store keeps it where that is not `sha256`: the SHA-256 of its parts' checksums, and how many there are. */
  stored_sha256: storedSha256Schema.optional(),
  /** Of an output that writes many partitions; without it the manifest's own. */
  partition: partitionKeySchema.optional(),
});
export type ManifestFile = z.infer<typeof manifestFileSchema>;

/** What an output was made from, as far as the next attempt can ask whether it changed. */
export const sourceStateSchema = z.object({
  kind: z.enum(["file", "url"]),
  etag: z.string().max(1_024).optional(),
  last_modified: z.string().max(128).optional(),
  sha256: sha256Schema.optional(),
  bytes: z.int().nonnegative().optional(),
});
export type SourceState = z.infer<typeof sourceStateSchema>;

/** Written last into an attempt's prefix: names every file of one output. */
export const manifestSchema = z
  .object({
    format: z.literal("trace-manifest-1"),
    dataset: nameSchema,
    task_id: uuidSchema,
    lease_no: leaseNoSchema,
    /** The partition that the attempt writes; `null` where the dataset has none, or each file names its own. */
    partition: partitionKeySchema.nullable(),
    schema: z.array(columnSchema).min(1).max(columnsMax),
    rows: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    /** None only where each file names its partition and no row came out: the dataset is empty then. */
    files: z.array(manifestFileSchema).max(manifestFilesMax),
    /** Equal when the same content went through the same job: what is committed already is not committed again. */
    fingerprint: sha256Schema.optional(),
    source: sourceStateSchema.optional(),
  })
  .meta({ id: "Manifest" });
export type Manifest = z.infer<typeof manifestSchema>;

/** What an attempt says of an output it staged. The dispatcher reads and checks the manifest itself. */
export const stagedOutputSchema = z.object({
  dataset: nameSchema,
  manifest_key: z.string().min(1).max(1024),
  manifest_sha256: sha256Schema,
});
export type StagedOutput = z.infer<typeof stagedOutputSchema>;

/** An output that is, byte for byte of its source, what the dataset holds already. */
export const unchangedOutputSchema = z.object({
  dataset: nameSchema,
  unchanged: z.literal(true),
  fingerprint: sha256Schema,
});
export type UnchangedOutput = z.infer<typeof unchangedOutputSchema>;

export const attemptOutputSchema = z.union([stagedOutputSchema, unchangedOutputSchema]);
export type AttemptOutput = z.infer<typeof attemptOutputSchema>;

/** What an attempt needs to know to write one output. */
export const stagingPlaceSchema = z.object({
  dataset: nameSchema,
  bucket: z.string(),
  prefix: z.string(),
  /** The one partition to write; missing or `null` where the dataset has none, or each row says its own. */
  partition: partitionKeySchema.nullable().optional(),
  /** Nothing is taken under the prefix after this. */
  write_until: timeSchema.optional(),
  /** The dataset's columns as they are now, with the field ids that files are to carry. */
  schema: z.array(columnSchema).optional(),
  /** The field id of the first column that is new; the next ones follow. */
  next_field_id: z.int().positive().optional(),
  /** What the partition's last commit was made from. */
  previous: z.object({ fingerprint: sha256Schema, source: sourceStateSchema.nullable() }).optional(),
});
export type StagingPlace = z.infer<typeof stagingPlaceSchema>;

export const commitSchema = z
  .object({
    commit: z.int().positive(),
    generation: z.int().positive(),
    kind: z.enum(["replace", "append", "revert"]),
    committed_at: timeSchema,
    /** Partitions that it changed; none of a dataset that has none. */
    partitions: z.int().nonnegative().default(0),
    /** The slice of an append. */
    append_key: z.string().nullable().default(null),
    /** Of a revert: the commit it went back to, who did it, and why. */
    reverted_to: z.int().nonnegative().nullable().default(null),
    actor: z.string().nullable().default(null),
    reason: z.string().nullable().default(null),
    /** Its files may be gone: it can no longer be read. */
    purged_at: timeSchema.nullable().default(null),
    rows: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    files: z.int().nonnegative(),
    /** Who made it: the lineage. Null of a revert, which a person makes. */
    task_id: uuidSchema.nullable(),
    lease_no: leaseNoSchema.nullable(),
    dag_version: sha256Schema.nullable(),
    inputs: z.array(commitRefSchema),
  })
  .meta({ id: "Commit" });
export type Commit = z.infer<typeof commitSchema>;

export const datasetSchema = z
  .object({
    dataset_id: uuidSchema,
    name: nameSchema,
    generation: z.int().positive(),
    /** 0: nothing committed yet. */
    head: z.int().nonnegative(),
    committed_at: timeSchema.nullable(),
    rows: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    files: z.int().nonnegative(),
    schema: z.array(columnSchema),
    /** The job that writes it. */
    producer: z.object({ dag: nameSchema, job: nameSchema }).nullable(),
  })
  .meta({ id: "Dataset" });
export type Dataset = z.infer<typeof datasetSchema>;

export const resolvedFileSchema = z.object({
  bucket: z.string(),
  key: z.string(),
  bytes: z.int(),
  rows: z.int(),
  sha256: sha256Schema,
  /** The partition it belongs to; missing where the dataset has none. */
  partition: z.string().optional(),
  /** A presigned GET, when asked for. A secret: never logged. */
  url: z.string().optional(),
});
export type ResolvedFile = z.infer<typeof resolvedFileSchema>;

/** A dataset pinned at one commit with exactly the files readers see there. */
export const resolvedDatasetSchema = commitRefSchema.extend({
  committed_at: timeSchema.nullable(),
  /** Its files belong to partitions with keys. */
  partitioned: z.boolean().optional(),
  schema: z.array(columnSchema),
  files: z.array(resolvedFileSchema),
});
export type ResolvedDataset = z.infer<typeof resolvedDatasetSchema>;
