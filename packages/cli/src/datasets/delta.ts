/** Differences of rows and bytes as people read them. Pure. */
import type { Palette } from "../terminal/ansi.ts";
import { bytes, count } from "../terminal/format.ts";
import type { TableCell } from "../terminal/table.ts";

/** `+96`, `-12`, `+4.2 MB`; `±0` for nothing. */
export function signed(value: number, unit: "rows" | "bytes"): string {
  if (value === 0) return "±0";
  const size = Math.abs(value);
  return `${value > 0 ? "+" : "-"}${unit === "bytes" ? bytes(size) : count(size)}`;
}

/** Nothing where it is not known. */
export function deltaCell(value: number | null, unit: "rows" | "bytes", palette: Palette): TableCell {
  if (value === null) return "";
  const paint = value > 0 ? palette.green : value < 0 ? palette.red : palette.dim;
  return { text: signed(value, unit), paint };
}
