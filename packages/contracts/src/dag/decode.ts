/**
 * From the bytes of a DAG file to its text. A text editor shows a byte that is no UTF-8 as a mark; storing that mark in
 * its place would change a query without a word, so such a file is refused.
 */
import { dagSourceBytesMax } from "../limits.ts";
import type { Diagnostic, Problem } from "./diagnostic.ts";
import { toDiagnostics } from "./diagnostic.ts";
import { SourceText } from "./frame.ts";
import { dagDiagnosticsMax } from "./limits.ts";

export type DagDecodeResult =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly diagnostics: Diagnostic[] };

/** What a decoder puts in the place of bytes that are no UTF-8, and its own three bytes. */
const replacement = "\ufffd";
const replacementBytes = Buffer.from(replacement);

/**
 * The text of a DAG file, a byte order mark included. Refuses more than `dagSourceBytesMax` bytes (TR-2014) and bytes
 * that are not UTF-8 (TR-2026, at the first of them). A file that begins as UTF-16 is passed on: `parseDag` refuses it
 * as the foreign text it then is. `fileName` is only shown.
 */
export function decodeDag(bytes: Uint8Array, fileName: string): DagDecodeResult {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length > dagSourceBytesMax) {
    return { ok: false, diagnostics: tooLarge(buffer.length, buffer.toString("utf8", 0, 1_000), fileName) };
  }
  const text = buffer.toString("utf8");
  const bad = startsAsUtf16(buffer) ? undefined : firstBadByte(buffer, text);
  if (bad === undefined) return { ok: true, text };
  const hex = (buffer[bad.offset] ?? 0).toString(16).padStart(2, "0");
  const problem: Problem = {
    code: "TR-2026",
    message: `the file is not UTF-8: the byte 0x${hex} here is part of no character`,
    suggestion: "save it as UTF-8 in the editor, or convert it: iconv -f latin1 -t utf-8",
    range: [bad.at, bad.at + 1],
  };
  return { ok: false, diagnostics: toDiagnostics([problem], new SourceText(text), fileName) };
}

function startsAsUtf16(buffer: Buffer): boolean {
  const [first, second] = buffer;
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}

/** Where the decoder put its mark for a byte: a mark that the file holds itself has the mark's own bytes. */
function firstBadByte(buffer: Buffer, text: string): { offset: number; at: number } | undefined {
  let offset = 0;
  let from = 0;
  for (let at = text.indexOf(replacement); at !== -1; at = text.indexOf(replacement, from)) {
    // Up to here all was right, so that the text's bytes are the file's.
    offset += Buffer.byteLength(text.slice(from, at));
    if (!buffer.subarray(offset, offset + 3).equals(replacementBytes)) return { offset, at };
    offset += 3;
    from = at + 1;
  }
  return undefined;
}

/** The refusal of a file beyond the bound. `start` is all that its excerpt needs; such a text is not walked. */
export function tooLarge(bytes: number, start: string, fileName: string): Diagnostic[] {
  const message = `the file has ${bytes.toLocaleString("en")} bytes, and ${dagSourceBytesMax.toLocaleString("en")} is the most`;
  const suggestion = "split the DAG into several files";
  return toDiagnostics([{ code: "TR-2014", message, suggestion, range: [0, 1] }], new SourceText(start), fileName);
}

/**
 * The first control character of each line that YAML 1.2 (5.1, c-printable) does not allow: all but tab, line ends and
 * NEL. The YAML library takes them, and a terminal that shows the text later would obey them.
 */
export function controlProblems(text: string): Problem[] {
  const control = /(?![\t\n\r\u0085])\p{Cc}/gu;
  const problems: Problem[] = [];
  for (let found = control.exec(text); found !== null; found = control.exec(text)) {
    const name = `U+${found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    const nul = found[0] === "\0";
    problems.push({
      code: "TR-2001",
      message: `malformed YAML: the control character ${name} cannot stand in a file`,
      suggestion: nul ? "remove it, or save the file as UTF-8 if it is UTF-16" : "remove it",
      range: [found.index, found.index + 1],
    });
    // A text in UTF-16 has one beside every letter; a second finding would say nothing new.
    if (nul) break;
    const lineEnd = text.indexOf("\n", found.index);
    if (lineEnd === -1 || problems.length > dagDiagnosticsMax) break;
    control.lastIndex = lineEnd;
  }
  return problems;
}
