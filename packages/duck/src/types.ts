/** What callers give to a run and get back. */
import type { DuckLimits } from "./limits.ts";

export type DuckFormat = "parquet" | "csv" | "json" | "geojson";

export interface DuckInput {
  /** The view name that the SQL sees: `^[a-z_][a-z0-9_]{0,127}$`, not a prefix of DuckDB's own catalogue. */
  readonly name: string;
  /** Absolute local paths. Exactly these become readable. None: an empty view of the declared columns. */
  readonly files: readonly string[];
  /** `json`: an array, newline-delimited values or one object, found out by looking. `geojson`: a FeatureCollection. */
  readonly format: DuckFormat;
  readonly csv?: { header?: boolean; delimiter?: string; quote?: string; nullText?: string } | undefined;
  /** Declared types, by column; all others are inferred. */
  readonly columns?: Readonly<Record<string, string>> | undefined;
}

export type DuckOutput =
  /** `folder`: absolute, existing, empty, used by nobody else. */
  | { readonly kind: "parquet"; readonly folder: string }
  | { readonly kind: "rows"; readonly rowsMax: number; readonly bytesMax: number };

export interface DuckProgress {
  readonly rows?: number;
  readonly bytes?: number;
  readonly percent?: number;
}

export interface DuckRun {
  readonly inputs: readonly DuckInput[];
  readonly sql: string;
  readonly output: DuckOutput;
  readonly limits?: Partial<DuckLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DuckProgress) => void) | undefined;
}

export interface DuckColumn {
  readonly name: string;
  readonly type: string;
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
  readonly columns: readonly DuckColumnStats[];
}

export interface DuckResult {
  readonly columns: readonly DuckColumn[];
  /** JSON-safe values, in column order. */
  readonly rows?: readonly (readonly unknown[])[];
  /** Rows were left out because of `rowsMax` or `bytesMax`. */
  readonly truncated?: boolean;
  readonly rowCount: number;
  readonly files?: readonly DuckFile[];
  readonly elapsedMs: number;
  readonly peakRssBytes: number;
}
