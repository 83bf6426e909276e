/** Rows of a CSV file as they stand in it: which lines they begin at, for rows that are known by their number alone. */
import { createReadStream } from "node:fs";
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
