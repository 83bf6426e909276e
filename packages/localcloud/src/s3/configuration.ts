/** What must hold of an endpoint's options before anything listens. A mistake here would be a hole later. */
import { TraceError } from "@trace/contracts";
import { sessionSecondsMax, sessionSecondsMin, sessionSecretCharsMin } from "../limits.ts";
import type { SessionOptions } from "../sts/callers.ts";
import type { S3Credential, S3Grant } from "./access.ts";
import type { S3Bucket } from "./exchange.ts";

function invalid(detail: string, fix: string): TraceError {
  return new TraceError("TR-6103", { detail, where: "configuration of the embedded S3 endpoint", fix });
}

export function requireConfiguration(
  buckets: readonly S3Bucket[],
  credentials: readonly S3Credential[],
  sessions?: SessionOptions,
): void {
  const names = new Set<string>();
  for (const { name } of buckets) {
    // S3's rule, without dots: they mean nothing here and `..` must never be a folder.
    if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name) || names.has(name)) {
      throw invalid(
        `The bucket name '${name}' is invalid or used twice.`,
        "Use 3 to 63 of a-z, 0-9 and -, each name once.",
      );
    }
    names.add(name);
  }
  const keys = new Set<string>();
  for (const { accessKeyId, secretAccessKey, grants } of credentials) {
    if (!/^[A-Za-z0-9_-]{3,128}$/.test(accessKeyId) || keys.has(accessKeyId)) {
      throw invalid(
        `The access key id '${accessKeyId}' is invalid or used twice.`,
        "Use 3 to 128 letters, digits, - and _, each id once.",
      );
    }
    keys.add(accessKeyId);
    if (secretAccessKey.length < 16) {
      throw invalid(
        `The secret of the access key '${accessKeyId}' is too short.`,
        "Use a random secret of at least 16 characters.",
      );
    }
    requireGrants(accessKeyId, grants, names);
  }
  if (sessions !== undefined) requireSessions(sessions, keys, names);
}

function requireGrants(holder: string, grants: readonly S3Grant[], buckets: ReadonlySet<string>): void {
  for (const { bucket, prefix } of grants) {
    if (!buckets.has(bucket)) {
      throw invalid(`A grant of '${holder}' names the unknown bucket '${bucket}'.`, "Name a configured bucket.");
    }
    // `in/a` would also open `in/ab`: only whole folders are granted.
    if (prefix !== undefined && (!prefix.endsWith("/") || prefix.startsWith("/"))) {
      throw invalid(
        `The grant prefix '${prefix}' of '${holder}' is not a folder.`,
        "End it with a slash, and do not begin with one.",
      );
    }
  }
}

function requireSessions(
  { secret, roles }: SessionOptions,
  keys: ReadonlySet<string>,
  buckets: ReadonlySet<string>,
): void {
  if (secret.length < sessionSecretCharsMin) {
    throw invalid(
      "The secret that sessions are signed with is too short.",
      `Use a random secret of at least ${sessionSecretCharsMin} characters.`,
    );
  }
  const seen = new Set<string>();
  for (const { name, grants, assumedBy, secondsMax } of roles) {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(name) || seen.has(name)) {
      throw invalid(
        `The role name '${name}' is invalid or used twice.`,
        "Use 1 to 64 letters, digits, - and _, each name once.",
      );
    }
    seen.add(name);
    const stranger = assumedBy.find((key) => !keys.has(key));
    if (stranger !== undefined) {
      throw invalid(`The role '${name}' may be assumed by the unknown key '${stranger}'.`, "Name a configured key.");
    }
    if (!Number.isInteger(secondsMax) || secondsMax < sessionSecondsMin || secondsMax > sessionSecondsMax) {
      throw invalid(
        `Sessions of the role '${name}' cannot last ${secondsMax} s.`,
        `Use a whole number of seconds from ${sessionSecondsMin} to ${sessionSecondsMax}.`,
      );
    }
    requireGrants(name, grants, buckets);
  }
}

/** TR-6102, for a listener that could not be opened. */
export function cannotListen(name: string, host: string, port: number, cause: unknown): TraceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TraceError("TR-6102", {
    detail: `The embedded ${name} endpoint cannot listen: ${reason}.`,
    where: `${host}:${port}`,
    why: "Another process holds the port, or the address is not one of this machine.",
    fix: `See who holds it (ss -ltnp 'sport = :${port}'), stop that, or configure another port.`,
    cause,
  });
}
