/**
 * A DAG as the platform stores it and as it travels over the API: the file with every default filled in, every unit
 * turned into milliseconds, and nothing left that only formatting decides.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { partitionKeyCharsMax } from "../limits.ts";
import { nameSchema } from "../names.ts";
import { dagGraphFaults } from "./graph.ts";
import { jobFaults } from "./job-faults.ts";
import {
  columnNameCharsMax,
  columnTypeCharsMax,
  csvNullTextCharsMax,
  csvSkipLinesMax,
  dagDescriptionCharsMax,
  dagJobsMax,
  inputWhereNamesMax,
  inputWhereTextCharsMax,
  inputWhereValuesMax,
  jobConcurrencyMax,
  jobInputsMax,
  jobOutputsMax,
  jobPartitionsMax,
  jobRetriesMax,
  jobTimeoutMsMax,
  jobTimeoutMsMin,
  noopDurationMsMax,
  outputVersionMax,
  sourceColumnsMax,
  sourcePathCharsMax,
  sourceUrlCharsMax,
  sqlCharsMax,
} from "./limits.ts";
import { partitionIntervals, rangeFault } from "./partitions.ts";
import {
  badRowRules,
  columnTypePattern,
  executions,
  inputReads,
  outputStrategies,
  raggedRules,
  sourceCompressions,
  sourceFormats,
  storable,
} from "./text.ts";

export const operatorNames = ["noop", "ingest", "sql"] as const;
export type OperatorName = (typeof operatorNames)[number];

const storableText = (charsMax: number) =>
  z.string().min(1).max(charsMax).refine(storable, "holds NUL or half characters");

/** How a CSV file is read. What is left out is found by looking at the file. */
export const csvOptionsSchema = z.strictObject({
  header: z.boolean().optional(),
  delimiter: storableText(1).optional(),
  quote: z.string().max(1).refine(storable).optional(),
  /** The character before a quote inside quotes; the quote itself where it is left out. */
  escape: z.string().max(1).refine(storable).optional(),
  /** Lines that begin with it are passed over. */
  comment: storableText(1).optional(),
  /** Lines before the header. */
  skip: z.int().min(0).max(csvSkipLinesMax).optional(),
  null_text: z.string().max(csvNullTextCharsMax).refine(storable).optional(),
  ragged: z.enum(raggedRules).optional(),
});
export type CsvOptions = z.infer<typeof csvOptionsSchema>;

const sourceParts = {
  format: z.enum(sourceFormats),
  compression: z.enum(sourceCompressions).default("auto"),
  csv: csvOptionsSchema.optional(),
  /** DuckDB types by column name; the other columns are found by looking at the file. */
  columns: z
    .record(storableText(columnNameCharsMax), z.string().max(columnTypeCharsMax).regex(columnTypePattern))
    .refine((columns) => Object.keys(columns).length <= sourceColumnsMax)
    .optional(),
};

export const ingestSourceSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("file"), path: storableText(sourcePathCharsMax), ...sourceParts }),
  z.strictObject({ kind: z.literal("url"), url: storableText(sourceUrlCharsMax), ...sourceParts }),
]);
export type IngestSource = z.infer<typeof ingestSourceSchema>;
/** A source as it may be written, before defaults. */
export type IngestSourceInput = z.input<typeof ingestSourceSchema>;

export const noopConfigSchema = z.strictObject({ duration_ms: z.int().min(0).max(noopDurationMsMax) });
export type NoopConfig = z.infer<typeof noopConfigSchema>;

export const ingestConfigSchema = z.strictObject({
  source: ingestSourceSchema,
  /** Over the view `source`; without it every row and column is taken. */
  sql: storableText(sqlCharsMax).optional(),
  /** With `set_aside` one output has `bad_rows`, and receives them. */
  on_bad_row: z.enum(badRowRules).default("fail"),
});
export type IngestConfig = z.infer<typeof ingestConfigSchema>;

export const sqlConfigSchema = z.strictObject({
  /** Over the inputs by name. */
  sql: storableText(sqlCharsMax),
});
export type SqlConfig = z.infer<typeof sqlConfigSchema>;

/** A value that a column is compared with. Numbers are those that JSON and SQL both hold exactly. */
const whereValue = z.union([
  z.string().max(inputWhereTextCharsMax).refine(storable),
  z.number().refine((value) => !Number.isInteger(value) || Number.isSafeInteger(value)),
  z.boolean(),
  z.null(),
]);
export type WhereValue = z.infer<typeof whereValue>;

/** A dataset that a job reads. A definition stored before inputs had parts holds the plain name. */
export const jobInputSchema = z.preprocess(
  (value) => (typeof value === "string" ? { dataset: value } : value),
  z.strictObject({
    dataset: nameSchema,
    /**
     * Only rows whose column equals one of the values, for each column named; `null` stands for rows without a value.
     * `partition` is the key of the partition, which prunes before a file is read.
     */
    where: z
      .record(storableText(columnNameCharsMax), z.array(whereValue).min(1).max(inputWhereValuesMax))
      .refine((names) => Object.keys(names).length <= inputWhereNamesMax)
      .optional(),
    /** `new`: only what was added since the job's last commit. */
    read: z.enum(inputReads).default("all"),
  }),
);
export type JobInput = z.infer<typeof jobInputSchema>;

/** A dataset that a job writes. The job's own SQL makes the first one; each further one has its own, or takes bad rows. */
export const jobOutputSchema = z.strictObject({
  dataset: nameSchema,
  strategy: z.enum(outputStrategies),
  /** Another number is another generation: an explicit change of schema that need not fit what was before. */
  version: z.int().min(1).max(outputVersionMax).default(1),
  /** The column whose value, as text, is the partition key of each row. */
  partition_by: storableText(columnNameCharsMax).optional(),
  sql: storableText(sqlCharsMax).optional(),
  /** Receives the rows set aside: line BIGINT, reason VARCHAR, row VARCHAR, source VARCHAR. */
  bad_rows: z.boolean().optional(),
});
export type JobOutput = z.infer<typeof jobOutputSchema>;

/** The partitions that a job has a task for each, by their keys or as steps of time. */
export const jobPartitionsSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("keys"),
    keys: z
      .array(storableText(partitionKeyCharsMax))
      .min(1)
      .max(jobPartitionsMax)
      .refine((keys) => new Set(keys).size === keys.length, "names a key twice"),
  }),
  z
    .strictObject({
      kind: z.literal("range"),
      /** The first key. */
      from: z.string().max(20),
      /** The key after the last. */
      to: z.string().max(20),
      every: z.enum(partitionIntervals),
    })
    .superRefine((range, context) => {
      const fault = rangeFault(range);
      if (fault !== undefined) context.addIssue({ code: "custom", path: [fault.key], message: fault.message });
    }),
]);
export type JobPartitions = z.infer<typeof jobPartitionsSchema>;

const jobParts = {
  name: nameSchema,
  description: storableText(dagDescriptionCharsMax).optional(),
  inputs: z.array(jobInputSchema).max(jobInputsMax),
  outputs: z.array(jobOutputSchema).max(jobOutputsMax),
  /** Not together with `per_partition`, whose keys are those of the inputs. */
  partitions: jobPartitionsSchema.optional(),
  execution: z.enum(executions).default("whole"),
  /** Failed attempts that are tried again; attempts are one more. */
  retries: z.int().min(0).max(jobRetriesMax),
  timeout_ms: z.int().min(jobTimeoutMsMin).max(jobTimeoutMsMax),
  /** Tasks of the job that may run at once; without it as many as workers have room for. */
  max_concurrency: z.int().min(1).max(jobConcurrencyMax).optional(),
};
const wholeOnly = z.literal("whole").default("whole");

export const noopJobSchema = z.strictObject({
  ...jobParts,
  operator: z.literal("noop"),
  outputs: jobParts.outputs.max(0),
  partitions: z.never().optional(),
  execution: wholeOnly,
  config: noopConfigSchema,
});
export const ingestJobSchema = z.strictObject({
  ...jobParts,
  operator: z.literal("ingest"),
  inputs: jobParts.inputs.max(0),
  outputs: jobParts.outputs.min(1),
  execution: wholeOnly,
  config: ingestConfigSchema,
});
export const sqlJobSchema = z.strictObject({
  ...jobParts,
  operator: z.literal("sql"),
  inputs: jobParts.inputs.min(1),
  outputs: jobParts.outputs.min(1),
  config: sqlConfigSchema,
});

/** One job with its defaults filled in. `operator` decides the shape of `config`. */
export const jobDefinitionSchema = z
  .discriminatedUnion("operator", [noopJobSchema, ingestJobSchema, sqlJobSchema])
  .meta({ id: "JobDefinition" });
export type JobDefinition = z.infer<typeof jobDefinitionSchema>;

/** A whole DAG. What `parseDag` checks on the file is checked again here, where a definition arrives as JSON. */
export const dagDefinitionSchema = z
  .strictObject({
    dag: nameSchema,
    description: storableText(dagDescriptionCharsMax).optional(),
    jobs: z.array(jobDefinitionSchema).min(1).max(dagJobsMax),
  })
  .superRefine((dag, context) => {
    for (const message of [...dagGraphFaults(dag.jobs), ...dag.jobs.flatMap(jobFaults)]) {
      context.addIssue({ code: "custom", path: ["jobs"], message });
    }
  })
  .meta({ id: "DagDefinition" });
export type DagDefinition = z.infer<typeof dagDefinitionSchema>;

/**
 * JSON with the keys of every object sorted by code unit and no white space, so that equal values give equal text.
 * Takes what JSON can hold; a member that is undefined is left out.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(",")}}`;
}

/**
 * The version of a DAG: SHA-256 (lower-case hex) of its canonical JSON. Jobs count by name and not by their order in
 * the file, so neither comments, formatting nor moving a job makes a new version. Keys that came later count only where
 * they say something, so that a file has the version it had before there were such keys.
 */
export function dagContentHash(dag: DagDefinition): string {
  const jobs = [...dag.jobs].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)).map(hashedJob);
  return createHash("sha256")
    .update(canonicalJson({ ...dag, jobs }))
    .digest("hex");
}

/** A job without what later keys say by default, in the form that definitions had before there were such keys. */
function hashedJob({ execution, ...job }: JobDefinition): Record<string, unknown> {
  return {
    ...job,
    inputs: job.inputs.map((input) => (input.where === undefined && input.read === "all" ? input.dataset : input)),
    outputs: job.outputs.map(({ version, ...output }) => ({ ...output, ...(version === 1 ? {} : { version }) })),
    ...(execution === "whole" ? {} : { execution }),
    ...(job.operator === "ingest" ? { config: hashedIngest(job.config) } : {}),
  };
}

function hashedIngest({ on_bad_row, source, ...config }: IngestConfig): Record<string, unknown> {
  const { compression, ...plain } = source;
  return {
    ...config,
    source: compression === "auto" ? plain : source,
    ...(on_bad_row === "fail" ? {} : { on_bad_row }),
  };
}
