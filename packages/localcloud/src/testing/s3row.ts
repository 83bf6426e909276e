/** One request of the table, what of an answer is not as it says, and what rows are made with. */
import { createHash } from "node:crypto";
import { startChecksum } from "../s3/checksum.ts";
import { objectPath, type RawCall } from "./s3bench.ts";

export interface Row {
  readonly name: string;
  readonly call: RawCall;
  readonly presign?: number;
  readonly unsignedPayload?: boolean;
  readonly status: number;
  /** S3's error code, of requests with a body in the answer. */
  readonly code?: string;
  readonly etag?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Texts that the answer contains, in this order. */
  readonly contains?: readonly string[];
  /** Texts that it does not contain. */
  readonly lacks?: readonly string[];
  /** What the independent server that this table was held against, RGW of Ceph 16, is known to do otherwise. */
  readonly differs?: string;
}

export const md5Hex = (text: string) => createHash("md5").update(text).digest("hex");
export const etagOf = (text: string) => `"${md5Hex(text)}"`;
export const md5 = (text: string) => createHash("md5").update(text).digest("base64");
export const sum = (algorithm: "crc32" | "crc32c" | "crc64nvme" | "sha1" | "sha256", text: string) => {
  const running = startChecksum(algorithm);
  running.update(Buffer.from(text));
  return running.finish();
};
export const at = (key: string) => objectPath("files", key);
export const digits = "0123456789";
export const elsewhen = "Wed, 01 Jan 2020 00:00:00 GMT";

/** What of an answer is not as the row says; empty when all is. */
export function deviations(
  row: Row,
  answer: { status: number; code: string | undefined; headers: Record<string, unknown>; body: Buffer },
): string[] {
  const text = answer.body.toString();
  const found: string[] = [];
  const compare = (what: string, got: unknown, wanted: unknown) => {
    if (got !== wanted) found.push(`${what} ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  };
  compare("status", answer.status, row.status);
  if (row.code !== undefined) compare("code", answer.code, row.code);
  if (row.etag !== undefined) compare("etag", answer.headers.etag, row.etag);
  if (row.body !== undefined) compare("body", text, row.body);
  for (const [name, value] of Object.entries(row.headers ?? {})) compare(name, answer.headers[name], value);
  let from = 0;
  for (const part of row.contains ?? []) {
    const next = text.indexOf(part, from);
    if (next === -1) found.push(`no ${part} in its place`);
    else from = next + part.length;
  }
  for (const part of row.lacks ?? []) if (text.includes(part)) found.push(`${part} is there`);
  return found;
}
