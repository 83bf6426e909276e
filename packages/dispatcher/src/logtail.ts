/**
 * What is new in the log of one attempt. Its object is written whole each time it grows: lines are added at its end and, once
 * it is as long as it may be, taken from its front, which a first line `{"dropped":n}` then says. Read here in pieces, from
 * where the last piece ended, so that following a log costs what it grows by and holds one piece in memory.
 */
import { type LogLine, logLineSchema } from "@trace/contracts";
import { logMarkerBytesMax, logPieceBytes } from "./limits.ts";

/** One version of the object. */
export interface LogVersion {
  readonly etag: string;
  readonly bytes: number;
}

/** Bytes [start, end) of a version; undefined when it is no longer there. */
export type ReadLog = (version: LogVersion, start: number, end: number) => Promise<Uint8Array | undefined>;

export interface LogPiece {
  /** Lines before these that are lost. */
  readonly dropped: number;
  readonly lines: readonly LogLine[];
}

const newline = 0x0a;

export class LogTail {
  readonly #read: ReadLog;
  /** Number of the next line to give; lines are numbered from the attempt's first, dropped ones included. */
  #next: number;
  /** Where reading goes on, and the number of the line there, while the front is where it was. */
  #offset = 0;
  #lineAt = 0;
  /** Lines that were gone from the front when `#offset` was reached. */
  #front = 0;
  #etag: string | undefined;

  /** `next`: lines before it were given already. */
  constructor(read: ReadLog, next = 0) {
    this.#read = read;
    this.#next = next;
  }

  get next(): number {
    return this.#next;
  }

  /** Pieces of this version that were not given before. Returns false when it was replaced before all of it was read. */
  async *advance(version: LogVersion): AsyncGenerator<LogPiece, boolean, undefined> {
    if (version.etag === this.#etag) return true;
    if (!(await this.#find(version))) return false;
    while (this.#offset < version.bytes) {
      const end = Math.min(this.#offset + logPieceBytes, version.bytes);
      const bytes = await this.#read(version, this.#offset, end);
      if (bytes === undefined) return false;
      const whole = Buffer.from(bytes).lastIndexOf(newline) + 1;
      // A line is much shorter than a piece. One that is not is nobody's log line: what is left of it counts as one.
      const taken = whole === 0 && end < version.bytes ? bytes.length : whole;
      if (taken === 0) break;
      const piece = this.#piece(Buffer.from(bytes.subarray(0, whole)).toString("utf8"));
      this.#offset += taken;
      if (piece.lines.length > 0 || piece.dropped > 0) yield piece;
    }
    this.#etag = version.etag;
    return true;
  }

  /** Goes back to the start when the front has moved since the last piece. False when the version is gone. */
  async #find(version: LogVersion): Promise<boolean> {
    if (this.#offset === 0) return true;
    const front = await this.#read(version, 0, Math.min(logMarkerBytesMax, version.bytes));
    if (front === undefined) return false;
    const [first = ""] = Buffer.from(front).toString("utf8").split("\n", 1);
    if ((markerOf(first) ?? 0) !== this.#front || version.bytes < this.#offset) this.#offset = 0;
    return true;
  }

  #piece(text: string): LogPiece {
    const lines: LogLine[] = [];
    let dropped = 0;
    const texts = text.split("\n");
    texts.pop();
    for (const [index, one] of texts.entries()) {
      if (this.#offset === 0 && index === 0) {
        const marker = markerOf(one);
        this.#front = marker ?? 0;
        this.#lineAt = this.#front;
        if (marker !== undefined) continue;
      }
      const number = this.#lineAt;
      this.#lineAt += 1;
      if (number < this.#next) continue;
      dropped += number - this.#next;
      this.#next = number + 1;
      const line = lineOf(one);
      if (line === undefined) dropped += 1;
      else lines.push(line);
    }
    return { dropped, lines };
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function markerOf(text: string): number | undefined {
  const value = jsonOf(text);
  if (typeof value !== "object" || value === null || !("dropped" in value)) return undefined;
  return Number.isSafeInteger(value.dropped) ? Number(value.dropped) : undefined;
}

function lineOf(text: string): LogLine | undefined {
  const line = logLineSchema.safeParse(jsonOf(text));
  return line.success ? line.data : undefined;
}
