/**
 * The words that parent and child exchange. The child runs what strangers wrote, so the parent believes nothing: each
 * reply is checked for shape and bounds here before it is used.
 */
import type { ErrorCode } from "@trace/contracts";
import { columnsMax, statTextMax } from "./limits.ts";
import type { DuckColumn, DuckColumnStats, DuckInput, DuckTable } from "./types.ts";

/** Given on the child's command line: nothing secret, nothing of the user's. */
export interface ChildSettings {
  readonly folder: string;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly spillBytesMax: number;
  readonly residentBytesMax: number;
}

export type ChildOutput =
  | { readonly kind: "parquet"; readonly folder: string; readonly file: string }
  | { readonly kind: "rows"; readonly rowsMax: number; readonly bytesMax: number };

export type Request =
  | { readonly kind: "run"; readonly inputs: readonly DuckInput[]; readonly sql: string; readonly output: ChildOutput }
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
  | {
      readonly kind: "done";
      readonly rowCount: number;
      readonly truncated: boolean;
      readonly peakRssBytes: number;
      readonly stats?: readonly DuckColumnStats[] | undefined;
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

const isList = <T>(value: unknown, max: number, check: (item: unknown) => item is T): value is T[] =>
  Array.isArray(value) && value.length <= max && value.every(check);

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
      const stats = optional(fields.stats, (value) => isList(value, columnsMax, isStats));
      return counts && stats ? (message as Reply) : undefined;
    }
    case "error":
      return isError(fields.error) && isKnownCode((fields.error as ErrorParts).code) ? (message as Reply) : undefined;
    default:
      return undefined;
  }
}
