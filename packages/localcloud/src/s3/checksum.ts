/**
 * The checksums that S3 lets a client give with an object: incremental, and base64 of the big-endian value as S3 writes it.
 *
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html. The test vectors are the
 * catalogued check values of "123456789".
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

export const checksumAlgorithms = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] as const;
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64 as in the `x-amz-checksum-` headers; of an object made of parts perhaps with `-` and their number. */
  readonly value: string;
}

/** Over all bytes of an object, or over the checksums of its parts. */
export type ChecksumType = "FULL_OBJECT" | "COMPOSITE";

export function typeOf(checksum: Checksum): ChecksumType {
  return checksum.value.includes("-") ? "COMPOSITE" : "FULL_OBJECT";
}

/** The headers by which an answer tells a checksum. */
export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (checksum === undefined) return {};
  return { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value, "x-amz-checksum-type": typeOf(checksum) };
}

/** The element that tells it in an XML answer: `ChecksumCRC32` and the like. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm.toUpperCase()}`;
}

/** The checksum over the checksums of parts. */
export function compositeChecksum(algorithm: ChecksumAlgorithm, parts: readonly string[]): Checksum {
  const running = startChecksum(algorithm);
  for (const value of parts) running.update(Buffer.from(value, "base64"));
  return { algorithm, value: `${running.finish()}-${parts.length}` };
}

export interface RunningChecksum {
  update(chunk: Uint8Array): void;
  /** Base64 of all bytes so far; called once, at the end. */
  finish(): string;
}

const valueBytes: Record<ChecksumAlgorithm, number> = { crc32: 4, crc32c: 4, crc64nvme: 8, sha1: 20, sha256: 32 };

/** Whether a text is base64 of the right number of bytes, in its one canonical spelling. */
export function isChecksumValue(algorithm: ChecksumAlgorithm, value: string): boolean {
  const bytes = Buffer.from(value, "base64");
  return bytes.length === valueBytes[algorithm] && bytes.toString("base64") === value;
}

export function checksumFromHeader(header: string): ChecksumAlgorithm | undefined {
  return checksumAlgorithms.find((algorithm) => header === `x-amz-checksum-${algorithm}`);
}

export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  switch (algorithm) {
    case "crc32":
      return runningCrc32();
    case "crc32c":
      return runningCrc32c();
    case "crc64nvme":
      return runningCrc64();
    case "sha1":
    case "sha256": {
      const hash = createHash(algorithm);
      return { update: (chunk) => void hash.update(chunk), finish: () => hash.digest("base64") };
    }
  }
}

function runningCrc32(): RunningChecksum {
  let crc = 0;
  return {
    update: (chunk) => {
      crc = crc32(chunk, crc);
    },
    finish: () => bigEndian32(crc),
  };
}

/** Reflected polynomial of CRC-32C (Castagnoli). */
const crc32cTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

function runningCrc32c(): RunningChecksum {
  let crc = -1;
  return {
    update: (chunk) => {
      let value = crc;
      for (let i = 0; i < chunk.length; i += 1) {
        value = (crc32cTable[(value ^ (chunk[i] ?? 0)) & 0xff] ?? 0) ^ (value >>> 8);
      }
      crc = value;
    },
    finish: () => bigEndian32(~crc),
  };
}

/** Reflected polynomial of CRC-64/NVME, as two tables of 32-bit halves: bigint arithmetic per byte would be far slower. */
const crc64Tables = (() => {
  const low = new Int32Array(256);
  const high = new Int32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let value = BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) value = value & 1n ? (value >> 1n) ^ 0x9a6c9329ac4bc9b5n : value >> 1n;
    low[byte] = Number(BigInt.asIntN(32, value));
    high[byte] = Number(BigInt.asIntN(32, value >> 32n));
  }
  return { low, high };
})();

function runningCrc64(): RunningChecksum {
  let low = -1;
  let high = -1;
  return {
    update: (chunk) => {
      for (let i = 0; i < chunk.length; i += 1) {
        const index = (low ^ (chunk[i] ?? 0)) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ (crc64Tables.low[index] ?? 0);
        high = (high >>> 8) ^ (crc64Tables.high[index] ?? 0);
      }
    },
    finish: () => {
      const bytes = Buffer.alloc(8);
      bytes.writeInt32BE(~high, 0);
      bytes.writeInt32BE(~low, 4);
      return bytes.toString("base64");
    },
  };
}

function bigEndian32(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes.toString("base64");
}
