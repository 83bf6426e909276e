/** What callers give to a run and get back. */
import type { DuckLimits } from "./limits.ts";

export type DuckFormat = "parquet" | "csv" | "json" | "geojson";

/** `auto`: by the file's first bytes, whatever its name says. Parquet compresses within and is never unpacked. */
export type DuckCompression = "auto" | "none" | "gzip" | "zstd";

export type DuckScalar = string | number | boolean | null;

/** What is not given is found by looking at the data; `skip`, `comment` and `ragged` are nothing unless given. */
export interface DuckCsv {
  readonly header?: boolean;
  readonly delimiter?: string;
  readonly quote?: string;
  readonly escape?: string;
  readonly nullText?: string;
  /** One character: lines that begin with it are no rows. */
  readonly comment?: string;
  /** Lines before the header. */
  readonly skip?: number;
  /** Rows with fewer fields than columns: `fail` (a bad row), or `pad` the missing fields with NULL. */
  readonly ragged?: "fail" | "pad";
}

/** A version of a table: a commit, or what was the newest one at a moment (ISO 8601 in UTC). */
export type DuckAt =
  | { readonly unit: "version"; readonly value: number }
  | { readonly unit: "timestamp"; readonly value: string };

/** A table that a SELECT reads, as it is written there. */
export interface DuckTable {
  readonly name: string;
  readonly at?: DuckAt | undefined;
}

export interface DuckInput {
  /** The view name that the SQL sees: `^[a-z_][a-z0-9_]{0,127}$`, not a prefix of DuckDB's own catalogue. */
  readonly name: string;
  /** Absolute local paths. Exactly these become readable. None: an empty view of the declared columns. */
  readonly files: readonly string[];
  /** `json`: an array, newline-delimited values or one object, found out by looking. `geojson`: a FeatureCollection. */
  readonly format: DuckFormat;
  /** Default `auto`. */
  readonly compression?: DuckCompression | undefined;
  readonly csv?: DuckCsv | undefined;
  /** Declared types, by column; all others are inferred. */
  readonly columns?: Readonly<Record<string, string>> | undefined;
  /**
   * Parquet alone: the committed schema. The view has exactly these columns in this order; files are read by name, a
   * column that a file lacks is NULL, a narrower type is cast. Files may be none.
   */
  readonly schema?: readonly DuckColumn[] | undefined;
  /** Keeps rows whose columns equal one of the values (NULL included); row groups that cannot are not read. */
  readonly where?: Readonly<Record<string, readonly DuckScalar[]>> | undefined;
  /** CSV and JSON alone. `set_aside`: rows that cannot be read go to the run's `badRows` folder. Default `fail`. */
  readonly onBadRow?: "fail" | "set_aside" | undefined;
  /** The input is what the SQL names by `name AT (...)`, with any of these, and not what it names by `name` alone. */
  readonly at?: readonly DuckAt[] | undefined;
}

export type DuckOutput =
  /** `folder`: absolute, existing, empty, used by nobody else. */
  | { readonly kind: "parquet"; readonly folder: string }
  | { readonly kind: "rows"; readonly rowsMax: number; readonly bytesMax: number };

/** One output of a run that has several, or that is partitioned or carries field ids. */
export interface DuckParquetOutput {
  readonly kind: "parquet";
  readonly sql: string;
  /** Absolute, existing, empty, used by nobody else. */
  readonly folder: string;
  /** A column of the result: each file holds the rows of one of its values, whose text is the file's `partition`. */
  readonly partitionBy?: string | undefined;
  /** Parquet field ids by top-level column. Given, even if empty, every column gets one: new ones from the largest on. */
  readonly fieldIds?: Readonly<Record<string, number>> | undefined;
}

/** Values of `$partition`, `$partition_start` and `$partition_end`; SQL that uses one that is not given is refused. */
export interface DuckParams {
  readonly partition?: string | undefined;
  /** ISO 8601 without a zone; a TIMESTAMP in the SQL. */
  readonly partition_start?: string | undefined;
  readonly partition_end?: string | undefined;
}

export interface DuckProgress {
  readonly rows?: number;
  readonly bytes?: number;
  readonly percent?: number;
}

interface DuckRunBase {
  readonly inputs: readonly DuckInput[];
  readonly params?: DuckParams | undefined;
  /** Where rows set aside are written: absolute, existing, empty. Needed where an input says `set_aside`. */
  readonly badRows?: { readonly folder: string } | undefined;
  readonly limits?: Partial<DuckLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DuckProgress) => void) | undefined;
}

/** One query, to rows or to Parquet without further wishes. */
export interface DuckSingleRun extends DuckRunBase {
  readonly sql: string;
  readonly output: DuckOutput;
  readonly outputs?: undefined;
}

/** Several outputs over the same inputs, written one after the other in one locked child. */
export interface DuckOutputsRun extends DuckRunBase {
  readonly outputs: readonly DuckParquetOutput[];
  readonly sql?: undefined;
  readonly output?: undefined;
}

export type DuckRun = DuckSingleRun | DuckOutputsRun;

export interface DuckColumn {
  readonly name: string;
  readonly type: string;
}

/** A column as written; `fieldId` where the output asked for ids. */
export interface DuckWrittenColumn extends DuckColumn {
  readonly fieldId?: number;
}

export interface DuckColumnStats extends DuckColumn {
  /** As text of the column's type, from the file's footer; absent where the footer has none or it is too long. */
  readonly min?: string;
  readonly max?: string;
  readonly nullCount?: number;
}

export interface DuckFile {
  readonly path: string;
  readonly bytes: number;
  readonly rows: number;
  /** The partition key of all its rows, where the output has `partitionBy`. */
  readonly partition?: string;
  readonly columns: readonly DuckColumnStats[];
}

export interface DuckOutputResult {
  readonly columns: readonly DuckWrittenColumn[];
  readonly rowCount: number;
  /** At least one, but none where a partitioned output has no rows. */
  readonly files: readonly DuckFile[];
}

export interface DuckBadRows {
  readonly rows: number;
  readonly columns: readonly DuckWrittenColumn[];
  /** Columns `line` BIGINT, `reason`, `row`, `source` VARCHAR. Also written when no row is bad. */
  readonly file: DuckFile;
}

/** The dialect a CSV input was read by. */
export interface DuckDialect {
  readonly delimiter: string;
  /** Empty: none. */
  readonly quote: string;
  readonly escape: string;
  readonly header: boolean;
  readonly skip: number;
  readonly comment?: string;
}

/** What was found out about an input by looking at it. */
export interface DuckInference {
  readonly input: string;
  readonly columns: readonly DuckColumn[];
  /** Whether types rest on every row, on a sample of them, or on what the caller or the file itself declared. */
  readonly lookedAt: "all" | "sample" | "declared";
  readonly compression?: Exclude<DuckCompression, "auto">;
  readonly dialect?: DuckDialect;
}

export interface DuckResult {
  /** Of rows, or of the first output. */
  readonly columns: readonly DuckWrittenColumn[];
  /** JSON-safe values, in column order. */
  readonly rows?: readonly (readonly unknown[])[];
  /** Rows were left out because of `rowsMax` or `bytesMax`. */
  readonly truncated?: boolean;
  /** Of rows, or of the first output. */
  readonly rowCount: number;
  /** Files of the first output. */
  readonly files?: readonly DuckFile[];
  /** In the order of the run's `outputs`; one for the single Parquet form. */
  readonly outputs?: readonly DuckOutputResult[];
  /** Where the run has `badRows`. */
  readonly badRows?: DuckBadRows;
  readonly inference?: readonly DuckInference[];
  readonly elapsedMs: number;
  readonly peakRssBytes: number;
}
