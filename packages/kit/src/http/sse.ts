/**
 * Server-sent events as text (WHATWG HTML, "Server-sent events"): written by listeners, read by the transport. Data is
 * one line of JSON. Pure.
 */
import type { StreamEvent } from "@trace/contracts";

/** Keeps a connection without news alive; readers pass over it. */
export const beatText = ": beat\n\n";

/** Throws for a name or an id that would be read as something else. */
export function eventText({ event, data, id }: StreamEvent): string {
  for (const word of [event, id ?? ""]) {
    if (/[\r\n\0]/.test(word)) throw new Error("the name and the id of an event are one line");
  }
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data) ?? "null"}\n\n`;
}

/** An event as it came: its data is still text. */
export interface ReceivedEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

/**
 * Puts events together from text as it arrives, cut anywhere. An event is given when its blank line is there: what a
 * broken connection cut is none. Throws when one is longer than `charsMax`.
 */
export class EventReader {
  readonly #charsMax: number;
  #rest = "";
  #chars = 0;
  #event = "";
  #data: string[] = [];
  #id: string | undefined;

  constructor(charsMax: number) {
    this.#charsMax = charsMax;
  }

  *push(text: string): Generator<ReceivedEvent, void, undefined> {
    // A carriage return at the end may be half a line end: it waits for what follows.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      this.#chars += line.length;
      this.#bound(this.#chars);
      if (line !== "") this.#field(line);
      else yield* this.#end();
    }
    this.#bound(this.#chars + this.#rest.length);
  }

  #bound(chars: number): void {
    if (chars > this.#charsMax) throw new Error(`an event is longer than ${this.#charsMax} characters`);
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }

  *#end(): Generator<ReceivedEvent, void, undefined> {
    const read = { event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n"), id: this.#id };
    const some = this.#data.length > 0;
    this.#chars = 0;
    this.#event = "";
    this.#data = [];
    this.#id = undefined;
    if (some) yield read;
  }
}
