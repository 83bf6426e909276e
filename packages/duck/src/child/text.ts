/** What is looked at in a text file before DuckDB sees it: its encoding, its first line, how deep its JSON nests. */
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { csvHeaderBytesMax, jsonDepthMax } from "../limits.ts";
import { Refusal } from "./gate.ts";

/** DuckDB unpacks by the name's ending, so this does too. */
async function* bytesOf(file: string): AsyncGenerator<Buffer> {
  const unpack = /\.gz$/i.test(file) ? createGunzip() : /\.zst$/i.test(file) ? createZstdDecompress() : undefined;
  const stream = createReadStream(file, { highWaterMark: 256 * 1024 });
  if (unpack === undefined) {
    for await (const chunk of stream) yield chunk as Buffer;
    return;
  }
  stream.on("error", (error) => unpack.destroy(error));
  try {
    for await (const chunk of stream.pipe(unpack)) yield chunk as Buffer;
  } finally {
    stream.destroy();
  }
}

/** The first line without byte order mark and line end; cut at `csvHeaderBytesMax`. Refuses UTF-16. */
export async function firstLine(file: string): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of bytesOf(file)) {
    if (bytes === 0) requireBytes(file, chunk);
    const end = chunk.findIndex((byte) => byte === 10 || byte === 13);
    parts.push(end < 0 ? chunk : chunk.subarray(0, end));
    bytes += chunk.length;
    if (end >= 0 || bytes > csvHeaderBytesMax) break;
  }
  return Buffer.concat(parts)
    .subarray(0, csvHeaderBytesMax)
    .toString("utf8")
    .replace(/^\ufeff/, "");
}

const quote = 0x22;
const backslash = 0x5c;

/** DuckDB's JSON reader calls itself once per level and dies of some thousands, so depth is counted before it looks. */
export async function requireShallow(file: string): Promise<void> {
  let depth = 0;
  let line = 1;
  let inText = false;
  let escaped = false;
  let first = true;
  for await (const chunk of bytesOf(file)) {
    if (first) requireBytes(file, chunk);
    first = false;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte === 10) {
        line += 1;
        // No JSON text spans lines: a forgotten quote must not hide what follows it.
        inText = false;
        escaped = false;
      } else if (inText) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inText = false;
      } else if (byte === quote) inText = true;
      else if (byte === 0x5b || byte === 0x7b) {
        depth += 1;
        if (depth > jsonDepthMax) throw tooDeep(file, line);
      } else if (byte === 0x5d || byte === 0x7d) depth = Math.max(0, depth - 1);
    }
  }
}

function tooDeep(file: string, line: number): Refusal {
  return new Refusal({
    code: "TR-5206",
    detail: `The JSON is nested more than ${jsonDepthMax} levels deep.`,
    where: `${basename(file)}, line ${line}`,
    fix: "Flatten the data before it is read.",
  });
}

function requireBytes(file: string, head: Buffer): void {
  const mark = head.subarray(0, 2).toString("hex");
  if (mark !== "fffe" && mark !== "feff") return;
  throw new Refusal({
    code: "TR-5206",
    detail: "The file is not UTF-8: it begins like UTF-16.",
    where: basename(file),
    fix: "Convert it: iconv -f UTF-16 -t UTF-8 old > new",
  });
}
