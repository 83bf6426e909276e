/**
 * CSV as a table. DuckDB finds out delimiter, header and types; the rest is fixed, because its search would otherwise
 * rather skip lines, forget quotes or see one column than say that a row is wrong. Where it finds one column, or nothing,
 * in a file whose first line has several fields, that file is read again by this line's word, to name the wrong row.
 */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { columnsMax, dialectSampleRows, inferWholeBytesMax } from "../limits.ts";
import type { DuckColumn, DuckDialect, DuckInput } from "../types.ts";
import { sampleOption } from "./columns.ts";
import type { Engine } from "./engine.ts";
import { misfitWords } from "./failures.ts";
import { Refusal } from "./gate.ts";
import { declaredAs } from "./json.ts";
import { globPath, globs, identifier, literal, textMap } from "./quote.ts";
import { firstLine } from "./text.ts";

const delimiters = [",", ";", "\t", "|"];

/** The field count of a first line, by one delimiter. */
export interface Head {
  readonly file: string;
  readonly line: string;
  readonly number: number;
  readonly delimiter: string;
  readonly fields: number;
}

export async function csvQuery(engine: Engine, input: DuckInput): Promise<string> {
  const declared = Object.entries(input.columns ?? {}).map(([name, type]) => ({ name, ...declaredAs(type) }));
  const timed = declared.filter(({ read, type }) => read !== type);
  const plain = declared.filter(({ read, type }) => read === type);
  const source = (types: readonly DuckColumn[]) =>
    `SELECT * FROM read_csv(${globs(input.files)}, ${optionsOf(input, types)})`;
  const isSampled = input.files.reduce((sum, file) => sum + statSync(file).size, 0) > inferWholeBytesMax;
  const isOpen = timed.length > 0 || isSampled;
  // TIMESTAMP would drop offsets from UTC. It stays where there are none, for the forms of dates that are found with it.
  const found = new Map(
    (isOpen ? await engine.describe(source(plain)) : []).map(({ name, type }) => [name.toLowerCase(), { name, type }]),
  );
  const isZoned = (name: string) => found.get(name.toLowerCase())?.type === "TIMESTAMP WITH TIME ZONE";
  const casts = declared.flatMap(({ name, read, type }) =>
    zonedTypes.test(type) || (read !== type && isZoned(name)) ? [{ name, read, type }] : [],
  );
  if (isSampled) {
    const own = new Set(declared.map(({ name }) => name.toLowerCase()));
    for (const { name, type } of found.values()) {
      if (!own.has(name.toLowerCase()) && zonedTypes.test(type)) casts.push({ name, read: type, type });
    }
  }
  const asText = new Set(casts.map(({ name }) => name));
  const types = [
    ...declared.filter(({ name }) => !asText.has(name)),
    ...casts.map(({ name }) => ({ name, type: "VARCHAR" })),
  ];
  if (casts.length === 0) return source(types);
  return `SELECT * REPLACE (${casts.map(castOf).join(", ")}) FROM (${source(types)})`;
}

/** Of these DuckDB's reader takes what it cannot read for NULL, without a word; so they are read as text. */
const zonedTypes = /^(?:TIMESTAMP ?TZ|TIMESTAMP WITH TIME ZONE|TIMETZ|TIME WITH TIME ZONE)$/i;

function castOf({ name, read, type }: { name: string; read: string; type: string }): string {
  const column = identifier(name);
  const said = `${misfitWords}"${name.slice(0, 100)}". Could not convert string "`;
  const misfit = `error(${literal(said)} || left(${column}, 200) || ${literal(`" to '${type}'`)})`;
  const value = `TRY_CAST(${column} AS ${read})`;
  return `CAST(CASE WHEN ${column} IS NOT NULL AND ${value} IS NULL THEN ${misfit} ELSE ${value} END AS ${type}) AS ${column}`;
}

function optionsOf(input: DuckInput, types: readonly DuckColumn[]): string {
  const options = [
    "union_by_name = true",
    "hive_partitioning = false",
    sampleOption(input.files),
    ...strict(input),
    ...declaredOptions(input),
    "ignore_errors = false",
  ];
  if (types.length > 0) options.push(`types = ${textMap(types.map(({ name, type }) => [name, type]))}`);
  return options.join(", ");
}

/** What the caller says of the dialect; the rest is found. */
export function declaredOptions(input: DuckInput): string[] {
  const { header, delimiter, nullText } = input.csv ?? {};
  const escapeText = input.csv?.escape;
  return [
    ...(header === undefined ? [] : [`header = ${header}`]),
    ...(delimiter === undefined ? [] : [`delim = ${literal(delimiter)}`]),
    ...(escapeText === undefined ? [] : [`escape = ${literal(escapeText)}`]),
    ...(nullText === undefined ? [] : [`nullstr = ${literal(nullText)}`]),
  ];
}

export function strict(input: DuckInput): string[] {
  const { quote, comment, skip, ragged } = input.csv ?? {};
  return [
    "compression = 'none'",
    `skip = ${skip ?? 0}`,
    "strict_mode = true",
    // DuckDB cannot pad on several threads where a quoted field spans lines.
    ...(ragged === "pad" ? ["null_padding = true", "parallel = false"] : ["null_padding = false"]),
    `quote = ${literal(quote ?? '"')}`,
    `comment = ${literal(comment ?? "")}`,
  ];
}

/** Throws TR-5206 where a file has more columns than are read: its search for types would take all memory first. */
export async function headsOf(input: DuckInput): Promise<Head[]> {
  const heads: Head[] = [];
  for (const file of input.files) {
    const { skip, comment } = input.csv ?? {};
    const { text, line } = await firstLine(file, skip ?? 0, comment ?? "");
    const head = headOf(file, text, line, input);
    if (head.fields > columnsMax) {
      throw new Refusal({
        code: "TR-5206",
        detail: `The file has ${head.fields} columns; at most ${columnsMax} are read.`,
        where: `${basename(file)}, line ${line}`,
        fix: "Split the file, or turn columns into rows.",
      });
    }
    heads.push(head);
  }
  return heads;
}

function headOf(file: string, line: string, number: number, input: DuckInput): Head {
  const quote = input.csv?.quote ?? '"';
  const parts = quote === "" ? [line] : line.split(quote).filter((_, index) => index % 2 === 0);
  const bare = parts.join("");
  const declared = input.csv?.delimiter;
  const counts = (declared === undefined ? delimiters : [declared]).map((delimiter) => {
    return { file, line, number, delimiter, fields: delimiter === "" ? 1 : bare.split(delimiter).length };
  });
  return counts.reduce((most, other) => (other.fields > most.fields ? other : most));
}

/** How the file is read, as DuckDB finds it with what is declared. */
export async function dialectOf(engine: Engine, input: DuckInput, file: string): Promise<DuckDialect | undefined> {
  const options = [...strict(input), ...declaredOptions(input), `sample_size = ${dialectSampleRows}`];
  const [found] = await engine.rows(`SELECT "Delimiter" AS delimiter, "Quote" AS quote, "Escape" AS escape,
      "HasHeader"::VARCHAR AS header FROM sniff_csv(${literal(globPath(file))}, ${options.join(", ")})`);
  if (found === undefined) return undefined;
  // DuckDB writes "(empty)" for none.
  const text = (value: string | null | undefined) => (value === "(empty)" ? "" : (value ?? ""));
  const { comment, skip } = input.csv ?? {};
  return {
    delimiter: text(found.delimiter),
    quote: text(found.quote),
    escape: text(found.escape),
    header: found.header === "true",
    skip: skip ?? 0,
    ...(comment === undefined || comment === "" ? {} : { comment }),
  };
}

/** Refuses a file whose first line has several fields when they were taken for one column. */
export async function requireSplit(
  engine: Engine,
  input: DuckInput,
  heads: readonly Head[],
  columns: readonly DuckColumn[],
): Promise<void> {
  const names = new Set(columns.map(({ name }) => name));
  const unsplit = heads.find(({ line, fields }) => fields > 1 && (columns.length === 1 || names.has(line.trim())));
  if (unsplit === undefined) return;
  await requireRows(engine, input, [unsplit]);
  throw new Refusal({
    code: "TR-5206",
    detail: "The fields of the first line cannot be told apart: the rows do not have as many.",
    where: `${basename(unsplit.file)}, line ${unsplit.number}`,
    fix: "Declare csv.delimiter, and csv.quote where fields are quoted by another character than the double quote.",
  });
}

/** Reads the files by the words of their first lines; DuckDB's error, if there is one, then names the row. */
export async function requireRows(engine: Engine, input: DuckInput, heads: readonly Head[]): Promise<void> {
  for (const { file, delimiter, fields, line } of heads) {
    if (line === "") continue;
    const columns = Array.from({ length: fields }, (_, index) => [`c${index}`, "VARCHAR"] as const);
    const options = [
      "auto_detect = false",
      "ignore_errors = false",
      ...strict(input),
      `escape = ${literal(input.csv?.escape ?? input.csv?.quote ?? '"')}`,
      `delim = ${literal(delimiter)}`,
      `header = ${input.csv?.header ?? true}`,
      `columns = ${textMap(columns)}`,
    ];
    await engine.rows(`SELECT count(COLUMNS(*)) FROM read_csv(${globs([file])}, ${options.join(", ")})`);
  }
}
