/** CompleteMultipartUpload. https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { partBytesMin, partNumberMax } from "../limits.ts";
import { readChecksum } from "./body.ts";
import {
  type Checksum,
  checksumAlgorithms,
  checksumElement,
  compositeChecksum,
  startChecksum,
  typeOf,
} from "./checksum.ts";
import { readWriteCondition } from "./conditions.ts";
import { patientReply, readDocument } from "./document.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { findUpload } from "./multipart.ts";
import { type OpenObject, type PartRun, readData } from "./objectfile.ts";
import type { WriteCondition } from "./store.ts";
import type { Upload } from "./upload.ts";
import { checksumMismatch, type MultipartUpload } from "./uploadstore.ts";
import { requireAbsent, requireUnderstood, requireWriteRules } from "./writerules.ts";
import { element } from "./xml.ts";
import { childText, malformedXml, type XmlElement } from "./xmlread.ts";

/** A part as the completion names it. */
interface NamedPart {
  readonly number: number;
  /** Without quotes. */
  readonly etag: string;
  readonly checksums: readonly Checksum[];
}

/** What the headers of a completion promise of the whole. */
interface Promised {
  readonly bytes: number | undefined;
  readonly checksum: Checksum | undefined;
}

export async function completeMultipartUpload(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const condition = readWriteCondition(exchange.headers);
  requireWriteRules(exchange, bucket, key, condition);
  requireUnderstood(exchange.headers, ["x-amz-mp-object-size"]);
  const { uploads } = exchange.store;
  const upload = await findUpload(exchange, bucket, key);
  const promised = readPromised(exchange.headers, upload);
  // A checksum in the headers is of the object, not of the list of its parts.
  const headers = new Map([...exchange.headers].filter(([name]) => !name.startsWith("x-amz-checksum-")));
  const named = readParts(await readDocument(exchange, "CompleteMultipartUpload", headers));
  await requireAbsent(exchange, bucket, key, condition);
  const work = uploads.inTurn(upload.id, async () => {
    // Completed or aborted while it waited for its turn.
    await uploads.find(bucket.name, key, upload.id);
    const { etag, checksum } = await assemble(exchange, upload, named, promised, condition);
    await uploads.remove(upload.id);
    return [
      element("Location", `http://${exchange.headers.get("host") ?? ""}${exchange.target.path}`),
      element("Bucket", bucket.name),
      element("Key", key),
      element("ETag", `"${etag}"`),
      ...(checksum === undefined ? [] : [element(checksumElement(checksum.algorithm), checksum.value)]),
      ...(checksum === undefined ? [] : [element("ChecksumType", typeOf(checksum))]),
    ];
  });
  return patientReply(exchange, "CompleteMultipartUploadResult", work);
}

function readPromised(headers: ReadonlyMap<string, string>, upload: MultipartUpload): Promised {
  const size = headers.get("x-amz-mp-object-size");
  if (size !== undefined && !/^\d{1,15}$/.test(size)) {
    throw new S3Error("InvalidArgument", "x-amz-mp-object-size is not a number.");
  }
  const type = headers.get("x-amz-checksum-type");
  if (type !== undefined && type !== upload.checksum?.type) {
    throw new S3Error(
      "InvalidRequest",
      `The upload was created with the checksum type ${upload.checksum?.type ?? "null"}, not ${type}.`,
    );
  }
  return { bytes: size === undefined ? undefined : Number(size), checksum: promisedChecksum(headers, upload) };
}

/** Here a value may also be composite, with `-` and the number of parts, which a body's own checksum never is. */
function promisedChecksum(headers: ReadonlyMap<string, string>, upload: MultipartUpload): Checksum | undefined {
  const values = new Map(
    [...headers].map(([name, value]) => [
      name,
      name.startsWith("x-amz-checksum-") ? value.replace(/-\d{1,5}$/, "") : value,
    ]),
  );
  const checksum = readChecksum(values);
  if (checksum === undefined) return undefined;
  if (checksum.algorithm !== upload.checksum?.algorithm) throw checksumMismatch(upload, checksum.algorithm);
  return { algorithm: checksum.algorithm, value: headers.get(`x-amz-checksum-${checksum.algorithm}`) ?? "" };
}

function readParts(document: XmlElement): NamedPart[] {
  const named = document.children.map((child): NamedPart => {
    if (child.name !== "Part") throw malformedXml(`${child.name} is no member of CompleteMultipartUpload`);
    const number = childText(child, "PartNumber")?.trim() ?? "";
    const etag = childText(child, "ETag")?.trim();
    if (!/^\d{1,9}$/.test(number) || etag === undefined) throw malformedXml("a Part needs its PartNumber and its ETag");
    const checksums = checksumAlgorithms.flatMap((algorithm) => {
      const value = childText(child, checksumElement(algorithm))?.trim();
      return value === undefined ? [] : [{ algorithm, value }];
    });
    return { number: Number(number), etag: etag.replace(/^"(.*)"$/, "$1"), checksums };
  });
  if (named.length === 0) throw malformedXml("at least one Part is expected");
  const last = named.at(-1)?.number ?? 0;
  if (named.some(({ number }) => number < 1) || last > partNumberMax) {
    throw new S3Error("InvalidArgument", `PartNumber must be between 1 and ${partNumberMax}.`);
  }
  if (named.some(({ number }, i) => i > 0 && number <= (named[i - 1]?.number ?? 0))) {
    throw new S3Error("InvalidPartOrder", "The list of parts was not in ascending order of their numbers, each once.");
  }
  return named;
}

function invalidPart(number: number): S3Error {
  return new S3Error(
    "InvalidPart",
    `One or more of the specified parts could not be found: part ${number} was not uploaded, or its entity tag or ` +
      "checksum is not that of the part that was.",
  );
}

/** A part that came, compared with what the completion says of it. Its handle is open. */
async function openNamed(exchange: Exchange, upload: MultipartUpload, named: NamedPart): Promise<OpenObject> {
  const part = await exchange.store.uploads.openPart(upload, named.number);
  if (part === undefined) throw invalidPart(named.number);
  const { checksum } = part.description;
  const same = named.checksums.every(
    ({ algorithm, value }) => checksum?.algorithm === algorithm && checksum.value === value,
  );
  if (part.etag !== named.etag || !same) {
    await part.handle.close();
    throw invalidPart(named.number);
  }
  return part;
}

/** Everything that can be refused is, before a byte is copied. Returns the checksums of the parts. */
async function requireParts(
  exchange: Exchange,
  upload: MultipartUpload,
  named: readonly NamedPart[],
  promised: Promised,
): Promise<string[]> {
  let bytes = 0;
  const checksums: string[] = [];
  for (const [i, part] of named.entries()) {
    const open = await openNamed(exchange, upload, part);
    await open.handle.close();
    if (i < named.length - 1 && open.bytes < partBytesMin) {
      throw new S3Error(
        "EntityTooSmall",
        `Your proposed upload is smaller than the minimum allowed size: part ${part.number} has ${open.bytes} bytes, ` +
          `and only the last may have less than ${partBytesMin}.`,
      );
    }
    if (upload.checksum?.type === "COMPOSITE" && part.checksums.length === 0) {
      throw new S3Error(
        "InvalidRequest",
        `The upload was created using a ${upload.checksum.algorithm} checksum. The complete request must include the ` +
          `checksum for each part. It was missing for part ${part.number} in the request.`,
      );
    }
    bytes += open.bytes;
    checksums.push(open.description.checksum?.value ?? "");
  }
  if (promised.bytes !== undefined && promised.bytes !== bytes) {
    throw new S3Error("InvalidRequest", `The provided 'x-amz-mp-object-size' does not match: the parts hold ${bytes}.`);
  }
  return checksums;
}

async function assemble(
  exchange: Exchange,
  upload: MultipartUpload,
  named: readonly NamedPart[],
  promised: Promised,
  condition: WriteCondition,
): Promise<{ etag: string; checksum: Checksum | undefined }> {
  const partChecksums = await requireParts(exchange, upload, named, promised);
  const file = await exchange.store.startUpload();
  try {
    const whole = await copyParts(exchange, upload, named, file);
    const checksum =
      upload.checksum?.type === "COMPOSITE"
        ? compositeChecksum(upload.checksum.algorithm, partChecksums)
        : whole.checksum;
    if (promised.checksum !== undefined && promised.checksum.value !== checksum?.value) {
      const name = promised.checksum.algorithm.toUpperCase();
      throw new S3Error("BadDigest", `The ${name} you specified did not match the calculated checksum.`);
    }
    const { bytes, etag, dataCrc32, parts } = whole;
    await file.seal(
      { ...upload.description, checksum, parts },
      { bytes, etag, modifiedMs: exchange.nowMs(), dataCrc32 },
    );
    await exchange.store.place(file, upload.bucket, upload.description.key, condition);
    return { etag, checksum };
  } finally {
    await file.discard();
  }
}

interface Whole {
  readonly bytes: number;
  readonly etag: string;
  readonly dataCrc32: number;
  readonly parts: readonly PartRun[];
  /** Over all bytes, when the upload asks for it. */
  readonly checksum: Checksum | undefined;
}

/** Parts are compared with their own checksums as they are read, so what rotted on disk never becomes an object. */
async function copyParts(
  exchange: Exchange,
  upload: MultipartUpload,
  named: readonly NamedPart[],
  file: Upload,
): Promise<Whole> {
  const algorithm = upload.checksum?.type === "FULL_OBJECT" ? upload.checksum.algorithm : undefined;
  const running = algorithm === undefined ? undefined : startChecksum(algorithm);
  const md5 = createHash("md5");
  const parts: { bytes: number; count: number }[] = [];
  let bytes = 0;
  let dataCrc32 = 0;
  for (const one of named) {
    const part = await openNamed(exchange, upload, one);
    try {
      for await (const chunk of readData(
        part,
        0,
        part.bytes - 1,
        exchange.store.uploads.partPath(upload, one.number),
      )) {
        running?.update(chunk);
        dataCrc32 = crc32(chunk, dataCrc32);
        await file.write(chunk);
      }
    } finally {
      await part.handle.close();
    }
    md5.update(Buffer.from(part.etag, "hex"));
    bytes += part.bytes;
    const run = parts.at(-1);
    if (run?.bytes === part.bytes) run.count += 1;
    else parts.push({ bytes: part.bytes, count: 1 });
  }
  const etag = `${md5.digest("hex")}-${named.length}`;
  const checksum =
    algorithm === undefined || running === undefined ? undefined : { algorithm, value: running.finish() };
  return { bytes, etag, dataCrc32, parts, checksum };
}
