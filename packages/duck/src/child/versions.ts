/**
 * `FROM quakes AT (VERSION => 12)`: which version of a table a query names, and the views that stand for them. DuckDB has
 * no versions of a view, so a table with AT becomes a view of its own in the tree that runs.
 */
import { momentOf } from "../moment.ts";
import { tableKey } from "../names.ts";
import type { DuckAt, DuckInput, DuckTable } from "../types.ts";

type Node = Record<string, unknown>;

/** What is wrong with an AT, and what would be right. */
export class WrongAt extends Error {
  readonly fix: string;

  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

/** Everything that `inputs` answer, by key, with the view of each. */
export function viewsOf(inputs: readonly DuckInput[]): Map<string, string> {
  const views = new Map<string, string>();
  inputs.forEach((input, index) => {
    if (input.at === undefined) views.set(tableKey(input.name), input.name);
    // No name of a dataset has an `@`.
    for (const at of input.at ?? []) views.set(tableKey(input.name, at), `${input.name}@${index}`);
  });
  return views;
}

/** The view that an input becomes. */
export function viewNameOf(input: DuckInput, index: number): string {
  return input.at === undefined ? input.name : `${input.name}@${index}`;
}

/** The text or number that an expression is, when it is one, with or without a cast to a time. */
function constantOf(expression: unknown): unknown {
  const { class: kind, child, cast_type, value } = (expression ?? {}) as Node;
  if (kind === "CAST" && /^(TIMESTAMP|DATE)/.test(String((cast_type as Node | undefined)?.id)))
    return constantOf(child);
  if (kind !== "CONSTANT") return undefined;
  const literal = value as Node;
  // A decimal's value is its digits without the point.
  const plain = /^((TINY|SMALL|BIG)?INT|INTEGER|VARCHAR)$/.test(String((literal.type as Node | undefined)?.id));
  return plain && literal.is_null !== true ? literal.value : undefined;
}

/** Reads an `at_clause` of the tree. Throws `WrongAt`. */
export function readAt(clause: unknown): DuckAt {
  const { unit, expr } = clause as Node;
  const value = constantOf(expr);
  if (String(unit).toUpperCase() === "VERSION") {
    const number = typeof value === "number" ? value : Number(/^\d+$/.exec(String(value ?? ""))?.[0] ?? Number.NaN);
    if (Number.isSafeInteger(number) && number > 0) return { unit: "version", value: number };
    throw new WrongAt("a VERSION that is no commit number", "write the number of a commit: AT (VERSION => 12)");
  }
  const moment = typeof value === "string" ? momentOf(value) : undefined;
  if (moment !== undefined) return { unit: "timestamp", value: moment };
  throw new WrongAt(
    "a TIMESTAMP that is no moment written out",
    "write the moment as a text, UTC unless it says otherwise: AT (TIMESTAMP => '2026-11-24 07:00:00')",
  );
}

/** A number as it stood in the text: a JavaScript number would lose digits of large ones. */
const raw = JSON as unknown as { rawJSON(text: string): unknown };
export const keepNumbers = (_: string, value: unknown, context?: { source?: string }): unknown =>
  typeof value === "number" && context?.source !== undefined ? raw.rawJSON(context.source) : value;

/** The tree's text with each table that has an AT replaced by its view, which goes by the table's name as before. */
export function withViews(treeText: string, views: ReadonlyMap<string, string>): string {
  const parse = JSON.parse as (text: string, reviver: typeof keepNumbers) => unknown;
  const tree = parse(treeText, keepNumbers);
  const plain = JSON.parse(treeText) as unknown;
  replace(tree, plain, views);
  return JSON.stringify(tree);
}

/** `plain` is the same tree with numbers that can be read. */
function replace(tree: unknown, plain: unknown, views: ReadonlyMap<string, string>): void {
  if (typeof plain !== "object" || plain === null) return;
  const target = tree as Node;
  const source = plain as Node;
  if (source.type === "BASE_TABLE" && typeof source.table_name === "string" && isClause(source.at_clause)) {
    const view = views.get(tableKey(source.table_name.toLowerCase(), readAt(source.at_clause)));
    if (view !== undefined) {
      if (source.alias === "") target.alias = source.table_name;
      target.table_name = view;
      delete target.at_clause;
      return;
    }
  }
  for (const key of Object.keys(source)) replace(target[key], source[key], views);
}

function isClause(value: unknown): boolean {
  return typeof value === "object" && value !== null && "unit" in value;
}

/** In the order of a query, each once. */
export class TablesFound {
  readonly #found = new Map<string, DuckTable>();

  add(written: string, at: DuckAt | undefined): void {
    const key = tableKey(written.toLowerCase(), at);
    if (!this.#found.has(key)) this.#found.set(key, at === undefined ? { name: written } : { name: written, at });
  }

  get all(): readonly DuckTable[] {
    return [...this.#found.values()];
  }
}
