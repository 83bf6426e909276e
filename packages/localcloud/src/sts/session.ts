/**
 * Sessions: an access key that says itself what it may do and how long. Nothing of one is kept here: its token carries
 * everything, signed with the secret of the installation, so that it is good after a restart and cannot be made or
 * changed by anybody else.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { sessionTokenCharsMax } from "../limits.ts";

export interface SessionClaims {
  /** Of the key that this token goes with. */
  readonly accessKeyId: string;
  readonly role: string;
  readonly sessionName: string;
  /** As it was given; it is read again each time. */
  readonly policy: string;
  readonly expiresMs: number;
}

export interface Session extends SessionClaims {
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** Signatures and secret keys are made with different keys, so that neither can be taken for the other. */
export class SessionSigner {
  readonly #tokenKey: Buffer;
  readonly #secretKey: Buffer;

  constructor(secret: string) {
    const derive = (use: string) => createHmac("sha256", secret).update(`trace session 1: ${use}`).digest();
    this.#tokenKey = derive("token");
    this.#secretKey = derive("secret access key");
  }

  issue(claims: Omit<SessionClaims, "accessKeyId">): Session {
    const { role, sessionName, policy, expiresMs } = claims;
    const accessKeyId = newAccessKeyId();
    const said = Buffer.from(JSON.stringify([1, accessKeyId, role, sessionName, policy, expiresMs]));
    const sessionToken = Buffer.concat([this.#sign(said), said]).toString("base64");
    return { ...claims, accessKeyId, sessionToken, secretAccessKey: this.#secretOf(sessionToken) };
  }

  /** Undefined for what was not issued with this secret, or for another key. Whether it has expired is not looked at. */
  read(sessionToken: string, accessKeyId: string): Session | undefined {
    if (sessionToken.length > sessionTokenCharsMax) return undefined;
    const bytes = Buffer.from(sessionToken, "base64");
    // One session has one token: other spellings of the same bytes are none.
    if (bytes.length <= signatureBytes || bytes.toString("base64") !== sessionToken) return undefined;
    const said = bytes.subarray(signatureBytes);
    if (!timingSafeEqual(bytes.subarray(0, signatureBytes), this.#sign(said))) return undefined;
    // What follows was written by `issue`, in the form that the first number tells.
    const [form, key, role, sessionName, policy, expiresMs] = JSON.parse(said.toString()) as unknown[];
    if (form !== 1 || key !== accessKeyId) return undefined;
    const claims = { accessKeyId, role, sessionName, policy, expiresMs } as SessionClaims;
    return { ...claims, sessionToken, secretAccessKey: this.#secretOf(sessionToken) };
  }

  #sign(said: Buffer): Buffer {
    return createHmac("sha256", this.#tokenKey).update(said).digest();
  }

  /** 40 characters, as AWS's are. */
  #secretOf(sessionToken: string): string {
    return createHmac("sha256", this.#secretKey).update(sessionToken).digest("base64").slice(0, 40);
  }
}

const signatureBytes = 32;

/** `ASIA` marks the key of a session, as at AWS: SDKs and people know by it that a token belongs to it. */
function newAccessKeyId(): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  return `ASIA${[...randomBytes(16)].map((byte) => alphabet[byte % 32]).join("")}`;
}
