/**
 * The few lines of Signature Version 4 that Trace signs with itself: links to objects and calls of STS, which are not worth
 * another client library. https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
 */
import { createHash, createHmac } from "node:crypto";

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of a session: goes with every call that its key signs. */
  readonly sessionToken?: string | undefined;
}

/** Where and when a signature is good. */
export interface SigningScope {
  readonly region: string;
  readonly service: string;
  /** `20260131T120000Z` */
  readonly time: string;
}

export function amzTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

export function scopeOf({ region, service, time }: SigningScope): string {
  return `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
}

export function sha256Hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();

/** What a day's signatures are made with. Four of five steps of a signature are the same all day, so they are done once. */
export class SigningKey {
  readonly #secretAccessKey: string;
  #made: { readonly scope: string; readonly key: Buffer } | undefined;

  constructor(secretAccessKey: string) {
    this.#secretAccessKey = secretAccessKey;
  }

  /** Of a canonical request, in lower-case hex. */
  sign(scope: SigningScope, canonicalRequest: string): string {
    const named = scopeOf(scope);
    if (this.#made?.scope !== named) {
      const key = named.split("/").reduce<string | Buffer>(hmac, `AWS4${this.#secretAccessKey}`) as Buffer;
      this.#made = { scope: named, key };
    }
    const text = `AWS4-HMAC-SHA256\n${scope.time}\n${named}\n${sha256Hex(canonicalRequest)}`;
    return hmac(this.#made.key, text).toString("hex");
  }
}

/** Of a canonical request, in lower-case hex. */
export function signature(secretAccessKey: string, scope: SigningScope, canonicalRequest: string): string {
  return new SigningKey(secretAccessKey).sign(scope, canonicalRequest);
}

/** RFC 3986: everything but unreserved characters is escaped. */
export function encodePart(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
