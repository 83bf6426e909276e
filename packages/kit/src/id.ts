/** Public identifiers: UUID version 7 (RFC 9562, section 5.7), 48 bits of Unix milliseconds and 74 random bits. */
import { randomFillSync } from "node:crypto";

const idBytes = 16;
/** Random bytes come in pieces of this size: a piece costs about as much as the 16 bytes of one id. */
const pool = Buffer.allocUnsafe(256 * idBytes);
let used = pool.length;

export function newId(nowMs: number = Date.now()): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = pool.subarray(used, used + idBytes);
  used += idBytes;
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
