/**
 * The `aws-chunked` body: framing, chained chunk signatures, and trailing headers.
 *
 * Bytes are handed on before their chunk's signature is known; the caller publishes nothing until the last one has
 * passed, which is when this generator ends without throwing. Sources:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and .../sigv4-streaming-trailers.html
 */
import { createHash } from "node:crypto";
import { chunkLineBytesMax, trailerLinesMax } from "../limits.ts";
import { S3Error } from "./errors.ts";
import { sameHex, sha256Hex, signText, type VerifiedSignature } from "./sigv4.ts";

export interface ChunkedOptions {
  /** Present when each chunk is signed: the chain starts at the signature of the headers. */
  readonly chain: VerifiedSignature | undefined;
  /** Names that `x-amz-trailer` announced; empty when the mode has no trailer. */
  readonly trailers: readonly string[];
  /** Receives the trailing headers, each one announced, after the data. */
  readonly onTrailers: (trailers: ReadonlyMap<string, string>) => void;
}

const emptyHash = sha256Hex("");

/** Reads lines and counted bytes from chunks of any size. */
class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async #more(): Promise<boolean> {
    const next = await this.#source.next();
    if (next.done === true) return false;
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
    return true;
  }

  /** A line without its end. Both CRLF and the bare LF that S3's own trailer example contains end one. */
  async line(): Promise<string> {
    let from = 0;
    for (;;) {
      const end = this.#rest.indexOf(0x0a, from);
      if ((end === -1 ? this.#rest.length : end) > chunkLineBytesMax) throw malformed("a framing line is too long");
      if (end !== -1) {
        const line = this.#rest.toString("latin1", 0, end);
        this.#rest = this.#rest.subarray(end + 1);
        return line.endsWith("\r") ? line.slice(0, -1) : line;
      }
      from = this.#rest.length;
      if (!(await this.#more())) throw malformed("it ends inside its framing");
    }
  }

  /** Between one and `most` bytes. */
  async some(most: number): Promise<Buffer> {
    if (this.#rest.length === 0 && !(await this.#more())) throw malformed("it ends inside a chunk");
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  async atEnd(): Promise<boolean> {
    while (this.#rest.length === 0) if (!(await this.#more())) return true;
    return false;
  }
}

function malformed(why: string): S3Error {
  return new S3Error("IncompleteBody", `The aws-chunked body is malformed: ${why}.`);
}

export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  options: ChunkedOptions,
): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source);
  let previous = options.chain?.signature ?? "";
  for (;;) {
    const header = parseChunkHeader(await reader.line(), options.chain !== undefined);
    const hash = createHash("sha256");
    for (let left = header.bytes; left > 0; ) {
      const piece = await reader.some(left);
      left -= piece.length;
      if (options.chain !== undefined) hash.update(piece);
      if (piece.length > 0) yield piece;
    }
    if (options.chain !== undefined) {
      previous = checkChunk(options.chain, previous, hash.digest("hex"), header.signature);
    }
    if (header.bytes === 0) break;
    if ((await reader.line()) !== "") throw malformed("a chunk is longer than its size");
  }
  await readTrailers(reader, options, previous);
  if (!(await reader.atEnd())) throw malformed("bytes follow its end");
}

function parseChunkHeader(line: string, signed: boolean): { bytes: number; signature: string } {
  const match = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  const signature = match?.[2] ?? "";
  if (match === null || signed !== (signature !== "")) throw malformed("a chunk header cannot be read");
  return { bytes: Number.parseInt(match[1] ?? "", 16), signature };
}

function checkChunk(chain: VerifiedSignature, previous: string, chunkHash: string, given: string): string {
  const text = ["AWS4-HMAC-SHA256-PAYLOAD", chain.amzDate, chain.scope, previous, emptyHash, chunkHash].join("\n");
  const expected = signText(chain.signingKey, text);
  if (!sameHex(given, expected)) {
    throw new S3Error("SignatureDoesNotMatch", "The signature of a chunk does not match its bytes.");
  }
  return expected;
}

async function readTrailers(reader: ByteReader, options: ChunkedOptions, previous: string): Promise<void> {
  const found = new Map<string, string>();
  let signature = "";
  for (let count = 0; ; count += 1) {
    const line = await reader.line();
    if (line === "") {
      // S3's example ends each trailer with LF and the block with CRLF, so an empty line may stand before the signature.
      if (options.chain === undefined || options.trailers.length === 0 || signature !== "" || count > trailerLinesMax)
        break;
      continue;
    }
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "x-amz-trailer-signature" && signature === "") signature = value;
    else if (!options.trailers.includes(name) || found.has(name) || signature !== "") {
      throw new S3Error("MalformedTrailerError", "The trailer holds a header that x-amz-trailer did not announce.");
    } else found.set(name, value);
  }
  if (found.size !== options.trailers.length) {
    throw new S3Error("MalformedTrailerError", "A trailing header that x-amz-trailer announced did not come.");
  }
  if (options.chain !== undefined && options.trailers.length > 0) {
    const block = [...found].map(([name, value]) => `${name}:${value}\n`).join("");
    const text = ["AWS4-HMAC-SHA256-TRAILER", options.chain.amzDate, options.chain.scope, previous, sha256Hex(block)];
    if (!sameHex(signature, signText(options.chain.signingKey, text.join("\n")))) {
      throw new S3Error("SignatureDoesNotMatch", "The signature of the trailer does not match it.");
    }
  }
  options.onTrailers(found);
}
