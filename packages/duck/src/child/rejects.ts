/** What reading CSV and reading JSON Lines with rows set aside have in common: DuckDB's rejects, and lines as people count. */
import { createReadStream } from "node:fs";
import { badRowsMax, textLineBytesMax } from "../limits.ts";
import type { DuckDialect } from "../types.ts";
import type { Engine } from "./engine.ts";

/** Of the service's own; no SQL of a user's can name it. */
export const badTable = "temp.main.bad_rows";

export interface ReadAside {
  /** Good rows. */
  readonly rows: number;
  readonly dialect?: DuckDialect | undefined;
}

/** Reads `query` into the private file and tells how many rows it has. */
export type CopyAside = (query: string) => Promise<number>;

/** One more than may be kept, so that too many can be told from enough. */
export const rejecting = [
  "ignore_errors = true",
  "store_rejects = true",
  `rejects_limit = ${badRowsMax + 1}`,
  `max_line_size = ${textLineBytesMax}`,
];

export async function dropRejects(engine: Engine): Promise<void> {
  await engine.rows("DROP TABLE IF EXISTS reject_errors");
  await engine.rows("DROP TABLE IF EXISTS reject_scans");
}

/** The line, from 1, of the row that begins at each byte, from 1, in ascending order. */
export async function linesAt(file: string, starts: readonly number[]): Promise<number[]> {
  const lines: number[] = [];
  if (starts.length === 0) return lines;
  let offset = 0;
  let line = 1;
  let next = 0;
  // Where a line ends with two bytes, DuckDB says that the next row begins between them.
  let previous = 0;
  for await (const data of createReadStream(file, { highWaterMark: 256 * 1024 })) {
    const chunk = data as Buffer;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      const isEnd = byte === 10 || byte === 13;
      if (!isEnd) {
        while (next < starts.length && (starts[next] ?? 0) - 1 <= offset + at) {
          lines.push(line);
          next += 1;
        }
      } else if (!(byte === 10 && previous === 13)) line += 1;
      previous = byte;
    }
    offset += chunk.length;
    if (next === starts.length) break;
  }
  while (lines.length < starts.length) lines.push(line);
  return lines;
}
