/**
 * What a footer says of its file, as the child tells the parent. The child reads what strangers wrote, so the parent believes
 * nothing: each answer is checked for shape and bounds here before it is used.
 */
import { boundBytesMax, footerColumnsMax, nameCharsMax, typeCharsMax } from "./limits.ts";

export interface FooterColumn {
  readonly name: string;
  /** DuckDB's type as rules/types.ts prints it; `null`: a schema that we do not judge. */
  readonly type: string | null;
  readonly fieldId: number | null;
  /** In canonical form (values.ts); `null`: the footer does not tell, or not exactly. */
  readonly min: string | null;
  readonly max: string | null;
  readonly nulls: number | null;
}

export interface FooterFacts {
  readonly rows: number;
  readonly columns: readonly FooterColumn[];
}

/** `refused`: the footer is broken, contradicts itself, or asks for what no reader of ours should do. */
export type FooterAnswer = { readonly facts: FooterFacts } | { readonly refused: string };

type Fields = Record<string, unknown>;

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown, max: number): value is string => typeof value === "string" && value.length <= max;
const orNull = (value: unknown, check: (value: unknown) => boolean): boolean => value === null || check(value);
/** A bound of bytes is told in hex. */
const isBound = (value: unknown): boolean => isText(value, 2 * boundBytesMax);

function isColumn(value: unknown): value is FooterColumn {
  const column = fieldsOf(value);
  return (
    column !== undefined &&
    isText(column.name, nameCharsMax) &&
    orNull(column.type, (type) => isText(type, typeCharsMax)) &&
    orNull(column.fieldId, isCount) &&
    orNull(column.min, isBound) &&
    orNull(column.max, isBound) &&
    orNull(column.nulls, isCount)
  );
}

/** The answer, or undefined when its shape is not one of ours. */
export function readAnswer(message: unknown): FooterAnswer | undefined {
  const fields = fieldsOf(message);
  if (isText(fields?.refused, 1_000)) return { refused: fields.refused };
  const facts = fieldsOf(fields?.facts);
  if (facts === undefined || !isCount(facts.rows) || !Array.isArray(facts.columns)) return undefined;
  if (facts.columns.length > footerColumnsMax || !facts.columns.every(isColumn)) return undefined;
  return { facts: { rows: facts.rows, columns: facts.columns } };
}
