/** What is looked at in a text file before DuckDB sees it: its encoding, its first line, how deep its JSON nests. */
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { csvHeaderBytesMax, jsonDepthMax } from "../limits.ts";
import { Refusal } from "./gate.ts";

const chunkBytes = 256 * 1024;

export interface FirstLine {
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

/**
 * The first line after `skip` others and those that begin with `comment`, without byte order mark and line end; cut at
 * `csvHeaderBytesMax`. Refuses UTF-16.
 */
export async function firstLine(file: string, skip: number, comment: string): Promise<FirstLine> {
  let line = 1;
  let parts: Buffer[] = [];
  let bytes = 0;
  let first = true;
  const text = () => {
    const whole = Buffer.concat(parts).subarray(0, csvHeaderBytesMax).toString("utf8");
    return line === 1 ? whole.replace(/^\ufeff/, "") : whole;
  };
  const isWanted = () => line > skip && !(comment !== "" && text().startsWith(comment));
  for await (const data of createReadStream(file, { highWaterMark: chunkBytes })) {
    let chunk = data as Buffer;
    if (first) requireBytes(file, chunk);
    first = false;
    for (;;) {
      const end = chunk.findIndex((byte) => byte === 10 || byte === 13);
      const part = end < 0 ? chunk : chunk.subarray(0, end);
      if (bytes <= csvHeaderBytesMax) parts.push(part);
      bytes += part.length;
      if (end < 0 && bytes <= csvHeaderBytesMax) break;
      if (isWanted()) return { text: text(), line };
      if (end < 0) break;
      // A line end of two bytes is one; where it is cut in two, an empty line more is counted, which only a skip notices.
      chunk = chunk.subarray(end + (chunk[end] === 13 && chunk[end + 1] === 10 ? 2 : 1));
      line += 1;
      parts = [];
      bytes = 0;
    }
  }
  return isWanted() ? { text: text(), line } : { text: "", line };
}

const quote = 0x22;
const backslash = 0x5c;

/** DuckDB's JSON reader calls itself once per level and dies of some thousands, so depth is counted before it looks. */
export async function requireShallow(file: string): Promise<void> {
  let depth = 0;
  let line = 1;
  let inText = false;
  let escaped = false;
  let first = true;
  for await (const data of createReadStream(file, { highWaterMark: chunkBytes })) {
    const chunk = data as Buffer;
    if (first) requireBytes(file, chunk);
    first = false;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte === 10) {
        line += 1;
        // No JSON text spans lines: a forgotten quote must not hide what follows it.
        inText = false;
        escaped = false;
      } else if (inText) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inText = false;
      } else if (byte === quote) inText = true;
      else if (byte === 0x5b || byte === 0x7b) {
        depth += 1;
        if (depth > jsonDepthMax) throw tooDeep(file, line);
      } else if (byte === 0x5d || byte === 0x7d) depth = Math.max(0, depth - 1);
    }
  }
}

function tooDeep(file: string, line: number): Refusal {
  return new Refusal({
    code: "TR-5206",
    detail: `The JSON is nested more than ${jsonDepthMax} levels deep.`,
    where: `${basename(file)}, line ${line}`,
    fix: "Flatten the data before it is read.",
  });
}

function requireBytes(file: string, head: Buffer): void {
  const mark = head.subarray(0, 2).toString("hex");
  if (mark !== "fffe" && mark !== "feff") return;
  throw new Refusal({
    code: "TR-5206",
    detail: "The file is not UTF-8: it begins like UTF-16.",
    where: basename(file),
    fix: "Convert it: iconv -f UTF-16 -t UTF-8 old > new",
  });
}
