/**
 * Sources that are compressed. They are unpacked once, into the run's private folder: DuckDB would read a damaged gzip file
 * without a word, believes a file's name rather than its bytes, and reads what is unpacked on all its threads.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import type { DuckCompression, DuckInput } from "../types.ts";
import { Refusal } from "./gate.ts";
import { BrokenFrames, zstdFrames } from "./zstd.ts";

type Packing = Exclude<DuckCompression, "auto">;

export interface Unpacked {
  readonly input: DuckInput;
  readonly compression: Packing;
}

/** Bytes that a whole run may still unpack. */
export interface UnpackBudget {
  left: number;
  readonly max: number;
}

/** The input with the files that DuckDB shall read. The names stay the same, for messages. Throws `Refusal`. */
export async function unpack(input: DuckInput, folder: string, budget: UnpackBudget): Promise<Unpacked> {
  const files: string[] = [];
  let compression: Packing = "none";
  for (const [index, file] of input.files.entries()) {
    const packing = await packingOf(file, input.compression ?? "auto");
    if (packing === "none") {
      files.push(file);
      continue;
    }
    compression = packing;
    const own = join(folder, "unpacked", input.name, String(index));
    await mkdir(own, { recursive: true, mode: 0o700 });
    const target = join(own, basename(file));
    await write(file, target, packing, budget);
    files.push(target);
  }
  return { input: { ...input, files }, compression };
}

/** Known by their first bytes, and by nobody here unpacked. */
const strangers: readonly (readonly [start: string, name: string, command: string])[] = [
  ["504b0304", "a zip archive", "unzip"],
  ["fd377a585a00", "an xz file", "xz -d"],
  ["377abcaf271c", "a 7z archive", "7z x"],
  ["425a68", "a bzip2 file", "bzip2 -d"],
];

async function packingOf(file: string, declared: DuckCompression): Promise<Packing> {
  if (declared === "none") return declared;
  const head = await headOf(file);
  const hex = head.toString("hex");
  const found: Packing = hex.startsWith("1f8b")
    ? "gzip"
    : hex.startsWith("28b52ffd") || /^5[0-9a-f]2a4d18/.test(hex)
      ? "zstd"
      : "none";
  if (declared !== "auto" && found !== declared) {
    throw new Refusal({
      code: "TR-5206",
      detail: `The file is declared as ${declared}, but ${found === "none" ? "is not compressed so" : `is ${found}`}.`,
      where: basename(file),
      fix: "Leave compression away: it is found by the file's first bytes.",
    });
  }
  const stranger = strangers.find(([start]) => hex.startsWith(start));
  // "BZh" may begin a text; the block's own magic number does not.
  if (stranger === undefined || (stranger[0] === "425a68" && hex.slice(8, 20) !== "314159265359")) return found;
  throw new Refusal({
    code: "TR-5206",
    detail: `The file is ${stranger[1]}, which is not read.`,
    where: basename(file),
    fix: `Unpack it first (${stranger[2]}); gzip and zstd are read as they are.`,
  });
}

async function headOf(file: string): Promise<Buffer> {
  const handle = await open(file, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function write(file: string, target: string, packing: Packing, budget: UnpackBudget): Promise<void> {
  try {
    if (packing === "gzip") {
      await pour(createReadStream(file), createGunzip(), target, budget, file);
      return;
    }
    const handle = await open(file, "r");
    try {
      for await (const { start, end } of zstdFrames(handle, (await stat(file)).size)) {
        const frame = createReadStream(file, { start, end: end - 1 });
        await pour(frame, createZstdDecompress(), target, budget, file);
      }
      // A file of skippable frames alone holds nothing, which is a file too.
      await (await open(target, "a")).close();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw damaged(error, file, packing);
  }
}

async function pour(from: Readable, through: Transform, target: string, budget: UnpackBudget, file: string) {
  const bounded = new Transform({
    transform(chunk: Buffer, _, done) {
      budget.left -= chunk.length;
      if (budget.left < 0) done(tooLarge(file, budget.max));
      else done(null, chunk);
    },
  });
  await pipeline(from, through, bounded, createWriteStream(target, { flags: "a", mode: 0o600 }));
}

function tooLarge(file: string, bytesMax: number): Refusal {
  return new Refusal({
    code: "TR-5209",
    detail: `The file unpacks to more than ${bytesMax} bytes.`,
    where: basename(file),
    fix: "Split the file, or raise the limit of what is unpacked.",
  });
}

function damaged(error: unknown, file: string, packing: Packing): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const reason = error instanceof BrokenFrames ? error.message : error instanceof Error ? error.message : String(error);
  if (!(error instanceof BrokenFrames || /^(?:Z_|ZSTD_)/.test(code ?? ""))) return error;
  return new Refusal({
    code: "TR-5206",
    detail: `The ${packing} file is damaged or cut short: ${reason}.`,
    where: basename(file),
    fix: "Get the file again from where it came; gzip -t or zstd -t tells whether it is whole.",
  });
}
