/** Rules about single values of a DAG file that its form and its stored definition share. */

export const sourceFormats = ["csv", "json", "geojson", "parquet"] as const;
export type SourceFormat = (typeof sourceFormats)[number];
/** How a source is packed; `auto` looks at its first bytes. */
export const sourceCompressions = ["auto", "none", "gzip", "zstd"] as const;
/** What becomes of a CSV row that has fewer or more values than the header has names. */
export const raggedRules = ["fail", "pad"] as const;
/** What becomes of a row that cannot be read as its columns ask. */
export const badRowRules = ["fail", "set_aside"] as const;
export const outputStrategies = ["replace", "append"] as const;
export const inputReads = ["all", "new"] as const;
/** Whether a job has one task for all it reads, or one for each partition of it that changed. */
export const executions = ["whole", "per_partition"] as const;

/**
 * True for text that Postgres' jsonb takes: no NUL and no half of a surrogate pair (both have escapes in YAML, so a
 * file can hold them without showing them).
 */
export function storable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

/** A DuckDB type of scalars and lists: `VARCHAR`, `DECIMAL(18, 3)`, `TIMESTAMP WITH TIME ZONE`, `DOUBLE[]`. */
export const columnTypePattern =
  /^[A-Za-z][A-Za-z0-9_]*( [A-Za-z][A-Za-z0-9_]*){0,4}( ?\(\d{1,5}(, ?\d{1,5})?\))?(\[\])*$/;

const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
export const durationPattern = /^\d{1,9}(ms|s|m|h|d)$/;

/** Milliseconds of `250ms`, `30s`, `10m`, `2h`, `1d`; undefined for anything else. */
export function duration_ms(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * unitsMs[match[2] as keyof typeof unitsMs];
}

const formatsByExtension: Readonly<Record<string, SourceFormat>> = {
  csv: "csv",
  json: "json",
  jsonl: "json",
  ndjson: "json",
  geojson: "geojson",
  parquet: "parquet",
};
export const knownExtensions = Object.keys(formatsByExtension).map((extension) => `.${extension}`);

/**
 * The format that the end of a path tells, in any case of letters; undefined when it tells none. The ending of a packed
 * file is passed over: `a.csv.gz` is CSV.
 */
export function formatOfPath(path: string): SourceFormat | undefined {
  const extension = /\.([A-Za-z]+)$/.exec(path.replace(/\.(gz|gzip|zst|zstd)$/i, ""))?.[1]?.toLowerCase();
  return extension !== undefined && Object.hasOwn(formatsByExtension, extension)
    ? formatsByExtension[extension]
    : undefined;
}

/** Why a text cannot be the URL of a source, or undefined when it can. Whether its address is public is asked later. */
export function urlFault(text: string): { message: string; suggestion?: string } | undefined {
  if (!URL.canParse(text)) {
    return { message: "must be a whole URL", suggestion: "write it like https://example.com/data.csv" };
  }
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return {
      message: `must start with https:// or http://, not ${url.protocol}`,
      suggestion: "use an https:// URL; a file of this machine stands under 'file', by its path",
    };
  }
  if (url.username !== "" || url.password !== "" || /^https?:[/\\]*[^/\\?#]*@/i.test(text)) {
    return {
      message: "must not carry a user name or password",
      suggestion: "remove what stands before the @ of the host",
    };
  }
  return undefined;
}

/** Why a text cannot be the path of a source, or undefined when it can. Whether it is under a root is asked later. */
export function pathFault(text: string): { message: string; suggestion?: string } | undefined {
  if (text.trim() === "") return { message: "must name a file" };
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return { message: "must be a path, and this is a URL", suggestion: "write it under 'url' instead of 'file'" };
  }
  if (text.split(/[/\\]/).includes("..")) {
    return { message: "must not climb out of its root with '..'", suggestion: "write the path relative to the root" };
  }
  return undefined;
}
