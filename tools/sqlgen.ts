/**
 * Typed statements from .sql files. Reads `packages/<package>/src/sql/*.sql`, asks Postgres for the types of each statement
 * and writes `statements.gen.ts` beside them.
 *
 * A statement opens with comment lines: `-- name: x`, `-- params: a, b?` (`?`: null is allowed), `-- notnull: c d` for
 * columns Postgres cannot vouch for (expressions, view columns), `-- nullable: e` for columns of an outer join. The
 * other comment lines say why it is race-free.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Database } from "@trace/kit";

interface Source {
  readonly file: string;
  readonly name: string;
  readonly params: readonly string[];
  readonly notNull: ReadonlySet<string>;
  readonly nullable: ReadonlySet<string>;
  readonly text: string;
}

function words(line: string | undefined): string[] {
  return (line ?? "").split(/[\s,]+/).filter(Boolean);
}

export function parseStatements(file: string, source: string): Source[] {
  const parts = source.split(/^-- name: /m).slice(1);
  return parts.map((part) => {
    const lines = part.split("\n");
    const header = (key: string) => lines.find((line) => line.startsWith(`-- ${key}:`))?.slice(key.length + 4);
    const paramsLine = header("params");
    const name = lines[0]?.trim() ?? "";
    if (!/^[a-z][A-Za-z0-9]*$/.test(name)) throw new Error(`${file}: bad statement name '${name}'`);
    if (paramsLine === undefined) throw new Error(`${file}: ${name} has no '-- params:' line`);
    const text = lines
      .slice(1)
      .filter((line) => !line.startsWith("--"))
      .join("\n")
      .trim()
      .replace(/;$/, "");
    if (text.includes(";")) throw new Error(`${file}: ${name} holds more than one statement`);
    return {
      file,
      name,
      params: words(paramsLine),
      notNull: new Set(words(header("notnull"))),
      nullable: new Set(words(header("nullable"))),
      text,
    };
  });
}

const scalars: Record<string, string> = {
  bigint: "number",
  integer: "number",
  smallint: "number",
  "double precision": "number",
  numeric: "string",
  boolean: "boolean",
  text: "string",
  uuid: "string",
  name: "string",
  bytea: "Buffer",
  json: "unknown",
  jsonb: "unknown",
  "timestamp with time zone": "Date",
};

function typeOf(pgType: string, where: string): string {
  const element = pgType.endsWith("[]") ? pgType.slice(0, -2) : undefined;
  const scalar = scalars[element ?? pgType];
  if (scalar === undefined) throw new Error(`${where}: no TypeScript type for Postgres type '${pgType}'`);
  return element === undefined ? scalar : `readonly ${scalar}[]`;
}

/** JSON parameters are sent as text: the caller serializes, so that nothing is guessed about arrays. */
function paramType(pgType: string, where: string): string {
  return pgType === "json" || pgType === "jsonb" ? "string" : typeOf(pgType, where);
}

async function render(db: Database, source: Source): Promise<string> {
  const where = `${source.file}: ${source.name}`;
  let described: Awaited<ReturnType<Database["describe"]>>;
  try {
    described = await db.describe(source.text);
  } catch (error) {
    const position = (error as { position?: string }).position;
    throw new Error(`${where}${position ? ` at character ${position}` : ""}: ${(error as Error).message}`);
  }
  if (described.params.length !== source.params.length) {
    throw new Error(`${where}: names ${source.params.length} parameters, the statement has ${described.params.length}`);
  }
  const params = source.params.map((param, index) => {
    const nullable = param.endsWith("?");
    return `  readonly ${param.replace("?", "")}: ${paramType(described.params[index] ?? "", where)}${nullable ? " | null" : ""};`;
  });
  const columns = await Promise.all(
    described.columns.map(async (column) => {
      const rows = await db.raw<{ type: string; required: boolean | null }>(
        "select format_type($1::oid, null) as type, (select attnotnull from pg_attribute where attrelid = $2::oid and attnum = $3::int) as required",
        [column.typeOid, column.tableOid, column.columnNumber],
      );
      const type = typeOf(rows[0]?.type ?? "", `${where}: column ${column.name}`);
      const required =
        (rows[0]?.required === true || source.notNull.has(column.name)) && !source.nullable.has(column.name);
      return `  readonly ${column.name}: ${type}${required || type === "unknown" ? "" : " | null"};`;
    }),
  );
  const title = source.name.charAt(0).toUpperCase() + source.name.slice(1);
  const names = source.params.map((param) => JSON.stringify(param.replace("?", ""))).join(", ");
  const block = (name: string, lines: string[]) =>
    lines.length === 0
      ? `export type ${name} = Readonly<Record<never, never>>;`
      : `export interface ${name} {\n${lines.join("\n")}\n}`;
  return [
    block(`${title}Params`, params),
    block(`${title}Row`, columns),
    `export const ${source.name}: Statement<${title}Params, ${title}Row> = {`,
    `  name: ${JSON.stringify(source.name)},`,
    `  params: [${names}],`,
    `  text: ${JSON.stringify(source.text)},`,
    "};",
    "",
  ].join("\n");
}

/** The text of `statements.gen.ts` for one folder of .sql files, against a migrated database. */
export async function generateStatements(db: Database, folder: string): Promise<string> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  const sources = (
    await Promise.all(files.map(async (file) => parseStatements(file, await readFile(join(folder, file), "utf8"))))
  ).flat();
  const names = new Set(sources.map((source) => source.name));
  if (names.size !== sources.length) throw new Error(`${folder}: two statements have the same name`);
  const rendered: string[] = [];
  for (const source of sources) rendered.push(await render(db, source));
  const head = [
    "// Generated from the .sql files beside it by 'npm run generate'. Do not edit.",
    'import type { Statement } from "@trace/kit";',
    "",
  ];
  return `${head.join("\n")}\n${rendered.join("\n")}`;
}
