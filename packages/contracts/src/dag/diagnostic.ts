/** One problem of a DAG file, as it travels over the API and as a terminal shows it. */
import { z } from "zod";
import type { ErrorCode } from "../errors/index.ts";
import { errorCodeSchema } from "../errors/index.ts";
import type { SourceText } from "./frame.ts";
import { frameOf, printable } from "./frame.ts";
import { dagDiagnosticsMax } from "./limits.ts";

export const diagnosticSchema = z
  .object({
    code: errorCodeSchema,
    severity: z.enum(["error", "warning"]),
    /** One sentence, lower case, no full stop: what is wrong, by name. */
    message: z.string(),
    file: z.string(),
    line: z.int().min(1),
    /** From 1, in UTF-16 code units. */
    column: z.int().min(1),
    /** Exclusive, on the same line. */
    endColumn: z.int().min(1),
    /** `jobs.ingest_quakes.operator`; empty for the whole file. */
    path: z.string(),
    /** What to write instead, or what to do. */
    suggestion: z.string().optional(),
    /** Three lines: gutter, source, carets. */
    frame: z.string(),
  })
  .meta({ id: "Diagnostic" });
export type Diagnostic = z.infer<typeof diagnosticSchema>;

export interface Problem {
  readonly code: ErrorCode;
  readonly severity?: "error" | "warning";
  readonly message: string;
  readonly suggestion?: string | undefined;
  readonly path?: readonly (string | number)[];
  /** Offsets into the text. */
  readonly range: readonly [number, number];
}

export function pathText(path: readonly (string | number)[]): string {
  let text = "";
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  return text;
}

/** Gives each problem its place and excerpt, in the order of the file, and bounds their number. */
export function toDiagnostics(problems: readonly Problem[], source: SourceText, file: string): Diagnostic[] {
  const seen = new Set<string>();
  const ordered = [...problems].sort((a, b) => a.range[0] - b.range[0]);
  const diagnostics: Diagnostic[] = [];
  let left = 0;
  // As severe as what it stands for: a hidden error must not leave a file that seems to have warnings only.
  let severity: "error" | "warning" = "warning";
  let lastRange: readonly [number, number] = [0, 0];
  for (const problem of ordered) {
    const identity = `${problem.code} ${problem.range[0]} ${problem.message}`;
    if (seen.has(identity)) continue;
    seen.add(identity);
    if (diagnostics.length >= dagDiagnosticsMax) {
      left += 1;
      if (problem.severity !== "warning") severity = "error";
      continue;
    }
    lastRange = problem.range;
    diagnostics.push(toDiagnostic(problem, source, file));
  }
  if (left > 0) {
    const message = `${left} further problem${left === 1 ? " is" : "s are"} not shown`;
    const suggestion = "fix the ones above and check the file again";
    diagnostics.push(toDiagnostic({ code: "TR-2023", severity, message, suggestion, range: lastRange }, source, file));
  }
  return diagnostics;
}

function toDiagnostic(problem: Problem, source: SourceText, file: string): Diagnostic {
  const at = source.position(problem.range[0], problem.range[1]);
  return {
    code: problem.code,
    severity: problem.severity ?? "error",
    message: printable(problem.message),
    file,
    line: at.line,
    column: at.column,
    endColumn: at.endColumn,
    path: printable(pathText(problem.path ?? [])),
    ...(problem.suggestion === undefined ? {} : { suggestion: printable(problem.suggestion) }),
    frame: frameOf(source, at),
  };
}

const plain = (text: string): string => text;
const ansi =
  (codes: string) =>
  (text: string): string =>
    `\u001b[${codes}m${text}\u001b[0m`;

/**
 * Problems as a terminal shows them, in the way of Rust's compiler, closed by a count. Empty for no problems. With
 * `color`, ANSI escapes.
 */
export function renderDiagnostics(diagnostics: readonly Diagnostic[], options: { readonly color: boolean }): string {
  if (diagnostics.length === 0) return "";
  const paint = {
    error: options.color ? ansi("1;31") : plain,
    warning: options.color ? ansi("1;33") : plain,
    gutter: options.color ? ansi("34") : plain,
    help: options.color ? ansi("36") : plain,
    bold: options.color ? ansi("1") : plain,
  };
  const blocks = diagnostics.map((diagnostic) => {
    const hue = paint[diagnostic.severity];
    const gutter = " ".repeat(String(diagnostic.line).length);
    const place = `${printable(diagnostic.file)}:${diagnostic.line}:${diagnostic.column}`;
    const frame = diagnostic.frame.split("\n").map((line, index) => {
      const bar = line.indexOf("|") + 1;
      const rest = line.slice(bar);
      return paint.gutter(line.slice(0, bar)) + (index === 2 ? hue(rest) : rest);
    });
    const lines = [
      `${hue(`${diagnostic.severity}[${diagnostic.code}]`)} ${paint.bold(diagnostic.message)}`,
      `${gutter}${paint.gutter("-->")} ${place}`,
      ...frame,
    ];
    if (diagnostic.suggestion !== undefined) lines.push(`${paint.help("help:")} ${diagnostic.suggestion}`);
    return lines.join("\n");
  });
  return `${blocks.join("\n\n")}\n\n${countText(diagnostics)}`;
}

function countText(diagnostics: readonly Diagnostic[]): string {
  const errors = diagnostics.filter((diagnostic) => diagnostic.severity === "error").length;
  const warnings = diagnostics.length - errors;
  const parts: string[] = [];
  if (errors > 0) parts.push(`${errors} error${errors === 1 ? "" : "s"}`);
  if (warnings > 0) parts.push(`${warnings} warning${warnings === 1 ? "" : "s"}`);
  return parts.join(", ");
}
