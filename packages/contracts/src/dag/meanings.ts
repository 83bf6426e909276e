/**
 * What each key of a DAG file is for, in a sentence: what an editor shows beside a key, and the table of keys in
 * docs/dag-files.md. What a key must hold is said in `form.ts`.
 */
import { jobRetriesDefault } from "./limits.ts";

export interface Meaning {
  readonly what: string;
  /** What counts where the key is left out; nothing for a key that must be there. */
  readonly without?: string;
  /** Operators that take it, where not all do. */
  readonly operators?: string;
}

export const meanings: Readonly<Record<string, Meaning>> = {
  dag: { what: "The name of the DAG. A file deployed under the same name is its next version." },
  description: { what: "A sentence for people.", without: "none" },
  jobs: { what: "The jobs by name. What one writes and another reads decides their order." },
  "jobs.*.operator": {
    what: "What the job does: `ingest` reads a source into a dataset, `sql` makes datasets from datasets, `noop` only waits.",
  },
  "jobs.*.description": { what: "A sentence for people.", without: "none" },
  "jobs.*.source": { what: "Where an ingest reads from.", operators: "ingest" },
  "jobs.*.source.file": {
    what: "A file under one of the folders that the worker may read (`trace up --root`).",
    without: "there is a `url`",
    operators: "ingest",
  },
  "jobs.*.source.url": {
    what: "An address that is fetched; private networks are refused.",
    without: "there is a `file`",
    operators: "ingest",
  },
  "jobs.*.source.format": {
    what: "How the source is written; `json` is an array of objects or JSON Lines.",
    without: "told by the ending of the name",
    operators: "ingest",
  },
  "jobs.*.source.compression": {
    what: "How the source is packed as a whole.",
    without: "`auto`: told by the first bytes",
    operators: "ingest",
  },
  "jobs.*.source.csv": { what: "How CSV is written.", without: "found by looking", operators: "ingest" },
  "jobs.*.source.csv.header": { what: "The first line has the names.", without: "found", operators: "ingest" },
  "jobs.*.source.csv.delimiter": { what: "What stands between values.", without: "found", operators: "ingest" },
  "jobs.*.source.csv.quote": { what: "What stands around values.", without: "found", operators: "ingest" },
  "jobs.*.source.csv.escape": {
    what: "What stands before a quote inside quotes.",
    without: "found",
    operators: "ingest",
  },
  "jobs.*.source.csv.comment": { what: "Lines that begin with it are no rows.", without: "none", operators: "ingest" },
  "jobs.*.source.csv.skip": { what: "Lines before the header.", without: "0", operators: "ingest" },
  "jobs.*.source.csv.null_text": {
    what: "A value that stands for no value.",
    without: "the empty one",
    operators: "ingest",
  },
  "jobs.*.source.csv.ragged": {
    what: "What becomes of a row with too few values: it is a bad row, or it is padded with nulls.",
    without: "`fail`",
    operators: "ingest",
  },
  "jobs.*.source.columns": {
    what: "Types of columns by name, as DuckDB writes them.",
    without: "found by looking",
    operators: "ingest",
  },
  "jobs.*.on_bad_row": {
    what: "What becomes of a row that cannot be read: the task fails, or the row goes to the output with `bad_rows`.",
    without: "`fail`",
    operators: "ingest",
  },
  "jobs.*.sql": {
    what: "One SELECT that makes the first output: over `source` in an ingest, over the inputs by name in a sql job.",
    without: "in an ingest, all of the source",
    operators: "ingest, sql",
  },
  "jobs.*.partitions": {
    what: "The partitions of what the job writes: one task for each key.",
    without: "one task for all",
    operators: "ingest, sql",
  },
  "jobs.*.partitions.keys": { what: "The keys one by one.", without: "there is a `range`", operators: "ingest, sql" },
  "jobs.*.partitions.range": {
    what: "Steps of time in UTC; the key of a step is its start.",
    without: "there are `keys`",
    operators: "ingest, sql",
  },
  "jobs.*.partitions.range.from": { what: "The first step.", operators: "ingest, sql" },
  "jobs.*.partitions.range.to": { what: "The step after the last.", operators: "ingest, sql" },
  "jobs.*.partitions.range.every": { what: "How long a step is.", operators: "ingest, sql" },
  "jobs.*.execution": {
    what: "`per_partition`: one task for each partition of the inputs that changed, which reads and writes that partition.",
    without: "`whole`: one task for all",
    operators: "sql",
  },
  "jobs.*.inputs": {
    what: "The datasets that are read. A new commit of one starts the job.",
    without: "none",
    operators: "sql, noop",
  },
  "jobs.*.inputs.*.dataset": { what: "The name of the dataset.", operators: "sql, noop" },
  "jobs.*.inputs.*.where": {
    what: "Only rows whose columns equal these values; `partition` is the key of the partition. A list means any of them, null means rows without a value.",
    without: "all rows",
    operators: "sql",
  },
  "jobs.*.inputs.*.read": {
    what: "`new`: only what was added since the job's last commit.",
    without: "`all`",
    operators: "sql",
  },
  "jobs.*.outputs": { what: "The datasets that are written.", without: "none", operators: "ingest, sql" },
  "jobs.*.outputs.*.dataset": {
    what: "The name of the dataset; no other job writes it.",
    operators: "ingest, sql",
  },
  "jobs.*.outputs.*.strategy": {
    what: "`replace`: a commit takes the place of what was there. `append`: it is added to it.",
    without: "`replace`",
    operators: "ingest, sql",
  },
  "jobs.*.outputs.*.version": {
    what: "Another number begins a new generation of the dataset, whose schema need not fit what was before.",
    without: "1",
    operators: "ingest, sql",
  },
  "jobs.*.outputs.*.partition_by": {
    what: "The column of the result whose value is each row's partition; one task writes them all.",
    without: "one partition",
    operators: "ingest, sql",
  },
  "jobs.*.outputs.*.sql": {
    what: "The SELECT of an output after the first.",
    without: "the first has the job's",
    operators: "ingest, sql",
  },
  "jobs.*.outputs.*.bad_rows": {
    what: "This output receives rows set aside: `line`, `reason`, `row` as it stood, `source`.",
    without: "false",
    operators: "ingest",
  },
  "jobs.*.retries": {
    what: "How often a failed attempt is tried again.",
    without: String(jobRetriesDefault),
  },
  "jobs.*.timeout": { what: "How long one attempt may take.", without: "10m" },
  "jobs.*.max_concurrency": { what: "How many tasks of the job run at once.", without: "as many as workers take" },
  "jobs.*.duration": { what: "How long a noop waits.", without: "0ms", operators: "noop" },
};
