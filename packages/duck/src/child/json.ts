/**
 * JSON as a table. DuckDB infers and reads in one pass: its `columns` option would forget in which form it found dates,
 * and looks keys up by names that it had to change. Where types are declared that option is needed; what it then reads of
 * the other columns is compared with the first reading, and kept only where it is the same.
 */
import type { DuckColumn, DuckInput } from "../types.ts";
import { jsonInference, typeText } from "./columns.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { globs, identifier, literal, textMap } from "./quote.ts";

/** Read as `read`, then cast to `type`. */
export interface Settled {
  readonly read: string;
  readonly type: string;
}

/** Two readings of the same columns, as subqueries. */
export interface Readings {
  readonly inferred: string;
  again(types: ReadonlyMap<string, string>): string;
}

export async function jsonQuery(engine: Engine, input: DuckInput): Promise<string> {
  const source = (options: string) =>
    `SELECT * FROM read_json(${globs(input.files)}, compression = 'uncompressed', format = 'auto', union_by_name = true, hive_partitioning = false, ${options})`;
  const inferred = source(jsonInference(input.files));
  const found = await engine.describe(inferred);
  const declared = new Map(
    Object.entries(input.columns ?? {}).map(([name, type]) => [name.toLowerCase(), { name, type }]),
  );
  // A file of bare values (not records) has the one column "json", which cannot be asked for by name.
  if (declared.size === 0 || (found.length === 1 && found[0]?.name === "json"))
    return narrowed(engine, inferred, found);

  const open = found.filter(({ name }) => !declared.has(name.toLowerCase()));
  const again = (types: ReadonlyMap<string, string>) => source(`columns = ${textMap(types)}`);
  const settled = await settle(engine, open, { inferred, again });
  const types = new Map<string, string>();
  const list: string[] = [];
  for (const { name } of found) {
    const own = declared.get(name.toLowerCase());
    declared.delete(name.toLowerCase());
    const { read, type } = own === undefined ? settledOf(settled, name) : declaredAs(own.type);
    types.set(name, read);
    list.push(`CAST(${identifier(name)} AS ${type}) AS ${identifier(name)}`);
  }
  for (const { name, type } of declared.values()) {
    const own = declaredAs(type);
    types.set(name, own.read);
    list.push(`CAST(${identifier(name)} AS ${own.type}) AS ${identifier(name)}`);
  }
  return `SELECT ${list.join(", ")} FROM (${again(types)})`;
}

export function settledOf(settled: ReadonlyMap<string, Settled>, name: string): Settled {
  return settled.get(name) ?? { read: "JSON", type: "JSON" };
}

/** Which types give the same values when the file is read by them as when it was read by inference. */
export async function settle(
  engine: Engine,
  columns: readonly DuckColumn[],
  readings: Readings,
): Promise<Map<string, Settled>> {
  for (const { type } of columns) requireNames(type);
  const settled = new Map(columns.map(({ name, type }) => [name, firstChoice(type)]));
  if (await same(engine, settled, readings)) return settled;
  for (const { name, type } of columns) {
    const choices = [firstChoice(type), asDecimal(type), { read: textTimes(type), type: textTimes(type) }];
    settled.set(name, await choose(engine, name, choices, readings));
  }
  return settled;
}

async function choose(engine: Engine, name: string, choices: readonly Settled[], readings: Readings): Promise<Settled> {
  const [first, wide, text] = choices;
  for (const choice of [first, wide]) {
    if (choice !== undefined && (await same(engine, new Map([[name, choice]]), readings))) return choice;
  }
  // Dates in a form of their own stay the text that they are.
  if (text !== undefined && text.type !== wide?.type) return text;
  throw new Refusal({
    code: "TR-5206",
    detail: `The key behind column '${name.slice(0, 100)}' cannot be read beside declared columns.`,
    why: "It is empty, or differs from another key by case alone, so it has no name of its own.",
    fix: "Rename the key, or leave out the source's columns and cast in SQL.",
  });
}

async function same(engine: Engine, types: ReadonlyMap<string, Settled>, readings: Readings): Promise<boolean> {
  if (types.size === 0) return true;
  const list = [...types].map(([name, { type }], index) => {
    return `sum(hash(CAST(${identifier(name)} AS ${type}))) AS c${index}`;
  });
  const read = new Map([...types].map(([name, settled]) => [name, settled.read]));
  const sums = async (from: string) => JSON.stringify(await engine.rows(`SELECT ${list.join(", ")} FROM (${from})`));
  const again = await attempt(sums(readings.again(read)));
  if (again === undefined) return false;
  return again === (await attempt(sums(readings.inferred)));
}

/** Undefined where a value does not fit its type: that is the question. */
async function attempt<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && /^(?:Conversion|Invalid Input|Out of Range) Error/.test(error.message))
      return undefined;
    throw error;
  }
}

/** Inference answers HUGEINT where signs are mixed: BIGINT where that holds them all, else whole decimals. */
async function narrowed(engine: Engine, source: string, found: readonly DuckColumn[]): Promise<string> {
  const casts: string[] = [];
  for (const { name, type } of found) {
    const { type: plain } = firstChoice(type);
    if (plain === type) continue;
    requireNames(type);
    const fits = await attempt(engine.rows(`SELECT sum(hash(CAST(${identifier(name)} AS ${plain}))) FROM (${source})`));
    const to = fits === undefined ? asDecimal(type).type : plain;
    casts.push(`CAST(${identifier(name)} AS ${to}) AS ${identifier(name)}`);
  }
  return casts.length === 0 ? source : `SELECT * REPLACE (${casts.join(", ")}) FROM (${source})`;
}

/** `columns` reads TIMESTAMP without its offset from UTC, but TIMESTAMPTZ with it; the session's zone is UTC. */
function firstChoice(type: string): Settled {
  const plain = replaceTypes(type, { HUGEINT: "BIGINT" });
  return { read: replaceTypes(plain, { TIMESTAMP: "TIMESTAMPTZ" }), type: plain };
}

/** A type as the user wrote it, read so that a TIMESTAMP keeps its offset from UTC. */
export function declaredAs(text: string): Settled {
  const type = typeText(text);
  const read = type.replace(/"(?:[^"]|"")*"|\b(?:TIMESTAMP|DATETIME)(?=\s*(?:[[,)]|$))/gi, (word) => {
    return word.startsWith('"') ? word : "TIMESTAMPTZ";
  });
  return { read, type };
}

function asDecimal(type: string): Settled {
  const plain = replaceTypes(type, { HUGEINT: "DECIMAL(38,0)" });
  return { read: replaceTypes(plain, { TIMESTAMP: "TIMESTAMPTZ" }), type: plain };
}

function textTimes(type: string): string {
  const text = { TIMESTAMP: "VARCHAR", DATE: "VARCHAR", TIME: "VARCHAR" };
  return replaceTypes(type, { ...text, HUGEINT: "DECIMAL(38,0)" });
}

/** Types in a type's text. A field's name is followed by its type, a type by a bracket, a comma or the end. */
export function replaceTypes(text: string, by: Readonly<Record<string, string>>): string {
  return text.replace(/"(?:[^"]|"")*"|\b[A-Z]+\b(?=[[,)]|$)/g, (word) => by[word] ?? word);
}

/** Refuses a type whose text cannot be read back: an empty key leaves a whole STRUCT without names. */
export function requireNames(type: string): void {
  const bare = type.replace(/"(?:[^"]|"")*"/g, "x");
  if (!/STRUCT\((?:STRUCT\(|[^\s(),]+[,)])/.test(bare)) return;
  throw new Refusal({
    code: "TR-5206",
    detail: 'An object in the file has an empty key (""), which cannot become a column.',
    fix: "Name the key in the file.",
  });
}

/** Whether a second reading could differ from the first. */
export function isDelicate(type: string): boolean {
  return replaceTypes(type, { TIMESTAMP: "", DATE: "", TIME: "", HUGEINT: "" }) !== type;
}

export function structOf(types: ReadonlyMap<string, string>): string {
  return `STRUCT(${[...types].map(([name, type]) => `${identifier(name)} ${type}`).join(", ")})`;
}

export function extract(from: string, name: string): string {
  return `struct_extract(${from}, ${literal(name)})`;
}
