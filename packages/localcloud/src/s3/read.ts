/** GetObject and HeadObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
import { checksumHeaders } from "./checksum.ts";
import { type ByteRange, judgeRead, readRange } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { readPartNumber } from "./multipart.ts";
import { type OpenObject, type PartRun, readData } from "./objectfile.ts";
import { queryValue } from "./target.ts";

/** `response-` parameters of a signed request replace these headers of the answer. */
const overridable = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
];

export async function readObject(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  requireUnderstood(exchange.headers);
  const overrides = readOverrides(exchange);
  const partNumber = readPart(exchange);
  const object = await openGranted(exchange, bucket, key);
  try {
    return answer(exchange, object, overrides, partNumber, exchange.store.pathOf(bucket.name, key));
  } catch (error) {
    await object.handle.close();
    throw error;
  }
}

/** Close the handle of what is returned. */
export async function openGranted(exchange: Exchange, bucket: S3Bucket, key: string): Promise<OpenObject> {
  const object = await exchange.store.open(bucket.name, key);
  if (object !== undefined) return object;
  // Without the right to list, whether a key exists is not told either: 403 as at S3.
  if (!exchange.access.allows("ListBucket", bucket.name, key)) throw new S3Error("AccessDenied", "Access Denied");
  throw new S3Error("NoSuchKey", "The specified key does not exist.");
}

function answer(
  exchange: Exchange,
  object: OpenObject,
  overrides: Record<string, string>,
  partNumber: number | undefined,
  path: string,
): Reply {
  const release = () => object.handle.close();
  const validators = {
    etag: `"${object.etag}"`,
    "last-modified": new Date(object.modifiedMs).toUTCString(),
  };
  const verdict = judgeRead(exchange.headers, object.etag, object.modifiedMs);
  if (verdict === "failed") {
    throw new S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold.");
  }
  if (verdict === "not-modified") return { status: 304, headers: validators, release };
  const { checksum, parts } = object.description;
  const range =
    partNumber === undefined
      ? readRange(exchange.headers.get("range"), object.bytes)
      : rangeOfPart(parts, object.bytes, partNumber);
  const { start, end } = range ?? { start: 0, end: object.bytes - 1 };
  const headers: Record<string, string> = {
    "content-type": "binary/octet-stream",
    ...object.description.headers,
    ...overrides,
    ...validators,
    "accept-ranges": "bytes",
    "content-length": String(end - start + 1),
  };
  for (const [name, value] of Object.entries(object.description.metadata)) headers[`x-amz-meta-${name}`] = value;
  if (range !== undefined) headers["content-range"] = `bytes ${start}-${end}/${object.bytes}`;
  if (partNumber !== undefined && parts !== undefined) headers["x-amz-mp-parts-count"] = String(countOf(parts));
  // A checksum of the whole beside a part of it would make clients reject good bytes.
  if (range === undefined && exchange.headers.get("x-amz-checksum-mode") === "ENABLED") {
    Object.assign(headers, checksumHeaders(checksum));
  }
  return { status: range === undefined ? 200 : 206, headers, body: readData(object, start, end, path), release };
}

/** `?partNumber=` reads one part of an object that was put together from parts; any other object is its own part 1. */
function readPart(exchange: Exchange): number | undefined {
  if (queryValue(exchange.target.query, "partNumber") === undefined) return undefined;
  if (exchange.headers.has("range")) {
    throw new S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
  }
  return readPartNumber(exchange);
}

export function countOf(parts: readonly PartRun[]): number {
  return parts.reduce((sum, { count }) => sum + count, 0);
}

/** Undefined for the whole of an object without bytes, of which no range can be given. */
function rangeOfPart(runs: readonly PartRun[] | undefined, bytes: number, number: number): ByteRange | undefined {
  let before = 0;
  let start = 0;
  for (const run of runs ?? [{ bytes, count: 1 }]) {
    if (number <= before + run.count) {
      start += (number - before - 1) * run.bytes;
      return run.bytes === 0 ? undefined : { start, end: start + run.bytes - 1 };
    }
    before += run.count;
    start += run.count * run.bytes;
  }
  throw new S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable");
}

function readOverrides(exchange: Exchange): Record<string, string> {
  const overrides: Record<string, string> = {};
  for (const name of overridable) {
    const value = queryValue(exchange.target.query, `response-${name}`);
    if (value === undefined) continue;
    if (!/^[\t\x20-\x7e]*$/.test(value)) {
      throw new S3Error("InvalidArgument", `The value of response-${name} is not a header value.`);
    }
    overrides[name] = value;
  }
  return overrides;
}

/** Reading with a customer's encryption key must not quietly return something that was never encrypted with it. */
function requireUnderstood(headers: ReadonlyMap<string, string>): void {
  for (const name of headers.keys()) {
    if (name.startsWith("x-amz-server-side-encryption")) {
      throw new S3Error(
        "NotImplemented",
        `A header you provided implies functionality that is not implemented: ${name}.`,
      );
    }
  }
}
