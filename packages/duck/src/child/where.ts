/** `where` of an input: equality as plain comparisons with constants of the column's own type, which DuckDB prunes by. */
import type { DuckColumn, DuckScalar } from "../types.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { nearestName } from "./place.ts";
import { identifier, literal } from "./quote.ts";

/** `input`: its name, for messages. Throws `Refusal` for a column that is not there and a value not of its type. */
export async function conditionOf(
  engine: Engine,
  input: string,
  columns: readonly DuckColumn[],
  name: string,
  values: readonly DuckScalar[],
): Promise<string> {
  const column = columns.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (column === undefined) {
    const near = nearestName(
      name.toLowerCase(),
      columns.map((one) => one.name),
    );
    throw new Refusal({
      code: "TR-5203",
      detail: `The input '${input}' has no column '${name.slice(0, 100)}' to filter by.`,
      fix: near === undefined ? "Correct the name in 'where' of the input." : `Did you mean '${near}'?`,
    });
  }
  const own = identifier(column.name);
  const texts = [...new Set(values.filter((value) => value !== null).map(String))];
  for (const text of texts) await requireFit(engine, column, text);
  const parts = values.includes(null) ? [`${own} IS NULL`] : [];
  const constants = texts.map((text) => `CAST(${literal(text)} AS ${column.type})`);
  if (constants.length === 1) parts.push(`${own} = ${constants[0]}`);
  if (constants.length > 1) parts.push(`${own} IN (${constants.join(", ")})`);
  return `(${parts.join(" OR ")})`;
}

async function requireFit(engine: Engine, { name, type }: DuckColumn, text: string): Promise<void> {
  // 1.5 would be rounded to a whole number, which is another value than the one asked for.
  const whole = !/INT/.test(type) || /^[+-]?\d+$/.test(text);
  const [row] = whole
    ? await engine.rows(`SELECT (TRY_CAST($1::VARCHAR AS ${type}) IS NOT NULL)::VARCHAR AS fits`, [text])
    : [];
  if (row?.fits === "true") return;
  throw new Refusal({
    code: "TR-5203",
    detail: `'${text.slice(0, 100)}' is no value of column '${name.slice(0, 100)}', which is ${type.slice(0, 100)}.`,
    fix: "Correct the value in 'where' of the input.",
  });
}
