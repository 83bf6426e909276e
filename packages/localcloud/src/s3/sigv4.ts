/**
 * Signature Version 4 as S3 uses it: who signed this request, and is it the request that was signed.
 *
 * Pure: headers, target and the time come in, an identity or a refusal comes out. Sources:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { clockSkewMsMax, presignedSecondsMax } from "../limits.ts";
import { S3Error } from "./errors.ts";
import { type QueryParameter, queryValue, type RequestTarget, uriEncode, uriEncodePath } from "./target.ts";

const algorithm = "AWS4-HMAC-SHA256";

export interface SignedRequest {
  readonly method: string;
  readonly target: RequestTarget;
  /** Name, value, name, value as received, so that repeated headers and inner spaces are seen (node's `rawHeaders`). */
  readonly rawHeaders: readonly string[];
  /** What the scope of the signature must name; a signature for one service is none for another. */
  readonly service?: SigningService | undefined;
  /** SHA-256 of the body in hex where it was read already. At S3 the headers say what it is to be, and it is compared later. */
  readonly bodyHash?: string | undefined;
}

export type SigningService = "s3" | "sts";

export interface CredentialScope {
  readonly accessKeyId: string;
  /** `20260131` */
  readonly day: string;
  readonly region: string;
  readonly service: string;
}

/** What a verified request proves, and what the chunks of its body are chained to. */
export interface VerifiedSignature {
  readonly accessKeyId: string;
  /** A SHA-256 in hex, `UNSIGNED-PAYLOAD`, or one of the `STREAMING-` names. */
  readonly payloadHash: string;
  readonly presigned: boolean;
  readonly amzDate: string;
  readonly scope: string;
  readonly signature: string;
  readonly signingKey: Buffer;
}

interface Claim {
  readonly credential: CredentialScope;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly amzDate: string;
  readonly payloadHash: string;
  readonly presigned: boolean;
  readonly query: readonly QueryParameter[];
}

export function sha256Hex(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

export function scopeText(credential: CredentialScope): string {
  return `${credential.day}/${credential.region}/${credential.service}/aws4_request`;
}

/** HMAC chain over day, region, service and terminator. */
export function signingKey(secretAccessKey: string, credential: CredentialScope): Buffer {
  const steps = [credential.day, credential.region, credential.service, "aws4_request"];
  return steps.reduce<Buffer>(
    (key, step) => createHmac("sha256", key).update(step).digest(),
    Buffer.from(`AWS4${secretAccessKey}`),
  );
}

/** Compares two hex texts in time that does not depend on where they differ. */
export function sameHex(given: string, expected: string): boolean {
  const a = Buffer.from(given, "latin1");
  const b = Buffer.from(expected, "latin1");
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Lower-case names; values of a repeated name are joined by a comma; outer spaces go, inner runs become one. */
export function canonicalHeaderValues(rawHeaders: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase();
    const value = (rawHeaders[i + 1] ?? "").trim().replace(/[ \t]+/g, " ");
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  return values;
}

export function canonicalRequest(
  request: SignedRequest,
  signedHeaders: readonly string[],
  query: readonly QueryParameter[],
  payloadHash: string,
): string {
  const values = canonicalHeaderValues(request.rawHeaders);
  const pairs = query.map(({ name, value }) => [uriEncode(name), uriEncode(value)] as const);
  pairs.sort(([nameA, valueA], [nameB, valueB]) => compareAscii(nameA, nameB) || compareAscii(valueA, valueB));
  return [
    request.method,
    uriEncodePath(request.target.path),
    pairs.map(([name, value]) => `${name}=${value}`).join("&"),
    ...signedHeaders.map((name) => `${name}:${values.get(name) ?? ""}`),
    "",
    signedHeaders.join(";"),
    payloadHash,
  ].join("\n");
}

function compareAscii(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Header bytes arrive as latin1 text; hashing them as latin1 gives back the bytes that the client signed. */
export function stringToSign(amzDate: string, scope: string, canonical: string): string {
  const hash = createHash("sha256").update(canonical, "latin1").digest("hex");
  return [algorithm, amzDate, scope, hash].join("\n");
}

export function signText(key: Buffer, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex");
}

/**
 * Finds the signature of a request and verifies it. Throws the S3 refusal otherwise; a request without any signature is
 * AccessDenied, since nothing here is public. `secretOf` judges the session token that came with a key, or that none came.
 */
export function verifySignature(
  request: SignedRequest,
  secretOf: (accessKeyId: string, sessionToken: string | undefined) => string | undefined,
  nowMs: number,
): VerifiedSignature {
  const values = canonicalHeaderValues(request.rawHeaders);
  const claim = readClaim(request, values);
  requireSignedHeaders(claim, values);
  requireTime(claim, request.target.query, nowMs);
  const secret = secretOf(claim.credential.accessKeyId, sessionTokenOf(claim, values));
  if (secret === undefined) {
    throw new S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.");
  }
  const scope = scopeText(claim.credential);
  const canonical = canonicalRequest(request, claim.signedHeaders, claim.query, claim.payloadHash);
  const key = signingKey(secret, claim.credential);
  if (!sameHex(claim.signature, signText(key, stringToSign(claim.amzDate, scope, canonical)))) {
    throw new S3Error(
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    );
  }
  return {
    accessKeyId: claim.credential.accessKeyId,
    payloadHash: claim.payloadHash,
    presigned: claim.presigned,
    amzDate: claim.amzDate,
    scope,
    signature: claim.signature,
    signingKey: key,
  };
}

/** The token stands where the signature stands, and is signed with the rest. */
function sessionTokenOf(claim: Claim, values: ReadonlyMap<string, string>): string | undefined {
  const inHeader = values.get("x-amz-security-token");
  const inQuery = queryValue(claim.query, "X-Amz-Security-Token");
  if ((claim.presigned ? inHeader : inQuery) !== undefined) {
    throw new S3Error("InvalidToken", "The session token must be given where the signature is given.");
  }
  return claim.presigned ? inQuery : inHeader;
}

function readClaim(request: SignedRequest, values: ReadonlyMap<string, string>): Claim {
  const authorization = values.get("authorization");
  const inQuery = request.target.query.some(({ name }) => name.toLowerCase() === "x-amz-signature");
  if (authorization !== undefined && inQuery) {
    throw new S3Error("InvalidArgument", "Only one auth mechanism allowed; the header and the query both carry one.");
  }
  if (inQuery) return readQueryClaim(request, values);
  if (authorization !== undefined) return readHeaderClaim(authorization, request, values);
  throw new S3Error("AccessDenied", "Access Denied: the request is not signed.");
}

function readHeaderClaim(authorization: string, request: SignedRequest, values: ReadonlyMap<string, string>): Claim {
  const malformed = (why: string) =>
    new S3Error("AuthorizationHeaderMalformed", `The authorization header is malformed; ${why}.`);
  const space = authorization.indexOf(" ");
  if (authorization.slice(0, Math.max(0, space)) !== algorithm) {
    throw new S3Error(
      "InvalidRequest",
      `The authorization mechanism you have provided is not supported. Use ${algorithm}.`,
    );
  }
  const parts = new Map<string, string>();
  for (const part of authorization.slice(space + 1).split(",")) {
    const [name = "", ...rest] = part.trim().split("=");
    if (parts.has(name)) throw malformed(`${name} is given twice`);
    parts.set(name, rest.join("="));
  }
  const service = request.service ?? "s3";
  const credential = parseCredential(parts.get("Credential"), service);
  if (credential === undefined) throw malformed(`the credential is not <key>/<day>/<region>/${service}/aws4_request`);
  const amzDate = values.get("x-amz-date") ?? amzDateFromHttp(values.get("date"));
  if (amzDate === undefined) throw new S3Error("AccessDenied", "A signed request needs an x-amz-date or Date header.");
  const payloadHash = request.bodyHash ?? values.get("x-amz-content-sha256");
  if (payloadHash === undefined) {
    throw new S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
  }
  return {
    credential,
    signedHeaders: (parts.get("SignedHeaders") ?? "").split(";"),
    signature: parts.get("Signature") ?? "",
    amzDate,
    payloadHash,
    presigned: false,
    query: request.target.query,
  };
}

function readQueryClaim(request: SignedRequest, values: ReadonlyMap<string, string>): Claim {
  const { query } = request.target;
  const service = request.service ?? "s3";
  const malformed = (why: string) => new S3Error("AuthorizationQueryParametersError", why);
  const value = (name: string): string => {
    const found = queryValue(query, name);
    if (found === undefined) throw malformed(`Query-string authentication needs the parameter ${name}.`);
    return found;
  };
  if (value("X-Amz-Algorithm") !== algorithm) throw malformed(`X-Amz-Algorithm only supports "${algorithm}".`);
  const credential = parseCredential(value("X-Amz-Credential"), service);
  if (credential === undefined) {
    throw malformed(`Error parsing X-Amz-Credential: <key>/<day>/<region>/${service}/aws4_request is expected.`);
  }
  const seconds = value("X-Amz-Expires");
  if (!/^[1-9][0-9]{0,6}$/.test(seconds) || Number(seconds) > presignedSecondsMax) {
    throw malformed(`X-Amz-Expires must be a number of seconds from 1 to ${presignedSecondsMax}.`);
  }
  return {
    credential,
    signedHeaders: value("X-Amz-SignedHeaders").split(";"),
    signature: value("X-Amz-Signature"),
    amzDate: value("X-Amz-Date"),
    payloadHash:
      request.bodyHash ??
      queryValue(query, "X-Amz-Content-Sha256") ??
      values.get("x-amz-content-sha256") ??
      "UNSIGNED-PAYLOAD",
    presigned: true,
    query: query.filter(({ name }) => name !== "X-Amz-Signature"),
  };
}

function parseCredential(text: string | undefined, expected: SigningService): CredentialScope | undefined {
  const parts = (text ?? "").split("/");
  const [accessKeyId, day, region, service, terminator] = parts;
  if (parts.length !== 5 || terminator !== "aws4_request" || service !== expected) return undefined;
  if (!accessKeyId || !region || day === undefined || !/^[0-9]{8}$/.test(day)) return undefined;
  return { accessKeyId, day, region, service };
}

/**
 * Host and every `x-amz-` header must be signed (S3's rule): what is not covered could have been added by anybody.
 */
function requireSignedHeaders(claim: Claim, values: ReadonlyMap<string, string>): void {
  const names = claim.signedHeaders;
  const sorted = names.every(
    (name, i) => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && (i === 0 || (names[i - 1] ?? "") < name),
  );
  if (!sorted) throw new S3Error("AccessDenied", "SignedHeaders must be lower-case header names, sorted, each once.");
  const missing = names.filter((name) => !values.has(name));
  if (missing.length > 0) throw new S3Error("AccessDenied", `Signed headers are missing: ${missing.join(", ")}.`);
  const unsigned = [...values.keys()].filter(
    (name) => (name === "host" || name.startsWith("x-amz-")) && !names.includes(name),
  );
  if (unsigned.length > 0 || !names.includes("host")) {
    const list = unsigned.length > 0 ? unsigned.join(", ") : "host";
    throw new S3Error("AccessDenied", `There were headers present in the request which were not signed: ${list}.`);
  }
}

function requireTime(claim: Claim, query: readonly QueryParameter[], nowMs: number): void {
  const signedMs = parseAmzDate(claim.amzDate);
  if (signedMs === undefined || claim.amzDate.slice(0, 8) !== claim.credential.day) {
    throw new S3Error(
      "AccessDenied",
      "The date of the request is malformed or is not the day of its credential scope.",
    );
  }
  if (!claim.presigned) {
    if (Math.abs(nowMs - signedMs) > clockSkewMsMax) {
      throw new S3Error(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
      );
    }
    return;
  }
  if (signedMs - nowMs > clockSkewMsMax) throw new S3Error("AccessDenied", "Request is not valid yet.");
  if (nowMs > signedMs + Number(queryValue(query, "X-Amz-Expires")) * 1_000) {
    throw new S3Error("AccessDenied", "Request has expired.");
  }
}

/** `20130524T000000Z` in milliseconds since the epoch; undefined when it is no real time. */
export function parseAmzDate(text: string): number | undefined {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Milliseconds since the epoch as `20130524T000000Z`. */
export function formatAmzDate(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
}

function amzDateFromHttp(date: string | undefined): string | undefined {
  const ms = Date.parse(date ?? "");
  return Number.isNaN(ms) ? undefined : formatAmzDate(ms);
}
