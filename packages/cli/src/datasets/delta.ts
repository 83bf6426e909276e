/** What a commit did, and differences of rows and bytes, as people read them. Pure. */
import type { Commit } from "@trace/contracts";
import type { Palette } from "../terminal/ansi.ts";
import { bytes, count } from "../terminal/format.ts";
import type { TableCell } from "../terminal/table.ts";

/** `+96`, `-12`, `+4.2 MB`; `±0` for nothing. */
export function signed(value: number, unit: "rows" | "bytes"): string {
  if (value === 0) return "±0";
  const size = Math.abs(value);
  return `${value > 0 ? "+" : "-"}${unit === "bytes" ? bytes(size) : count(size)}`;
}

/** Of a commit that was given up, that it was: it can no longer be read. */
export function whatItDid(commit: Commit, palette: Palette): TableCell {
  const what = commit.kind === "revert" ? `revert to ${commit.reverted_to}` : commit.kind;
  if (commit.purged_at !== null) return { text: `${what}, purged`, paint: palette.dim };
  return commit.kind === "revert" ? { text: what, paint: palette.yellow } : what;
}

/** Nothing where it is not known. */
export function deltaCell(value: number | null, unit: "rows" | "bytes", palette: Palette): TableCell {
  if (value === null) return "";
  const paint = value > 0 ? palette.green : value < 0 ? palette.red : palette.dim;
  return { text: signed(value, unit), paint };
}
