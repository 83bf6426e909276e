/**
 * The DAG file's form: which keys stand where, and what each must hold. Says it twice on purpose: as zod schemas,
 * which check a file and give editors their JSON Schema, and as words, which tell a person what is expected.
 */
import { z } from "zod";
import { partitionKeyCharsMax } from "../limits.ts";
import { nameSchema } from "../names.ts";
import type { OperatorName } from "./definition.ts";
import { operatorNames } from "./definition.ts";
import {
  columnNameCharsMax,
  columnTypeCharsMax,
  csvNullTextCharsMax,
  csvSkipLinesMax,
  dagDescriptionCharsMax,
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
import { meanings } from "./meanings.ts";
import { partitionIntervals } from "./partitions.ts";
import {
  badRowRules,
  columnTypePattern,
  duration_ms,
  durationPattern,
  executions,
  inputReads,
  outputStrategies,
  pathFault,
  raggedRules,
  sourceCompressions,
  sourceFormats,
  storable,
  urlFault,
} from "./text.ts";

const nameWords = "a name of lower-case letters, digits and _ that starts with a letter (at most 128)";
const textWords = (charsMax: number) => `text of 1 to ${charsMax.toLocaleString("en")} characters`;
const oneOf = (values: readonly string[]) => `one of ${values.join(", ")}`;
const rangeTime = "a time such as 2001, 2001-01, 2001-01-15 or 2001-01-15T07, in UTC";

/** What each place must hold, by its path with names of jobs and columns, and places in lists, written as `*`. */
export const expectations: Readonly<Record<string, string>> = {
  "": "a mapping with the keys 'dag' and 'jobs'",
  dag: nameWords,
  description: textWords(dagDescriptionCharsMax),
  jobs: "a mapping from the name of each job to the job",
  "jobs.*": "a mapping that holds at least the key 'operator'",
  "jobs.*.description": textWords(dagDescriptionCharsMax),
  "jobs.*.operator": oneOf(operatorNames),
  "jobs.*.source": "a mapping with either 'file' or 'url'",
  "jobs.*.source.file": `the path of a file (at most ${sourcePathCharsMax} characters)`,
  "jobs.*.source.url": `an http or https URL (at most ${sourceUrlCharsMax} characters)`,
  "jobs.*.source.format": oneOf(sourceFormats),
  "jobs.*.source.compression": oneOf(sourceCompressions),
  "jobs.*.source.csv": "a mapping of CSV options",
  "jobs.*.source.csv.header": "true or false",
  "jobs.*.source.csv.delimiter": "one character",
  "jobs.*.source.csv.quote": "one character, or nothing inside quotes",
  "jobs.*.source.csv.escape": "one character, or nothing inside quotes",
  "jobs.*.source.csv.comment": "one character",
  "jobs.*.source.csv.skip": `a whole number from 0 to ${csvSkipLinesMax.toLocaleString("en")}`,
  "jobs.*.source.csv.null_text": `text of at most ${csvNullTextCharsMax} characters`,
  "jobs.*.source.csv.ragged": oneOf(raggedRules),
  "jobs.*.source.columns": `a mapping from column names to types (at most ${sourceColumnsMax})`,
  "jobs.*.source.columns.*": "a type such as VARCHAR, BIGINT, DOUBLE, DECIMAL(18, 3) or TIMESTAMP",
  "jobs.*.sql": textWords(sqlCharsMax),
  "jobs.*.on_bad_row": oneOf(badRowRules),
  "jobs.*.partitions": "a mapping with either 'range' or 'keys'",
  "jobs.*.partitions.range": "a mapping with 'from', 'to' and 'every'",
  "jobs.*.partitions.range.from": rangeTime,
  "jobs.*.partitions.range.to": rangeTime,
  "jobs.*.partitions.range.every": oneOf(partitionIntervals),
  "jobs.*.partitions.keys": `a list of 1 to ${jobPartitionsMax.toLocaleString("en")} keys`,
  "jobs.*.partitions.keys.*": textWords(partitionKeyCharsMax),
  "jobs.*.execution": oneOf(executions),
  "jobs.*.inputs": `a list of at most ${jobInputsMax} datasets`,
  "jobs.*.inputs.*": "the name of a dataset, or a mapping with 'dataset'",
  "jobs.*.inputs.*.dataset": nameWords,
  "jobs.*.inputs.*.where": `a mapping from 1 to ${inputWhereNamesMax} columns to the values wanted`,
  "jobs.*.inputs.*.where.*": `text, a number, true, false, null, or a list of 1 to ${inputWhereValuesMax.toLocaleString("en")} of these`,
  "jobs.*.inputs.*.where.*.*": "text, a number, true, false or null",
  "jobs.*.inputs.*.read": oneOf(inputReads),
  "jobs.*.outputs": `a list of at most ${jobOutputsMax} datasets`,
  "jobs.*.outputs.*": "the name of a dataset, or a mapping with 'dataset'",
  "jobs.*.outputs.*.dataset": nameWords,
  "jobs.*.outputs.*.strategy": oneOf(outputStrategies),
  "jobs.*.outputs.*.version": `a whole number from 1 to ${outputVersionMax.toLocaleString("en")}`,
  "jobs.*.outputs.*.partition_by": "the name of a column of the result",
  "jobs.*.outputs.*.sql": textWords(sqlCharsMax),
  "jobs.*.outputs.*.bad_rows": "true or false",
  "jobs.*.retries": `a whole number from 0 to ${jobRetriesMax}`,
  "jobs.*.max_concurrency": `a whole number from 1 to ${jobConcurrencyMax.toLocaleString("en")}`,
  "jobs.*.timeout": "a time from 1s to 24h, such as 90s, 10m or 2h",
  "jobs.*.duration": "a time from 0ms to 24h, such as 250ms or 2s",
};

/** What an editor shows beside a key: what it is for, and what it must hold. */
function words(place: string): { description: string } {
  const expects = expectations[place] ?? "";
  const what = meanings[place]?.what;
  return { description: what === undefined ? expects : `${what} Must be ${expects}.` };
}

const text = (charsMax: number) =>
  z.string().min(1).max(charsMax).refine(storable, "must not hold NUL or half of a surrogate pair");

const time = (place: string, minMs: number, maxMs: number) =>
  z
    .string()
    .regex(durationPattern)
    .refine((value) => {
      const ms = duration_ms(value);
      return ms !== undefined && ms >= minMs && ms <= maxMs;
    })
    .meta(words(place));

/** Refuses with the sentence that a rule gives, and its advice. */
const ruled = (charsMax: number, fault: (value: string) => { message: string; suggestion?: string } | undefined) =>
  text(charsMax).superRefine((value, context) => {
    const found = fault(value);
    if (found !== undefined) {
      context.addIssue({ code: "custom", message: found.message, params: { suggestion: found.suggestion } });
    }
  });

const sourceForm = z
  .strictObject({
    file: ruled(sourcePathCharsMax, pathFault).meta(words("jobs.*.source.file")).optional(),
    url: ruled(sourceUrlCharsMax, urlFault).meta(words("jobs.*.source.url")).optional(),
    format: z.enum(sourceFormats).meta(words("jobs.*.source.format")).optional(),
    compression: z.enum(sourceCompressions).meta(words("jobs.*.source.compression")).optional(),
    csv: z
      .strictObject({
        header: z.boolean().meta(words("jobs.*.source.csv.header")).optional(),
        delimiter: text(1).meta(words("jobs.*.source.csv.delimiter")).optional(),
        quote: z.string().max(1).refine(storable).meta(words("jobs.*.source.csv.quote")).optional(),
        escape: z.string().max(1).refine(storable).meta(words("jobs.*.source.csv.escape")).optional(),
        comment: text(1).meta(words("jobs.*.source.csv.comment")).optional(),
        skip: z.int().min(0).max(csvSkipLinesMax).meta(words("jobs.*.source.csv.skip")).optional(),
        null_text: z
          .string()
          .max(csvNullTextCharsMax)
          .refine(storable)
          .meta(words("jobs.*.source.csv.null_text"))
          .optional(),
        ragged: z.enum(raggedRules).meta(words("jobs.*.source.csv.ragged")).optional(),
      })
      .meta(words("jobs.*.source.csv"))
      .optional(),
    columns: z
      .record(text(columnNameCharsMax), z.string().max(columnTypeCharsMax).regex(columnTypePattern))
      .refine((columns) => Object.keys(columns).length <= sourceColumnsMax)
      .meta(words("jobs.*.source.columns"))
      .optional(),
  })
  .meta(words("jobs.*.source"));

const sqlText = z
  .string()
  .max(sqlCharsMax)
  .refine((value) => value.trim() !== "", "must not be blank")
  .refine(storable, "must not hold NUL or half of a surrogate pair")
  .meta(words("jobs.*.sql"));

/** YAML reads digits as a number; one that a double cannot hold would silently be another. */
const exact = (value: number): boolean => !Number.isInteger(value) || Number.isSafeInteger(value);
const inexactWords = "has more digits than a number here can hold; put it in quotes to compare it as text";
const whereScalars = [
  z.string().max(inputWhereTextCharsMax).refine(storable, "must not hold NUL or half of a surrogate pair"),
  z.number().refine(exact, inexactWords),
  z.boolean(),
  z.null(),
] as const;
export type WhereForm = Record<string, WhereScalar | WhereScalar[]>;
type WhereScalar = string | number | boolean | null;

const whereForm = z
  .record(
    text(columnNameCharsMax),
    z.union([...whereScalars, z.array(z.union(whereScalars)).min(1).max(inputWhereValuesMax)]),
  )
  .refine((names) => Object.keys(names).length >= 1 && Object.keys(names).length <= inputWhereNamesMax)
  .meta(words("jobs.*.inputs.*.where"));

const inputForm = z.union([
  nameSchema,
  z.strictObject({
    dataset: nameSchema,
    where: whereForm.optional(),
    read: z.enum(inputReads).meta(words("jobs.*.inputs.*.read")).optional(),
  }),
]);

const outputForm = z.union([
  nameSchema,
  z.strictObject({
    dataset: nameSchema,
    strategy: z.enum(outputStrategies).meta(words("jobs.*.outputs.*.strategy")).optional(),
    version: z.int().min(1).max(outputVersionMax).meta(words("jobs.*.outputs.*.version")).optional(),
    partition_by: text(columnNameCharsMax).meta(words("jobs.*.outputs.*.partition_by")).optional(),
    sql: sqlText.meta(words("jobs.*.outputs.*.sql")).optional(),
    bad_rows: z.boolean().meta(words("jobs.*.outputs.*.bad_rows")).optional(),
  }),
]);

/** YAML reads `2001` as a number, and it is the only time that it does not read as text. */
const rangeTimeForm = z.union([z.string().max(20), z.int().min(1_000).max(9_999)]);
const partitionsForm = z
  .strictObject({
    range: z
      .strictObject({
        from: rangeTimeForm.meta(words("jobs.*.partitions.range.from")),
        to: rangeTimeForm.meta(words("jobs.*.partitions.range.to")),
        every: z.enum(partitionIntervals).meta(words("jobs.*.partitions.range.every")),
      })
      .meta(words("jobs.*.partitions.range"))
      .optional(),
    keys: z
      .array(text(partitionKeyCharsMax))
      .min(1)
      .max(jobPartitionsMax)
      .meta(words("jobs.*.partitions.keys"))
      .optional(),
  })
  .meta(words("jobs.*.partitions"));

const shared = {
  description: text(dagDescriptionCharsMax).meta(words("jobs.*.description")).optional(),
  inputs: z.array(inputForm).max(jobInputsMax).meta(words("jobs.*.inputs")).optional(),
  outputs: z.array(outputForm).max(jobOutputsMax).meta(words("jobs.*.outputs")).optional(),
  retries: z.int().min(0).max(jobRetriesMax).meta(words("jobs.*.retries")).optional(),
  timeout: time("jobs.*.timeout", jobTimeoutMsMin, jobTimeoutMsMax).optional(),
  max_concurrency: z.int().min(1).max(jobConcurrencyMax).meta(words("jobs.*.max_concurrency")).optional(),
};
const operatorForm = <Name extends OperatorName>(name: Name) => z.literal(name).meta(words("jobs.*.operator"));
const onBadRowForm = z.enum(badRowRules).meta(words("jobs.*.on_bad_row"));
const executionForm = z.enum(executions).meta(words("jobs.*.execution"));
const durationForm = time("jobs.*.duration", 0, noopDurationMsMax);

export const jobForms = {
  noop: z.strictObject({ operator: operatorForm("noop"), ...shared, duration: durationForm.optional() }),
  ingest: z.strictObject({
    operator: operatorForm("ingest"),
    ...shared,
    source: sourceForm,
    sql: sqlText.optional(),
    on_bad_row: onBadRowForm.optional(),
    partitions: partitionsForm.optional(),
  }),
  sql: z.strictObject({
    operator: operatorForm("sql"),
    ...shared,
    sql: sqlText,
    partitions: partitionsForm.optional(),
    execution: executionForm.optional(),
  }),
} as const satisfies Record<OperatorName, z.ZodObject>;

export type JobForm = z.infer<(typeof jobForms)[OperatorName]>;

/** A job whose operator is not known: the values are still checked, by the keys that any operator has. */
export const anyJobForm = z.strictObject({
  operator: z.unknown(),
  ...shared,
  source: sourceForm.optional(),
  sql: sqlText.optional(),
  on_bad_row: onBadRowForm.optional(),
  partitions: partitionsForm.optional(),
  execution: executionForm.optional(),
  duration: durationForm.optional(),
});

/** The file around its jobs; each job is checked by the form of its operator. */
export const fileForm = z.strictObject({
  dag: nameSchema.meta(words("dag")),
  description: text(dagDescriptionCharsMax).meta(words("description")).optional(),
  jobs: z.record(z.string(), z.unknown()),
});

/** Operators that take a key of a job. */
export function operatorsWith(key: string): OperatorName[] {
  return operatorNames.filter((name) => Object.hasOwn(jobForms[name].shape, key));
}

/** JSON Schema (draft 2020-12) of a DAG file, for editors. Rules between keys are checked by `parseDag` only. */
export function dagJsonSchema(): Record<string, unknown> {
  const file = fileForm.extend({
    jobs: z
      .record(nameSchema, z.discriminatedUnion("operator", [jobForms.noop, jobForms.ingest, jobForms.sql]))
      .meta(words("jobs")),
  });
  return { title: "DAG file of Trace", ...z.toJSONSchema(file, { io: "input" }) };
}

/**
 * The keys as a table in Markdown, for docs/dag-files.md. Keys of jobs are named without `jobs.*.`, and `[]` stands for an
 * item of a list.
 */
export function dagKeysTable(): string {
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const rows = Object.entries(meanings).map(([place, { what, without, operators }]) => {
    const key = place.replace(/^jobs\.\*\./, "").replaceAll(".*", "[]");
    const expects = expectations[place] ?? "";
    return `| \`${key}\` | ${cell(what)} | ${cell(expects)} | ${without ?? "must be there"} | ${operators ?? "all"} |`;
  });
  return ["| key | what it is for | must be | left out | operators |", "|---|---|---|---|---|", ...rows, ""].join("\n");
}
