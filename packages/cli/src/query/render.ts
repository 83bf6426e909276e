/** A query's rows as a table, CSV, JSON or JSON Lines. Pure. */
import type { DuckColumn } from "@trace/duck";
import type { Palette } from "../terminal/ansi.ts";
import { type RenderedTable, renderTable, type TableCell } from "../terminal/table.ts";

export const queryFormats = ["table", "csv", "json", "jsonl"] as const;
export type QueryFormat = (typeof queryFormats)[number];

type Rows = readonly (readonly unknown[])[];

/** Types whose values stand at the right. */
export const numeric = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|REAL|DOUBLE|DECIMAL(\(.*\))?|NUMERIC(\(.*\))?)$/i;

function cellText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function tableOf(columns: readonly DuckColumn[], rows: Rows, width: number, palette: Palette): RenderedTable {
  return renderTable({
    columns: columns.map(({ name, type }) => ({
      title: name,
      note: type.length <= 24 ? type.toLowerCase() : `${type.slice(0, 23).toLowerCase()}…`,
      align: numeric.test(type) ? "right" : "left",
    })),
    rows: rows.map((row) =>
      row.map((value): TableCell => (value === null || value === undefined ? null : cellText(value))),
    ),
    width,
    palette,
  });
}

/** RFC 4180. A null is an empty field, an empty text is `""`, so that the two stay apart. */
export function csvLine(values: readonly unknown[]): string {
  return values
    .map((value) => {
      if (value === null || value === undefined) return "";
      const text = cellText(value);
      return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(",");
}

/** Two columns of one name would be one member of a JSON object: the second becomes `name_2`. */
export function uniqueNames(columns: readonly DuckColumn[]): string[] {
  const taken = new Set(columns.map((column) => column.name));
  const used = new Set<string>();
  return columns.map(({ name }) => {
    let unique = name;
    for (let number = 2; used.has(unique) || (unique !== name && taken.has(unique)); number++)
      unique = `${name}_${number}`;
    used.add(unique);
    return unique;
  });
}

export function objectsOf(columns: readonly DuckColumn[], rows: Rows): Record<string, unknown>[] {
  const names = uniqueNames(columns);
  return rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])));
}

/** The rows in a form for programs, line by line. */
export function* dataLines(
  format: Exclude<QueryFormat, "table">,
  columns: readonly DuckColumn[],
  rows: Rows,
): Generator<string> {
  if (format === "csv") {
    yield csvLine(columns.map((column) => column.name));
    for (const row of rows) yield csvLine(columns.map((_, index) => row[index]));
    return;
  }
  const objects = objectsOf(columns, rows);
  if (format === "jsonl") {
    for (const object of objects) yield JSON.stringify(object);
    return;
  }
  if (objects.length === 0) yield "[]";
  for (const [index, object] of objects.entries()) {
    const open = index === 0 ? "[" : " ";
    yield `${open}${JSON.stringify(object)}${index === objects.length - 1 ? "]" : ","}`;
  }
}
