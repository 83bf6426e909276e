/**
 * CreateMultipartUpload, UploadPart, AbortMultipartUpload.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
 */
import { partNumberMax } from "../limits.ts";
import { planBody } from "./body.ts";
import { checksumAlgorithms, checksumHeaders } from "./checksum.ts";
import { xmlReply } from "./document.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { storeBody } from "./put.ts";
import { queryValue } from "./target.ts";
import { checksumMismatch, type MultipartUpload } from "./uploadstore.ts";
import { describe, requireUnderstood } from "./writerules.ts";
import { element } from "./xml.ts";

export async function createMultipartUpload(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  requireUnderstood(exchange.headers);
  const checksum = readChecksumChoice(exchange.headers);
  const upload = await exchange.store.uploads.create({
    bucket: bucket.name,
    initiatedMs: exchange.nowMs(),
    description: describe(exchange.headers, key),
    checksum,
  });
  const members = [element("Bucket", bucket.name), element("Key", key), element("UploadId", upload.id)];
  const reply = xmlReply("InitiateMultipartUploadResult", members);
  if (checksum === undefined) return reply;
  const { algorithm, type } = checksum;
  const told = { "x-amz-checksum-algorithm": algorithm.toUpperCase(), "x-amz-checksum-type": type };
  return { ...reply, headers: { ...reply.headers, ...told } };
}

/** CRC64NVME is always over the whole object, SHA-1 and SHA-256 over the parts, the others as asked. */
function readChecksumChoice(headers: ReadonlyMap<string, string>): MultipartUpload["checksum"] {
  const name = headers.get("x-amz-checksum-algorithm");
  const asked = headers.get("x-amz-checksum-type");
  if (name === undefined) {
    if (asked === undefined) return undefined;
    throw new S3Error("InvalidRequest", "x-amz-checksum-type needs x-amz-checksum-algorithm.");
  }
  const algorithm = checksumAlgorithms.find((known) => known === name.toLowerCase());
  if (algorithm === undefined) {
    throw new S3Error(
      "InvalidRequest",
      "Checksum algorithm provided is unsupported. Please try again with any of the valid types: " +
        `[${checksumAlgorithms.map((known) => known.toUpperCase()).join(", ")}]`,
    );
  }
  const type = asked ?? (algorithm === "crc64nvme" ? "FULL_OBJECT" : "COMPOSITE");
  if (type !== "FULL_OBJECT" && type !== "COMPOSITE") {
    throw new S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.");
  }
  const impossible = type === "COMPOSITE" ? algorithm === "crc64nvme" : algorithm.startsWith("sha");
  if (impossible) {
    throw new S3Error("InvalidRequest", `The ${type} checksum type cannot be used with the ${algorithm} algorithm.`);
  }
  return { algorithm, type };
}

export function readPartNumber(exchange: Exchange): number {
  const text = queryValue(exchange.target.query, "partNumber") ?? "";
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > partNumberMax) {
    throw new S3Error("InvalidArgument", `Part number must be an integer between 1 and ${partNumberMax}, inclusive`);
  }
  return Number(text);
}

export function findUpload(exchange: Exchange, bucket: S3Bucket, key: string): Promise<MultipartUpload> {
  const id = queryValue(exchange.target.query, "uploadId") ?? "";
  return exchange.store.uploads.find(bucket.name, key, id);
}

export async function uploadPart(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  requireUnderstood(exchange.headers);
  const number = readPartNumber(exchange);
  const plan = planBody(exchange.headers, exchange.signature);
  const upload = await findUpload(exchange, bucket, key);
  const given = plan.checksum?.algorithm ?? plan.trailing;
  // An upload without a checksum of its own lets each part bring any, as today's SDKs do by default.
  if (given !== undefined && upload.checksum !== undefined && given !== upload.checksum.algorithm) {
    throw checksumMismatch(upload, given);
  }
  const part = await exchange.store.startUpload();
  try {
    const computed = upload.checksum?.algorithm;
    const described = { key, headers: {}, metadata: {} };
    const stored = await storeBody(exchange, { ...plan, computed }, part, described);
    await exchange.store.uploads.placePart(upload, number, part);
    const { "x-amz-checksum-type": _, ...checksum } = checksumHeaders(stored.checksum);
    return { status: 200, headers: { etag: `"${stored.etag}"`, ...checksum } };
  } finally {
    await part.discard();
  }
}

export async function abortMultipartUpload(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const upload = await findUpload(exchange, bucket, key);
  await exchange.store.uploads.inTurn(upload.id, () => exchange.store.uploads.remove(upload.id));
  return { status: 204, headers: {} };
}
