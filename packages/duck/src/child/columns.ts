/** Types of columns: how they are inferred from a text source, and how declared ones take their place. */
import { statSync } from "node:fs";
import { inferWholeBytesMax } from "../limits.ts";
import type { DuckColumn } from "../types.ts";
import { Refusal } from "./gate.ts";

/** A declared type, as it may stand in SQL. Parentheses and quotes are for DECIMAL(10, 2) and STRUCT("a b" INTEGER). */
export function typeText(type: string): string {
  if (!/^[\p{L}\p{N}_ (),[\]"']+$/u.test(type)) {
    throw new Refusal({
      code: "TR-5213",
      detail: `The declared type '${type.slice(0, 100)}' is not a type.`,
      fix: "Use a DuckDB type: BIGINT, DOUBLE, VARCHAR, TIMESTAMP, DATE, BOOLEAN, DECIMAL(18, 4), VARCHAR[], JSON ...",
    });
  }
  return type;
}

export function jsonInference(files: readonly string[]): string {
  // Without the two thresholds DuckDB turns objects with many or rare keys into maps, and columns into one another.
  return `maximum_depth = -1, map_inference_threshold = -1, field_appearance_threshold = 0, ${sampleOption(files)}`;
}

/** Inferred columns with declared types in place, then declared columns that were not seen. */
export function mergeColumns(
  inferred: readonly DuckColumn[],
  declared: Readonly<Record<string, string>>,
): Map<string, string> {
  const left = new Map(Object.entries(declared).map(([name, type]) => [name.toLowerCase(), { name, type }]));
  const merged = new Map<string, string>();
  for (const { name, type } of inferred) {
    const own = left.get(name.toLowerCase());
    left.delete(name.toLowerCase());
    merged.set(name, own === undefined ? plainType(type) : typeText(own.type));
  }
  for (const { name, type } of left.values()) merged.set(name, typeText(type));
  return merged;
}

/** Inference answers HUGEINT where signs are mixed; no JSON writer means 128 bits, and Parquet has no such type. */
function plainType(type: string): string {
  return type === "HUGEINT" ? "BIGINT" : type;
}

export function sampleOption(files: readonly string[]): string {
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  return bytes <= inferWholeBytesMax ? "sample_size = -1" : "sample_size = 200000";
}
