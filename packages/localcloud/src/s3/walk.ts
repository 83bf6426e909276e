/**
 * Keys of a bucket in the order S3 lists them (bytes of UTF-8), found folder by folder.
 *
 * Within one folder, comparing files by name and folders by name + "/" gives the order of all keys below, because no
 * piece contains a slash. A prefix is answered from its own folder; only folders on the way of what is asked are read.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errno } from "./disk.ts";
import { parseName, partBytesMax, prefixToNames } from "./keypath.ts";

export interface FoundKey {
  readonly key: string;
  readonly path: string;
}

/** Where a walk goes next. The reader may move it forward between two keys. */
export interface WalkPosition {
  /** Only keys after this one, bytes of UTF-8. */
  after: Buffer;
  /** Keys that begin with this are passed over, whole folders at once. Empty: none. */
  skip: Buffer;
}

interface Piece {
  readonly kind: "file" | "folder";
  /** Bytes by which it is ordered among its siblings. */
  readonly order: Buffer;
  readonly path: string;
}

const slash = Buffer.from("/");

export async function* walkKeys(
  bucketFolder: string,
  prefix: string,
  position: WalkPosition,
): AsyncGenerator<FoundKey> {
  const cut = prefix.lastIndexOf("/") + 1;
  const folder = join(bucketFolder, ...prefixToNames(prefix.slice(0, cut)));
  yield* walkFolder(folder, Buffer.from(prefix.slice(0, cut)), Buffer.from(prefix.slice(cut)), position);
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.length >= prefix.length && bytes.subarray(0, prefix.length).equals(prefix);
}

function isSkipped(keyOrFolder: Buffer, position: WalkPosition): boolean {
  return position.skip.length > 0 && startsWith(keyOrFolder, position.skip);
}

async function* walkFolder(
  folder: string,
  base: Buffer,
  partial: Buffer,
  position: WalkPosition,
): AsyncGenerator<FoundKey> {
  const pieces = await readPieces(folder, Buffer.alloc(0), partial);
  pieces.sort((a, b) => Buffer.compare(a.order, b.order));
  for (const piece of pieces) {
    const full = Buffer.concat([base, piece.order]);
    if (isSkipped(full, position)) continue;
    if (piece.kind === "file") {
      if (Buffer.compare(full, position.after) > 0) yield { key: full.toString(), path: piece.path };
    } else if (Buffer.compare(full, position.after) > 0 || startsWith(position.after, full)) {
      yield* walkFolder(piece.path, full, Buffer.alloc(0), position);
    }
  }
}

/** The pieces in a folder that begin with `partial`, long ones put together from their parts. */
async function readPieces(folder: string, begun: Buffer, partial: Buffer): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for (const name of await namesIn(folder)) {
    const parsed = parseName(name);
    if (parsed === undefined) continue;
    const bytes = Buffer.concat([begun, parsed.bytes]);
    const path = join(folder, name);
    if (parsed.kind === "long") {
      const common = Math.min(bytes.length, partial.length);
      if (parsed.bytes.length !== partBytesMax || !bytes.subarray(0, common).equals(partial.subarray(0, common)))
        continue;
      pieces.push(...(await readPieces(path, bytes, partial)));
    } else if (startsWith(bytes, partial)) {
      const order = parsed.kind === "file" ? bytes : Buffer.concat([bytes, slash]);
      pieces.push({ kind: parsed.kind, order, path });
    }
  }
  return pieces;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    // No such folder: no key begins so, or a delete emptied it since its parent was read. A path too long names nothing.
    if (["ENOENT", "ENAMETOOLONG"].includes(errno(error) ?? "")) return [];
    throw error;
  }
}
