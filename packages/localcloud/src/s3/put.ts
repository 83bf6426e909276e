/** PutObject and DeleteObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
import { userMetadataBytesMax } from "../limits.ts";
import { isGranted } from "./access.ts";
import { type BodyPlan, consumeBody, planBody } from "./body.ts";
import { readWriteCondition } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import type { ObjectDescription, ObjectSummary } from "./objectfile.ts";
import type { WriteCondition } from "./store.ts";

const keptHeaders = ["cache-control", "content-disposition", "content-language", "content-type", "expires"];

/** The `x-amz-` headers that a PutObject may carry here. Any other asks for something this store would not do. */
const understoodHeaders = new Set([
  "x-amz-checksum-algorithm",
  "x-amz-checksum-type",
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-decoded-content-length",
  "x-amz-expected-bucket-owner",
  "x-amz-request-payer",
  "x-amz-sdk-checksum-algorithm",
  "x-amz-trailer",
  "x-amz-user-agent",
]);

export async function putObject(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const condition = readWriteCondition(exchange.headers);
  requireWriteRules(exchange, bucket, key, condition);
  requireUnderstood(exchange.headers);
  const plan = planBody(exchange.headers, exchange.signature);
  const described = describe(exchange.headers, key);
  if (condition.absent && (await exchange.store.exists(bucket.name, key))) {
    // Decided again, atomically, when the object is placed; here it only spares the upload.
    throw new S3Error(
      "PreconditionFailed",
      "At least one of the pre-conditions you specified did not hold: If-None-Match.",
    );
  }
  const object = await storeBody(exchange, bucket, plan, described, condition);
  const headers: Record<string, string> = { etag: `"${object.etag}"` };
  if (object.checksum !== undefined) {
    headers[`x-amz-checksum-${object.checksum.algorithm}`] = object.checksum.value;
    headers["x-amz-checksum-type"] = "FULL_OBJECT";
  }
  return { status: 200, headers };
}

async function storeBody(
  exchange: Exchange,
  bucket: S3Bucket,
  plan: BodyPlan,
  described: ObjectDescription,
  condition: WriteCondition,
): Promise<{ etag: string; checksum: ObjectDescription["checksum"] }> {
  const upload = await exchange.store.startUpload();
  try {
    const body = await consumeBody(plan, exchange.signature, exchange.body(), async (chunk) => {
      await upload.write(chunk);
      exchange.count(chunk.length);
    });
    const summary: ObjectSummary = {
      bytes: plan.bytes,
      etag: body.md5Hex,
      modifiedMs: exchange.nowMs(),
      dataCrc32: body.crc32,
    };
    await upload.seal({ ...described, checksum: body.checksum }, summary);
    await exchange.store.place(upload, bucket.name, described.key, condition);
    return { etag: body.md5Hex, checksum: body.checksum };
  } finally {
    await upload.discard();
  }
}

function requireWriteRules(exchange: Exchange, bucket: S3Bucket, key: string, condition: WriteCondition): void {
  if (bucket.requireIfNoneMatch === true && !condition.absent) {
    throw new S3Error(
      "AccessDenied",
      `Access Denied: objects of the bucket ${bucket.name} are written once. Send the header 'If-None-Match: *' ` +
        "(IfNoneMatch: '*' in an SDK) and a key that does not exist yet.",
    );
  }
  // If-Match tells whether an object has a given content, so it asks for the right to read it, as at S3.
  if (condition.etags !== undefined && !isGranted(exchange.grants, "GetObject", bucket.name, key)) {
    throw new S3Error("AccessDenied", "Access Denied: If-Match needs the right to read the object.");
  }
}

function requireUnderstood(headers: ReadonlyMap<string, string>): void {
  for (const [name, value] of headers) {
    if (!name.startsWith("x-amz-") || understoodHeaders.has(name)) continue;
    if (name.startsWith("x-amz-meta-") || name.startsWith("x-amz-checksum-")) continue;
    if (name === "x-amz-storage-class" && value === "STANDARD") continue;
    throw new S3Error(
      "NotImplemented",
      `A header you provided implies functionality that is not implemented: ${name}.`,
    );
  }
}

function describe(headers: ReadonlyMap<string, string>, key: string): ObjectDescription {
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

export async function deleteObject(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const condition = readWriteCondition(exchange.headers);
  if (condition.absent) throw new S3Error("NotImplemented", "A delete does not accept the header If-None-Match.");
  if (condition.etags !== undefined && !isGranted(exchange.grants, "GetObject", bucket.name, key)) {
    throw new S3Error("AccessDenied", "Access Denied: If-Match needs the right to read the object.");
  }
  await exchange.store.delete(bucket.name, key, condition);
  return { status: 204, headers: {} };
}
