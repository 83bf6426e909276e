/**
 * The gate: decides from DuckDB's own parse tree whether a SELECT may run. It walks by the table in grammar.ts, resolves
 * CTE names by DuckDB's scoping, and allows base tables, functions and table functions by list only.
 *
 * What runs afterwards is text that DuckDB regenerates from this very tree, so there is no second parser to disagree.
 * The gate is one of three walls: behind it stand the locked instance and the process with its limits.
 */
import { treeNodesMax } from "../limits.ts";
import type { ErrorParts } from "../messages.ts";
import { catalogueName, tableKey } from "../names.ts";
import type { DuckAt, DuckTable } from "../types.ts";
import { allowedFunctions, allowedTableFunctions, refusedFunctions } from "./functions.ts";
import { cteKeys, expressions, type Keys, queries, type Slot, shapes, tables, typeDetails } from "./grammar.ts";
import { nearestName, placeOf } from "./place.ts";
import { readAt, TablesFound, WrongAt } from "./versions.ts";

/** Thrown by everything in the child that knows its error code. */
export class Refusal extends Error {
  readonly parts: ErrorParts;

  constructor(parts: ErrorParts) {
    super(parts.detail);
    this.parts = parts;
  }
}

export interface GateFindings {
  /** Base tables that are no CTE in scope, as first written, without duplicates; each version of one by itself. */
  readonly tables: readonly DuckTable[];
  /** Where each column name was first used: byte offset, by lower-case name. */
  readonly columnOffsets: ReadonlyMap<string, number>;
}

type Node = Record<string, unknown>;
type Scope = ReadonlySet<string>;

/**
 * Walks `tree` (the answer of json_serialize_sql, parsed). `granted`: the `tableKey` of each input, or undefined to allow any
 * table and only collect them. Throws `Refusal`.
 */
export function inspect(tree: unknown, sql: string, granted: ReadonlySet<string> | undefined): GateFindings {
  const walk = new Walk(sql, granted);
  walk.statement(tree);
  return { tables: walk.found.all, columnOffsets: walk.columnOffsets };
}

class Walk {
  readonly found = new TablesFound();
  readonly columnOffsets = new Map<string, number>();
  readonly #sql: string;
  readonly #granted: ReadonlySet<string> | undefined;
  #nodes = 0;
  /** The offset of the innermost node that has one, for messages. */
  #offset: number | undefined;

  constructor(sql: string, granted: ReadonlySet<string> | undefined) {
    this.#sql = sql;
    this.#granted = granted;
  }

  statement(tree: unknown): void {
    const statements = node(tree).statements;
    if (!Array.isArray(statements) || statements.length !== 1) throw notOneSelect();
    const { node: query, ...rest } = node(statements[0]);
    if (!isEmpty(rest.named_param_map)) this.#refuse("a parameter ($1, ?)", "write the value into the SQL");
    this.#nothingElse(rest, ["named_param_map"]);
    this.#query(query, new Set());
  }

  #refuse(what: string, fix?: string): never {
    throw new Refusal({
      code: "TR-5202",
      detail: `SQL uses ${what}, which is not allowed here.`,
      where: placeOf(this.#sql, this.#offset),
      why: "User SQL may read its inputs and compute; it reaches no file, setting or catalogue.",
      fix: fix ?? "Use the input tables and the functions that are allowed (see the page of this error).",
    });
  }

  #count(): void {
    this.#nodes += 1;
    if (this.#nodes > treeNodesMax) this.#refuse(`more than ${treeNodesMax} elements`, "Split the query.");
  }

  #query(value: unknown, scope: Scope): void {
    const query = node(value);
    const keys = this.#keysFor(queries, query.type, "query");
    const inner = isEmpty(query.cte_map) ? scope : this.#ctes(query.cte_map, scope);
    if (query.type === "RECURSIVE_CTE_NODE") {
      const { right, ...rest } = query;
      this.#visit(rest, keys, inner);
      this.#query(right, new Set([...inner, this.#cteName(query.cte_name)]));
    } else this.#visit(query, keys, inner);
  }

  /** CTE i sees CTEs 0..i-1 and what is outside; its own name only in the recursive branch. */
  #ctes(value: unknown, outer: Scope): Scope {
    const { map, ...rest } = node(value);
    this.#nothingElse(rest);
    const scope = new Set(outer);
    for (const item of list(map)) {
      const { key, value: body, ...others } = node(item);
      this.#nothingElse(others);
      this.#visit(node(body), cteKeys, new Set(scope));
      scope.add(this.#cteName(key));
    }
    return scope;
  }

  #cteName(value: unknown): string {
    const name = text(value).toLowerCase();
    if (catalogueName.test(name))
      this.#refuse(`the WITH name '${name}'`, "Choose a name without a catalogue's prefix.");
    return name;
  }

  #keysFor(kinds: Readonly<Record<string, Keys>>, kind: unknown, what: string): Keys {
    const keys = typeof kind === "string" && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
    return keys ?? this.#refuse(`the ${what} form '${String(kind)}'`);
  }

  #visit(value: Node, keys: Keys, scope: Scope): void {
    this.#count();
    const outside = this.#offset;
    const own = value.query_location;
    // An offset of 2^64-1 means "none".
    if (typeof own === "number" && Number.isSafeInteger(own)) this.#offset = own;
    for (const [key, part] of Object.entries(value)) {
      const slot = Object.hasOwn(keys, key) ? keys[key] : undefined;
      if (isEmpty(part)) continue;
      if (slot === undefined) this.#refuse(this.#unknownPart(key));
      else this.#slot(slot, part, scope);
    }
    this.#offset = outside;
  }

  #nothingElse(rest: Node, known: readonly string[] = []): void {
    const other = Object.entries(rest).find(([key, value]) => !known.includes(key) && !isEmpty(value));
    if (other !== undefined) this.#refuse(this.#unknownPart(other[0]));
  }

  #unknownPart(key: string): string {
    return `the part '${key}'`;
  }

  #slot(slot: Slot, value: unknown, scope: Scope): void {
    switch (slot) {
      case "leaf":
        this.#leaf(value);
        break;
      case "expr":
        this.#expression(value, scope, allowedFunctions);
        break;
      case "exprs":
        for (const item of list(value)) this.#expression(item, scope, allowedFunctions);
        break;
      case "exprGrid":
        for (const row of list(value)) this.#slot("exprs", row, scope);
        break;
      case "table":
        this.#table(node(value), scope);
        break;
      case "tableFunction":
        this.#expression(value, scope, allowedTableFunctions);
        break;
      case "query":
        this.#query(value, scope);
        break;
      case "select": {
        const { node: query, ...rest } = node(value);
        this.#nothingElse(rest, ["named_param_map"]);
        this.#query(query, scope);
        break;
      }
      case "at":
        break; // Read by #baseTable.
      case "ctes":
        break; // Walked by #query, before everything else of its node.
      case "type":
        this.#type(value);
        break;
      case "types":
        for (const item of list(value)) this.#type(node(item).second ?? item);
        break;
      case "literal":
        this.#literal(value);
        break;
      case "literals":
        for (const item of list(value)) this.#literal(item);
        break;
      default:
        this.#shape(slot, value, scope);
        break;
    }
  }

  #shape(slot: `one:${string}` | `many:${string}`, value: unknown, scope: Scope): void {
    const [count, name] = slot.split(":");
    const keys = this.#keysFor(shapes, name, "clause");
    for (const item of count === "many" ? list(value) : [value]) this.#visit(node(item), keys, scope);
  }

  /** Texts and numbers in lists are names of columns, never of tables or functions. */
  #leaf(value: unknown): void {
    if (Array.isArray(value)) for (const item of value) this.#leaf(item);
    else if (typeof value === "object" && value !== null) {
      // A qualified column in EXCLUDE or RENAME is the one object among leaves.
      for (const [key, part] of Object.entries(value)) {
        if (!["catalog", "schema", "table", "column"].includes(key) || typeof part !== "string") {
          this.#refuse(`the part '${key}'`);
        }
      }
    }
  }

  #literal(value: unknown): void {
    this.#count();
    const { type } = node(value);
    if (!isEmpty(type)) this.#type(type);
  }

  #type(value: unknown): void {
    this.#count();
    const { id, type_info: info, ...rest } = node(value);
    if (typeof id !== "string") this.#refuse("a type of an unknown form");
    this.#nothingElse(rest);
    if (isEmpty(info)) return;
    const details = node(info);
    this.#visit(details, this.#keysFor(typeDetails, details.type, "type"), new Set());
  }

  #expression(value: unknown, scope: Scope, functions: ReadonlySet<string>): void {
    const expression = node(value);
    const keys = this.#keysFor(expressions, expression.class, "expression");
    if (functions === allowedTableFunctions && expression.class !== "FUNCTION") this.#refuse("a computed table");
    if (expression.class === "COLUMN_REF") this.#rememberColumn(expression);
    if (expression.class === "FUNCTION" || expression.class === "WINDOW") this.#function(expression, functions);
    this.#visit(expression, keys, scope);
  }

  #rememberColumn(expression: Node): void {
    const name = list(expression.column_names).at(-1);
    const offset = expression.query_location;
    if (typeof name !== "string" || typeof offset !== "number") return;
    const key = name.toLowerCase();
    if (!this.columnOffsets.has(key)) this.columnOffsets.set(key, offset);
  }

  #function(call: Node, functions: ReadonlySet<string>): void {
    if (typeof call.query_location === "number") this.#offset = call.query_location;
    const written = text(call.function_name);
    const name = written.toLowerCase();
    const schema = text(call.schema ?? "").toLowerCase();
    if (!["", "main", "pg_catalog"].includes(schema) || (call.catalog ?? "") !== "") {
      this.#refuse(`the function '${schema}.${written}'`);
    }
    if (call.export_state === true) this.#refuse("EXPORT_STATE");
    if (functions.has(name)) return;
    const kind = functions === allowedTableFunctions ? "table function" : "function";
    if (kind === "function" && !refusedFunctions.has(name) && !allowedTableFunctions.has(name)) {
      const near = nearestName(name, functions);
      throw new Refusal({
        code: "TR-5203",
        detail: `There is no function '${written}' that SQL may use here.`,
        where: placeOf(this.#sql, this.#offset),
        fix: near === undefined ? "Check the function's name." : `Did you mean '${near}'?`,
      });
    }
    this.#refuse(`the ${kind} '${written}'`);
  }

  #table(ref: Node, scope: Scope): void {
    const keys = this.#keysFor(tables, ref.type, "table");
    if (ref.type === "BASE_TABLE") this.#baseTable(ref, scope);
    if (ref.type === "SHOW_REF" && (isEmpty(ref.query) || !["DESCRIBE", "SUMMARY"].includes(text(ref.show_type)))) {
      this.#refuse("SHOW", "Use DESCRIBE or SUMMARIZE of an input table.");
    }
    this.#visit(ref, keys, scope);
  }

  #baseTable(ref: Node, scope: Scope): void {
    const written = text(ref.table_name);
    const name = written.toLowerCase();
    const schema = text(ref.schema_name ?? "").toLowerCase();
    if (typeof ref.query_location === "number") this.#offset = ref.query_location;
    if ((ref.catalog_name ?? "") !== "" || !["", "main"].includes(schema)) {
      this.#refuse(`the schema or database of '${written}'`, "Name the input table alone.");
    }
    const at = isEmpty(ref.at_clause) ? undefined : this.#at(ref.at_clause);
    if (schema === "" && scope.has(name)) {
      if (at === undefined) return;
      this.#refuse(`AT on '${written}', which is a WITH and has no versions`, "Put AT on the dataset inside the WITH.");
    }
    const granted = this.#granted?.has(tableKey(name, at)) ?? true;
    if (!granted && at !== undefined) {
      this.#refuse("AT (VERSION or TIMESTAMP)", "Leave it away: which versions this query reads is settled already.");
    }
    if (!granted) throw this.#unknownTable(written, scope);
    this.found.add(written, at);
  }

  #at(clause: unknown): DuckAt {
    try {
      return readAt(clause);
    } catch (error) {
      if (error instanceof WrongAt) this.#refuse(error.message, error.fix);
      throw error;
    }
  }

  #unknownTable(written: string, scope: Scope): Refusal {
    const known = [...new Set([...(this.#granted ?? []), ...scope])];
    const near = nearestName(written.toLowerCase(), known);
    const tables =
      known.length === 0 ? "This query has no input tables." : `Tables here: ${known.slice(0, 20).join(", ")}.`;
    return new Refusal({
      code: "TR-5203",
      detail: `There is no table '${written.slice(0, 200)}' among the inputs of this query.`,
      where: placeOf(this.#sql, this.#offset),
      fix: near === undefined ? tables : `Did you mean '${near}'? ${tables}`,
    });
  }
}

export function notOneSelect(): Refusal {
  return new Refusal({
    code: "TR-5201",
    detail: "The SQL is not exactly one SELECT statement.",
    why: "Only a query may run here: one SELECT (or FROM, VALUES, WITH, PIVOT ... IN, DESCRIBE, SUMMARIZE).",
    fix: "Keep one SELECT and remove every other statement and the semicolons between them.",
  });
}

/** Said nothing: the tree names every key, used or not. A flag that is false is no nothing; it must be known. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.values(value).every(isEmpty);
}

function strange(): Refusal {
  return new Refusal({ code: "TR-5202", detail: "The SQL's parse tree has a form that is not known here." });
}

function node(value: unknown): Node {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw strange();
  return value as Node;
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw strange();
  return value;
}

function text(value: unknown): string {
  if (typeof value !== "string") throw strange();
  return value;
}
