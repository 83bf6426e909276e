/** JSON Lines with rows set aside: each line is read by itself, and fits the columns' types or not. */
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { badRowTextMax } from "../limits.ts";
import type { DuckColumn, DuckInput } from "../types.ts";
import { jsonInference } from "./columns.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { declaredAs, isDelicate, replaceTypes, requireNames, type Settled } from "./json.ts";
import { globs, identifier, literal } from "./quote.ts";
import { badTable, type CopyAside, dropRejects, linesAt, type ReadAside, rejecting } from "./rejects.ts";

export async function readJsonAside(
  engine: Engine,
  input: DuckInput,
  file: string,
  copy: CopyAside,
): Promise<ReadAside> {
  await requireLines(file);
  const columns = await settle(engine, input, file);
  const shapes = await shapesOf(engine, columns);
  const list = [...columns].map(
    ([name, { type }]) => `CAST(struct_extract(s, ${literal(name)}) AS ${type}) AS ${identifier(name)}`,
  );
  const good = `SELECT j, TRY_CAST(j AS ${structOf(columns)}) AS s FROM (SELECT ${objectIn("line")} AS j FROM ${linesOf(file)})`;
  const rows = await copy(
    `SELECT ${list.join(", ")} FROM (${good}) WHERE s IS NOT NULL AND NOT (${[...shapes.values()].map(({ misfit }) => misfit).join(" OR ")})`,
  );
  await keepBad(engine, file, columns, shapes);
  return { rows };
}

/** Each line as it stands; an empty one is NULL. What is not UTF-8 or too long is rejected, and not among them. */
function linesOf(file: string): string {
  const options = [
    "auto_detect = false",
    "compression = 'none'",
    "header = false",
    "delim = ''",
    "quote = ''",
    "escape = ''",
    "comment = ''",
    "nullstr = ''",
    "strict_mode = false",
    "null_padding = true",
    "columns = {'line': 'VARCHAR'}",
    ...rejecting,
  ];
  return `read_csv(${globs([file])}, ${options.join(", ")})`;
}

/** The object that a line is, or NULL: a list would be taken for an object without keys. */
function objectIn(line: string): string {
  const json = `TRY_CAST(${line} AS JSON)`;
  return `CASE WHEN json_type(${json}) = 'OBJECT' THEN ${json} END`;
}

async function requireLines(file: string): Promise<void> {
  const handle = await open(file, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4_096), 0, 4_096, 0);
    if (!/^\ufeff?\s*\[/.test(buffer.toString("utf8", 0, bytesRead))) return;
  } finally {
    await handle.close();
  }
  throw new Refusal({
    code: "TR-5206",
    detail: "The file is one JSON list, whose rows have no lines to be set aside by.",
    where: basename(file),
    fix: "Write one object a line (jq -c '.[]' old > new), or let bad rows fail the job.",
  });
}

function structOf(columns: ReadonlyMap<string, Settled>): string {
  return `STRUCT(${[...columns].map(([name, { read }]) => `${identifier(name)} ${read}`).join(", ")})`;
}

/** The columns that good lines have, by inference, with what is declared in its place. */
async function settle(engine: Engine, input: DuckInput, file: string): Promise<Map<string, Settled>> {
  const found = await inferredOf(engine, file);
  const declared = new Map(
    Object.entries(input.columns ?? {}).map(([name, type]) => [name.toLowerCase(), { name, type }]),
  );
  const columns = new Map<string, Settled>();
  const open: DuckColumn[] = [];
  for (const column of found) {
    const own = declared.get(column.name.toLowerCase());
    declared.delete(column.name.toLowerCase());
    if (own === undefined) open.push(column);
    columns.set(column.name, own === undefined ? { read: column.type, type: column.type } : declaredAs(own.type));
  }
  for (const { name, type } of declared.values()) columns.set(name, declaredAs(type));
  for (const [name, settled] of await choose(engine, file, open)) columns.set(name, settled);
  if (columns.size > 0) return columns;
  throw new Refusal({
    code: "TR-5206",
    detail: "No line of the file is a JSON object with a key.",
    where: basename(file),
    fix: "Check that format names what the file holds, or declare the source's columns.",
  });
}

async function inferredOf(engine: Engine, file: string): Promise<DuckColumn[]> {
  const read = `SELECT * FROM read_json(${globs([file])}, compression = 'uncompressed', format = 'newline_delimited',
    records = true, ignore_errors = true, hive_partitioning = false, ${jsonInference([file])})`;
  try {
    return await engine.describe(read);
  } catch (error) {
    // Inference passes over lines that are no JSON, but not over JSON that is no object.
    if (!/^(?:Binder|Invalid Input|Conversion) Error/.test(error instanceof Error ? error.message : "")) throw error;
  }
  const [row] = await engine.rows(
    `SELECT json_group_structure(j)::VARCHAR AS structure FROM (SELECT ${objectIn("line")} AS j FROM ${linesOf(file)})`,
  );
  await dropRejects(engine);
  const structure: unknown = JSON.parse(row?.structure ?? "{}");
  if (typeof structure !== "object" || structure === null) return [];
  return Object.entries(structure).map(([name, part]) => ({ name, type: typeOf(part) }));
}

/** A part of DuckDB's "structure" of JSON, as a type. */
function typeOf(part: unknown): string {
  if (Array.isArray(part)) return part.length === 0 ? "JSON[]" : `${typeOf(part[0])}[]`;
  if (typeof part === "object" && part !== null) {
    const fields = Object.entries(part).map(([name, inner]) => `${identifier(name)} ${typeOf(inner)}`);
    return fields.length === 0 ? "JSON" : `STRUCT(${fields.join(", ")})`;
  }
  const plain: Readonly<Record<string, string>> = { UBIGINT: "BIGINT", HUGEINT: "DECIMAL(38,0)", NULL: "JSON" };
  return plain[String(part)] ?? String(part);
}

/** Inferred types, each as it can be asked for by its key without losing a value. */
async function choose(engine: Engine, file: string, columns: readonly DuckColumn[]): Promise<Map<string, Settled>> {
  for (const { type } of columns) requireNames(type);
  const settled = new Map<string, Settled>();
  // A name that DuckDB may have made up, for a key that is empty or differs from another by case alone.
  const doubtful = columns.filter(({ name, type }) => isDelicate(type) || /^C\d+$|_\d+$/.test(name));
  if (doubtful.length === 0) return settled;
  const counts: string[] = [];
  const readings = doubtful.map(({ name, type }): Reading[] => {
    const plain = replaceTypes(type, { HUGEINT: "BIGINT" });
    const wide = replaceTypes(type, { HUGEINT: "DECIMAL(38,0)" });
    const text = replaceTypes(wide, { TIMESTAMP: "VARCHAR", DATE: "VARCHAR", TIME: "VARCHAR" });
    return [plain, wide, text].map((one) => ({
      name,
      read: replaceTypes(one, { TIMESTAMP: "TIMESTAMPTZ" }),
      type: one,
    }));
  });
  for (const [column, choices] of readings.entries()) {
    for (const [choice, reading] of choices.entries()) {
      const value = `struct_extract(TRY_CAST(j AS STRUCT(${identifier(reading.name)} ${reading.read})), ${literal(reading.name)})`;
      counts.push(`count_if(${(await shapeOf(engine, reading, value)).misfit}) AS n${column}_${choice}`);
    }
    const name = choices[0]?.name ?? "";
    counts.push(`count(json_extract(j, ${literal(pointerOf(name))})) AS k${column}`);
  }
  const [row] = await engine.rows(
    `SELECT ${counts.join(", ")} FROM (SELECT ${objectIn("line")} AS j FROM ${linesOf(file)}) WHERE j IS NOT NULL`,
  );
  await dropRejects(engine);
  readings.forEach((choices, column) => {
    const name = choices[0]?.name ?? "";
    if (row?.[`k${column}`] === "0") throw unaskable(name, file);
    const fits = choices.find((_, choice) => row?.[`n${column}_${choice}`] === "0") ?? choices[2];
    if (fits !== undefined) settled.set(name, { read: fits.read, type: fits.type });
  });
  return settled;
}

function unaskable(name: string, file: string): Refusal {
  return new Refusal({
    code: "TR-5206",
    detail: `The key behind column '${name.slice(0, 100)}' cannot be asked for.`,
    where: basename(file),
    why: "It is empty, or differs from another key by case alone, so it has no name of its own.",
    fix: "Rename the key in the file.",
  });
}

async function keepBad(
  engine: Engine,
  file: string,
  columns: ReadonlyMap<string, Settled>,
  shapes: ReadonlyMap<string, Shape>,
): Promise<void> {
  // The reading of good lines has rejected the same ones.
  await dropRejects(engine);
  const source = literal(basename(file));
  await engine.rows(`CREATE OR REPLACE TEMP TABLE bad_lines AS
    SELECT n, CASE WHEN TRY_CAST(line AS JSON) IS NULL THEN 'malformed JSON' WHEN j IS NULL THEN 'not a JSON object'
        ELSE ${reasonOf(columns, shapes)} END AS reason, left(line, ${badRowTextMax}) AS line
    FROM (SELECT *, TRY_CAST(j AS ${structOf(columns)}) AS s
      FROM (SELECT n, line, ${objectIn("line")} AS j FROM (SELECT row_number() OVER () AS n, line FROM ${linesOf(file)})))
    WHERE trim(line, E' \\t\\r') <> '' AND (s IS NULL OR ${[...shapes.values()].map(({ misfit }) => misfit).join(" OR ")})`);
  const rejects = await engine.rows(`SELECT line_byte_position::VARCHAR AS start, any_value(error_message) AS reason,
      any_value(csv_line) AS line FROM reject_errors GROUP BY line_byte_position ORDER BY line_byte_position`);
  const lines = await linesAt(
    file,
    rejects.map(({ start }) => Number(start)),
  );
  // Rejected lines were not numbered: those after each move down by one.
  await engine.rows("CREATE OR REPLACE TEMP TABLE rejected (line BIGINT, reason VARCHAR, text VARCHAR)");
  for (const [index, { reason, line }] of rejects.entries()) {
    const values = [String(lines[index]), reason ?? "", (line ?? "").replace(/^[\r\n]+|[\r\n]+$/g, "")];
    await engine.rows("INSERT INTO rejected VALUES ($1::BIGINT, $2, $3)", values);
  }
  await engine.rows(`INSERT INTO ${badTable} SELECT line, reason, text, ${source} FROM rejected`);
  const moved = `n + coalesce((SELECT count(*) FROM ranked WHERE ranked.line - ranked.before <= n), 0)`;
  const ranked = "WITH ranked AS (SELECT line, row_number() OVER (ORDER BY line) AS before FROM rejected)";
  await engine.rows(
    rejects.length === 0
      ? `INSERT INTO ${badTable} SELECT n, reason, line, ${source} FROM bad_lines`
      : `INSERT INTO ${badTable} ${ranked} SELECT ${moved}, reason, line, ${source} FROM bad_lines`,
  );
  await engine.rows("DROP TABLE bad_lines");
  await engine.rows("DROP TABLE rejected");
  await dropRejects(engine);
}

interface Reading extends Settled {
  readonly name: string;
}

interface Shape {
  /** Whether what the line has is not what the type can hold; never NULL. */
  readonly misfit: string;
}

const pointerOf = (name: string): string => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;

async function shapesOf(engine: Engine, columns: ReadonlyMap<string, Settled>): Promise<Map<string, Shape>> {
  const shapes = new Map<string, Shape>();
  for (const [name, { read, type }] of columns) {
    shapes.set(name, await shapeOf(engine, { name, read, type }, `struct_extract(s, ${literal(name)})`));
  }
  return shapes;
}

async function shapeOf(engine: Engine, { name, read }: Reading, value: string): Promise<Shape> {
  return { misfit: `coalesce(${await misfitOf(engine, pointerOf(name), value, read)}, false)` };
}

/** DuckDB reads what does not fit as NULL, so it is looked for where the line has something and the reading has nothing. */
async function misfitOf(engine: Engine, pointer: string, value: string, type: string): Promise<string> {
  const kind = `json_type(j, ${literal(pointer)})`;
  if (type === "JSON" || type === "VARCHAR") return "false";
  if (type.startsWith("STRUCT(") && type.endsWith(")")) {
    const fields = await engine.describe(`SELECT unnest(part) FROM (SELECT CAST(NULL AS ${type}) AS part)`);
    const parts = [`${kind} NOT IN ('OBJECT', 'NULL')`];
    for (const field of fields) {
      const inner = `struct_extract(${value}, ${literal(field.name)})`;
      parts.push(`coalesce(${await misfitOf(engine, pointer + pointerOf(field.name), inner, field.type)}, false)`);
    }
    return `(coalesce(${parts[0]}, false) OR ${parts.slice(1).join(" OR ") || "false"})`;
  }
  if (type.endsWith("[]")) {
    // Elements that became NULL without being it.
    const elements = `json_extract(j, ${literal(pointer)})::JSON[]`;
    const filled = `len(list_filter(CASE WHEN ${kind} = 'ARRAY' THEN ${elements} END, lambda x: json_type(x) <> 'NULL'))`;
    return `(${kind} NOT IN ('ARRAY', 'NULL') OR (${kind} = 'ARRAY' AND coalesce(list_count(${value}), 0) < ${filled}))`;
  }
  const rounded = /^U?(?:TINY|SMALL|BIG|HUGE)?INT/.test(type)
    ? ` OR (${kind} = 'DOUBLE' AND TRY_CAST(json_extract_string(j, ${literal(pointer)}) AS DOUBLE) <> ${value})`
    : "";
  return `(${kind} <> 'NULL' AND ${value} IS NULL${rounded})`;
}

/** The first column whose value is of another type. */
function reasonOf(columns: ReadonlyMap<string, Settled>, shapes: ReadonlyMap<string, Shape>): string {
  const cases = [...columns].map(([name, { type }]) => {
    const what = `column ${name.slice(0, 100)}: `;
    return `WHEN ${shapes.get(name)?.misfit ?? "false"}
      THEN ${literal(what)} || left(coalesce(json_extract(j, ${literal(pointerOf(name))})::VARCHAR, ''), 200) || ${literal(` is no ${type.slice(0, 200)}`)}`;
  });
  return `CASE ${cases.join(" ")} ELSE 'a value of another type than its column' END`;
}
