/**
 * How wide a text is on a terminal, and how to cut, pad and wrap it. Texts come from datasets, logs and files of
 * strangers: `printable` takes out what would move the cursor or reorder a line.
 */

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
/** East Asian wide and fullwidth blocks and emoji: two columns (Unicode TR 11). */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const onlyMarks = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;
/** Controls, line separators, lone surrogates and marks that reorder text. */
const unsafe = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/gu;
const plainAscii = /^[\x20-\x7e]*$/;

/** One line of text that is safe to print. A line end shows as `↵`, a tab as a space, other controls as `�`. */
export function printable(text: string): string {
  if (plainAscii.test(text)) return text;
  return text
    .replaceAll(/\r\n|\n/g, "↵")
    .replaceAll("\t", " ")
    .replaceAll(unsafe, "\ufffd");
}

function segmentColumns(segment: string): number {
  if (onlyMarks.test(segment)) return 0;
  return wide.test(segment) ? 2 : 1;
}

/** Terminal columns of a printable text. */
export function columnsOf(text: string): number {
  if (plainAscii.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) columns += segmentColumns(segment);
  return columns;
}

/** The text, or its beginning with `…`, in at most `columns` columns. */
export function cut(text: string, columns: number): string {
  if (text.length <= columns && plainAscii.test(text)) return text;
  if (columnsOf(text) <= columns) return text;
  if (columns <= 0) return "";
  let kept = "";
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    const next = segmentColumns(segment);
    if (used + next > columns - 1) break;
    kept += segment;
    used += next;
  }
  return `${kept}…`;
}

export function pad(text: string, columns: number, align: "left" | "right" = "left"): string {
  const fill = " ".repeat(Math.max(0, columns - columnsOf(text)));
  return align === "left" ? text + fill : fill + text;
}

/** Words in lines of at most `columns`; a longer word has a line of its own and is not broken: it may be a command. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  let used = 0;
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    const width = columnsOf(word);
    if (line !== "" && used + 1 + width > columns) {
      lines.push(line);
      line = word;
      used = width;
    } else {
      line = line === "" ? word : `${line} ${word}`;
      used = line === word ? width : used + 1 + width;
    }
  }
  if (line !== "" || lines.length === 0) lines.push(line);
  return lines;
}
