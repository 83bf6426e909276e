/**
 * The words that parent and child exchange. The child runs what strangers wrote, so the parent believes nothing: each
 * reply is checked for shape and bounds here before it is used.
 */
import type { ErrorCode } from "@trace/contracts";
import { columnsMax, outputFilesMax, outputsMax, partitionKeyCharsMax, statTextMax } from "./limits.ts";
import type {
  DuckColumn,
  DuckColumnStats,
  DuckInference,
  DuckInput,
  DuckParams,
  DuckTable,
  DuckWrittenColumn,
} from "./types.ts";

/** Given on the child's command line: nothing secret, nothing of the user's. */
export interface ChildSettings {
  readonly folder: string;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly spillBytesMax: number;
  readonly residentBytesMax: number;
}

export type ChildOutput =
  | {
      readonly kind: "parquet";
      readonly folder: string;
      readonly partitionBy?: string | undefined;
      readonly fieldIds?: Readonly<Record<string, number>> | undefined;
    }
  | { readonly kind: "rows"; readonly rowsMax: number; readonly bytesMax: number };

export interface ChildQuery {
  readonly sql: string;
  readonly output: ChildOutput;
}

/** A written file: its name within its output's folder. The parent looks at the file itself for its size. */
export interface ChildFile {
  readonly name: string;
  readonly rows: number;
  partition?: string;
  readonly columns: readonly DuckColumnStats[];
}

export type Request =
  | {
      readonly kind: "run";
      readonly inputs: readonly DuckInput[];
      readonly queries: readonly ChildQuery[];
      readonly params?: DuckParams | undefined;
      /** Where rows set aside are written. */
      readonly badFolder?: string | undefined;
      readonly unpackBytesMax: number;
    }
  | { readonly kind: "tables"; readonly sql: string };

export interface ErrorParts {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly where?: string | undefined;
  readonly why?: string | undefined;
  readonly fix?: string | undefined;
}

export type Reply =
  | { readonly kind: "ready" }
  | { readonly kind: "progress"; readonly rows?: number; readonly percent?: number }
  | { readonly kind: "columns"; readonly columns: readonly DuckColumn[] }
  | { readonly kind: "rows"; readonly rows: readonly (readonly unknown[])[] }
  | { readonly kind: "tables"; readonly tables: readonly DuckTable[] }
  | { readonly kind: "inference"; readonly inference: DuckInference }
  /** The columns of an output, before its files. `output`: its number, or -1 for the rows set aside. */
  | { readonly kind: "output"; readonly output: number; readonly columns: readonly DuckWrittenColumn[] }
  | { readonly kind: "files"; readonly output: number; readonly files: readonly ChildFile[] }
  | {
      readonly kind: "done";
      /** Of rows that were sent. */
      readonly rowCount: number;
      readonly truncated: boolean;
      readonly peakRssBytes: number;
    }
  | { readonly kind: "error"; readonly error: ErrorParts };

type Fields = Record<string, unknown>;

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown, max: number): value is string => typeof value === "string" && value.length <= max;
const optional = (value: unknown, check: (value: unknown) => boolean): boolean => value === undefined || check(value);

function isColumn(value: unknown): value is DuckColumn {
  const column = fieldsOf(value);
  return column !== undefined && typeof column.name === "string" && typeof column.type === "string";
}

function isStats(value: unknown): value is DuckColumnStats {
  const stats = fieldsOf(value);
  if (stats === undefined || !isColumn(value)) return false;
  const text = (field: unknown) => isText(field, statTextMax);
  return optional(stats.min, text) && optional(stats.max, text) && optional(stats.nullCount, isCount);
}

/** The names that files of an output have; no other is looked at. */
export const outputFileName = /^part-\d{1,6}\.parquet$/;

const isOutput = (value: unknown): boolean => value === -1 || (isCount(value) && value < outputsMax);

function isFile(value: unknown): value is ChildFile {
  const file = fieldsOf(value);
  return (
    file !== undefined &&
    typeof file.name === "string" &&
    outputFileName.test(file.name) &&
    isCount(file.rows) &&
    optional(file.partition, (key) => isText(key, partitionKeyCharsMax) && key !== "") &&
    isList(file.columns, columnsMax, isStats)
  );
}

function isWritten(value: unknown): value is DuckWrittenColumn {
  return isColumn(value) && optional((value as DuckWrittenColumn).fieldId, isCount);
}

function isDialect(value: unknown): boolean {
  const dialect = fieldsOf(value);
  const short = (text: unknown) => isText(text, 16);
  return (
    dialect !== undefined &&
    [dialect.delimiter, dialect.quote, dialect.escape].every(short) &&
    optional(dialect.comment, short) &&
    typeof dialect.header === "boolean" &&
    isCount(dialect.skip)
  );
}

function isInference(value: unknown): value is DuckInference {
  const found = fieldsOf(value);
  return (
    found !== undefined &&
    isText(found.input, 200) &&
    isList(found.columns, columnsMax, isColumn) &&
    ["all", "sample", "declared"].includes(String(found.lookedAt)) &&
    optional(found.compression, (name) => ["none", "gzip", "zstd"].includes(String(name))) &&
    optional(found.dialect, isDialect)
  );
}

function isList<T>(value: unknown, max: number, check: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.length <= max && value.every(check);
}

const isRow = (value: unknown): value is unknown[] => Array.isArray(value);

function isTable(value: unknown): value is DuckTable {
  const table = fieldsOf(value);
  if (table === undefined || typeof table.name !== "string") return false;
  const at = fieldsOf(table.at);
  const version = at?.unit === "version" && isCount(at.value);
  return table.at === undefined || version || (at?.unit === "timestamp" && isText(at.value, 40));
}

function isError(value: unknown): boolean {
  const error = fieldsOf(value);
  const text = (field: unknown) => isText(field, 8_000);
  return (
    error !== undefined &&
    isText(error.code, 7) &&
    /^TR-\d{4}$/.test(error.code) &&
    text(error.detail) &&
    [error.where, error.why, error.fix].every((field) => optional(field, text))
  );
}

/** The reply, or undefined when its shape is not one of ours. `isKnownCode` guards the catalogue. */
export function readReply(message: unknown, isKnownCode: (code: string) => boolean): Reply | undefined {
  const fields = fieldsOf(message);
  switch (fields?.kind) {
    case "ready":
      return { kind: "ready" };
    case "progress": {
      const finite = (value: unknown) => typeof value === "number" && value >= 0;
      return optional(fields.rows, finite) && optional(fields.percent, finite) ? (message as Reply) : undefined;
    }
    case "columns":
      return isList(fields.columns, columnsMax, isColumn) ? (message as Reply) : undefined;
    case "rows":
      return isList(fields.rows, Number.MAX_SAFE_INTEGER, isRow) ? (message as Reply) : undefined;
    case "tables":
      return isList(fields.tables, Number.MAX_SAFE_INTEGER, isTable) ? (message as Reply) : undefined;
    case "done": {
      const counts = isCount(fields.rowCount) && isCount(fields.peakRssBytes) && typeof fields.truncated === "boolean";
      return counts ? (message as Reply) : undefined;
    }
    case "inference":
      return isInference(fields.inference) ? (message as Reply) : undefined;
    case "output": {
      const columns = isList(fields.columns, columnsMax, isWritten);
      return isOutput(fields.output) && columns ? (message as Reply) : undefined;
    }
    case "files": {
      const files = isList(fields.files, outputFilesMax, isFile);
      return isOutput(fields.output) && files ? (message as Reply) : undefined;
    }
    case "error":
      return isError(fields.error) && isKnownCode((fields.error as ErrorParts).code) ? (message as Reply) : undefined;
    default:
      return undefined;
  }
}
