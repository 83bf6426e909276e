/** Types of columns: how they are inferred from a text source, and how declared ones take their place. */
import { statSync } from "node:fs";
import { inferWholeBytesMax } from "../limits.ts";
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

export function sampleOption(files: readonly string[]): string {
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  return bytes <= inferWholeBytesMax ? "sample_size = -1" : "sample_size = 200000";
}
