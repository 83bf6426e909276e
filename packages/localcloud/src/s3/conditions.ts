/** Conditional requests and ranges (RFC 9110 sections 13 and 14, as S3 documents them). Pure. */
import { S3Error } from "./errors.ts";
import type { WriteCondition } from "./store.ts";

type Headers = ReadonlyMap<string, string>;

/** ETags of an If-Match or If-None-Match, without quotes and weakness; `*` stays. */
function parseEtags(header: string): string[] {
  return header
    .split(",")
    .map((etag) =>
      etag
        .trim()
        .replace(/^W\//, "")
        .replace(/^"(.*)"$/, "$1"),
    )
    .filter((etag) => etag !== "");
}

/** Seconds since the epoch; undefined for a date that cannot be read, which HTTP says to ignore. */
function parseHttpDate(header: string | undefined): number | undefined {
  const ms = Date.parse(header ?? "");
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1_000);
}

export type ReadVerdict = "ok" | "not-modified" | "failed";

/** If-Match beats If-Unmodified-Since, If-None-Match beats If-Modified-Since. */
export function judgeRead(headers: Headers, etag: string, modifiedMs: number): ReadVerdict {
  const modified = Math.floor(modifiedMs / 1_000);
  const matches = (header: string) => parseEtags(header).some((given) => given === "*" || given === etag);
  const ifMatch = headers.get("if-match");
  const unmodifiedSince = parseHttpDate(headers.get("if-unmodified-since"));
  if (ifMatch !== undefined) {
    if (!matches(ifMatch)) return "failed";
  } else if (unmodifiedSince !== undefined && modified > unmodifiedSince) return "failed";
  const ifNoneMatch = headers.get("if-none-match");
  const modifiedSince = parseHttpDate(headers.get("if-modified-since"));
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch)) return "not-modified";
  } else if (modifiedSince !== undefined && modified <= modifiedSince) return "not-modified";
  return "ok";
}

/** The condition of a PutObject. S3 knows `If-None-Match: *` and `If-Match: etag`, not both. */
export function readWriteCondition(headers: Headers): WriteCondition {
  const ifNoneMatch = headers.get("if-none-match");
  const ifMatch = headers.get("if-match");
  if (ifNoneMatch !== undefined && ifNoneMatch !== "*") {
    throw new S3Error("NotImplemented", "A write accepts only the value * in If-None-Match.");
  }
  if (ifNoneMatch !== undefined && ifMatch !== undefined) {
    throw new S3Error("InvalidRequest", "Give either If-None-Match or If-Match, not both.");
  }
  for (const name of ["if-modified-since", "if-unmodified-since"]) {
    if (headers.has(name)) throw new S3Error("NotImplemented", `A write does not accept the header ${name}.`);
  }
  const etags = ifMatch === undefined ? undefined : parseEtags(ifMatch);
  if (etags?.includes("*")) throw new S3Error("NotImplemented", "A write does not accept the value * in If-Match.");
  return { absent: ifNoneMatch === "*", etags };
}

export interface ByteRange {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

/**
 * The part of an object that a Range header asks for; undefined for the whole. A header that is not one range of bytes is
 * ignored, as HTTP allows and S3 does; a range that lies behind the end is 416.
 */
export function readRange(header: string | undefined, bytes: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "");
  if (match === null) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  if (start >= bytes) {
    throw new S3Error("InvalidRange", "The requested range is not satisfiable.", {
      headers: { "content-range": `bytes */${bytes}` },
    });
  }
  return { start, end };
}
