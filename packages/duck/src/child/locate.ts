/**
 * The line of a JSON error. DuckDB counts bytes, and its line is off by one in newline-delimited files, so a small file
 * is parsed once more by V8, whose messages carry the position.
 */
import { readFileSync, statSync } from "node:fs";
import { locateBytesMax } from "../limits.ts";

export interface JsonError {
  readonly line: string;
  readonly reason: string;
}

export function locateJsonError(file: string): JsonError | undefined {
  if (statSync(file).size > locateBytesMax) return undefined;
  const text = readFileSync(file, "utf8");
  const lines = text.split("\n");
  const first = lines.findIndex((line) => line.trim() !== "");
  const delimited =
    first >= 0 && fault(lines[first] ?? "") === undefined && lines.slice(first + 1).some((l) => l.trim() !== "");
  if (!delimited) {
    const reason = fault(text);
    return reason === undefined ? undefined : { line: lineIn(reason, text), reason: shorten(reason) };
  }
  for (const [index, line] of lines.entries()) {
    const reason = line.trim() === "" ? undefined : fault(line);
    if (reason !== undefined) return { line: String(index + 1), reason: shorten(reason) };
  }
  return undefined;
}

function fault(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** V8 says "(line 3 column 7)", or nothing when the text simply ends: then it is the last line. */
function lineIn(reason: string, text: string): string {
  return /\(line (\d+) column \d+\)/.exec(reason)?.[1] ?? String(text.trimEnd().split("\n").length);
}

/** Without the excerpt of the file that V8 adds, and without the position that stands beside it. */
function shorten(reason: string): string {
  return reason
    .replace(/, (?:\.\.\.)?"[\s\S]*$/, "")
    .replace(/ at position \d+.*$/, "")
    .slice(0, 200);
}
