/** Tokens: what was issued is read back, and nothing else is. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SessionSigner } from "./session.ts";

const signer = new SessionSigner("a-secret-of-this-installation-0001");
const claims = { role: "staging", sessionName: "task-1", policy: '{"Statement":[]}', expiresMs: 1_000 };

describe("a session", () => {
  test("is read back as it was issued, by another process that has the secret", () => {
    const session = signer.issue(claims);
    expect(session).toMatchObject(claims);
    expect(session.accessKeyId).toMatch(/^ASIA[A-Z2-7]{16}$/);
    expect(session.secretAccessKey).toHaveLength(40);
    const other = new SessionSigner("a-secret-of-this-installation-0001");
    expect(other.read(session.sessionToken, session.accessKeyId)).toEqual(session);
  });

  test("tells neither the secret of its key nor that of the installation", () => {
    const session = signer.issue(claims);
    const token = Buffer.from(session.sessionToken, "base64").toString("latin1") + session.sessionToken;
    expect(token).not.toContain(session.secretAccessKey);
    expect(token).not.toContain("a-secret-of-this-installation-0001");
  });

  test("has keys of its own, each time", () => {
    const [one, two] = [signer.issue(claims), signer.issue(claims)];
    expect(one.accessKeyId).not.toBe(two.accessKeyId);
    expect(one.secretAccessKey).not.toBe(two.secretAccessKey);
    expect(signer.read(one.sessionToken, two.accessKeyId)).toBeUndefined();
  });

  test("of another installation is none", () => {
    const { sessionToken, accessKeyId } = new SessionSigner("a-secret-of-another-installation-1").issue(claims);
    expect(signer.read(sessionToken, accessKeyId)).toBeUndefined();
  });

  test("of which a bit was turned is none, whichever", () => {
    const { sessionToken, accessKeyId } = signer.issue(claims);
    const bytes = Buffer.from(sessionToken, "base64");
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const turned = Buffer.from(bytes);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(signer.read(turned.toString("base64"), accessKeyId)).toBeUndefined();
    }
  });

  test.each<[string, (token: string) => string]>([
    ["cut short", (token) => token.slice(0, -4)],
    ["longer", (token) => `${token}AAAA`],
    ["with a space", (token) => ` ${token}`],
    ["without its padding, or with more", (token) => (token.endsWith("=") ? token.replace(/=+$/, "") : `${token}=`)],
    ["in base64url", (token) => `${token.replaceAll("+", "-").replaceAll("/", "_")}-`],
    ["empty", () => ""],
    ["a signature of nothing", () => Buffer.alloc(32).toString("base64")],
    ["far too long", () => "A".repeat(100_000)],
  ])("that is %s is none", (_, change) => {
    const { sessionToken, accessKeyId } = signer.issue(claims);
    expect(signer.read(change(sessionToken), accessKeyId)).toBeUndefined();
  });

  test("of any text is none, and no text makes reading throw", () => {
    fc.assert(fc.property(fc.string(), (text) => signer.read(text, "ASIA") === undefined));
  });

  test("with the longest policy there may be fits what is looked at", () => {
    for (const char of ['"', "ÿ", "\n", "\u009f"]) {
      const session = signer.issue({
        role: "r".repeat(64),
        sessionName: "n".repeat(64),
        policy: char.repeat(2_048),
        expiresMs: 4_000_000_000_000,
      });
      expect(signer.read(session.sessionToken, session.accessKeyId)).toEqual(session);
    }
  });
});
