/**
 * CSV with rows set aside. The dialect is settled first, then DuckDB reads by it alone and keeps what it rejects. It counts
 * rows where people count lines, so lines are counted here, from the bytes at which it says that bad rows begin.
 */
import { basename } from "node:path";
import { badRowsMax, badRowTextMax } from "../limits.ts";
import type { DuckColumn, DuckDialect, DuckInput } from "../types.ts";
import { sampleOption } from "./columns.ts";
import { declaredOptions, type Head, strict } from "./csv.ts";
import { rowsAt } from "./csv-rows.ts";
import type { Engine } from "./engine.ts";
import { declaredAs } from "./json.ts";
import { globPath, globs, identifier, literal, textMap } from "./quote.ts";
import { badTable, type CopyAside, dropRejects, linesAt, type ReadAside, rejecting } from "./rejects.ts";

interface Settled {
  readonly dialect: DuckDialect;
  readonly columns: readonly DuckColumn[];
  readonly forms: readonly string[];
}

export async function readCsvAside(engine: Engine, input: DuckInput, head: Head, copy: CopyAside): Promise<ReadAside> {
  const { dialect, columns, forms } = await settle(engine, input, head);
  const declared = new Map(
    Object.entries(input.columns ?? {}).map(([name, type]) => [name.toLowerCase(), declaredAs(type)]),
  );
  const list: string[] = [];
  const misfits: string[] = [];
  const reasons: string[] = [];
  const types = columns.map(({ name, type }): [string, string] => {
    const own = declared.get(name.toLowerCase());
    const column = identifier(name);
    const { read, type: wanted } = own ?? { read: type, type };
    if ((own === undefined && wanted !== "TIMESTAMP WITH TIME ZONE") || nativeTypes.test(wanted)) {
      list.push(column);
      return [name, wanted];
    }
    // DuckDB rejects no such value but reads NULL, or loses an offset from UTC: read as text, it is cast by us.
    list.push(`CAST(TRY_CAST(${column} AS ${read}) AS ${wanted}) AS ${column}`);
    const misfit = `(${column} IS NOT NULL AND TRY_CAST(${column} AS ${read}) IS NULL)`;
    misfits.push(misfit);
    reasons.push(
      `WHEN ${misfit} THEN ${literal(`Error when converting column "${name.slice(0, 100)}". Could not convert string "`)} || left(${column}, 200) || ${literal(`" to '${wanted.slice(0, 200)}'`)}`,
    );
    return [name, "VARCHAR"];
  });
  const options = [
    ...strict(input),
    "auto_detect = false",
    `delim = ${literal(dialect.delimiter)}`,
    `escape = ${literal(dialect.escape)}`,
    `header = ${dialect.header}`,
    `columns = ${textMap(types)}`,
    ...forms,
    ...(input.csv?.nullText === undefined ? [] : [`nullstr = ${literal(input.csv.nullText)}`]),
    ...rejecting,
  ];
  const source = `read_csv(${globs([head.file])}, ${options.join(", ")})`;
  const bad = misfits.length === 0 ? "false" : misfits.join(" OR ");
  const rows = await copy(`SELECT ${list.join(", ")} FROM ${source} WHERE NOT (${bad})`);
  const starts = await keepRejects(engine, head.file);
  if (misfits.length > 0) {
    const found = await engine.rows(`SELECT n, CASE ${reasons.join(" ")} END AS reason
      FROM (SELECT *, row_number() OVER () AS n FROM ${source}) WHERE ${bad} ORDER BY n LIMIT ${badRowsMax + 1}`);
    await dropRejects(engine);
    await keepMisfits(engine, head.file, dialect, starts, found);
  }
  return { rows, dialect };
}

/** Types that DuckDB's CSV reader knows itself, and rejects what is none of. */
const nativeTypes = /^(?:VARCHAR|BOOLEAN|(?:TINY|SMALL|BIG)INT|INTEGER|DOUBLE|FLOAT|DATE)$/i;

async function keepMisfits(
  engine: Engine,
  file: string,
  dialect: DuckDialect,
  rejected: readonly number[],
  misfits: readonly Record<string, string | null>[],
): Promise<void> {
  const numbers = misfits.map(({ n }) => Number(n));
  const found = await rowsAt(file, dialect, rejected, numbers);
  for (const [index, { reason }] of misfits.entries()) {
    const row = found[index];
    await engine.rows(`INSERT INTO ${badTable} VALUES (${row?.line ?? "NULL"}, $1, $2, ${literal(basename(file))})`, [
      reason ?? "",
      row?.text ?? "",
    ]);
  }
}

/** What the file says of itself, with bad rows left out of the question; the first line has the last word. */
async function settle(engine: Engine, input: DuckInput, head: Head): Promise<Settled> {
  const delimiter = input.csv?.delimiter ?? (head.fields > 1 ? head.delimiter : undefined);
  const csv = delimiter === undefined ? input.csv : { ...input.csv, delimiter };
  const options = [...strict(input), ...declaredOptions({ ...input, csv }), sampleOption([head.file])];
  const sniff = `SELECT "Delimiter" AS delimiter, "HasHeader"::VARCHAR AS header,
      "DateFormat" AS dates, "TimestampFormat" AS times, to_json("Columns")::VARCHAR AS columns
    FROM sniff_csv(${literal(globPath(head.file))}, ${[...options, "ignore_errors = true"].join(", ")})`;
  const [found] = await engine.rows(sniff).catch((error: unknown) => {
    // Some rows are too wrong for its search, an open quote and a line without end among them.
    if (/^Invalid Input Error/.test(error instanceof Error ? error.message : "")) return [];
    throw error;
  });
  const quote = input.csv?.quote ?? '"';
  const { comment, skip } = input.csv ?? {};
  const dialect: DuckDialect = {
    delimiter: delimiter ?? (found?.delimiter || ","),
    quote,
    // A quote is doubled where nothing else is said, also when the sample happened to have none.
    escape: input.csv?.escape ?? quote,
    header: input.csv?.header ?? (found === undefined || found.header === "true"),
    skip: skip ?? 0,
    ...(comment === undefined || comment === "" ? {} : { comment }),
  };
  const columns = JSON.parse(found?.columns ?? "[]") as DuckColumn[];
  if (columns.length !== head.fields)
    return { dialect, columns: await byFirstLine(engine, input, head, dialect), forms: [] };
  const forms = [
    ...(found?.dates ? [`dateformat = ${literal(found.dates)}`] : []),
    ...(found?.times ? [`timestampformat = ${literal(found.times)}`] : []),
  ];
  return { dialect, columns, forms };
}

/**
 * Tried in this order on the texts of a column: a type is taken only for texts that it holds without loss. A cast alone would
 * round 1.5 to 2, cut the time off a date, make a number of the zip code 00123 and true of 1.
 */
const plainTypes: readonly (readonly [type: string, form: string])[] = [
  ["BOOLEAN", "true|false"],
  ["BIGINT", "-?(0|[1-9][0-9]*)"],
  // Fifteen digits are what a double holds of any decimal number (IEEE 754).
  ["DOUBLE", "-?(0|[1-9][0-9]{0,14})([.][0-9]{1,14})?([eE][+-]?[0-9]{1,3})?"],
  ["DATE", "[0-9]{4}-[0-9]{2}-[0-9]{2}"],
  ["TIMESTAMP", "[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?"],
];
const doubleDigitsMax = 15;

/** SQL that is true of a text that the type does not hold exactly. */
function misfit(column: string, [type, form]: readonly [string, string]): string {
  const digits = `length(regexp_replace(${column}, '[^0-9]|[eE].*$', '', 'g')) > ${doubleDigitsMax}`;
  const longer = type === "DOUBLE" ? ` OR ${digits}` : "";
  return `TRY_CAST(${column} AS ${type}) IS NULL OR NOT regexp_full_match(lower(${column}), lower(${literal(form)}))${longer}`;
}

/** As many columns as the first line has fields, called as it calls them, of the types that all values have. */
async function byFirstLine(engine: Engine, input: DuckInput, head: Head, dialect: DuckDialect): Promise<DuckColumn[]> {
  const plain = Array.from({ length: head.fields }, (_, index): [string, string] => [`column${index}`, "VARCHAR"]);
  const options = [
    ...strict(input),
    "auto_detect = false",
    "ignore_errors = true",
    "header = false",
    `delim = ${literal(dialect.delimiter)}`,
    `escape = ${literal(dialect.escape)}`,
    `columns = ${textMap(plain)}`,
  ];
  const [line] = await engine.rows(`SELECT * FROM read_csv(${globs([head.file])}, ${options.join(", ")}) LIMIT 1`);
  const counts = plain.flatMap(([column]) =>
    plainTypes.map((one) => `count(${column}) FILTER (${misfit(column, one)}) AS ${column}_${one[0]}`),
  );
  const rest = options.map((option) => (option === "header = false" ? `header = ${dialect.header}` : option));
  const [misfits] = await engine.rows(
    `SELECT ${counts.join(", ")} FROM read_csv(${globs([head.file])}, ${rest.join(", ")})`,
  );
  const taken = new Set<string>();
  return plain.map(([column]) => {
    let name = (dialect.header ? line?.[column] : undefined) || column;
    for (let n = 1; taken.has(name.toLowerCase()); n += 1) name = `${line?.[column] || column}_${n}`;
    taken.add(name.toLowerCase());
    return { name, type: plainTypes.find(([type]) => misfits?.[`${column}_${type}`] === "0")?.[0] ?? "VARCHAR" };
  });
}

/** Takes over what DuckDB rejected in its last reading, with lines as people count them. */
async function keepRejects(engine: Engine, file: string): Promise<readonly number[]> {
  const found = await engine.rows(`SELECT DISTINCT line_byte_position::VARCHAR AS start FROM reject_errors
    WHERE line_byte_position IS NOT NULL ORDER BY line_byte_position`);
  const starts = found.map(({ start }) => Number(start));
  await engine.rows("CREATE OR REPLACE TEMP TABLE bad_lines (start BIGINT, line BIGINT)");
  const lines = await linesAt(file, starts);
  const batch = 5_000;
  for (let start = 0; start < starts.length; start += batch) {
    const values = starts.slice(start, start + batch).map((at, index) => `(${at}, ${lines[start + index]})`);
    await engine.rows(`INSERT INTO bad_lines VALUES ${values.join(", ")}`);
  }
  await engine.rows(`INSERT INTO ${badTable}
    SELECT coalesce(any_value(bad_lines.line), rejects.line), string_agg(DISTINCT left(error_message, 300), '; ' ORDER BY left(error_message, 300)),
      left(regexp_replace(any_value(csv_line), '^[\\r\\n]+|[\\r\\n]+$', '', 'g'), ${badRowTextMax}), ${literal(basename(file))}
    FROM reject_errors AS rejects LEFT JOIN bad_lines ON bad_lines.start = rejects.line_byte_position
    GROUP BY rejects.line, rejects.line_byte_position`);
  await engine.rows("DROP TABLE bad_lines");
  await dropRejects(engine);
  return starts;
}
