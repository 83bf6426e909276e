/**
 * `$partition`, `$partition_start` and `$partition_end` in a user's SQL. They become constants of the parse tree before the
 * gate looks at it, so that what runs has no parameters and DuckDB prunes by their values as by any literal.
 */
import type { DuckParams } from "../types.ts";
import { Refusal } from "./gate.ts";
import { keepNumbers } from "./versions.ts";

type Node = Record<string, unknown>;

const typeOfParam = { partition: "VARCHAR", partition_start: "TIMESTAMP", partition_end: "TIMESTAMP" } as const;
type ParamName = keyof typeof typeOfParam;

const isKnown = (name: string): name is ParamName => Object.hasOwn(typeOfParam, name);

/** The tree's text with each parameter replaced; the same text where there is none. Throws `Refusal`. */
export function withParams(treeText: string, params: DuckParams | "any"): string {
  // Most SQL has none, and then its tree stays the very text that DuckDB wrote.
  if (!treeText.includes('"PARAMETER"')) return treeText;
  const parse = JSON.parse as (text: string, reviver: typeof keepNumbers) => unknown;
  const tree = parse(treeText, keepNumbers);
  let replaced = false;
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const node = value as Node;
    for (const [key, part] of Object.entries(node)) {
      if (isParameter(part)) {
        node[key] = constantOf(part, params);
        replaced = true;
      } else walk(part);
    }
  };
  walk(tree);
  if (!replaced) return treeText;
  for (const statement of ((tree as Node).statements as Node[] | undefined) ?? []) statement.named_param_map = [];
  return JSON.stringify(tree);
}

function isParameter(value: unknown): value is Node {
  return typeof value === "object" && value !== null && (value as Node).class === "PARAMETER";
}

function constantOf(node: Node, params: DuckParams | "any"): Node {
  const name = String(node.identifier);
  if (!isKnown(name)) {
    throw new Refusal({
      code: "TR-5202",
      detail: `SQL uses the parameter $${name.slice(0, 100)}, which is not allowed here.`,
      why: "A query has no parameters but $partition, $partition_start and $partition_end.",
      fix: "Write the value into the SQL.",
    });
  }
  const given = params === "any" ? "" : params[name];
  if (given === undefined) {
    throw new Refusal({
      code: "TR-5202",
      detail: `SQL uses $${name}, but this query has no such value.`,
      why: "$partition is there for a job with partitions, $partition_start and $partition_end for partitions by range.",
      fix: "Give the job partitions, or write the value into the SQL.",
    });
  }
  const alias = { alias: node.alias ?? "", query_location: node.query_location };
  const constant = {
    class: "CONSTANT",
    type: "VALUE_CONSTANT",
    value: { type: { id: "VARCHAR", type_info: null }, is_null: false, value: given },
  };
  if (typeOfParam[name] === "VARCHAR") return { ...constant, ...alias };
  return {
    class: "CAST",
    type: "OPERATOR_CAST",
    ...alias,
    child: { ...constant, alias: "", query_location: node.query_location },
    cast_type: { id: typeOfParam[name], type_info: null },
    try_cast: false,
  };
}
