/**
 * How an error reaches its reader. People get what, where, why, fix and where to read more; scripts (`--json`) get one
 * line of JSON on standard error. A TraceError never shows a stack; anything else shows one line, and its full text is
 * kept in a file.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { type Diagnostic, renderDiagnostics, TraceError, toErrorRecord, toProblem } from "@trace/contracts";
import type { Cli } from "./cli.ts";
import { type ExitCode, exitCodeOf, Interrupted } from "./exit.ts";
import { proseColumnsMax } from "./limits.ts";
import type { Palette } from "./terminal/ansi.ts";
import { printable, wrap } from "./terminal/width.ts";

/** A DAG file is wrong: all of it at once, each with its place. */
export class DagFileError extends TraceError {
  readonly diagnostics: readonly Diagnostic[];

  constructor(path: string, diagnostics: readonly Diagnostic[]) {
    const errors = diagnostics.filter((diagnostic) => diagnostic.severity === "error").length;
    super("TR-7008", {
      detail: `${path} has ${errors} error${errors === 1 ? "" : "s"}; nothing was deployed`,
      where: path,
      fix: `correct the places named, then check again: trace deploy ${path} --check`,
    });
    this.diagnostics = diagnostics;
  }
}

/** Takes the query out of every URL: a presigned one carries its signature there. User and password go too. */
export function withoutUrlSecrets(text: string): string {
  return text
    .replaceAll(/(https?:\/\/[^\s"'<>?#]*)\?[^\s"'<>)]*/gi, "$1?[redacted]")
    .replaceAll(/(https?:\/\/)[^\s"'<>/@]*@/gi, "$1[redacted]@")
    .replaceAll(/\b(tracew?_)[A-Za-z0-9_-]{20,}/g, "$1[redacted]");
}

/** All errors of the same call, as the transport attaches them; the first is mostly the error itself. */
function allErrors(error: TraceError): readonly TraceError[] {
  const { errors } = error as TraceError & { errors?: readonly TraceError[] };
  return errors ?? [];
}

/** `error TR-1007: ...` and its parts, in lines. */
export function errorLines(error: TraceError, parts: { width: number; palette: Palette; more: string }): string[] {
  const { palette } = parts;
  const width = Math.min(parts.width, proseColumnsMax);
  const lines: string[] = [];
  const section = (label: string, text: string | undefined, paint = (line: string) => line) => {
    if (text === undefined || text === "") return;
    const name = `  ${`${label}:`.padEnd(7)}`;
    const wrapped = wrap(printable(withoutUrlSecrets(text)), width - name.length);
    wrapped.forEach((line, index) => {
      lines.push(`${index === 0 ? palette.dim(name) : " ".repeat(name.length)}${paint(line)}`);
    });
  };
  const head = `error ${error.code}: `;
  const detail = printable(withoutUrlSecrets(error.message));
  wrap(detail, width - head.length).forEach((line, index) => {
    lines.push(index === 0 ? `${palette.bold(palette.red(`error ${error.code}`))}: ${line}` : `  ${line}`);
  });
  section("where", error.where);
  section("why", error.why);
  section("fix", error.fix, palette.green);
  for (const further of allErrors(error)) {
    if (further.code === error.code && further.message === error.message) continue;
    section("also", [further.code, further.where, further.message].filter(Boolean).join(" "));
  }
  section("more", parts.more, palette.cyan);
  return lines;
}

/** Keeps the full text where its reader finds it; undefined when there is no such place. */
function keepFullText(cli: Cli, error: unknown): string | undefined {
  const text = withoutUrlSecrets(inspect(error, { depth: 6 }));
  const name = `trace-error-${new Date(cli.io.clock.nowMs()).toISOString().replaceAll(/[:.]/g, "-")}-${process.pid}.txt`;
  const { dir, exists } = cli.state;
  for (const folder of exists ? [join(dir, "logs"), tmpdir()] : [tmpdir()]) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      // "wx": a name that somebody put there (a link, say) is refused, never followed.
      writeFileSync(join(folder, name), `${text}\n`, { flag: "wx", mode: 0o600 });
      return join(folder, name);
    } catch {
      // The next place is tried; with none left, --debug still shows the text.
    }
  }
  return undefined;
}

function unexpected(cli: Cli, error: unknown): TraceError {
  const what = withoutUrlSecrets(error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
  const kept = cli.options.debug ? undefined : keepFullText(cli, error);
  return new TraceError("TR-7011", {
    detail: `something we did not expect: ${what.slice(0, 500)}`,
    where: kept,
    why: kept === undefined ? undefined : "this is a defect of Trace; the full text is in the file named above",
    fix: "run the command again with --debug to see the full text, and report it",
  });
}

/** Shows an error in the form that was asked for and returns the exit code. */
export function fail(cli: Cli, thrown: unknown): ExitCode {
  if (thrown instanceof Interrupted) return exitCodeOf(thrown);
  const error = thrown instanceof TraceError ? thrown : unexpected(cli, thrown);
  const { stderr } = cli.io;
  if (cli.json) {
    stderr.write(`${JSON.stringify({ error: problemOf(error) })}\n`);
  } else {
    if (error instanceof DagFileError) {
      const color = cli.errColors.bold("x") !== "x";
      stderr.write(`${renderDiagnostics(error.diagnostics, { color })}\n\n`);
    }
    const more = cli.command("explain", moreCode(error));
    const lines = errorLines(error, { width: cli.errWidth, palette: cli.errColors, more });
    stderr.write(`${lines.join("\n")}\n`);
  }
  if (cli.options.debug && !cli.json) {
    stderr.write(`${withoutUrlSecrets(inspect(thrown instanceof TraceError ? (thrown.cause ?? thrown) : thrown))}\n`);
  }
  return exitCodeOf(error);
}

/** The page worth reading: of a DAG file with errors, that of the first one. */
function moreCode(error: TraceError): string {
  return error instanceof DagFileError ? (error.diagnostics[0]?.code ?? error.code) : error.code;
}

function withoutSecrets(error: TraceError): TraceError {
  const clean = (text: string | undefined) => (text === undefined ? undefined : withoutUrlSecrets(text));
  return new TraceError(error.code, {
    detail: withoutUrlSecrets(error.message),
    where: clean(error.where),
    why: clean(error.why),
    fix: clean(error.fix),
  });
}

function problemOf(error: TraceError): unknown {
  const safe = withoutSecrets(error);
  const further = allErrors(error).map((one) => toErrorRecord(withoutSecrets(one)));
  return {
    ...toProblem(safe),
    ...(further.length === 0 ? {} : { errors: further }),
    ...(error instanceof DagFileError ? { diagnostics: error.diagnostics } : {}),
  };
}
