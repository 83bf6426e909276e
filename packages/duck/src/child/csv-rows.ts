/** Rows of a CSV file as they stand in it: which lines they begin at, for rows that are known by their number alone. */
import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { badRowTextMax } from "../limits.ts";
import type { DuckDialect } from "../types.ts";

export interface FoundRow {
  readonly line: number;
  /** As it stood, cut at `badRowTextMax` bytes. */
  readonly text: string;
}

/**
 * The rows with the numbers `wanted` (from 1, ascending) among those that were read: the header, empty lines, comments and
 * the rows that begin at a byte in `rejected` (from 1, ascending) are not counted.
 */
export async function rowsAt(
  file: string,
  { quote, comment, header, skip }: DuckDialect,
  rejected: readonly number[],
  wanted: readonly number[],
): Promise<FoundRow[]> {
  const found: FoundRow[] = [];
  const quoteByte = quote === "" ? -1 : quote.charCodeAt(0);
  let headers = header ? 1 : 0;
  let [line, rowLine, offset, start, number, reject, previous] = [1, 1, 0, 0, 0, 0, 0];
  let text: number[] = [];
  let inQuotes = false;
  const end = (at: number) => {
    const row = Buffer.from(text)
      .toString("utf8")
      .replace(/^\ufeff/, "");
    const isRow = rowLine > skip && row.trim() !== "" && !(comment !== undefined && row.startsWith(comment));
    let isRejected = false;
    while (reject < rejected.length && (rejected[reject] ?? 0) - 1 < at) {
      isRejected ||= (rejected[reject] ?? 0) - 1 >= start - 1;
      reject += 1;
    }
    if (isRow && headers > 0) headers -= 1;
    else if (isRow && !isRejected) {
      number += 1;
      if (number === wanted[found.length]) found.push({ line: rowLine, text: row });
    }
    text = [];
  };
  for await (const data of createReadStream(file, { highWaterMark: 256 * 1024 })) {
    for (const byte of data as Buffer) {
      const isEnd = byte === 10 || byte === 13;
      const second = byte === 10 && previous === 13;
      if (byte === quoteByte) inQuotes = !inQuotes;
      if (isEnd && !inQuotes) {
        if (!second) end(offset);
        start = offset + 1;
      } else if (text.length < badRowTextMax) text.push(byte);
      if (isEnd && !second) line += 1;
      if (isEnd && !inQuotes) rowLine = line;
      previous = byte;
      offset += 1;
    }
    if (found.length === wanted.length) return found;
  }
  end(offset);
  return found;
}

/**
 * The line, from 1, at which the row begins that DuckDB calls `number`: it counts lines, those of one quoted field as one.
 * A quote counts where a field begins; lines before the header and comments are lines whatever they hold.
 */
export function lineOfRow(file: string, number: number, dialect: Omit<DuckDialect, "header">): number {
  const lines = new RowLines(dialect);
  const buffer = Buffer.alloc(256 * 1024);
  const handle = openSync(file, "r");
  try {
    for (let read = -1; read !== 0; ) {
      read = readSync(handle, buffer, 0, buffer.length, null);
      for (let at = 0; at < read; at += 1) {
        if (lines.row === number) return lines.rowLine;
        lines.push(buffer[at] ?? 0);
      }
    }
  } finally {
    closeSync(handle);
  }
  return lines.rowLine;
}

const byteOf = (text: string | undefined): number => Buffer.from(text ?? "").at(-1) ?? -1;

/** Walks over the bytes of a file and knows which row it is in, and at which line that began. */
class RowLines {
  row = 1;
  rowLine = 1;
  #line = 1;
  #previous = 0;
  #inQuotes = false;
  /** The byte before closed a quote. */
  #isClosed = false;
  #isEscaped = false;
  #isComment = false;
  #isFieldStart = true;
  readonly #quote: number;
  readonly #escape: number;
  readonly #delimiter: number;
  readonly #comment: number;
  readonly #skip: number;

  constructor(dialect: Omit<DuckDialect, "header">) {
    const { quote, delimiter, comment, skip } = dialect;
    this.#quote = byteOf(quote);
    // A doubled quote closes and opens again, so only another character escapes.
    this.#escape = dialect.escape === quote ? -1 : byteOf(dialect.escape);
    this.#delimiter = byteOf(delimiter);
    this.#comment = byteOf(comment);
    this.#skip = skip;
  }

  push(byte: number): void {
    const isEnd = byte === 10 || byte === 13;
    if (byte === 10 && this.#previous === 13) {
      // The second half of a line's end; its first half has been counted.
      if (!this.#inQuotes) this.rowLine = this.#line;
    } else if (isEnd) {
      this.#line += 1;
      if (!this.#inQuotes) this.#nextRow();
    } else this.#within(byte);
    this.#previous = byte;
  }

  #nextRow(): void {
    this.row += 1;
    this.rowLine = this.#line;
    this.#isFieldStart = true;
    this.#isClosed = false;
    this.#isComment = false;
    this.#isEscaped = false;
  }

  #within(byte: number): void {
    const isRowStart = this.#isFieldStart && (this.#previous === 0 || this.#previous === 10 || this.#previous === 13);
    if (this.row <= this.#skip || (isRowStart && byte === this.#comment)) this.#isComment = true;
    if (this.#isComment) return;
    if (this.#inQuotes) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === this.#escape) this.#isEscaped = true;
      else if (byte === this.#quote) [this.#inQuotes, this.#isClosed] = [false, true];
      return;
    }
    this.#inQuotes = byte === this.#quote && (this.#isFieldStart || this.#isClosed);
    this.#isClosed = false;
    // A byte order mark is no part of the first field.
    const isMark = this.row === 1 && (byte === 0xef || byte === 0xbb || byte === 0xbf);
    this.#isFieldStart = byte === this.#delimiter || (this.#isFieldStart && isMark);
  }
}
