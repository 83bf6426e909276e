/**
 * The shape of DuckDB 1.5's serialized parse tree, as far as user SQL may use it: per kind of node, each key and what
 * lies under it. The gate walks by this table alone, so a node, a key or a place that is not written here is refused,
 * whatever a newer DuckDB means by it. Keys: DuckDB's src/include/duckdb/storage/serialization/*.json, checked by trying.
 */

export type Slot =
  /** A text, number, flag or null, or a list of those: names nothing that is looked up. */
  | "leaf"
  | "expr"
  | "exprs"
  | "exprGrid"
  | "table"
  | "tableFunction"
  | "query"
  /** `{ node: <query> }` */
  | "select"
  /** CTEs; handled before the other keys, because they change what names mean. */
  | "ctes"
  | "type"
  | "types"
  /** A table's version; read where the table is. */
  | "at"
  /** A literal: its type and inert data. */
  | "literal"
  | "literals"
  | `one:${Shape}`
  | `many:${Shape}`;

export type Shape = "modifier" | "order" | "sample" | "caseCheck" | "replacement" | "rename" | "pivot" | "pivotEntry";

export type Keys = Readonly<Record<string, Slot>>;

/** Keys that every expression may carry. */
const expressionKeys = { class: "leaf", type: "leaf", alias: "leaf", query_location: "leaf" } as const;

const called = {
  function_name: "leaf",
  schema: "leaf",
  catalog: "leaf",
  children: "exprs",
  distinct: "leaf",
} as const;

/** By `class`. Absent on purpose: PARAMETER and DEFAULT, which only mean something outside a query. */
export const expressions: Readonly<Record<string, Keys>> = {
  BETWEEN: { ...expressionKeys, input: "expr", lower: "expr", upper: "expr" },
  CASE: { ...expressionKeys, case_checks: "many:caseCheck", else_expr: "expr" },
  CAST: { ...expressionKeys, child: "expr", cast_type: "type", try_cast: "leaf" },
  COLLATE: { ...expressionKeys, child: "expr", collation: "leaf" },
  COLUMN_REF: { ...expressionKeys, column_names: "leaf" },
  COMPARISON: { ...expressionKeys, left: "expr", right: "expr" },
  CONJUNCTION: { ...expressionKeys, children: "exprs" },
  CONSTANT: { ...expressionKeys, value: "literal" },
  FUNCTION: {
    ...expressionKeys,
    ...called,
    filter: "expr",
    order_bys: "one:modifier",
    is_operator: "leaf",
    export_state: "leaf",
  },
  LAMBDA: { ...expressionKeys, lhs: "expr", expr: "expr", syntax_type: "leaf" },
  OPERATOR: { ...expressionKeys, children: "exprs" },
  POSITIONAL_REFERENCE: { ...expressionKeys, index: "leaf" },
  STAR: {
    ...expressionKeys,
    relation_name: "leaf",
    exclude_list: "leaf",
    replace_list: "many:replacement",
    rename_list: "many:rename",
    columns: "leaf",
    expr: "expr",
    unpacked: "leaf",
  },
  SUBQUERY: { ...expressionKeys, subquery_type: "leaf", subquery: "select", child: "expr", comparison_type: "leaf" },
  WINDOW: {
    ...expressionKeys,
    ...called,
    partitions: "exprs",
    orders: "many:order",
    start: "leaf",
    end: "leaf",
    start_expr: "expr",
    end_expr: "expr",
    offset_expr: "expr",
    default_expr: "expr",
    ignore_nulls: "leaf",
    filter_expr: "expr",
    exclude_clause: "leaf",
    arg_orders: "many:order",
  },
};

const queryKeys = { type: "leaf", modifiers: "many:modifier", cte_map: "ctes" } as const;

/** By `type`. */
export const queries: Readonly<Record<string, Keys>> = {
  SELECT_NODE: {
    ...queryKeys,
    select_list: "exprs",
    from_table: "table",
    where_clause: "expr",
    group_expressions: "exprs",
    group_sets: "leaf",
    aggregate_handling: "leaf",
    having: "expr",
    sample: "one:sample",
    qualify: "expr",
  },
  SET_OPERATION_NODE: {
    ...queryKeys,
    setop_type: "leaf",
    setop_all: "leaf",
    left: "query",
    right: "query",
  },
  RECURSIVE_CTE_NODE: {
    ...queryKeys,
    cte_name: "leaf",
    union_all: "leaf",
    left: "query",
    right: "query",
    aliases: "leaf",
    key_targets: "exprs",
  },
};

const tableKeys = { type: "leaf", alias: "leaf", sample: "one:sample", query_location: "leaf" } as const;

/** By `type`. */
export const tables: Readonly<Record<string, Keys>> = {
  BASE_TABLE: {
    ...tableKeys,
    catalog_name: "leaf",
    schema_name: "leaf",
    table_name: "leaf",
    column_name_alias: "leaf",
    at_clause: "at",
  },
  EMPTY: tableKeys,
  EXPRESSION_LIST: {
    ...tableKeys,
    values: "exprGrid",
    expected_names: "leaf",
    expected_types: "types",
    column_name_alias: "leaf",
  },
  JOIN: {
    ...tableKeys,
    left: "table",
    right: "table",
    condition: "expr",
    join_type: "leaf",
    ref_type: "leaf",
    using_columns: "leaf",
    delim_flipped: "leaf",
  },
  PIVOT: {
    ...tableKeys,
    source: "table",
    aggregates: "exprs",
    unpivot_names: "leaf",
    pivots: "many:pivot",
    groups: "leaf",
    include_nulls: "leaf",
    column_name_alias: "leaf",
  },
  /** DESCRIBE and SUMMARIZE of a query. SHOW of a name reads the catalogue; the gate refuses it. */
  SHOW_REF: { ...tableKeys, query: "query", show_type: "leaf" },
  SUBQUERY: { ...tableKeys, subquery: "select", column_name_alias: "leaf" },
  TABLE_FUNCTION: {
    ...tableKeys,
    function: "tableFunction",
    column_name_alias: "leaf",
    with_ordinality: "leaf",
  },
};

export const shapes: Readonly<Record<Shape, Keys>> = {
  modifier: {
    type: "leaf",
    limit: "expr",
    offset: "expr",
    distinct_on_targets: "exprs",
    orders: "many:order",
  },
  order: { type: "leaf", null_order: "leaf", expression: "expr" },
  sample: {
    sample_size: "literal",
    is_percentage: "leaf",
    method: "leaf",
    seed: "leaf",
    repeatable: "leaf",
  },
  caseCheck: { when_expr: "expr", then_expr: "expr" },
  replacement: { key: "leaf", value: "expr" },
  rename: { key: "leaf", value: "leaf" },
  pivot: {
    pivot_expressions: "exprs",
    unpivot_names: "leaf",
    entries: "many:pivotEntry",
  },
  pivotEntry: { values: "literals", expr: "expr", alias: "leaf" },
};

/** Keys of one CTE's body. */
export const cteKeys: Keys = { query: "select", aliases: "leaf", materialized: "leaf", key_targets: "exprs" };

/** Keys of a type's details, by `type_info.type`. A catalogue or schema in a type name is refused by being absent. */
export const typeDetails: Readonly<Record<string, Keys>> = {
  DECIMAL_TYPE_INFO: { type: "leaf", alias: "leaf", width: "leaf", scale: "leaf" },
  STRING_TYPE_INFO: { type: "leaf", alias: "leaf", collation: "leaf" },
  LIST_TYPE_INFO: { type: "leaf", alias: "leaf", child_type: "type" },
  ARRAY_TYPE_INFO: { type: "leaf", alias: "leaf", child_type: "type", size: "leaf" },
  STRUCT_TYPE_INFO: { type: "leaf", alias: "leaf", child_types: "types" },
  UNBOUND_TYPE_INFO: { type: "leaf", alias: "leaf", name: "leaf", user_type_modifiers: "literals" },
  GENERIC_TYPE_INFO: { type: "leaf", alias: "leaf" },
};
