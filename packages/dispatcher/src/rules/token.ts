/**
 * Lease tokens and what derives from them. A token is 40 bytes: the numbers of the session, the lease and the task, 8 each and
 * big endian, and 16 random ones. It crosses processes in base64url. Nothing is decided by its numbers alone: whoever looks
 * something up by one of them compares the whole token with the one that is kept.
 */
import { createHash } from "node:crypto";

/** Random bytes of a token: nobody guesses 128 bits. */
export const leaseSecretBytes = 16;

/** Of all the tokens that are made; what stands in SQL must fit it (sql/claim.sql, sql/lease.sql). */
export const tokenBytes = 24 + leaseSecretBytes;

/** The token that claimTasks made of these. */
export function tokenOf(sessionNo: number, leaseNo: number, taskNo: number, secret: Buffer): Buffer {
  const token = Buffer.allocUnsafe(tokenBytes);
  token.writeBigInt64BE(BigInt(sessionNo), 0);
  token.writeBigInt64BE(BigInt(leaseNo), 8);
  token.writeBigInt64BE(BigInt(taskNo), 16);
  secret.copy(token, 24, 0, leaseSecretBytes);
  return token;
}

export function encodeToken(token: Buffer): string {
  return token.toString("base64url");
}

/** The schema of the contract has checked the form, the only one there is for 40 bytes. */
export function decodeToken(text: string): Buffer {
  return Buffer.from(text, "base64url");
}

/** 0, which no lease has, for a guess beyond what lease numbers reach or of another length. */
export function leaseNoOf(token: Buffer): number {
  return numberAt(token, 8);
}

/** 0, which no task has, for a guess beyond what the numbers of tasks reach or of another length. */
export function taskNoOf(token: Buffer): number {
  return numberAt(token, 16);
}

function numberAt(token: Buffer, offset: number): number {
  if (token.length !== tokenBytes) return 0;
  const number = Number(token.readBigInt64BE(offset));
  return Number.isSafeInteger(number) && number > 0 ? number : 0;
}

export function sha256Of(data: Buffer | string): Buffer {
  return createHash("sha256").update(data).digest();
}

/**
 * The folder of one attempt's output, `[a-z0-9]` only. It holds the lease number, so that no two attempts share it, and
 * 64 bits that follow from the token, so that nobody finds an uncommitted attempt by counting.
 */
export function stagingPrefix(storageId: string, token: Buffer): string {
  return `d/${storageId}/a/${stagingFolder(token)}/`;
}

/** The attempt's part of it, the same under each dataset that it writes (sql/claim.sql puts the two together). */
export function stagingFolder(token: Buffer): string {
  const leaseNo = leaseNoOf(token).toString(36).padStart(11, "0");
  return `${leaseNo}${sha256Of(token).toString("hex").slice(0, 16)}`;
}
