/**
 * A DAG as the platform stores it and as it travels over the API: the file with every default filled in, every unit
 * turned into milliseconds, and nothing left that only formatting decides.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { nameSchema } from "../names.ts";
import { dagGraphFaults } from "./graph.ts";
import {
  columnNameCharsMax,
  columnTypeCharsMax,
  csvNullTextCharsMax,
  dagDescriptionCharsMax,
  dagJobsMax,
  jobConcurrencyMax,
  jobInputsMax,
  jobOutputsMax,
  jobRetriesMax,
  jobTimeoutMsMax,
  jobTimeoutMsMin,
  noopDurationMsMax,
  sourceColumnsMax,
  sourcePathCharsMax,
  sourceUrlCharsMax,
  sqlCharsMax,
} from "./limits.ts";
import { columnTypePattern, sourceFormats, storable } from "./text.ts";

export const operatorNames = ["noop", "ingest", "sql"] as const;
export type OperatorName = (typeof operatorNames)[number];

const storableText = (charsMax: number) =>
  z.string().min(1).max(charsMax).refine(storable, "holds NUL or half characters");

/** How a CSV file is read. What is left out is found by looking at the file. */
export const csvOptionsSchema = z.strictObject({
  header: z.boolean().optional(),
  delimiter: storableText(1).optional(),
  quote: z.string().max(1).refine(storable).optional(),
  null_text: z.string().max(csvNullTextCharsMax).refine(storable).optional(),
});
export type CsvOptions = z.infer<typeof csvOptionsSchema>;

const sourceParts = {
  format: z.enum(sourceFormats),
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

export const noopConfigSchema = z.strictObject({ duration_ms: z.int().min(0).max(noopDurationMsMax) });
export type NoopConfig = z.infer<typeof noopConfigSchema>;

export const ingestConfigSchema = z.strictObject({
  source: ingestSourceSchema,
  /** Over the view `source`; without it every row and column is taken. */
  sql: storableText(sqlCharsMax).optional(),
});
export type IngestConfig = z.infer<typeof ingestConfigSchema>;

export const sqlConfigSchema = z.strictObject({
  /** Over the inputs by name. */
  sql: storableText(sqlCharsMax),
});
export type SqlConfig = z.infer<typeof sqlConfigSchema>;

export const jobOutputSchema = z.strictObject({ dataset: nameSchema, strategy: z.enum(["replace"]) });
export type JobOutput = z.infer<typeof jobOutputSchema>;

const jobParts = {
  name: nameSchema,
  description: storableText(dagDescriptionCharsMax).optional(),
  /** Names of datasets. */
  inputs: z.array(nameSchema).max(jobInputsMax),
  outputs: z.array(jobOutputSchema).max(jobOutputsMax),
  /** Failed attempts that are tried again; attempts are one more. */
  retries: z.int().min(0).max(jobRetriesMax),
  timeout_ms: z.int().min(jobTimeoutMsMin).max(jobTimeoutMsMax),
  /** Tasks of the job that may run at once; without it as many as workers have room for. */
  max_concurrency: z.int().min(1).max(jobConcurrencyMax).optional(),
};

export const noopJobSchema = z.strictObject({
  ...jobParts,
  operator: z.literal("noop"),
  outputs: jobParts.outputs.max(0),
  config: noopConfigSchema,
});
export const ingestJobSchema = z.strictObject({
  ...jobParts,
  operator: z.literal("ingest"),
  inputs: jobParts.inputs.max(0),
  outputs: jobParts.outputs.length(1),
  config: ingestConfigSchema,
});
export const sqlJobSchema = z.strictObject({
  ...jobParts,
  operator: z.literal("sql"),
  inputs: jobParts.inputs.min(1),
  outputs: jobParts.outputs.length(1),
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
    for (const message of dagGraphFaults(dag.jobs)) context.addIssue({ code: "custom", path: ["jobs"], message });
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
 * the file, so neither comments, formatting nor moving a job makes a new version.
 */
export function dagContentHash(dag: DagDefinition): string {
  const jobs = [...dag.jobs].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return createHash("sha256")
    .update(canonicalJson({ ...dag, jobs }))
    .digest("hex");
}
