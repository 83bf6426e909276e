/**
 * The text of a DAG file that reads one file: every column with its type, and what else may be said, as comments. Pure.
 * Names of columns and paths come from strangers' files, so each is written so that it is read back as itself.
 */
import { columnNameCharsMax, columnTypeCharsMax, columnTypePattern, sourceColumnsMax } from "@trace/contracts";
import { printable } from "../terminal/width.ts";

export interface DraftColumn {
  readonly name: string;
  readonly type: string;
}

/** How CSV was found to be written, as far as it is to be said. */
export interface DraftCsv {
  readonly header: boolean;
  readonly delimiter?: string;
  readonly quote?: string;
  readonly escape?: string;
  readonly skip?: number;
  readonly comment?: string;
}

export interface Draft {
  readonly dag: string;
  /** As the DAG file says it. */
  readonly path: string;
  readonly format: "csv" | "json" | "geojson" | "parquet";
  /** The ending does not tell the format. */
  readonly sayFormat: boolean;
  readonly csv: DraftCsv | undefined;
  readonly columns: readonly DraftColumn[];
  /** Whether types rest on every row, on some of them, or are in the file itself. */
  readonly lookedAt: "all" | "sample" | "declared";
  /** What the first line tells editors. */
  readonly schema: string;
  /** The command that made it. */
  readonly command: string;
}

/** Columns that GeoJSON has beside the properties; their types are given. */
const geojsonOwn = new Set(["id", "geometry_type", "coordinates"]);
/** A key of YAML that is longer must be written in another form. */
const keyCharsMax = 1_000;

/** Those whose type can stand under `columns`; the others are told as comments. */
export function declarable(format: Draft["format"], columns: readonly DraftColumn[]): DraftColumn[] {
  // A Parquet file has its types itself.
  if (format === "parquet") return [];
  return columns.filter(fits(format)).slice(0, sourceColumnsMax);
}

function fits(format: Draft["format"]) {
  return ({ name, type }: DraftColumn): boolean =>
    name !== "" &&
    name !== "<<" &&
    name !== "__proto__" &&
    name.length <= columnNameCharsMax &&
    name.isWellFormed() &&
    !name.includes("\0") &&
    yamlText(name).length <= keyCharsMax &&
    type.length <= columnTypeCharsMax &&
    columnTypePattern.test(type) &&
    !(format === "geojson" && geojsonOwn.has(name.toLowerCase()));
}

/** The whole file. `declared` are columns whose types are declared; without them all types are found by looking again. */
export function draftText(draft: Draft, declared: readonly DraftColumn[]): string {
  const { dag } = draft;
  return [
    `# yaml-language-server: $schema=${comment(draft.schema)}`,
    `# Made by: ${comment(draft.command)}`,
    "# Every key: docs/dag-files.md",
    `dag: ${dag}`,
    "",
    "jobs:",
    `  ingest_${dag}:`,
    "    operator: ingest",
    "    source:",
    `      file: ${yamlText(draft.path)}`,
    ...(draft.sayFormat ? [`      format: ${draft.format}`] : []),
    ...csvLines(draft.csv),
    ...columnLines(draft, declared),
    ...hintLines(draft),
    "    outputs:",
    `      - dataset: ${dag}`,
    "        # strategy: append       # add to what is there, instead of taking its place",
    "        # partition_by: column   # a partition for each value of a column",
    "",
    "  # A job that reads the dataset starts whenever it has a new commit:",
    `  # summarize_${dag}:`,
    "  #   operator: sql",
    `  #   inputs: [${dag}]`,
    `  #   sql: SELECT count(*) AS rows FROM ${dag}`,
    `  #   outputs: [${dag}_summary]`,
    "",
  ].join("\n");
}

function csvLines(csv: DraftCsv | undefined): string[] {
  if (csv === undefined) return [];
  const lines = Object.entries(csv).map(
    ([key, value]) => `        ${key}: ${typeof value === "string" ? yamlText(value, true) : String(value)}`,
  );
  return lines.length === 0 ? [] : ["      csv: # as the file was found to be written", ...lines];
}

const basis = {
  all: "found by looking at every row",
  sample: "found by looking at some of the rows",
  declared: "as the file itself has them",
} as const;

function columnLines(draft: Draft, declared: readonly DraftColumn[]): string[] {
  const known = new Set(declared.map((column) => column.name));
  const others = draft.columns.filter((column) => !known.has(column.name)).slice(0, sourceColumnsMax);
  const left = draft.columns.length - known.size - others.length;
  const told = others.map(({ name, type }) => `        # ${comment(name)}: ${comment(type)}`);
  if (left > 0) told.push(`        # and ${left.toLocaleString("en")} more`);
  if (declared.length === 0) return [`      # columns: types ${basis[draft.lookedAt]}`, ...told];
  return [
    `      columns: # types ${basis[draft.lookedAt]}; correct them here`,
    ...declared.map(({ name, type }) => `        ${yamlText(name)}: ${type}`),
    ...(told.length === 0 ? [] : ["        # found at each run:", ...told]),
  ];
}

function hintLines(draft: Draft): string[] {
  const rows =
    draft.format === "parquet" || draft.format === "geojson"
      ? []
      : ["    # on_bad_row: set_aside     # rows that cannot be read go to an output with 'bad_rows: true'"];
  return ["    # sql: SELECT * FROM source # what is to be kept, by other names or of other types", ...rows];
}

/** In a comment nothing may end the line, and nothing may reach a terminal that shows the file later. */
function comment(text: string): string {
  return printable(text).replaceAll("\ufffd", "?").slice(0, 300);
}

/** Words that YAML reads as something else. */
const reserved = /^(null|true|false|yes|no|on|off|y|n)$/i;

/** Text as a value or key of YAML: plain where it can only be read as itself, else as a JSON string. */
export function yamlText(text: string, quoted = false): string {
  if (!quoted && /^[A-Za-z_/][A-Za-z0-9_./-]*$/.test(text) && !reserved.test(text)) return text;
  // JSON escapes what ends a string; YAML forbids further controls, and editors break lines at some.
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u00ad\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
