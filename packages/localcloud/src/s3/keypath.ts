/**
 * Where a key lives on disk: an injective map from any key to a relative path that cannot leave its folder.
 *
 * A key is cut at its slashes. All pieces but the last become folders `d<piece>`, the last becomes the file `f<piece>`,
 * so `a` (file `fa`) can stand beside `a/b` (file `da/fb`), and an empty piece is a plain `d` or `f`. Bytes outside
 * `a-z 0-9 . _ -` are written as `%xx`, upper-case letters among them: the map stays injective on file systems that fold
 * case or normalise Unicode. Pieces longer than a file name may be continue in folders `l<part>` of a fixed size.
 * `.` and `..` can never appear as names, since each name begins with its kind.
 */
import { keyBytesMax } from "../limits.ts";
import { S3Error } from "./errors.ts";

/** Bytes of a piece per name: 80 * 3 escaped + 1 stays below the 255 bytes that file systems allow. */
export const partBytesMax = 80;

export type EntryKind = "file" | "folder" | "long";

/** Refuses keys that S3 refuses, and NUL, which no file system or log bears. */
export function requireKey(key: string): void {
  if (Buffer.byteLength(key) > keyBytesMax) {
    throw new S3Error("KeyTooLongError", `Your key is too long: at most ${keyBytesMax} bytes of UTF-8.`);
  }
  if (key.includes("\u0000")) throw new S3Error("InvalidArgument", "A key cannot contain the character NUL.");
}

/** The names, outermost first, that lead to the file of a key. */
export function keyToNames(key: string): string[] {
  const pieces = key.split("/");
  const last = pieces.pop() ?? "";
  return [...pieces.flatMap((piece) => pieceToNames(piece, "d")), ...pieceToNames(last, "f")];
}

/** The names of the folder that holds exactly the keys beginning with `prefix`, which is empty or ends with a slash. */
export function prefixToNames(prefix: string): string[] {
  return prefix
    .split("/")
    .slice(0, -1)
    .flatMap((piece) => pieceToNames(piece, "d"));
}

function pieceToNames(piece: string, kind: "d" | "f"): string[] {
  const bytes = Buffer.from(piece);
  const names: string[] = [];
  let at = 0;
  for (; bytes.length - at > partBytesMax; at += partBytesMax) {
    names.push(`l${escapeBytes(bytes.subarray(at, at + partBytesMax))}`);
  }
  names.push(`${kind}${escapeBytes(bytes.subarray(at))}`);
  return names;
}

function escapeBytes(bytes: Buffer): string {
  let text = "";
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    text += /[a-z0-9._-]/.test(char) ? char : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}

/** What a name on disk stands for; undefined for a name that this map never writes (somebody else's file). */
export function parseName(name: string): { kind: EntryKind; bytes: Buffer } | undefined {
  const text = name.slice(1);
  if (!/^(?:[a-z0-9._-]|%[0-9a-f]{2})*$/.test(text)) return undefined;
  const bytes = Buffer.from(
    text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
  switch (name[0]) {
    case "f":
      return { kind: "file", bytes };
    case "d":
      return { kind: "folder", bytes };
    case "l":
      return { kind: "long", bytes };
    default:
      return undefined;
  }
}
