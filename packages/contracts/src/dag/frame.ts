/**
 * The excerpt of a DAG file shown under an error: three lines, the middle one the source, the last one carets under
 * the place. Owns lines, columns and widths. What it prints may come from a stranger's file, so control characters
 * never reach a terminal, and passwords inside URLs never reach anything.
 */

/** Columns of source shown around the place in a long line. */
const frameColumnsMax = 100;
const columnsBeforeMax = 60;
const tabColumns = 4;

export interface TextPosition {
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in UTF-16 code units, as editors count. */
  readonly column: number;
  /** Exclusive; on the same line. */
  readonly endColumn: number;
}

/** Lines of a text, and the way from an offset to a line and column. Lines end with LF or CRLF. */
export class SourceText {
  readonly text: string;
  readonly #starts: number[] = [0];

  constructor(text: string) {
    this.text = text;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.#starts.push(at + 1);
  }

  get lineCount(): number {
    return this.#starts.length;
  }

  /** The text of a line (from 1) without its line end. */
  line(line: number): string {
    const start = this.#starts[line - 1] ?? this.text.length;
    const next = this.#starts[line];
    const raw = this.text.slice(start, next === undefined ? this.text.length : next - 1);
    return raw.endsWith("\r") ? raw.slice(0, -1) : raw;
  }

  /** Where a range is. A range over several lines is cut at the end of its first; an offset outside is moved inside. */
  position(startOffset: number, endOffset: number): TextPosition {
    const start = Math.min(Math.max(0, startOffset), this.text.length);
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= start) low = middle;
      else high = middle - 1;
    }
    const lineStart = this.#starts[low] ?? 0;
    const length = this.line(low + 1).length;
    const column = Math.min(start - lineStart, length) + 1;
    const end = Math.min(Math.max(endOffset, start) - lineStart, length) + 1;
    return { line: low + 1, column, endColumn: Math.max(end, column) };
  }
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
/** East Asian wide and fullwidth blocks and emoji: what terminals draw over two columns (Unicode TR 11). */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const onlyMarks = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;
/** C0 and C1 controls, line separators, lone surrogates and the marks that reorder text: none may reach a screen. */
const unsafe = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** Text that is safe to print: one line, no control characters. */
export function printable(text: string): string {
  return text.replaceAll("\t", " ").replaceAll(unsafe, "\ufffd");
}

/** A value of the file inside quotes, short and safe to print. */
export function quoted(value: string, charsMax = 60): string {
  const chars = value.length <= charsMax ? value : `${value.slice(0, charsMax - 1)}…`;
  return `'${printable(maskUserinfo(chars))}'`;
}

/** Hides `user:password` of any URL, keeping every column in its place. */
export function maskUserinfo(text: string): string {
  return text.replace(/(:[/\\]{2})([^\s/\\?#"']*)@/g, (_, start: string, secret: string) => {
    return `${start}${"*".repeat(secret.length)}@`;
  });
}

function columnsOf(text: string): number {
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) {
    if (!onlyMarks.test(segment)) columns += wide.test(segment) ? 2 : 1;
  }
  return columns;
}

function drawn(text: string): string {
  return text.replaceAll("\t", " ".repeat(tabColumns)).replaceAll(unsafe, "\ufffd");
}

/** The three lines of the excerpt, without a line end after the last. */
export function frameOf(source: SourceText, at: TextPosition): string {
  const line = maskUserinfo(source.line(at.line));
  const start = at.column - 1;
  const end = at.endColumn - 1;
  const from = line.length <= frameColumnsMax ? 0 : Math.max(0, start - columnsBeforeMax);
  const to = Math.min(line.length, from + frameColumnsMax);
  const before = `${from > 0 ? "…" : ""}${drawn(line.slice(from, start))}`;
  const marked = drawn(line.slice(start, Math.min(end, to)));
  const after = `${drawn(line.slice(Math.min(end, to), to))}${to < line.length ? "…" : ""}`;
  const number = String(at.line);
  const gutter = " ".repeat(number.length);
  const carets = "^".repeat(Math.max(1, columnsOf(marked)));
  return [
    `${gutter} |`,
    `${number} | ${before}${marked}${after}`.trimEnd(),
    `${gutter} | ${" ".repeat(columnsOf(before))}${carets}`,
  ].join("\n");
}
