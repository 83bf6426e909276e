/** Headers of a request as operations see them. */
import type { IncomingMessage } from "node:http";
import { S3Error } from "./errors.ts";
import type { QueryParameter } from "./target.ts";

/** Parameters of query authentication itself. */
const authParameters = new Set([
  "x-amz-algorithm",
  "x-amz-content-sha256",
  "x-amz-credential",
  "x-amz-date",
  "x-amz-expires",
  "x-amz-security-token",
  "x-amz-signature",
  "x-amz-signedheaders",
]);

/** `hoisted`: the query of a presigned request, whose `x-amz-` parameters stand for headers, as SDKs presign them. */
export function headersOf(request: IncomingMessage, hoisted: readonly QueryParameter[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(request.headers)) {
    if (typeof value === "string") headers.set(name, value);
  }
  for (const { name, value } of hoisted) {
    const lower = name.toLowerCase();
    if (!lower.startsWith("x-amz-") || authParameters.has(lower)) continue;
    if (headers.has(lower)) throw new S3Error("InvalidArgument", `${name} is given in the query and again.`);
    if (!/^[a-z0-9_.-]+$/.test(lower) || !/^[\t\x20-\x7e]*$/.test(value)) {
      throw new S3Error("InvalidArgument", `The query parameter ${name} cannot stand for a header.`);
    }
    headers.set(lower, value);
  }
  return headers;
}
