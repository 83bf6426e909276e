/**
 * How the schema of a dataset may change by itself: a column may be added, and a type may widen to one that holds every value of
 * the other exactly. Whatever else a commit would do to readers (a column gone, another type) somebody has to ask for, by another
 * `version` of the output. Field ids are Parquet's `field_id`, as in Iceberg's column projection: a column keeps its id for ever.
 */
import type { Column } from "@trace/contracts";
import { parseType, printType, widest } from "./types.ts";

export interface SchemaFault {
  readonly column: string;
  readonly what: string;
}

export type Evolved =
  | { readonly kind: "fits"; readonly schema: Column[]; readonly lastFieldId: number }
  /** The change must be asked for. */
  | { readonly kind: "refused"; readonly faults: readonly SchemaFault[] }
  /** The files carry ids that another commit has given out meanwhile. */
  | { readonly kind: "moved"; readonly column: string };

/** The type that holds all values of both, as it is written where it is one of the two. */
function widerText(before: string, after: string): string | undefined {
  const type = widest(parseType(before), parseType(after));
  if (type === undefined) return undefined;
  const text = printType(type);
  return [before, after].find((known) => printType(parseType(known)) === text) ?? text;
}

/** `current`: the dataset's columns now, empty before the first commit. `next`: those of the attempt's files. */
export function evolve(current: readonly Column[], next: readonly Column[], lastFieldId: number): Evolved {
  const faults: SchemaFault[] = [];
  const byName = new Map(next.map((column) => [column.name, column]));
  const known = new Map(current.map((column) => [column.name, column]));
  const schema: Column[] = current.map((column) => {
    const now = byName.get(column.name);
    if (now === undefined) {
      const other = next.find(({ name }) => name.toLowerCase() === column.name.toLowerCase());
      const what = other === undefined ? "is missing" : `is written '${other.name}' now`;
      faults.push({ column: column.name, what });
      return column;
    }
    const type = widerText(column.type, now.type);
    if (type === undefined) faults.push({ column: column.name, what: `was ${column.type} and is ${now.type} now` });
    return type === undefined ? column : { ...column, type };
  });
  const ids = new Map(current.map((column) => [column.name, column.field_id]));
  let last = lastFieldId;
  for (const column of next) {
    if (known.has(column.name)) continue;
    last += 1;
    schema.push({ name: column.name, type: column.type, field_id: last });
    ids.set(column.name, last);
  }
  if (faults.length > 0) return { kind: "refused", faults };
  // Columns of before field ids get theirs now; files that carry none are read by name.
  const whole = schema.map((column) => {
    if (column.field_id !== undefined) return column;
    last += 1;
    return { ...column, field_id: last };
  });
  const moved = next.find(
    ({ name, field_id }) => field_id !== undefined && ids.get(name) !== undefined && ids.get(name) !== field_id,
  );
  if (moved !== undefined) return { kind: "moved", column: moved.name };
  return { kind: "fits", schema: whole, lastFieldId: last };
}
