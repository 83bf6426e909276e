/** GetObject and HeadObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
import { isGranted } from "./access.ts";
import { judgeRead, readRange } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { type OpenObject, readData } from "./objectfile.ts";
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
  const object = await exchange.store.open(bucket.name, key);
  if (object === undefined) {
    // Without the right to list, whether a key exists is not told either: 403 as at S3.
    if (!isGranted(exchange.grants, "ListBucket", bucket.name, key)) throw new S3Error("AccessDenied", "Access Denied");
    throw new S3Error("NoSuchKey", "The specified key does not exist.");
  }
  try {
    return answer(exchange, object, overrides, exchange.store.pathOf(bucket.name, key));
  } catch (error) {
    await object.handle.close();
    throw error;
  }
}

function answer(exchange: Exchange, object: OpenObject, overrides: Record<string, string>, path: string): Reply {
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
  const range = readRange(exchange.headers.get("range"), object.bytes);
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
  const { checksum } = object.description;
  // A checksum of the whole beside a part of it would make clients reject good bytes.
  if (checksum !== undefined && range === undefined && exchange.headers.get("x-amz-checksum-mode") === "ENABLED") {
    headers[`x-amz-checksum-${checksum.algorithm}`] = checksum.value;
    headers["x-amz-checksum-type"] = "FULL_OBJECT";
  }
  return { status: range === undefined ? 200 : 206, headers, body: readData(object, start, end, path), release };
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
