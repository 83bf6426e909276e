/**
 * Lease tokens and what derives from them. A token is 24 bytes: the lease number, big endian, and 16 random ones. It crosses
 * processes in base64url.
 */
import { createHash } from "node:crypto";

/** Random bytes of a token: nobody guesses 128 bits. */
export const leaseSecretBytes = 16;

export function encodeToken(token: Buffer): string {
  return token.toString("base64url");
}

/** The schema of the contract has checked the form: 32 base64url characters are 24 bytes. */
export function decodeToken(text: string): Buffer {
  return Buffer.from(text, "base64url");
}

/** 0, which no lease has, for a guess beyond what lease numbers reach. */
export function leaseNoOf(token: Buffer): number {
  const leaseNo = Number(token.readBigInt64BE(0));
  return Number.isSafeInteger(leaseNo) && leaseNo > 0 ? leaseNo : 0;
}

export function sha256Of(data: Buffer | string): Buffer {
  return createHash("sha256").update(data).digest();
}

/**
 * The folder of one attempt's output, `[a-z0-9]` only. It holds the lease number, so that no two attempts share it, and
 * 64 bits that follow from the token, so that nobody finds an uncommitted attempt by counting.
 */
export function stagingPrefix(storageId: string, token: Buffer): string {
  const leaseNo = leaseNoOf(token).toString(36).padStart(11, "0");
  return `d/${storageId}/a/${leaseNo}${sha256Of(token).toString("hex").slice(0, 16)}/`;
}
