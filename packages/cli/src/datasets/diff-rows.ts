/**
 * Which rows two versions of a dataset do not share. Only files that differ are read: rows of a file that both have are in both.
 * One SELECT gives the counts and a sample, because each run of DuckDB is a process of its own. Pure.
 */
import type { Column } from "@trace/contracts";
import { diffCellCharsMax, diffSampleRows } from "../limits.ts";

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

/** Types whose values are short whatever they hold. */
const shortType =
  /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|BOOLEAN|DATE|TIME.*|UUID|INTERVAL)$/i;

/** A column of the sample: a long text is cut, so that one row cannot outgrow the answer. */
function shown({ name, type }: Column): string {
  const column = quoted(name);
  return shortType.test(type) ? column : `left(CAST(${column} AS VARCHAR), ${diffCellCharsMax}) AS ${column}`;
}

interface Part {
  readonly mark: string;
  readonly from: string;
  readonly orderBy: string;
}

/** The first rows of one kind. Each has all counts, so that they are there when the answer is cut after the first row. */
function sample({ mark, from, orderBy }: Part, cells: string): string {
  const first = `SELECT * FROM ${from} ORDER BY ${orderBy} LIMIT ${diffSampleRows}`;
  return `SELECT '${mark}', "_n".*, ${cells} FROM (${first}), "_n"`;
}

const count = (name: string) => `(SELECT count(*) FROM ${name})`;

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
  const cells = shared.map(shown).join(", ");
  const keys = key.map((name) => columns.find((column) => column.toLowerCase() === name.toLowerCase()) ?? name);
  const using = keys.map(quoted).join(", ");
  const differing = `"_added" AS MATERIALIZED (SELECT ${list} FROM ${afterTable} EXCEPT ALL SELECT ${list} FROM ${beforeTable}),
  "_removed" AS MATERIALIZED (SELECT ${list} FROM ${beforeTable} EXCEPT ALL SELECT ${list} FROM ${afterTable})`;
  if (keys.length === 0) {
    const sql = `WITH ${differing},
  "_n" AS MATERIALIZED (SELECT ${count('"_added"')}, ${count('"_removed"')}, 0, 0)
${sample({ mark: "+", from: '"_added"', orderBy: list }, cells)}
UNION ALL ${sample({ mark: "-", from: '"_removed"', orderBy: list }, cells)}`;
    return { columns, types, key: keys, sql };
  }
  const doubles = `SELECT count(*) FROM (SELECT 1 FROM "_added" GROUP BY ${using} HAVING count(*) > 1)`;
  const sql = `WITH ${differing},
  "_new" AS MATERIALIZED (FROM "_added" ANTI JOIN "_removed" USING (${using})),
  "_gone" AS MATERIALIZED (FROM "_removed" ANTI JOIN "_added" USING (${using})),
  "_to" AS MATERIALIZED (FROM "_added" SEMI JOIN "_removed" USING (${using})),
  "_from" AS MATERIALIZED (FROM "_removed" SEMI JOIN "_added" USING (${using})),
  "_n" AS MATERIALIZED (SELECT ${count('"_new"')}, ${count('"_gone"')}, ${count('"_to"')}, (${doubles}))
${sample({ mark: "+", from: '"_new"', orderBy: using }, cells)}
UNION ALL ${sample({ mark: "-", from: '"_gone"', orderBy: using }, cells)}
UNION ALL ${sample({ mark: "<", from: '"_from"', orderBy: using }, cells)}
UNION ALL ${sample({ mark: ">", from: '"_to"', orderBy: using }, cells)}`;
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
  const [, added = 0, removed = 0, changedRows = 0, doubles = 0] = rows[0] ?? [];
  const values = (row: readonly unknown[]) => row.slice(5);
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
    added: Number(added),
    removed: Number(removed),
    changed: plan.key.length === 0 ? undefined : Number(changedRows),
    doubles: Number(doubles),
    sample: interleave([plain("-", "removed"), plain("+", "added"), changed]),
  };
}
