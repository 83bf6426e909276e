/**
 * SCRAM-SHA-256 verifiers in the form Postgres stores (RFC 5803), so that no password is ever sent to a server, put in
 * a statement or in a log. Passwords are printable ASCII, where SASLprep (RFC 4013) changes nothing.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";

/** The count Postgres itself uses by default. */
const iterations = 4_096;

function build(password: string, salt: Buffer): string {
  if (!/^[\x21-\x7e]{16,256}$/.test(password)) {
    throw new RangeError("a database password has 16 to 256 printable ASCII characters and no space");
  }
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const storedKey = createHash("sha256").update(createHmac("sha256", salted).update("Client Key").digest()).digest();
  const serverKey = createHmac("sha256", salted).update("Server Key").digest();
  const [saltText, stored, server] = [salt, storedKey, serverKey].map((part) => part.toString("base64"));
  return `SCRAM-SHA-256$${iterations}:${saltText}$${stored}:${server}`;
}

/** A new verifier with a random salt. Throws RangeError on a password that is too short or not plain ASCII. */
export function scramVerifier(password: string): string {
  return build(password, randomBytes(16));
}

/** Whether `password` is the one that `verifier` was made from. */
export function scramMatches(verifier: string, password: string): boolean {
  const salt = /^SCRAM-SHA-256\$\d+:([A-Za-z0-9+/=]+)\$/.exec(verifier)?.[1];
  if (salt === undefined) return false;
  const again = Buffer.from(build(password, Buffer.from(salt, "base64")));
  const kept = Buffer.from(verifier);
  return again.length === kept.length && timingSafeEqual(again, kept);
}
