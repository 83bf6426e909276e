/**
 * What a manifest says of one file against what the file's footer says. What contradicts is refused; a claim that the footer
 * neither holds nor denies (it has no such statistics, no exact ones, or of a type that we do not judge) is dropped: readers
 * skip files by what is known, and nobody knows that.
 */
import { type Column, type ManifestFile, TraceError } from "@trace/contracts";
import { parseType, printType } from "../rules/types.ts";
import type { FooterAnswer, FooterColumn } from "./facts.ts";
import { canonicalValue, isJudged, shownValue } from "./values.ts";

export interface ClaimedFile {
  readonly dataset: string;
  readonly bucket: string;
  readonly schema: readonly Column[];
  readonly file: ManifestFile;
}

/** The file as far as its footer bears it out. Throws TR-4013. */
export function requireTrue(claimed: ClaimedFile, answer: FooterAnswer): ManifestFile {
  const { file, schema } = claimed;
  if ("refused" in answer) throw unusable(claimed, answer.refused);
  const { facts } = answer;
  if (facts.rows !== file.rows) throw lie(claimed, "", `${file.rows} rows`, `${facts.rows}`);
  const columns = new Map(facts.columns.map((column) => [column.name, column]));
  for (const column of schema) requireType(claimed, column, columns.get(column.name));
  const declared = new Set(schema.map((column) => column.name));
  for (const { name } of facts.columns)
    if (!declared.has(name)) throw lie(claimed, name, "no such column", "there is one");
  return { ...file, columns: file.columns.map((column) => borneOut(claimed, column, columns.get(column.name))) };
}

function requireType(
  claimed: ClaimedFile,
  column: Column,
  found: FooterColumn | undefined,
): asserts found is FooterColumn {
  if (found === undefined) throw lie(claimed, column.name, `type ${column.type}`, "there is no such column");
  if (column.field_id !== undefined && column.field_id !== found.fieldId)
    throw lie(
      claimed,
      column.name,
      `field id ${column.field_id}`,
      found.fieldId === null ? "none" : `${found.fieldId}`,
    );
  // Null is no type of any text: what cannot be judged is not trusted.
  if (found.type !== null && printType(parseType(column.type)) === found.type) return;
  throw lie(claimed, column.name, `type ${column.type}`, found.type ?? "a type that is not known here");
}

function borneOut(
  claimed: ClaimedFile,
  column: ManifestFile["columns"][number],
  found: FooterColumn | undefined,
): ManifestFile["columns"][number] {
  requireType(claimed, column, found);
  const nulls = column.null_count ?? null;
  if (nulls !== null && found.nulls !== null && nulls !== found.nulls)
    throw lie(claimed, column.name, `${nulls} nulls`, `${found.nulls}`);
  return {
    ...column,
    min: bound(claimed, column.name, "smallest", column.min ?? null, found.min, found.type),
    max: bound(claimed, column.name, "largest", column.max ?? null, found.max, found.type),
    null_count: found.nulls === null ? null : nulls,
  };
}

function bound(
  claimed: ClaimedFile,
  name: string,
  which: "smallest" | "largest",
  said: string | null,
  found: string | null,
  type: string | null,
): string | null {
  if (said === null || found === null || type === null || !isJudged(type)) return null;
  if (canonicalValue(type, said) === found) return said;
  throw lie(claimed, name, `'${said}' is the ${which} value`, `'${shownValue(type, found).slice(0, 256)}'`);
}

const where = ({ dataset, bucket, file }: ClaimedFile) => `output ${dataset}, s3://${bucket}/${file.key}`;

function lie(claimed: ClaimedFile, column: string, manifest: string, footer: string): TraceError {
  const which = column === "" ? "" : `, column '${column}'`;
  return new TraceError("TR-4013", {
    detail: `'${claimed.file.key}'${which}: the manifest says ${manifest}; the footer says ${footer}`,
    where: where(claimed),
    why: "readers choose files and rows by what a commit says of them, so it must be what the files themselves say",
    fix: "write the manifest from the footers of the files as they were written",
  });
}

function unusable(claimed: ClaimedFile, why: string): TraceError {
  return new TraceError("TR-4013", {
    detail: `the footer of '${claimed.file.key}' is refused: ${why}`,
    where: where(claimed),
    why: "a file is published only when its own footer tells what is in it",
    fix: "write the file with a Parquet library, whole, not encrypted, and with all of its columns in it",
  });
}
