/** Datasets, commits and manifests as they cross a process. */
import { z } from "zod";
import { columnsMax, manifestFilesMax } from "./limits.ts";
import { leaseNoSchema, nameSchema, sha256Schema, timeSchema, uuidSchema } from "./names.ts";

/** One commit of one dataset: what a reader pins and what `VERSION` means in SQL. */
export const commitRefSchema = z
  .object({ dataset: nameSchema, generation: z.int().positive(), commit: z.int().nonnegative() })
  .meta({ id: "CommitRef" });
export type CommitRef = z.infer<typeof commitRefSchema>;

export const columnSchema = z.object({ name: z.string().min(1).max(255), type: z.string().min(1).max(20_000) });
export type Column = z.infer<typeof columnSchema>;

export const columnStatsSchema = columnSchema.extend({
  min: z.string().max(256).nullable().optional(),
  max: z.string().max(256).nullable().optional(),
  null_count: z.int().nonnegative().nullable().optional(),
});

export const manifestFileSchema = z.object({
  /** Full object key; must lie under the attempt's prefix. */
  key: z.string().min(1).max(1024),
  bytes: z.int().positive(),
  rows: z.int().nonnegative(),
  sha256: sha256Schema,
  columns: z.array(columnStatsSchema).max(columnsMax),
});
export type ManifestFile = z.infer<typeof manifestFileSchema>;

/** Written last into an attempt's prefix: names every file of one output. */
export const manifestSchema = z
  .object({
    format: z.literal("trace-manifest-1"),
    dataset: nameSchema,
    task_id: uuidSchema,
    lease_no: leaseNoSchema,
    /** `null` is the dataset that is not partitioned; keys come with partitions. */
    partition: z.string().max(1024).nullable(),
    schema: z.array(columnSchema).min(1).max(columnsMax),
    rows: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    files: z.array(manifestFileSchema).min(1).max(manifestFilesMax),
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

export const commitSchema = z
  .object({
    commit: z.int().positive(),
    generation: z.int().positive(),
    kind: z.enum(["replace"]),
    committed_at: timeSchema,
    rows: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    files: z.int().nonnegative(),
    /** Who made it: the lineage. */
    task_id: uuidSchema,
    lease_no: leaseNoSchema,
    dag_version: sha256Schema,
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
  /** A presigned GET, when asked for. A secret: never logged. */
  url: z.string().optional(),
});
export type ResolvedFile = z.infer<typeof resolvedFileSchema>;

/** A dataset pinned at one commit with exactly the files readers see there. */
export const resolvedDatasetSchema = commitRefSchema.extend({
  committed_at: timeSchema.nullable(),
  schema: z.array(columnSchema),
  files: z.array(resolvedFileSchema),
});
export type ResolvedDataset = z.infer<typeof resolvedDatasetSchema>;
