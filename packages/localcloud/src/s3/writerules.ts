/** What a request must keep to write an object, however its bytes come: conditions, headers, metadata. */
import { userMetadataBytesMax } from "../limits.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, S3Bucket } from "./exchange.ts";
import type { ObjectDescription } from "./objectfile.ts";
import { preconditionFailed, type WriteCondition } from "./store.ts";

type Headers = ReadonlyMap<string, string>;

const keptHeaders = ["cache-control", "content-disposition", "content-language", "content-type", "expires"];

/** The `x-amz-` headers that a write may carry here. Any other asks for something this store would not do. */
const understoodHeaders = new Set([
  "x-amz-checksum-algorithm",
  "x-amz-checksum-type",
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-decoded-content-length",
  "x-amz-expected-bucket-owner",
  "x-amz-request-payer",
  // Judged with the signature.
  "x-amz-security-token",
  "x-amz-sdk-checksum-algorithm",
  "x-amz-trailer",
  "x-amz-user-agent",
]);

/** `also`: headers of this operation beside those of every write. */
export function requireUnderstood(headers: Headers, also: readonly string[] = []): void {
  for (const [name, value] of headers) {
    if (!name.startsWith("x-amz-") || understoodHeaders.has(name) || also.includes(name)) continue;
    if (name.startsWith("x-amz-meta-") || name.startsWith("x-amz-checksum-")) continue;
    if (name === "x-amz-storage-class" && value === "STANDARD") continue;
    throw new S3Error(
      "NotImplemented",
      `A header you provided implies functionality that is not implemented: ${name}.`,
    );
  }
}

export function requireWriteRules(exchange: Exchange, bucket: S3Bucket, key: string, condition: WriteCondition): void {
  if (bucket.requireIfNoneMatch === true && !condition.absent) {
    throw new S3Error(
      "AccessDenied",
      `Access Denied: objects of the bucket ${bucket.name} are written once. Send the header 'If-None-Match: *' ` +
        "(IfNoneMatch: '*' in an SDK) and a key that does not exist yet.",
    );
  }
  requireMayCompare(exchange, bucket, key, condition);
}

/** If-Match tells whether an object has a given content, so it asks for the right to read it, as at S3. */
export function requireMayCompare(exchange: Exchange, bucket: S3Bucket, key: string, condition: WriteCondition): void {
  if (condition.etags !== undefined && !exchange.access.allows("GetObject", bucket.name, key)) {
    throw new S3Error("AccessDenied", "Access Denied: If-Match needs the right to read the object.");
  }
}

/** Decided again, atomically, when the object is placed; here it only spares the upload. */
export async function requireAbsent(
  exchange: Exchange,
  bucket: S3Bucket,
  key: string,
  condition: WriteCondition,
): Promise<void> {
  if (condition.absent && (await exchange.store.exists(bucket.name, key))) throw preconditionFailed("If-None-Match");
}

/** What headers say of the object to be. */
export function describe(headers: Headers, key: string): ObjectDescription {
  const kept: Record<string, string> = {};
  for (const name of keptHeaders) {
    const value = headers.get(name);
    if (value !== undefined) kept[name] = value;
  }
  // aws-chunked is a matter of this upload, not of the object.
  const encodings = (headers.get("content-encoding") ?? "").split(",").map((coding) => coding.trim());
  const encoding = encodings.filter((coding) => coding !== "" && coding.toLowerCase() !== "aws-chunked").join(",");
  if (encoding !== "") kept["content-encoding"] = encoding;
  const metadata: [string, string][] = [];
  let bytes = 0;
  for (const [name, value] of headers) {
    if (!name.startsWith("x-amz-meta-")) continue;
    metadata.push([name.slice("x-amz-meta-".length), value]);
    bytes += name.length - "x-amz-meta-".length + value.length;
  }
  if (bytes > userMetadataBytesMax) {
    throw new S3Error("MetadataTooLarge", `Your metadata headers exceed the maximum of ${userMetadataBytesMax} bytes.`);
  }
  // fromEntries, since an assignment would take a name like __proto__ for something else.
  return { key, headers: kept, metadata: Object.fromEntries(metadata) };
}
