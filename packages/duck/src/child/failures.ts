/**
 * What DuckDB says, in the words of the catalogue. DuckDB's errors reach Node as text whose first words are the error's
 * class ("Binder Error: ..."); only that class and the stage decide the code, the rest is shown, cleaned of paths.
 */
import { basename, dirname } from "node:path";
import type { ErrorCode } from "@trace/contracts";
import { messageTextMax } from "../limits.ts";
import type { ErrorParts, Request } from "../messages.ts";
import { lineOfRow } from "./csv-rows.ts";
import { LockFailed } from "./engine.ts";
import { type GateFindings, Refusal } from "./gate.ts";
import { locateJsonError } from "./locate.ts";
import { placeOf } from "./place.ts";
import { globPath } from "./quote.ts";

/** With these begins what is said of a value that is not of its column's type, by DuckDB's reader of CSV and by ours. */
export const misfitWords = "Error when converting column ";

/** `open`: reading the inputs' shape. `run`: the user's query over them. */
export type Stage = "open" | "run";

export interface Context {
  readonly stage: Stage;
  /** With the inputs' files as they are read, which is not where they came from when they were unpacked. */
  readonly request: Request;
  /** The query at work. */
  readonly sql: string;
  readonly findings?: GateFindings | undefined;
}

const tooDeep: ErrorParts = {
  code: "TR-5202",
  detail: "The SQL is nested too deeply.",
  fix: "Split the query into WITH parts.",
};

export function explain(error: unknown, context: Context): ErrorParts {
  if (error instanceof Refusal) return error.parts;
  // Trees nest deeper than the walk's stack only when somebody tries.
  if (error instanceof RangeError && error.message.includes("call stack")) {
    return tooDeep;
  }
  const text = (error instanceof Error ? error.message : String(error)).replace("Failed to extract statements: ", "");
  if (text.includes("Max expression depth")) return tooDeep;
  if (error instanceof LockFailed) {
    return { code: "TR-5210", detail: `The query process could not be locked down: ${text}` };
  }
  const duckClass = /^(?:TransactionContext Error: )?([A-Za-z ]+?) Error: /i.exec(text)?.[1]?.toLowerCase() ?? "";
  if (duckClass === "out of memory" || text.includes("std::bad_alloc")) return outOfMemory(text);
  if (/no space left on device|disk quota exceeded/i.test(text)) {
    return {
      code: "TR-5212",
      detail: "The disk under the query's folders is full.",
      fix: "Free space, then run again.",
    };
  }
  const source = context.stage === "open" ? undefined : sourceNamed(text, context.request);
  // Of the statements that open inputs only the text of declared types is somebody else's.
  if (context.stage === "open" && duckClass === "parser") return unreadableType(text, context.request);
  if (duckClass === "invalid" && readsParquet(context.request)) return damagedParquet(text, context.request);
  if (context.stage === "open" || source !== undefined || text.includes(misfitWords)) return malformed(text, context);
  return failedQuery(text, duckClass, context);
}

const codeOfClass: Readonly<Record<string, ErrorCode>> = {
  parser: "TR-5200",
  syntax: "TR-5200",
  binder: "TR-5203",
  catalog: "TR-5203",
  permission: "TR-5202",
  io: "TR-5202",
};

const fixOfCode: Readonly<Partial<Record<ErrorCode, string>>> = {
  "TR-5202": "Read the input tables by their names; files and settings cannot be reached from SQL.",
  "TR-5203": "Check the names against the inputs' columns; DESCRIBE <table> lists them.",
  "TR-5205": "Change the expression for such values, or use TRY_CAST, NULLIF or TRY(...) where they are expected.",
};

function failedQuery(text: string, duckClass: string, context: Context): ErrorParts {
  const detail = clean(text, context.request);
  if (duckClass === "internal" || duckClass === "fatal") {
    return { code: "TR-5210", detail: `The query engine failed inside: ${detail}` };
  }
  const code = codeOfClass[duckClass] ?? "TR-5205";
  return { code, detail, where: columnPlace(text, context), fix: fixOfCode[code] };
}

function outOfMemory(text: string): ErrorParts {
  const spill = text.includes("max_temp_directory_size");
  return {
    code: "TR-5207",
    detail: spill ? "The query filled its spill folder." : "The query needs more memory than it is allowed.",
    fix: "Aggregate or filter earlier, select fewer columns, or raise the limits of this query.",
  };
}

/** DuckDB's own line is one of the regenerated text, so the place comes from the name and the user's parse tree. */
function columnPlace(text: string, context: Context): string | undefined {
  const name = /(?:Referenced column|column named|column) "([^"]+)"/.exec(text)?.[1];
  const offset = name === undefined ? undefined : context.findings?.columnOffsets.get(name.toLowerCase());
  return placeOf(context.sql, offset);
}

function malformed(text: string, context: Context): ErrorParts {
  const file = sourceNamed(text, context.request) ?? onlyFile(context.request);
  const csvLine = file === undefined ? undefined : csvLineOf(text, file, context.request);
  const foreign = /not utf-?8|invalid utf-?8|invalid unicode|not valid utf-?8/i.test(text);
  const json = !foreign && file !== undefined && /JSON/.test(text) ? locateJsonError(file) : undefined;
  const line = csvLine ?? json?.line;
  const name = file === undefined ? "the source" : basename(file);
  return {
    code: "TR-5206",
    detail: foreign
      ? "The file is not UTF-8."
      : json === undefined
        ? detailOf(text, context)
        : `Malformed JSON: ${json.reason}`,
    where: line === undefined ? name : `${name}, line ${line}`,
    fix: fixOfSource(text),
  };
}

/** DuckDB counts rows, of which one may span lines; people count lines. */
function csvLineOf(text: string, file: string, request: Request): number | undefined {
  const row = /CSV Error on Line: (\d+)/.exec(text)?.[1];
  if (row === undefined) return undefined;
  const inputs = request.kind === "run" ? request.inputs : [];
  const csv = inputs.find(({ files }) => files.includes(file))?.csv ?? {};
  const found = /^ *delimiter = (.*) \((?:Auto-Detected|Set By User)\)$/m.exec(text)?.[1] ?? "";
  const { quote = '"', skip = 0, delimiter = found === "\\t" ? "\t" : found } = csv;
  const comment = csv.comment === undefined ? {} : { comment: csv.comment };
  return lineOfRow(file, Number(row), { delimiter, quote, escape: csv.escape ?? quote, skip, ...comment });
}

function detailOf(text: string, context: Context): string {
  if (text.includes("Error when sniffing file"))
    return "The file cannot be read as CSV: its rows do not fit one dialect.";
  return clean(text, context.request);
}

function fixOfSource(text: string): string {
  if (/not utf-?8|invalid utf-?8|invalid unicode|not valid utf-?8/i.test(text)) {
    return "Convert it, for example from Latin-1: iconv -f LATIN1 -t UTF-8 old > new";
  }
  if (text.includes("Error when sniffing file")) {
    return "Correct the file, or declare csv.header, csv.delimiter and csv.quote.";
  }
  if (/Expected Number of Columns/.test(text))
    return "Give that row as many fields as the first line, or correct csv.delimiter.";
  if (/unterminated quote/i.test(text)) return "Close the quote in that row, or declare csv.quote.";
  if (/Duplicate name/.test(text)) return "Rename one of the two keys; column names do not differ by case alone.";
  if (/auto-detected|converting column/.test(text)) {
    return "Correct that row, or declare the column's type (VARCHAR takes anything) in the source's columns.";
  }
  return "Correct or replace the file, and check that the format names what it holds.";
}

function unreadableType(text: string, request: Request): ErrorParts {
  return {
    code: "TR-5213",
    detail: `A declared type of a column cannot be parsed: ${clean(text, request)}.`,
    fix: 'Write names of fields in double quotes, as words of SQL must be: STRUCT("at" TIMESTAMP, "order" BIGINT).',
  };
}

/** DuckDB's class "Invalid Error" is what its libraries throw: the decoder of Parquet's headers names neither file nor place. */
function damagedParquet(text: string, request: Request): ErrorParts {
  const file = sourceNamed(text, request) ?? onlyFile(request);
  return {
    code: "TR-5206",
    detail: `The Parquet file is damaged: ${clean(text, request)}`,
    where: file === undefined ? undefined : basename(file),
    fix: "Get the file again from where it came.",
  };
}

function readsParquet(request: Request): boolean {
  return request.kind === "run" && request.inputs.some(({ format, files }) => format === "parquet" && files.length > 0);
}

function filesOf(request: Request): readonly string[] {
  return request.kind === "run" ? request.inputs.flatMap((input) => input.files) : [];
}

function sourceNamed(text: string, request: Request): string | undefined {
  // The longest first: one name may be the beginning of another.
  return [...filesOf(request)]
    .sort((a, b) => b.length - a.length)
    .find((file) => text.includes(file) || text.includes(globPath(file)));
}

function onlyFile(request: Request): string | undefined {
  const files = filesOf(request);
  return files.length === 1 ? files[0] : undefined;
}

/** First line group of DuckDB's message, without its class, its excerpt of regenerated text, and any folder. */
export function clean(text: string, request: Request): string {
  let words = text
    .replace(/\n+LINE \d+: [\s\S]*$/, "")
    .replace(/\n+(?:Possible (?:solutions?|fixes):|Column .* is being converted)[\s\S]*$/i, "")
    .replace(/\n+ *file = [\s\S]*$/, "")
    // The row itself, which may span lines, and its number, which stands in `where`.
    .replace(
      /^Original Line: [\s\S]*?(?=^(?:Expected|Value|Error|Invalid|Maximum|Conversion|Column|CSV)|(?![\s\S]))/m,
      "",
    );
  words = words.replace(/^(?:[A-Za-z ]+ Error: )+/, "").replace(/^CSV Error on Line: .*\n?/, "");
  for (const file of filesOf(request)) {
    words = words.replaceAll(file, basename(file)).replaceAll(globPath(file), basename(file));
    if (dirname(file) !== "/") words = words.replaceAll(`${dirname(file)}/`, "");
  }
  words = words.replace(/"\/(?:[^"\n]*\/)([^"/\n]+)"/g, '"$1"');
  // Folders of the machine: keeps the last name of any other absolute path, leaves URLs alone.
  words = words.replace(/(?<![\w:/.])\/(?:[^\s/'"]+\/)+/g, "");
  return words.trim().slice(0, messageTextMax);
}
