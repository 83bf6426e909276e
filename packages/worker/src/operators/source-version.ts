/** What a server says of the version of a source that it sends, and whether a later reply is of the same. Pure. */
import { etagCharsMax, lastModifiedCharsMax } from "../limits.ts";

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface SourceVersion {
  readonly etag?: string;
  readonly lastModified?: string;
  /** Bytes of the whole, as announced. */
  readonly bytes?: number;
  /** As in the reply's header; undefined where the content is sent as it is. */
  readonly encoding?: string;
  /** What `If-Range` may carry: only with a strong one are two parts certainly of the same bytes (RFC 9110, 8.8). */
  readonly validator?: string;
}

const etagPattern = /^(W\/)?"[\x21\x23-\x7e]*"$/;
const wholeNumber = /^\d{1,15}$/;

function one(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value.trim() : undefined;
}

function timeOf(text: string | undefined): number | undefined {
  // Only the form that servers must send: `Sun, 06 Nov 1994 08:49:37 GMT`.
  if (text === undefined || !/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text))
    return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** Of a reply that has the whole. */
export function versionOf(headers: Headers): SourceVersion {
  const etag = etagOf(headers);
  const lastModified = lastModifiedOf(headers);
  const length = one(headers, "content-length");
  const encoding = encodingOf(headers);
  const validator = validatorOf(headers, etag, lastModified);
  return {
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
    ...(length !== undefined && wholeNumber.test(length) ? { bytes: Number(length) } : {}),
    ...(encoding === undefined ? {} : { encoding }),
    ...(validator === undefined ? {} : { validator }),
  };
}

function etagOf(headers: Headers): string | undefined {
  const etag = one(headers, "etag");
  return etag !== undefined && etag.length <= etagCharsMax && etagPattern.test(etag) ? etag : undefined;
}

function lastModifiedOf(headers: Headers): string | undefined {
  const text = one(headers, "last-modified");
  return text !== undefined && text.length <= lastModifiedCharsMax && timeOf(text) !== undefined ? text : undefined;
}

function encodingOf(headers: Headers): string | undefined {
  const encoding = one(headers, "content-encoding")?.toLowerCase();
  return encoding === "" || encoding === "identity" ? undefined : encoding;
}

/** A time counts if the source had been left alone for a second when it was sent: within one it may change unseen. */
function validatorOf(headers: Headers, etag: string | undefined, lastModified: string | undefined): string | undefined {
  if (one(headers, "accept-ranges")?.toLowerCase() === "none") return undefined;
  if (etag !== undefined) return etag.startsWith("W/") ? undefined : etag;
  const [sent, modified] = [timeOf(one(headers, "date")), timeOf(lastModified)];
  return sent !== undefined && modified !== undefined && sent - modified >= 1_000 ? lastModified : undefined;
}

export interface SourcePart {
  /** Bytes of the part, and of the whole. */
  readonly bytes: number;
  readonly total: number;
}

/**
 * What a 206 has of this very version, if it begins at `from`. A server that does not say so is not believed, although some
 * need not say it: to begin anew costs time, and a file of two halves would never be noticed.
 */
export function partFrom(headers: Headers, from: number, version: SourceVersion | undefined): SourcePart | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(one(headers, "content-range") ?? "");
  if (match === null || version?.validator === undefined) return undefined;
  const [start, last, total] = match.slice(1).map(Number) as [number, number, number];
  const bytes = last - start + 1;
  const length = one(headers, "content-length") ?? String(bytes);
  const validator = version.validator === version.etag ? etagOf(headers) : lastModifiedOf(headers);
  const fits =
    start === from &&
    last >= start &&
    last < total &&
    (version.bytes ?? total) === total &&
    Number(length) === bytes &&
    encodingOf(headers) === version.encoding &&
    validator === version.validator;
  return fits ? { bytes, total } : undefined;
}

/** Milliseconds that `Retry-After` asks for, in seconds or as a time beside the server's own; 0 where it asks nothing. */
export function restMs(headers: Headers): number {
  const text = one(headers, "retry-after");
  if (text === undefined) return 0;
  if (wholeNumber.test(text)) return Number(text) * 1_000;
  const [until, now] = [timeOf(text), timeOf(one(headers, "date"))];
  return until === undefined || now === undefined ? 0 : Math.max(0, until - now);
}
