/** PutObject and DeleteObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
import { type BodyPlan, consumeBody, planBody } from "./body.ts";
import { type Checksum, checksumHeaders } from "./checksum.ts";
import { readWriteCondition } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import type { ObjectDescription } from "./objectfile.ts";
import type { Upload } from "./upload.ts";
import { describe, requireAbsent, requireMayCompare, requireUnderstood, requireWriteRules } from "./writerules.ts";

export async function putObject(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const condition = readWriteCondition(exchange.headers);
  requireWriteRules(exchange, bucket, key, condition);
  requireUnderstood(exchange.headers);
  const plan = planBody(exchange.headers, exchange.signature);
  const described = describe(exchange.headers, key);
  await requireAbsent(exchange, bucket, key, condition);
  const upload = await exchange.store.startUpload();
  try {
    const stored = await storeBody(exchange, plan, upload, described);
    await exchange.store.place(upload, bucket.name, key, condition);
    return { status: 200, headers: { etag: `"${stored.etag}"`, ...checksumHeaders(stored.checksum) } };
  } finally {
    await upload.discard();
  }
}

/** Receives the body of a request into a temporary file and seals it with its description. */
export async function storeBody(
  exchange: Exchange,
  plan: BodyPlan,
  upload: Upload,
  described: ObjectDescription,
): Promise<{ etag: string; checksum: Checksum | undefined }> {
  const body = await consumeBody(plan, exchange.signature, exchange.body(), async (chunk) => {
    await upload.write(chunk);
    exchange.count(chunk.length);
  });
  await upload.seal(
    { ...described, checksum: body.checksum },
    { bytes: plan.bytes, etag: body.md5Hex, modifiedMs: exchange.nowMs(), dataCrc32: body.crc32 },
  );
  return { etag: body.md5Hex, checksum: body.checksum };
}

export async function deleteObject(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const condition = readWriteCondition(exchange.headers);
  if (condition.absent) throw new S3Error("NotImplemented", "A delete does not accept the header If-None-Match.");
  requireMayCompare(exchange, bucket, key, condition);
  await exchange.store.delete(bucket.name, key, condition);
  return { status: 204, headers: {} };
}
