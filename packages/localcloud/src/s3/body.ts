/**
 * The body of a request: what its headers promise, and the stream held against every promise.
 *
 * `planBody` is pure; `consumeBody` counts, hashes and compares while bytes pass. Whoever stores them publishes nothing
 * before it returns.
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { objectBytesMax } from "../limits.ts";
import {
  type Checksum,
  type ChecksumAlgorithm,
  checksumFromHeader,
  isChecksumValue,
  startChecksum,
} from "./checksum.ts";
import { decodeAwsChunked } from "./chunked.ts";
import { S3Error } from "./errors.ts";
import { sameHex, type VerifiedSignature } from "./sigv4.ts";

export interface BodyPlan {
  /** Length of the object. */
  readonly bytes: number;
  readonly chunked: boolean;
  /** Whether each chunk carries a signature. */
  readonly chunksSigned: boolean;
  /** SHA-256 in hex that the signature vouches for. */
  readonly sha256: string | undefined;
  /** MD5 in base64. */
  readonly md5: string | undefined;
  readonly checksum: Checksum | undefined;
  /** A checksum whose value comes behind the data. */
  readonly trailing: ChecksumAlgorithm | undefined;
  /** A checksum to compute though the request brings none, as the upload that a part belongs to asks. */
  readonly computed?: ChecksumAlgorithm | undefined;
}

export interface ReceivedBody {
  readonly md5Hex: string;
  readonly crc32: number;
  readonly checksum: Checksum | undefined;
}

type Headers = ReadonlyMap<string, string>;

const streamingModes: Record<string, { signed: boolean; trailer: boolean }> = {
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": { signed: true, trailer: false },
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": { signed: true, trailer: true },
  "STREAMING-UNSIGNED-PAYLOAD-TRAILER": { signed: false, trailer: true },
};

export function planBody(headers: Headers, signature: VerifiedSignature): BodyPlan {
  const mode = streamingModes[signature.payloadHash];
  if (mode !== undefined && signature.presigned) {
    throw new S3Error("InvalidRequest", "A presigned request cannot have an aws-chunked body.");
  }
  const isHash = /^[0-9a-f]{64}$/.test(signature.payloadHash);
  if (mode === undefined && !isHash && signature.payloadHash !== "UNSIGNED-PAYLOAD") {
    if (signature.payloadHash.startsWith("STREAMING-")) {
      throw new S3Error("NotImplemented", `The payload mode ${signature.payloadHash} is not served here.`);
    }
    throw new S3Error(
      "InvalidArgument",
      "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- mode or a SHA-256.",
    );
  }
  const bytes = readLength(headers.get(mode === undefined ? "content-length" : "x-amz-decoded-content-length"));
  const trailing = readTrailer(headers.get("x-amz-trailer"), mode?.trailer === true);
  const checksum = readChecksum(headers);
  if (checksum !== undefined && trailing !== undefined) {
    throw new S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header or trailer.");
  }
  if (headers.has("x-amz-sdk-checksum-algorithm") && checksum === undefined && trailing === undefined) {
    throw new S3Error(
      "InvalidRequest",
      "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
    );
  }
  return {
    bytes,
    chunked: mode !== undefined,
    chunksSigned: mode?.signed === true,
    sha256: isHash ? signature.payloadHash : undefined,
    md5: readContentMd5(headers.get("content-md5")),
    checksum,
    trailing,
  };
}

function readLength(header: string | undefined): number {
  if (header === undefined)
    throw new S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.");
  if (!/^\d{1,15}$/.test(header)) throw new S3Error("InvalidArgument", "The content length is not a number.");
  if (Number(header) > objectBytesMax) {
    throw new S3Error(
      "EntityTooLarge",
      `Your proposed upload of ${header} bytes exceeds the maximum allowed object size of ${objectBytesMax} bytes.`,
    );
  }
  return Number(header);
}

function readTrailer(header: string | undefined, expected: boolean): ChecksumAlgorithm | undefined {
  if (!expected && header === undefined) return undefined;
  const algorithm = checksumFromHeader(header?.trim().toLowerCase() ?? "");
  if (!expected || algorithm === undefined) {
    throw new S3Error(
      "InvalidRequest",
      "x-amz-trailer must name one x-amz-checksum- header, in a -TRAILER payload mode.",
    );
  }
  return algorithm;
}

/** Headers that begin like a checksum and are not one. */
const checksumSettings = ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"];

/** The one checksum that headers (or trailers) give a value for. */
export function readChecksum(headers: Headers): Checksum | undefined {
  const given = [...headers].filter(([name]) => name.startsWith("x-amz-checksum-") && !checksumSettings.includes(name));
  if (given.length > 1) throw new S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header.");
  const [name, value] = given[0] ?? [];
  if (name === undefined || value === undefined) return undefined;
  const algorithm = checksumFromHeader(name);
  if (algorithm === undefined) throw new S3Error("NotImplemented", `The checksum ${name} is not served here.`);
  if (!isChecksumValue(algorithm, value)) throw new S3Error("InvalidRequest", `Value for ${name} header is invalid.`);
  return { algorithm, value };
}

function readContentMd5(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const bytes = Buffer.from(header, "base64");
  if (bytes.length !== 16 || bytes.toString("base64") !== header) {
    throw new S3Error("InvalidDigest", "The Content-MD5 you specified is not valid.");
  }
  return header;
}

/** Passes the object's bytes to `write`, in order, and returns only when all of them kept every promise of the plan. */
export async function consumeBody(
  plan: BodyPlan,
  signature: VerifiedSignature,
  source: AsyncIterable<Buffer>,
  write: (chunk: Buffer) => Promise<void>,
): Promise<ReceivedBody> {
  let promised = plan.checksum;
  const algorithm = promised?.algorithm ?? plan.trailing ?? plan.computed;
  const running = algorithm === undefined ? undefined : startChecksum(algorithm);
  const sha256 = plan.sha256 === undefined ? undefined : createHash("sha256");
  const md5 = createHash("md5");
  let crc = 0;
  let received = 0;
  const data = plan.chunked
    ? decodeAwsChunked(source, {
        chain: plan.chunksSigned ? signature : undefined,
        trailers: plan.trailing === undefined ? [] : [`x-amz-checksum-${plan.trailing}`],
        onTrailers: (trailers) => {
          promised = promised ?? readChecksum(trailers);
        },
      })
    : source;
  for await (const chunk of data) {
    received += chunk.length;
    if (received > plan.bytes) break;
    md5.update(chunk);
    sha256?.update(chunk);
    running?.update(chunk);
    crc = crc32(chunk, crc);
    await write(chunk);
  }
  if (received !== plan.bytes) {
    throw new S3Error("IncompleteBody", "You did not provide the number of bytes specified by the content length.");
  }
  const md5Digest = md5.digest();
  if (plan.sha256 !== undefined && sha256 !== undefined && !sameHex(sha256.digest("hex"), plan.sha256)) {
    throw new S3Error(
      "XAmzContentSHA256Mismatch",
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
  if (plan.md5 !== undefined && md5Digest.toString("base64") !== plan.md5) {
    throw new S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.");
  }
  const checksum =
    algorithm === undefined || running === undefined ? undefined : { algorithm, value: running.finish() };
  if (promised !== undefined && checksum?.value !== promised.value) {
    const name = promised.algorithm.toUpperCase();
    throw new S3Error("BadDigest", `The ${name} you specified did not match the calculated checksum.`);
  }
  return { md5Hex: md5Digest.toString("hex"), crc32: crc, checksum };
}
