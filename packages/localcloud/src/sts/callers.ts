/**
 * Who calls: the holder of a configured key, or of the key of a session. Both endpoints ask here for the secret that a
 * signature must have been made with, and for what its maker may do.
 */
import { type Access, accessOfGrants, accessOfSession, type S3Credential, type S3Grant } from "../s3/access.ts";
import { S3Error } from "../s3/errors.ts";
import { readPolicy } from "./policy.ts";
import { type Session, SessionSigner } from "./session.ts";

/** Rights that nobody has by a key of their own: keys for a while are given out that have some of them. */
export interface S3Role {
  readonly name: string;
  readonly grants: readonly S3Grant[];
  /** Ids of the access keys whose holders may assume it. */
  readonly assumedBy: readonly string[];
  /** Longest life of a session, seconds; 900 to 43,200. */
  readonly secondsMax: number;
}

export interface SessionOptions {
  /** What sessions are signed with: of the installation, known to this endpoint alone. Another one ends all sessions. */
  readonly secret: string;
  readonly roles: readonly S3Role[];
}

export interface Caller {
  readonly secretAccessKey: string;
  /** Undefined for a session: a session assumes no role. */
  readonly accessKeyId: string | undefined;
  /** What this caller may do in a request with these headers. */
  access(headers: ReadonlyMap<string, string>): Access;
}

/** The account that everything here belongs to; part of ARNs. */
export const account = "000000000000";

export function roleArn(name: string): string {
  return `arn:aws:iam::${account}:role/${name}`;
}

const invalidToken = "The provided token is malformed or otherwise invalid.";

export class Callers {
  readonly #credentials: ReadonlyMap<string, S3Credential>;
  readonly #roles: ReadonlyMap<string, S3Role>;
  readonly #signer: SessionSigner | undefined;

  constructor(credentials: readonly S3Credential[], sessions: SessionOptions | undefined) {
    this.#credentials = new Map(credentials.map((credential) => [credential.accessKeyId, credential]));
    this.#roles = new Map(sessions?.roles.map((role) => [role.name, role]));
    this.#signer = sessions === undefined ? undefined : new SessionSigner(sessions.secret);
  }

  /**
   * Undefined for a key that does not exist, which that of a session is without its token. Throws InvalidToken for a token
   * that was not issued here for this key, ExpiredToken for one whose time is over.
   */
  find(accessKeyId: string, sessionToken: string | undefined, nowMs: number): Caller | undefined {
    if (sessionToken !== undefined) return this.#session(accessKeyId, sessionToken, nowMs);
    const credential = this.#credentials.get(accessKeyId);
    if (credential === undefined) return undefined;
    const access = accessOfGrants(credential.grants);
    return { accessKeyId, secretAccessKey: credential.secretAccessKey, access: () => access };
  }

  #session(accessKeyId: string, sessionToken: string, nowMs: number): Caller {
    const session = this.#signer?.read(sessionToken, accessKeyId);
    // A role that is no longer configured has no sessions.
    const role = this.#roles.get(session?.role ?? "");
    if (session === undefined || role === undefined) throw new S3Error("InvalidToken", invalidToken);
    if (nowMs >= session.expiresMs) throw new S3Error("ExpiredToken", "The provided token has expired.");
    const policy = readPolicy(session.policy);
    return {
      accessKeyId: undefined,
      secretAccessKey: session.secretAccessKey,
      access: (headers) => accessOfSession(accessOfGrants(role.grants), policy, headers),
    };
  }

  /** The role that this caller may assume by this ARN. */
  roleFor(caller: Caller, arn: string): S3Role | undefined {
    const role = [...this.#roles.values()].find(({ name }) => roleArn(name) === arn);
    const trusted = caller.accessKeyId !== undefined && role?.assumedBy.includes(caller.accessKeyId) === true;
    return trusted ? role : undefined;
  }

  /** Only for what `roleFor` gave. */
  startSession(role: S3Role, sessionName: string, policy: string, expiresMs: number): Session {
    if (this.#signer === undefined) throw new RangeError("there is no role, so there is no session");
    return this.#signer.issue({ role: role.name, sessionName, policy, expiresMs });
  }
}
