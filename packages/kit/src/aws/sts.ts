/**
 * STS for services: keys that live for minutes and open no more than a policy written for one piece of work. Against the
 * embedded stack only the endpoint differs (AWS_ENDPOINT_URL_STS).
 *
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 */
import { setTimeout as delay } from "node:timers/promises";
import { TraceError } from "@trace/contracts";
import { Pool } from "undici";
import { backoffMs } from "../backoff.ts";
import { type Clock, type Random, systemClock, systemRandom } from "../clock.ts";
import { connectMs, sessionPolicyCharsMax, stsAnswerBytesMax, stsCallMs, stsRetry, stsSkewMsMax } from "../limits.ts";
import type { Service } from "../service.ts";
import { type AwsCredentials, amzTime, encodePart, scopeOf, sha256Hex, signature } from "./sigv4.ts";

export interface TokenServiceOptions {
  /** Undefined: AWS itself, in the region. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly credentials: AwsCredentials;
  readonly triesMax?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A policy in the words of IAM: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html */
export interface SessionPolicy {
  readonly Version: "2012-10-17";
  readonly Statement: readonly PolicyStatement[];
}

export interface PolicyStatement {
  readonly Effect: "Allow" | "Deny";
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface AssumeRoleRequest {
  readonly roleArn: string;
  /** Who it is for, as the store's own log tells it: 2 to 64 of letters, digits and `_+=,.@-`. */
  readonly sessionName: string;
  /** The session has what the role has AND this allows; there is no session without one. */
  readonly policy: SessionPolicy;
  /** Life of the keys, seconds: 900 to what the role allows. */
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
}

/** Fits `S3Options.credentials`: an `ObjectStore` is made per set of keys. */
export interface SessionCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAt: Date;
}

/** A folder of keys in a bucket; the prefix ends with a slash. */
export interface ObjectFolder {
  readonly bucket: string;
  readonly prefix: string;
}

/**
 * A policy for these actions on the objects of these folders, as short as it can be said. Prefixes are made of generated
 * names: one that means something in a policy (`*`, `?`, `$`) or leaves its folder is refused, since it could open more
 * than what was meant. No folder gives a policy that denies everything: an empty list of statements is none that all stores
 * know, and no policy at all would be every right of the role.
 */
export function folderPolicy(actions: readonly `s3:${string}`[], folders: readonly ObjectFolder[]): SessionPolicy {
  const resources = folders.map(({ bucket, prefix }) => {
    const plain = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket) && /^([A-Za-z0-9_=.-]+\/)+$/.test(prefix);
    if (!plain || /(^|\/)\.{1,2}\//.test(prefix)) {
      throw new RangeError(`not a folder that a policy may name: ${bucket}/${prefix}`);
    }
    return `arn:aws:s3:::${bucket}/${prefix}*`;
  });
  const one = (list: readonly string[]) => (list.length === 1 ? (list[0] ?? "") : list);
  const statement: PolicyStatement =
    resources.length === 0 || actions.length === 0
      ? { Effect: "Deny", Action: "*", Resource: "*" }
      : { Effect: "Allow", Action: one(actions), Resource: one([...new Set(resources)]) };
  return { Version: "2012-10-17", Statement: [statement] };
}

interface StsAnswer {
  readonly status: number;
  readonly body: string;
  /** The service's time when it answered; NaN when it did not say. */
  readonly dateMs: number;
}

export class TokenService implements Service {
  readonly #options: TokenServiceOptions;
  readonly #endpoint: URL;
  readonly #pool: Pool;
  readonly #clock: Clock;
  /** How far the service's clock is from ours, learnt from a refusal. */
  #skewMs = 0;

  constructor(options: TokenServiceOptions) {
    this.#options = options;
    this.#endpoint = new URL(options.endpoint ?? `https://sts.${options.region}.amazonaws.com`);
    this.#clock = options.clock ?? systemClock;
    this.#pool = new Pool(this.#endpoint.origin, {
      connections: 4,
      headersTimeout: stsCallMs,
      bodyTimeout: stsCallMs,
      connect: { timeout: connectMs },
      maxResponseSize: stsAnswerBytesMax,
    });
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.#pool.destroy();
  }

  /** Throws TR-4006 when the service cannot answer now, TR-4008 when it refuses. */
  async assumeRole(request: AssumeRoleRequest): Promise<SessionCredentials> {
    const policy = JSON.stringify(request.policy);
    // A policy that is too long is a fault of ours; some services only hang up on one.
    if (policy.length > sessionPolicyCharsMax) {
      throw refused(request.roleArn, `the session policy has ${policy.length} characters of ${sessionPolicyCharsMax}`);
    }
    const form = new URLSearchParams({
      Action: "AssumeRole",
      Version: "2011-06-15",
      RoleArn: request.roleArn,
      RoleSessionName: request.sessionName,
      DurationSeconds: String(request.seconds),
      Policy: policy,
    });
    // A form's `+` for a space is not known to all services.
    const body = [...form].map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`).join("&");
    return readCredentials(await this.#call(request, body), request.roleArn);
  }

  async #call(request: AssumeRoleRequest, body: string): Promise<string> {
    for (let tries = 1; ; tries += 1) {
      let failure: TraceError;
      try {
        const answer = await this.#once(body, request.signal);
        if (answer.status === 200) return answer.body;
        const skewMs = answer.dateMs - this.#clock.nowMs();
        const late = answer.status < 500 && Math.abs(skewMs - this.#skewMs) > stsSkewMsMax;
        // No lack of rights, but one of clocks: the same call is in time when it is signed again.
        if (late) this.#skewMs = skewMs;
        failure = failureOf(answer, late, request.roleArn);
      } catch (cause) {
        if (request.signal?.aborted) throw cause;
        failure = away(request.roleArn, cause instanceof Error ? cause.message : String(cause), cause);
      }
      if (failure.code !== "TR-4006" || tries >= (this.#options.triesMax ?? 3)) throw failure;
      const signal = request.signal === undefined ? {} : { signal: request.signal };
      await delay(backoffMs(stsRetry, tries - 1, this.#options.random ?? systemRandom), undefined, signal);
    }
  }

  async #once(body: string, signal: AbortSignal | undefined): Promise<StsAnswer> {
    const { credentials, region } = this.#options;
    const scope = { region, service: "sts", time: amzTime(this.#clock.nowMs() + this.#skewMs) };
    const headers: [string, string][] = [
      ["content-type", "application/x-www-form-urlencoded; charset=utf-8"],
      ["host", this.#endpoint.host],
      ["x-amz-date", scope.time],
    ];
    if (credentials.sessionToken !== undefined) headers.push(["x-amz-security-token", credentials.sessionToken]);
    const names = headers.map(([name]) => name).join(";");
    const lines = headers.map(([name, value]) => `${name}:${value}\n`).join("");
    const signed = signature(credentials.secretAccessKey, scope, `POST\n/\n\n${lines}\n${names}\n${sha256Hex(body)}`);
    const authorization =
      `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scopeOf(scope)}, ` +
      `SignedHeaders=${names}, Signature=${signed}`;
    const answer = await this.#pool.request({
      method: "POST",
      path: "/",
      headers: { ...Object.fromEntries(headers), authorization },
      body,
      signal: signal ?? null,
      // More than an answer may have: undici 7 must never wait for us (limits.ts, bodyAheadBytesMax).
      highWaterMark: 2 * stsAnswerBytesMax,
    });
    const date = answer.headers.date;
    return {
      status: answer.statusCode,
      body: await answer.body.text(),
      dateMs: Date.parse(typeof date === "string" ? date : ""),
    };
  }
}

function refused(roleArn: string, why: string): TraceError {
  return new TraceError("TR-4008", {
    detail: `the token service refused keys for the role ${roleArn}: ${why}`,
    where: `AssumeRole ${roleArn}`,
    why,
    fix: "check TRACE_STAGING_ROLE_ARN, the access key of this role of Trace, and who the other may be assumed by",
  });
}

function away(roleArn: string, why: string, cause?: unknown): TraceError {
  return new TraceError("TR-4006", {
    detail: `the token service gave no keys for the role ${roleArn}: ${why}`,
    where: `AssumeRole ${roleArn}`,
    fix: "it is tried again by itself; see whether AWS_ENDPOINT_URL_STS is right and answers",
    cause,
  });
}

/** Throttling is a 400 in the query protocol, and passes; so does a clock that is off, once it is known. */
function failureOf({ status, body }: StsAnswer, late: boolean, roleArn: string): TraceError {
  const code = member(body, "Code") ?? `status ${status}`;
  const why = `${code}: ${member(body, "Message") ?? "no message"}`;
  const passes =
    status >= 500 || status === 429 || late || code.startsWith("Throttl") || code === "IDPCommunicationError";
  return passes ? away(roleArn, why) : refused(roleArn, why);
}

/** The text of an element that stands once in an answer of STS; none of those read here has children. */
function member(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text?.replace(/&(lt|gt|quot|apos|amp);/g, (_, entity: string) => named[entity] ?? "");
}

function readCredentials(xml: string, roleArn: string): SessionCredentials {
  const accessKeyId = member(xml, "AccessKeyId");
  const secretAccessKey = member(xml, "SecretAccessKey");
  const sessionToken = member(xml, "SessionToken");
  const expiresAt = new Date(member(xml, "Expiration") ?? "");
  if (!accessKeyId || !secretAccessKey || !sessionToken || Number.isNaN(expiresAt.getTime())) {
    throw away(roleArn, "its answer holds no keys");
  }
  return { accessKeyId, secretAccessKey, sessionToken, expiresAt };
}
