/**
 * The request target: raw path and query turned into bucket, key and parameters, once, for everybody.
 *
 * The signature is checked over what is decoded here, and the operation works on the same decoded values, so no other
 * spelling of a path can be signed as one thing and served as another. Nothing is normalised: `a//b`, `.` and `..` are keys.
 */
import { S3Error } from "./errors.ts";

export interface QueryParameter {
  readonly name: string;
  readonly value: string;
}

export interface RequestTarget {
  /** Undefined for the service itself (`/`). */
  readonly bucket: string | undefined;
  /** Undefined for the bucket itself (`/bucket`, `/bucket/`). */
  readonly key: string | undefined;
  /** The decoded path, for the `Resource` of an error. */
  readonly path: string;
  /** In the order sent; repeated names stay repeated. */
  readonly query: readonly QueryParameter[];
}

/** Decodes percent-encoding strictly: bad escapes and bytes that are not UTF-8 are refused, `+` stays a plus. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new S3Error("InvalidURI", "Couldn't parse the specified URI: it is not percent-encoded UTF-8.", { cause });
  }
}

export function parseTarget(url: string): RequestTarget {
  if (!url.startsWith("/")) throw new S3Error("InvalidURI", "Couldn't parse the specified URI: a path is expected.");
  const mark = url.indexOf("?");
  const rawPath = mark === -1 ? url : url.slice(0, mark);
  const query = mark === -1 ? [] : parseQuery(url.slice(mark + 1));
  const path = decode(rawPath);
  const slash = path.indexOf("/", 1);
  const bucket = slash === -1 ? path.slice(1) : path.slice(1, slash);
  const key = slash === -1 ? "" : path.slice(slash + 1);
  if (bucket === "" && key !== "") throw new S3Error("InvalidURI", "The path names no bucket.");
  return { bucket: bucket === "" ? undefined : bucket, key: key === "" ? undefined : key, path, query };
}

function parseQuery(raw: string): QueryParameter[] {
  return raw
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      if (equals === -1) return { name: decode(pair), value: "" };
      return { name: decode(pair.slice(0, equals)), value: decode(pair.slice(equals + 1)) };
    });
}

/** The one value of a parameter. A repeated parameter is refused: two readers could choose different ones. */
export function queryValue(query: readonly QueryParameter[], name: string): string | undefined {
  const found = query.filter((parameter) => parameter.name === name);
  if (found.length > 1) throw new S3Error("InvalidArgument", `The query parameter ${name} is given more than once.`);
  return found[0]?.value;
}

/** AWS UriEncode: everything but `A-Z a-z 0-9 - . _ ~`, byte by byte, in upper-case hex. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** UriEncode that leaves slashes, as in the canonical URI of S3. */
export function uriEncodePath(path: string): string {
  return path.split("/").map(uriEncode).join("/");
}
