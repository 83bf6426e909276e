/** What a dataset was, how it became what it is, and what may be done about it: history, diff, revert, purge, lineage, pins. */
import { z } from "zod";
import { columnSchema, commitRefSchema, commitSchema, partitionKeySchema } from "./dataset.ts";
import { batchItemsMax, pageRowsDefault, pageRowsMax, pinHolderCharsMax, reasonCharsMax } from "./limits.ts";
import { leaseNoSchema, nameSchema, sha256Schema, timeSchema, uuidSchema } from "./names.ts";

/** Keys as answers name them: `''` is the one partition of a dataset that has none. */
const anyPartitionSchema = z.string();

/** What a dataset or one of its partitions holds. */
export const extentSchema = z.object({
  rows: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  files: z.int().nonnegative(),
});
export type Extent = z.infer<typeof extentSchema>;

/** A commit beside the one before it. */
export const historyCommitSchema = commitSchema
  .extend({
    /** What it added to the dataset's rows and bytes; negative where it took away, null where the commit before was purged. */
    rows_delta: z.int().nullable(),
    bytes_delta: z.int().nullable(),
    /** The job of its task; null of a revert. */
    producer: z.object({ dag: nameSchema, job: nameSchema }).nullable(),
  })
  .meta({ id: "HistoryCommit" });
export type HistoryCommit = z.infer<typeof historyCommitSchema>;

/** One side of a difference: commit 0 is the dataset before its first commit. */
export const datasetVersionSchema = commitRefSchema.extend({
  committed_at: timeSchema.nullable(),
  schema: z.array(columnSchema),
  ...extentSchema.shape,
});
export type DatasetVersion = z.infer<typeof datasetVersionSchema>;

export const partitionChangeSchema = z.object({
  partition: anyPartitionSchema,
  /** Null where that side has no such partition. */
  before: extentSchema.nullable(),
  after: extentSchema.nullable(),
});
export type PartitionChange = z.infer<typeof partitionChangeSchema>;

export const datasetDiffSchema = z
  .object({
    dataset: nameSchema,
    from: datasetVersionSchema,
    to: datasetVersionSchema,
    /** Those whose files differ, by key; as many as fit one answer. */
    partitions: z.array(partitionChangeSchema).max(batchItemsMax),
    /** All that differ, and all that do not. */
    partitions_changed: z.int().nonnegative(),
    partitions_unchanged: z.int().nonnegative(),
  })
  .meta({ id: "DatasetDiff" });
export type DatasetDiff = z.infer<typeof datasetDiffSchema>;

export const revertSchema = z.object({
  /** The commit to go back to; 0 empties the dataset. */
  to: z.int().nonnegative(),
  /** The revert is refused when the dataset has moved on from here. */
  expected_head: z.int().nonnegative(),
  /** Only these; without it all. */
  partitions: z.array(partitionKeySchema).min(1).max(batchItemsMax).optional(),
  reason: z.string().max(reasonCharsMax).optional(),
});

export const purgeSchema = z.object({
  /** Commits below this one can no longer be read, and files that only they have go. */
  before: z.int().positive(),
  /** Without it the one that is current. */
  generation: z.int().positive().optional(),
  /** Only says what would go. */
  dry_run: z.boolean().default(false),
});
export const purgeAnswerSchema = commitRefSchema
  .omit({ commit: true })
  .extend({
    before: z.int().positive(),
    commits: z.int().nonnegative(),
    /** Commits below the bound that stay, because a pin or a running attempt holds them. */
    kept: z.int().nonnegative().default(0),
    files: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    dry_run: z.boolean(),
  })
  .meta({ id: "PurgeAnswer" });
export type PurgeAnswer = z.infer<typeof purgeAnswerSchema>;

/** Which attempt of which code read or wrote a commit. */
export const lineageTaskSchema = z.object({
  task_id: uuidSchema,
  attempt: z.int().positive(),
  lease_no: leaseNoSchema.optional(),
  dag: nameSchema,
  job: nameSchema,
  dag_version: sha256Schema,
  /** The version's number of its DAG. */
  dag_number: z.int().positive(),
});
export type LineageTask = z.infer<typeof lineageTaskSchema>;

export const lineageNodeSchema = commitRefSchema.extend({
  kind: z.enum(["replace", "append", "revert"]),
  committed_at: timeSchema,
  rows: z.int().nonnegative(),
  /** Null of a revert. */
  task: lineageTaskSchema.nullable(),
  /** Who reverted. */
  actor: z.string().nullable(),
  inputs: z.array(commitRefSchema),
});
export type LineageNode = z.infer<typeof lineageNodeSchema>;

export const lineageSchema = z
  .object({
    root: commitRefSchema,
    /** The root and all that it was made from, nearest first; an input without a node was purged or did not fit. */
    nodes: z.array(lineageNodeSchema),
    /** Commits made from the root, newest first. */
    readers: z.array(lineageNodeSchema),
    /** There is more than one answer tells. */
    more: z.boolean(),
  })
  .meta({ id: "Lineage" });
export type Lineage = z.infer<typeof lineageSchema>;

export const partitionSchema = extentSchema
  .extend({
    partition: anyPartitionSchema,
    /** The commit that changed it last. */
    commit: z.int().positive(),
    committed_at: timeSchema,
  })
  .meta({ id: "Partition" });
export type Partition = z.infer<typeof partitionSchema>;

export const partitionsAnswerSchema = commitRefSchema.extend({
  partitions: z.array(partitionSchema),
  partitions_total: z.int().nonnegative(),
  /** Keys of the job's own set that nothing was committed for. */
  missing: z.array(anyPartitionSchema).max(batchItemsMax),
  next: z.string().nullable(),
});

export const repairSchema = z.object({
  /** Only these of the missing ones. */
  partitions: z.array(partitionKeySchema).min(1).max(batchItemsMax).optional(),
  dry_run: z.boolean().default(false),
});
export const repairAnswerSchema = z.object({
  dataset: nameSchema,
  missing: z.array(anyPartitionSchema).max(batchItemsMax),
  /** Tasks that will make them, those that were live already included; none in a dry run. */
  tasks: z.array(z.object({ partition: anyPartitionSchema, task_id: uuidSchema })),
  dry_run: z.boolean(),
});
export type RepairAnswer = z.infer<typeof repairAnswerSchema>;

/** A commit that is kept readable for somebody. */
export const pinSchema = commitRefSchema
  .extend({
    pin_id: uuidSchema,
    /** Who or what needs it. */
    holder: z.string(),
    created_at: timeSchema,
    /** Null: until it is taken away. */
    expires_at: timeSchema.nullable(),
  })
  .meta({ id: "Pin" });
export type Pin = z.infer<typeof pinSchema>;

export const createPinSchema = z.object({
  dataset: nameSchema,
  /** Without it the head. */
  commit: z.int().positive().optional(),
  generation: z.int().positive().optional(),
  holder: z.string().min(1).max(pinHolderCharsMax).optional(),
  expires_at: timeSchema.optional(),
});

/** One dataset as a reader asks for it: at its head, at a commit, or as it was at a moment. */
export const datasetRequestSchema = z
  .object({
    dataset: nameSchema,
    version: z.int().positive().optional(),
    timestamp: timeSchema.optional(),
    generation: z.int().positive().optional(),
    /** Files of these alone. */
    partitions: z.array(partitionKeySchema).min(1).max(batchItemsMax).optional(),
  })
  .refine((asked) => asked.version === undefined || asked.timestamp === undefined, "version or timestamp, not both");
export type DatasetRequest = z.input<typeof datasetRequestSchema>;

export const historyQuery = z.object({
  limit: z.coerce.number().int().min(1).max(pageRowsMax).default(pageRowsDefault),
  /** `next` of the page before. */
  cursor: z.string().max(200).optional(),
});
const commitNumber = z.coerce.number().int().nonnegative();
/** `to` is the head unless given, `from` the commit before `to`. */
export const diffQuery = z.object({ from: commitNumber.optional(), to: commitNumber.optional() });
export const lineageQuery = z.object({ commit: z.coerce.number().int().positive().optional() });
export const pinsQuery = z.object({ dataset: nameSchema.optional() });
