/** A block of lines at the end of a terminal, drawn over itself. The only code that moves the cursor. */
import { stripVTControlCharacters } from "node:util";
import type { TextSink } from "../io.ts";
import { cursor } from "./ansi.ts";
import { columnsOf } from "./width.ts";

export class LiveBlock {
  readonly #sink: TextSink;
  #lines: readonly string[] = [];
  #hidden = false;

  constructor(sink: TextSink) {
    this.#sink = sink;
  }

  /** Replaces the block. Lines must be narrower than the terminal, or the redraw would miss some of them. */
  draw(lines: readonly string[]): void {
    if (this.#hidden && lines.join("\n") === this.#lines.join("\n")) return;
    // One write per frame, so that no half-drawn frame is seen.
    const hide = this.#hidden ? "" : cursor.hide;
    this.#sink.write(`${hide}${this.#back()}${lines.map((line) => `${line}\n`).join("")}`);
    this.#hidden = true;
    this.#lines = lines;
  }

  /** Writes lines above the block, which stays. */
  above(lines: readonly string[]): void {
    const kept = this.#lines;
    this.#sink.write(`${this.#back()}${[...lines, ...kept].map((line) => `${line}\n`).join("")}`);
  }

  /** Leaves the block as it is and gives the cursor back. Safe to call twice. */
  end(): void {
    if (this.#hidden) this.#sink.write(cursor.show);
    this.#hidden = false;
    this.#lines = [];
  }

  /** Takes the block away and gives the cursor back. */
  erase(): void {
    if (this.#hidden) this.#sink.write(this.#back());
    this.#lines = [];
    this.end();
  }

  #back(): string {
    return this.#lines.length === 0 ? "" : `${cursor.up(this.#rows())}\r${cursor.clearBelow}`;
  }

  /** Rows of the screen that the block takes now: a terminal that became narrower has wrapped its lines. */
  #rows(): number {
    const { columns } = this.#sink;
    if (columns === undefined) return this.#lines.length;
    const rowsOf = (line: string) => Math.max(1, Math.ceil(columnsOf(stripVTControlCharacters(line)) / columns));
    return this.#lines.reduce((sum, line) => sum + rowsOf(line), 0);
  }
}
