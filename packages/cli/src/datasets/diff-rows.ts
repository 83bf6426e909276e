/**
 * Which rows two versions of a dataset do not share. Only files that differ are read: rows of a file that both have are in both.
 * One SELECT gives the counts and a sample, because each run of DuckDB is a process of its own. Pure.
 */
import type { Column } from "@trace/contracts";
import { diffSampleRows } from "../limits.ts";

/** Names of the two inputs; no dataset's name begins with an underscore. */
export const beforeTable = "_before";
export const afterTable = "_after";

export interface RowPlan {
  /** Columns that both versions have, in the order of the newer one. */
  readonly columns: readonly string[];
  /** Their types in the newer one. */
  readonly types: readonly string[];
  readonly key: readonly string[];
  readonly sql: string;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function sharedColumns(before: readonly Column[], after: readonly Column[]): Column[] {
  const known = new Set(before.map((column) => column.name.toLowerCase()));
  return after.filter((column) => known.has(column.name.toLowerCase()));
}

const counts = (name: string) => `(SELECT count(*) FROM ${name})`;

/** Undefined when the two versions have no column in common. */
export function planRows(
  before: readonly Column[],
  after: readonly Column[],
  key: readonly string[],
): RowPlan | undefined {
  const shared = sharedColumns(before, after);
  const columns = shared.map((column) => column.name);
  const types = shared.map((column) => column.type);
  if (columns.length === 0) return undefined;
  const list = columns.map(quoted).join(", ");
  const keys = key.map((name) => columns.find((column) => column.toLowerCase() === name.toLowerCase()) ?? name);
  const using = keys.map(quoted).join(", ");
  const differing = `"_added" AS MATERIALIZED (SELECT ${list} FROM ${afterTable} EXCEPT ALL SELECT ${list} FROM ${beforeTable}),
  "_removed" AS MATERIALIZED (SELECT ${list} FROM ${beforeTable} EXCEPT ALL SELECT ${list} FROM ${afterTable})`;
  const part = (mark: string, from: string, total: string, order: string) =>
    `SELECT * FROM (SELECT '${mark}' AS "_mark", ${counts(total)} AS "_total", "_d"."_doubles", ${list} FROM ${from}, "_d" ORDER BY ${order} LIMIT ${diffSampleRows})`;
  if (keys.length === 0) {
    const sql = `WITH ${differing}, "_d" AS (SELECT 0 AS "_doubles")
${part("+", '"_added"', '"_added"', list)}
UNION ALL ${part("-", '"_removed"', '"_removed"', list)}`;
    return { columns, types, key: keys, sql };
  }
  const sql = `WITH ${differing},
  "_new" AS MATERIALIZED (FROM "_added" ANTI JOIN "_removed" USING (${using})),
  "_gone" AS MATERIALIZED (FROM "_removed" ANTI JOIN "_added" USING (${using})),
  "_to" AS MATERIALIZED (FROM "_added" SEMI JOIN "_removed" USING (${using})),
  "_from" AS MATERIALIZED (FROM "_removed" SEMI JOIN "_added" USING (${using})),
  "_d" AS MATERIALIZED (SELECT count(*) AS "_doubles" FROM (SELECT 1 FROM "_added" GROUP BY ${using} HAVING count(*) > 1))
${part("+", '"_new"', '"_new"', using)}
UNION ALL ${part("-", '"_gone"', '"_gone"', using)}
UNION ALL ${part("<", '"_from"', '"_from"', using)}
UNION ALL ${part(">", '"_to"', '"_to"', using)}`;
  return { columns, types, key: keys, sql };
}

export type RowChange =
  | { readonly change: "added" | "removed"; readonly row: readonly unknown[] }
  | { readonly change: "changed"; readonly before: readonly unknown[]; readonly after: readonly unknown[] };

export interface RowDiff {
  readonly added: number;
  readonly removed: number;
  /** Undefined without a key. */
  readonly changed: number | undefined;
  /** Keys that several of the rows that differ have: they are no key. */
  readonly doubles: number;
  readonly sample: readonly RowChange[];
}

/** Takes turns, so that a sample shows every kind of change. */
function interleave(lists: readonly (readonly RowChange[])[]): RowChange[] {
  const mixed: RowChange[] = [];
  for (let index = 0; mixed.length < diffSampleRows && lists.some((list) => index < list.length); index++) {
    for (const list of lists) {
      const change = list[index];
      if (change !== undefined && mixed.length < diffSampleRows) mixed.push(change);
    }
  }
  const order = ["removed", "added", "changed"];
  return mixed.sort((a, b) => order.indexOf(a.change) - order.indexOf(b.change));
}

/** Reads what the SELECT of `planRows` answers. */
export function readRows(plan: RowPlan, rows: readonly (readonly unknown[])[]): RowDiff {
  const marked = (mark: string) => rows.filter((row) => row[0] === mark);
  const total = (mark: string) => Number(marked(mark)[0]?.[1] ?? 0);
  const values = (row: readonly unknown[]) => row.slice(3);
  const keyOf = (row: readonly unknown[]) =>
    JSON.stringify(plan.key.map((name) => values(row)[plan.columns.indexOf(name)]));
  const earlier = new Map(marked("<").map((row) => [keyOf(row), values(row)]));
  const changed = marked(">").flatMap((row): RowChange[] => {
    const before = earlier.get(keyOf(row));
    return before === undefined ? [] : [{ change: "changed", before, after: values(row) }];
  });
  const plain = (mark: string, change: "added" | "removed") =>
    marked(mark).map((row): RowChange => ({ change, row: values(row) }));
  return {
    added: total("+"),
    removed: total("-"),
    changed: plan.key.length === 0 ? undefined : total(">"),
    doubles: Number(rows[0]?.[2] ?? 0),
    sample: interleave([plain("-", "removed"), plain("+", "added"), changed]),
  };
}
