/**
 * Keys of an attempt's own: they write under its staging prefixes and open nothing else, and end when nobody may write there any
 * more. Until when that is was recorded before the keys are made, so garbage collection can go by the record.
 *
 * A policy names about twenty prefixes, and one with a wildcard in their stead would open what is not the attempt's: whoever
 * writes more outputs gets several sets of keys, each for some of them.
 */
import { type StagingCredentials, type StagingKeys, TraceError } from "@trace/contracts";
import type { Queryable } from "@trace/kit";
import {
  type Clock,
  folderPolicy,
  type SessionCredentials,
  type SessionPolicy,
  sessionPolicyCharsMax,
  type TokenService,
} from "@trace/kit";
import { stale } from "./completions.ts";
import { attemptKeysKeptMax, attemptKeysLeftMs, attemptKeysSecondsMax, attemptKeysSecondsMin } from "./limits.ts";
import { extendStaging } from "./sql/statements.gen.ts";

export interface CredentialsOptions {
  readonly db: Queryable;
  readonly datasetsBucket: string;
  readonly clock: Clock;
  /** Undefined: none is configured. */
  readonly tokens: Pick<TokenService, "assumeRole"> | undefined;
  readonly roleArn: string | undefined;
}

/** What an attempt does to a staged file, by the names of S3's own table of actions. */
const actions = ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"] as const;

/** One session's keys, and the prefixes that they open. */
interface KeySet {
  readonly prefixes: readonly string[];
  readonly keys: SessionCredentials;
}

export interface AttemptLease {
  readonly token: Buffer;
  readonly lease_no: number;
  /** Where it writes, as described with its lease. */
  readonly outputs: unknown;
}

export class Credentials {
  readonly #options: CredentialsOptions;
  /** By the whole token: a lease number alone opens nothing. Oldest first. */
  readonly #kept = new Map<string, Promise<readonly KeySet[]>>();

  constructor(options: CredentialsOptions) {
    this.#options = options;
  }

  /** The caller has shown a live lease. Throws TR-3001 when it is over by now, TR-4029 where attempts have no keys of their own. */
  async of(lease: AttemptLease): Promise<StagingCredentials> {
    const { tokens, roleArn } = this.#options;
    if (tokens === undefined || roleArn === undefined) throw notConfigured();
    if (!Array.isArray(lease.outputs) || lease.outputs.length === 0) throw writesNothing();
    const key = lease.token.toString("hex");
    const kept = this.#kept.get(key);
    const sets = kept === undefined ? undefined : await this.#stillGood(key, kept);
    return { keys: (sets ?? (await this.#make(key, lease, tokens, roleArn))).map(answerOf) };
  }

  async #stillGood(key: string, kept: Promise<readonly KeySet[]>): Promise<readonly KeySet[] | undefined> {
    const sets = await kept;
    const endsMs = Math.min(...sets.map(({ keys }) => keys.expiresAt.getTime()));
    if (endsMs - this.#options.clock.nowMs() > attemptKeysLeftMs) return sets;
    if (this.#kept.get(key) === kept) this.#kept.delete(key);
    return undefined;
  }

  /** One call at a time for one lease; those that come meanwhile get what it brings. */
  #make(
    key: string,
    lease: AttemptLease,
    tokens: Pick<TokenService, "assumeRole">,
    roleArn: string,
  ): Promise<readonly KeySet[]> {
    const begun = this.#kept.get(key);
    if (begun !== undefined) return begun;
    const made = this.#assume(lease, tokens, roleArn);
    this.#kept.set(key, made);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= attemptKeysKeptMax) break;
      this.#kept.delete(oldest);
    }
    // Whoever asked is told; the next one asks anew.
    made.catch(() => {
      if (this.#kept.get(key) === made) this.#kept.delete(key);
    });
    return made;
  }

  async #assume(
    lease: AttemptLease,
    tokens: Pick<TokenService, "assumeRole">,
    roleArn: string,
  ): Promise<readonly KeySet[]> {
    const { db, datasetsBucket: bucket } = this.#options;
    const places = await db.query(extendStaging, { token: lease.token, seconds: attemptKeysSecondsMax });
    const [first] = places;
    if (first === undefined) throw stale();
    const left = Math.floor(Math.min(...places.map(({ seconds }) => seconds), attemptKeysSecondsMax));
    const named = policiesOf(
      bucket,
      places.map(({ prefix }) => prefix),
    );
    return Promise.all(
      named.map(async ({ prefixes, policy }) => {
        const keys = await tokens.assumeRole({
          roleArn,
          sessionName: `trace-lease-${lease.lease_no}`,
          policy,
          // Of a live lease there are 15 minutes and what is left of it; a fraction of a second may be lost on the way.
          seconds: Math.max(left, attemptKeysSecondsMin),
        });
        return { prefixes, keys };
      }),
    );
  }
}

interface PolicyOf {
  readonly prefixes: readonly string[];
  readonly policy: SessionPolicy;
}

/** As few policies as name all prefixes, in their order, none longer than STS takes. One of a single prefix always fits. */
function policiesOf(bucket: string, prefixes: readonly string[]): readonly PolicyOf[] {
  const policyOf = (some: readonly string[]): PolicyOf => {
    const folders = some.map((prefix) => ({ bucket, prefix }));
    return { prefixes: some, policy: folderPolicy(actions, folders) };
  };
  const full: PolicyOf[] = [];
  let last: PolicyOf | undefined;
  for (const prefix of prefixes) {
    const more = policyOf([...(last?.prefixes ?? []), prefix]);
    if (last !== undefined && JSON.stringify(more.policy).length > sessionPolicyCharsMax) {
      full.push(last);
      last = policyOf([prefix]);
    } else last = more;
  }
  return last === undefined ? full : [...full, last];
}

function answerOf({ keys, prefixes }: KeySet): StagingKeys {
  return {
    prefixes: [...prefixes],
    access_key_id: keys.accessKeyId,
    secret_access_key: keys.secretAccessKey,
    session_token: keys.sessionToken,
    expires_at: keys.expiresAt.toISOString(),
  };
}

const workersKey = "use the worker's own key, as its environment has it";

function notConfigured(): TraceError {
  return new TraceError("TR-4029", {
    detail: "attempts have no keys of their own here",
    why: "the dispatcher was started without AWS_ENDPOINT_URL_STS and TRACE_STAGING_ROLE_ARN",
    fix: workersKey,
  });
}

function writesNothing(): TraceError {
  return new TraceError("TR-4029", {
    detail: "the attempt writes no dataset, so there is nothing that keys of its own could open",
    fix: workersKey,
  });
}
