/**
 * As much of Postgres' frontend/backend protocol (version 3) as it takes to see where one message ends, what SQL it carries
 * and whether that SQL ends a transaction. Reads along; never changes a byte.
 */
import { lookedAtBytesMax, wireMessageBytesMax } from "./limits.ts";

export interface WireMessage {
  /** The letter of its type; `start-up` for a packet without one, `byte` for the answer to a request for encryption. */
  readonly type: string;
  /** Where the next one begins, in the chunk that was read. */
  readonly end: number;
  /** The first part of what follows the length; empty for types that are not looked at. */
  readonly body: Buffer;
}

/** Request codes of start-up packets. */
const encryptionRequests = new Set([80_877_103, 80_877_104]);

export class MessageReader {
  readonly #lookedAt: ReadonlySet<string>;
  readonly #header = Buffer.alloc(5);
  #headerBytes = 0;
  #untyped: boolean;
  #opaque = false;
  #bytesExpected = 0;
  #type = "";
  /** Of the message under way; undefined between two. */
  #bodyLeft: number | undefined;
  #kept: Buffer[] = [];
  #keptBytes = 0;

  /** Clients begin with start-up packets, which have no type. `lookedAt` are the types whose body is wanted. */
  constructor(side: "client" | "server", lookedAt: Iterable<string>) {
    this.#untyped = side === "client";
    this.#lookedAt = new Set(lookedAt);
  }

  /** True once the bytes are none of this protocol: encrypted, or another program's. */
  get opaque(): boolean {
    return this.#opaque;
  }

  /** The next answer is one byte: the other side was asked whether it encrypts. */
  expectByte(): void {
    this.#bytesExpected += 1;
  }

  /** The messages that end in this chunk. */
  read(chunk: Buffer): WireMessage[] {
    const messages: WireMessage[] = [];
    for (let at = 0; at < chunk.length && !this.#opaque; ) {
      if (this.#bodyLeft === undefined) {
        if (this.#bytesExpected > 0 && this.#headerBytes === 0 && chunk[at] !== 0x45 /* an error instead */) {
          this.#bytesExpected -= 1;
          this.#opaque = chunk[at] !== 0x4e; // not "no"
          at += 1;
          messages.push({ type: "byte", end: at, body: chunk.subarray(at - 1, at) });
          continue;
        }
        at += this.#readHeader(chunk, at);
        if (this.#bodyLeft === undefined) continue;
      }
      at += this.#readBody(chunk, at);
      if (this.#bodyLeft === 0) messages.push(this.#finish(at));
    }
    return messages;
  }

  /** Answers with how many bytes it took. */
  #readHeader(chunk: Buffer, at: number): number {
    const size = this.#untyped ? 4 : 5;
    const taken = chunk.copy(this.#header, this.#headerBytes, at, at + size - this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes < size) return taken;
    const length = this.#header.readUInt32BE(size - 4);
    this.#type = this.#untyped ? "start-up" : String.fromCharCode(this.#header[0] ?? 0);
    this.#opaque = length < 4 || length > wireMessageBytesMax;
    if (!this.#opaque) this.#bodyLeft = length - 4;
    return taken;
  }

  #readBody(chunk: Buffer, at: number): number {
    const part = chunk.subarray(at, at + (this.#bodyLeft ?? 0));
    this.#bodyLeft = (this.#bodyLeft ?? 0) - part.length;
    const wanted = this.#untyped || this.#lookedAt.has(this.#type) ? lookedAtBytesMax - this.#keptBytes : 0;
    if (wanted > 0 && part.length > 0) {
      const kept = part.subarray(0, wanted);
      this.#kept.push(kept);
      this.#keptBytes += kept.length;
    }
    return part.length;
  }

  #finish(end: number): WireMessage {
    const body = Buffer.concat(this.#kept);
    this.#kept = [];
    this.#keptBytes = 0;
    this.#bodyLeft = undefined;
    this.#headerBytes = 0;
    // Version 3.x: from here on messages have types.
    if (this.#untyped && startUpCode(body) >>> 16 === 3) this.#untyped = false;
    return { type: this.#type, end, body };
  }
}

/** Whether a start-up packet asks for encryption, which is answered by one byte. */
export function asksForEncryption(body: Buffer): boolean {
  return encryptionRequests.has(startUpCode(body));
}

/** Whether a start-up packet begins a session, which is answered by "ready" once the client has proved itself. */
export function beginsSession(body: Buffer): boolean {
  return startUpCode(body) >>> 16 === 3;
}

function startUpCode(body: Buffer): number {
  return body.length >= 4 ? body.readUInt32BE(0) : 0;
}

/** The first texts of a body, each ended by a zero byte. */
export function textsOf(body: Buffer, count: number): string[] {
  const texts: string[] = [];
  for (let from = 0; texts.length < count; ) {
    const end = body.indexOf(0, from);
    texts.push(body.toString("utf8", from, end === -1 ? body.length : end));
    if (end === -1) break;
    from = end + 1;
  }
  return texts;
}

/** `commit` ends a transaction and keeps it; `control` changes no rows; everything else is a `statement`. */
export type SqlKind = "commit" | "control" | "statement";

const commitWords = new Set(["commit", "end"]);
const controlWords = new Set(
  "begin start rollback abort savepoint release set reset show discard deallocate listen unlisten".split(" "),
);

const token =
  /--[^\n]*|\/\*|[eE]'(?:\\[\s\S]|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*"|\$(?:[A-Za-z_]\w*)?\$|;|[A-Za-z_][\w$]*|\s+|[\s\S]/y;

/** The first word of each statement of a text, in lower case; words in comments, quotes and bodies are none. */
export function firstWords(sql: string): string[] {
  const words: string[] = [];
  let begins = true;
  for (let at = 0; at < sql.length; ) {
    token.lastIndex = at;
    const found = token.exec(sql)?.[0] ?? "";
    at += Math.max(1, found.length);
    if (found === "/*") at = endOfComment(sql, at);
    else if (/^\$\w*\$$/.test(found)) {
      const end = sql.indexOf(found, at);
      at = end === -1 ? sql.length : end + found.length;
    } else if (found === ";") begins = true;
    else if (begins && !found.startsWith("--") && !/^\s/.test(found)) {
      words.push(found.toLowerCase());
      begins = false;
    }
  }
  return words;
}

/** Comments of SQL lie within each other. `at` is behind the first opening. */
function endOfComment(sql: string, at: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = at;
  for (let depth = 1; depth > 0; ) {
    const found = mark.exec(sql);
    if (found === null) return sql.length;
    depth += found[0] === "/*" ? 1 : -1;
  }
  return mark.lastIndex;
}

/** What a text of one or more statements comes to: one that ends in a commit is a commit. */
export function kindOfSql(sql: string): SqlKind {
  const words = firstWords(sql);
  if (words.some((word) => commitWords.has(word))) return "commit";
  return words.some((word) => !controlWords.has(word)) ? "statement" : "control";
}
