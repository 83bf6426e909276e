/** What the tests of sessions share: an endpoint with a role, and calls of STS signed by the vendor's signer. */
import type { S3Credential } from "../s3/access.ts";
import { roleArn, type S3Role } from "../sts/callers.ts";
import { type Keys, type Listening, owner, type RawAnswer, sendRaw, signCall } from "./s3bench.ts";

export const secret = "the-secret-that-sessions-of-the-tests-are-signed-with";

/** May assume the role, and do nothing else. */
export const broker: S3Credential = {
  accessKeyId: "BROKERKEY",
  secretAccessKey: "broker-secret-of-the-tests",
  grants: [],
};

export const role: S3Role = {
  name: "staging",
  grants: [{ bucket: "files", actions: ["GetObject", "PutObject", "DeleteObject", "ListBucket"] }],
  assumedBy: [broker.accessKeyId],
  secondsMax: 3_600,
};

export const withRole = { credentials: [owner, broker], sessions: { secret, roles: [role] } };

export interface StsOptions {
  readonly credential?: Keys;
  readonly at?: Date;
  readonly service?: "s3" | "sts";
  readonly headers?: Record<string, string>;
}

/** Sends a form as it is: `undefined` leaves a parameter out. */
export async function askSts(
  endpoint: Listening,
  form: Record<string, string | number | undefined>,
  options: StsOptions = {},
): Promise<RawAnswer> {
  const all = {
    Action: "AssumeRole",
    Version: "2011-06-15",
    RoleArn: roleArn(role.name),
    RoleSessionName: "test",
    ...form,
  };
  const pairs = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  const body = new URLSearchParams(pairs as [string, string][]).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded", ...options.headers };
  const { credential = broker, service = "sts", at } = options;
  const signing = { credential, service, ...(at === undefined ? {} : { at }) };
  return sendRaw(endpoint.port, await signCall(endpoint, { method: "POST", path: "/", headers, body }, signing));
}

export interface SessionKeys extends Keys {
  readonly sessionToken: string;
  readonly expiresAt: Date;
}

export function keysOf(answer: RawAnswer): SessionKeys {
  const text = answer.body.toString();
  const of = (name: string) => new RegExp(`<${name}>(.*?)</${name}>`).exec(text)?.[1] ?? "";
  if (answer.status !== 200) throw new Error(`no session: ${text}`);
  return {
    accessKeyId: of("AccessKeyId"),
    secretAccessKey: of("SecretAccessKey"),
    sessionToken: of("SessionToken"),
    expiresAt: new Date(of("Expiration")),
  };
}

export type Policy = { readonly Version?: string; readonly Statement: unknown };

export function policyOf(...statements: readonly Record<string, unknown>[]): Policy {
  return { Version: "2012-10-17", Statement: statements };
}

/** Keys of a session with this policy. */
export async function sessionOf(
  endpoint: Listening,
  policy: Policy | string,
  options: StsOptions & { readonly seconds?: number } = {},
): Promise<SessionKeys> {
  const text = typeof policy === "string" ? policy : JSON.stringify(policy);
  return keysOf(await askSts(endpoint, { Policy: text, DurationSeconds: options.seconds }, options));
}
