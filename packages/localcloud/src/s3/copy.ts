/**
 * CopyObject and UploadPartCopy: the bytes come from an object of this store.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { objectBytesMax } from "../limits.ts";
import {
  type Checksum,
  type ChecksumAlgorithm,
  checksumAlgorithms,
  checksumElement,
  startChecksum,
} from "./checksum.ts";
import { judgeRead, readWriteCondition } from "./conditions.ts";
import { patientReply } from "./document.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { requireKey } from "./keypath.ts";
import { findUpload, readPartNumber } from "./multipart.ts";
import { type ObjectDescription, type OpenObject, readData } from "./objectfile.ts";
import { openGranted } from "./read.ts";
import { preconditionFailed } from "./store.ts";
import type { Upload } from "./upload.ts";
import { describe, requireAbsent, requireUnderstood, requireWriteRules } from "./writerules.ts";
import { element } from "./xml.ts";

const sourceConditions = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

/** Headers that name a source and ask something of it. */
const sourceHeaders = [
  "x-amz-copy-source",
  "x-amz-source-expected-bucket-owner",
  ...sourceConditions.map((name) => `x-amz-copy-source-${name}`),
];

interface Source {
  readonly bucket: string;
  readonly key: string;
}

/** `bucket/key` or `/bucket/key`, percent-encoded. Versions are not kept here. */
function readSource(header: string): Source {
  let path: string;
  try {
    path = decodeURIComponent(header.replace(/\?.*$/, ""));
  } catch (cause) {
    throw new S3Error("InvalidArgument", "Copy Source must be percent-encoded UTF-8.", { cause });
  }
  const match = /^\/?([^/]+)\/(.+)$/s.exec(path);
  const [, bucket, key] = match ?? [];
  if (bucket === undefined || key === undefined) {
    throw new S3Error("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
  }
  if (header.includes("?")) throw new S3Error("NotImplemented", "A version of the source is not implemented.");
  requireKey(key);
  return { bucket, key };
}

/** The source, open, granted and as its conditions ask. */
async function openSource(exchange: Exchange, source: Source): Promise<OpenObject> {
  if (!exchange.access.allows("GetObject", source.bucket, source.key)) {
    throw new S3Error("AccessDenied", "Access Denied: the source may not be read.");
  }
  const bucket = exchange.buckets.find(({ name }) => name === source.bucket);
  if (bucket === undefined) throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
  const object = await openGranted(exchange, bucket, source.key);
  const conditions = new Map<string, string>();
  for (const name of sourceConditions) {
    const value = exchange.headers.get(`x-amz-copy-source-${name}`);
    if (value !== undefined) conditions.set(name, value);
  }
  if (judgeRead(conditions, object.etag, object.modifiedMs) !== "ok") {
    await object.handle.close();
    throw preconditionFailed("x-amz-copy-source-if-");
  }
  return object;
}

interface Piece {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

interface Copied {
  readonly etag: string;
  readonly modifiedMs: number;
  readonly checksum: Checksum | undefined;
}

/** Copies a piece into a temporary file and seals it. */
async function copyPiece(
  exchange: Exchange,
  object: OpenObject,
  piece: Piece,
  to: { readonly upload: Upload; readonly described: ObjectDescription; readonly path: string },
  algorithm: ChecksumAlgorithm | undefined,
): Promise<Copied> {
  const running = algorithm === undefined ? undefined : startChecksum(algorithm);
  const md5 = createHash("md5");
  let dataCrc32 = 0;
  for await (const chunk of readData(object, piece.start, piece.end, to.path)) {
    running?.update(chunk);
    md5.update(chunk);
    dataCrc32 = crc32(chunk, dataCrc32);
    await to.upload.write(chunk);
  }
  const checksum =
    algorithm === undefined || running === undefined ? undefined : { algorithm, value: running.finish() };
  const copied = { etag: md5.digest("hex"), modifiedMs: exchange.nowMs(), checksum };
  await to.upload.seal(
    { ...to.described, checksum, parts: undefined },
    { bytes: piece.end - piece.start + 1, dataCrc32, etag: copied.etag, modifiedMs: copied.modifiedMs },
  );
  return copied;
}

function resultXml({ modifiedMs, etag, checksum }: Copied): string[] {
  return [
    element("LastModified", new Date(modifiedMs).toISOString()),
    element("ETag", `"${etag}"`),
    ...(checksum === undefined ? [] : [element(checksumElement(checksum.algorithm), checksum.value)]),
  ];
}

export async function copyObject(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const { headers, store } = exchange;
  const condition = readWriteCondition(headers);
  requireWriteRules(exchange, bucket, key, condition);
  requireUnderstood(headers, [...sourceHeaders, "x-amz-metadata-directive"]);
  const source = readSource(headers.get("x-amz-copy-source") ?? "");
  const replaces = readDirective(headers.get("x-amz-metadata-directive"));
  if (source.bucket === bucket.name && source.key === key && !replaces) {
    throw new S3Error(
      "InvalidRequest",
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's " +
        "metadata, storage class, website redirect location or encryption attributes.",
    );
  }
  const asked = readAlgorithm(headers.get("x-amz-checksum-algorithm"));
  const object = await openSource(exchange, source);
  const work = closing(object, async () => {
    if (object.bytes > objectBytesMax) throw tooLarge();
    await requireAbsent(exchange, bucket, key, condition);
    const upload = await store.startUpload();
    try {
      const described = { ...(replaces ? describe(headers, key) : object.description), key };
      const piece = { start: 0, end: object.bytes - 1 };
      const to = { upload, described, path: store.pathOf(source.bucket, source.key) };
      const copied = await copyPiece(exchange, object, piece, to, asked ?? object.description.checksum?.algorithm);
      await store.place(upload, bucket.name, key, condition);
      return [...resultXml(copied), ...(copied.checksum === undefined ? [] : [element("ChecksumType", "FULL_OBJECT")])];
    } finally {
      await upload.discard();
    }
  });
  return patientReply(exchange, "CopyObjectResult", work);
}

async function closing<T>(object: OpenObject, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } finally {
    await object.handle.close();
  }
}

function tooLarge(): S3Error {
  return new S3Error(
    "InvalidRequest",
    `The specified copy source is larger than the maximum allowable size for a copy source: ${objectBytesMax}`,
  );
}

function readDirective(header: string | undefined): boolean {
  if (header === undefined || header === "COPY") return false;
  if (header === "REPLACE") return true;
  throw new S3Error("InvalidArgument", "Unknown metadata directive.");
}

function readAlgorithm(header: string | undefined): ChecksumAlgorithm | undefined {
  if (header === undefined) return undefined;
  const algorithm = checksumAlgorithms.find((known) => known === header.toLowerCase());
  if (algorithm === undefined) throw new S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.");
  return algorithm;
}

export async function uploadPartCopy(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const { headers, store } = exchange;
  requireUnderstood(headers, [...sourceHeaders, "x-amz-copy-source-range"]);
  const number = readPartNumber(exchange);
  const source = readSource(headers.get("x-amz-copy-source") ?? "");
  const target = await findUpload(exchange, bucket, key);
  const object = await openSource(exchange, source);
  const work = closing(object, async () => {
    const piece = readPiece(headers.get("x-amz-copy-source-range"), object.bytes);
    const upload = await store.startUpload();
    try {
      const described = { key, headers: {}, metadata: {} };
      const to = { upload, described, path: store.pathOf(source.bucket, source.key) };
      const copied = await copyPiece(exchange, object, piece, to, target.checksum?.algorithm);
      await store.uploads.placePart(target, number, upload);
      return resultXml(copied);
    } finally {
      await upload.discard();
    }
  });
  return patientReply(exchange, "CopyPartResult", work);
}

/** Unlike a Range, it must be whole and lie inside the source. */
function readPiece(header: string | undefined, bytes: number): Piece {
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header ?? `bytes=0-${Math.max(0, bytes - 1)}`);
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || start > end) {
    throw new S3Error(
      "InvalidArgument",
      "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
    );
  }
  if (header === undefined) {
    if (bytes > objectBytesMax) throw tooLarge();
    return { start: 0, end: bytes - 1 };
  }
  if (end >= bytes) {
    throw new S3Error("InvalidArgument", `Range specified is not valid for source object of size: ${bytes}`);
  }
  if (end - start + 1 > objectBytesMax) throw tooLarge();
  return { start, end };
}
