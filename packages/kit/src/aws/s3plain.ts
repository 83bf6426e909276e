/**
 * Reads of an object in one plain request, signed by ourselves: every commit makes two, and the client library takes a millisecond
 * of processor time for each. It knows two outcomes, an answer that is just right and anything else; who asks turns to the
 * library for the latter, which tries again, learns the store's clock and says what is wrong.
 */
import { type Dispatcher, Pool } from "undici";
import { bodyAheadBytesMax, callTimeoutMs, connectMs, plainReadsInFlightMax } from "../limits.ts";
import { type AwsCredentials, amzTime, encodePart, SigningKey, scopeOf, sha256Hex } from "./sigv4.ts";

export interface PlainReadsOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: AwsCredentials;
}

export interface PlainAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: Dispatcher.ResponseData["body"];
  /** Its body is not wanted; the connection is kept. */
  drop(): Promise<void>;
}

const emptySha256 = sha256Hex("");

export class PlainReads {
  readonly #options: PlainReadsOptions;
  readonly #host: string;
  readonly #pool: Pool;
  readonly #key: SigningKey;

  constructor(options: PlainReadsOptions) {
    this.#options = options;
    this.#key = new SigningKey(options.credentials.secretAccessKey);
    const { host, origin } = new URL(options.endpoint);
    this.#host = host;
    this.#pool = new Pool(origin, {
      connections: plainReadsInFlightMax,
      headersTimeout: callTimeoutMs,
      bodyTimeout: callTimeoutMs,
      connect: { timeout: connectMs },
    });
  }

  stop(): Promise<void> {
    return this.#pool.destroy();
  }

  /** Undefined when there was no answer. Whoever gets one must read its body or drop it, at once. */
  async send(
    method: "GET" | "HEAD",
    bucket: string,
    key: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<PlainAnswer | undefined> {
    const path = `/${encodePart(bucket)}/${key.split("/").map(encodePart).join("/")}`;
    try {
      const headers = this.#signed(method, path, more);
      // Otherwise each HEAD would end its connection, for the sake of servers that send a body with it.
      const answer = await this.#pool.request({
        method,
        path,
        headers,
        reset: false,
        highWaterMark: bodyAheadBytesMax,
      });
      // Whoever reads the body sees it break off; nobody listens to one that is dropped.
      answer.body.on("error", () => {});
      return {
        status: answer.statusCode,
        header: (name) => {
          const value = answer.headers[name];
          return Array.isArray(value) ? value[0] : value;
        },
        body: answer.body,
        drop: () => answer.body.dump().catch(() => {}),
      };
    } catch {
      // The library makes the same call next, and says what is wrong if it still is.
      return undefined;
    }
  }

  #signed(method: string, path: string, more: Readonly<Record<string, string>>): Record<string, string> {
    const { credentials, region } = this.#options;
    const time = amzTime(Date.now());
    const scope = { region, service: "s3", time };
    const headers: Record<string, string> = {
      ...more,
      host: this.#host,
      "x-amz-content-sha256": emptySha256,
      "x-amz-date": time,
      ...(credentials.sessionToken === undefined ? {} : { "x-amz-security-token": credentials.sessionToken }),
    };
    const names = Object.keys(headers).sort();
    const canonical = names.map((name) => `${name}:${headers[name]}\n`).join("");
    const request = `${method}\n${path}\n\n${canonical}\n${names.join(";")}\n${emptySha256}`;
    const credential = `${credentials.accessKeyId}/${scopeOf(scope)}`;
    const signature = this.#key.sign(scope, request);
    headers.authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
    return headers;
  }
}
