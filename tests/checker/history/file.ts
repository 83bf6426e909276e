/** The history file: written in pieces while a run goes on, read line by line, however large it has grown. */

import { once } from "node:events";
import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { StringDecoder } from "node:string_decoder";

/** Lines kept back before they are written together. */
const pieceLinesMax = 256;
/** Kept back at most this long, milliseconds: who looks on sees what happens. */
const pieceMsMax = 200;
const chunkBytes = 1 << 20;

export class HistoryWriter {
  readonly #stream: WriteStream;
  #piece: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #failure: Error | undefined;
  lines = 0;

  constructor(path: string) {
    this.#stream = createWriteStream(path, { flags: "wx" });
    // A history with a gap proves nothing: the next write throws it.
    this.#stream.on("error", (error) => {
      this.#failure = error;
    });
  }

  write(line: string): void {
    if (this.#failure !== undefined) throw new Error("the history cannot be written", { cause: this.#failure });
    this.#piece.push(line);
    this.lines += 1;
    if (this.#piece.length >= pieceLinesMax) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), pieceMsMax);
  }

  async end(): Promise<void> {
    this.#flush();
    this.#stream.end();
    if (!this.#stream.closed) await once(this.#stream, "close");
    if (this.#failure !== undefined) throw new Error("the history cannot be written", { cause: this.#failure });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#piece.length === 0) return;
    this.#stream.write(`${this.#piece.join("\n")}\n`);
    this.#piece = [];
  }
}

/**
 * The documents of a file, one a line, with the number of the line. Throws when a line is no JSON, but for a last one
 * without its end: what was being written when a run was cut off.
 */
export async function* readLines(path: string): AsyncGenerator<{ line: number; value: unknown }> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let line = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    const lines = (rest + decoder.write(chunk as Buffer)).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      line += 1;
      if (text !== "") yield { line, value: parsed(text, path, line) };
    }
  }
}

function parsed(text: string, path: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path}:${line} is not JSON: ${text.slice(0, 200)}`, { cause });
  }
}
