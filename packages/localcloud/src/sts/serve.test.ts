/** AssumeRole over the wire: what is given, and what is refused in the words of STS. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, owner, type RawAnswer, sendRaw, signCall, startBench } from "../testing/s3bench.ts";
import { askSts, broker, keysOf, policyOf, role, sessionOf, withRole } from "../testing/stsbench.ts";

const nowMs = Date.UTC(2026, 5, 1, 12);
const at = new Date(nowMs);
let bench: Bench;
beforeAll(async () => {
  bench = await startBench({ ...withRole, clock: { nowMs: () => nowMs } });
});
afterAll(() => bench.stop());

const reading = policyOf({ Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::files/x/*" });
const text = JSON.stringify(reading);
const ask = (form: Record<string, string | number | undefined>, options: Parameters<typeof askSts>[2] = {}) =>
  askSts(bench.endpoint, form, { at, ...options });

function expectRefusal(answer: RawAnswer, status: number, code: string): void {
  expect([answer.status, answer.code]).toEqual([status, code]);
  expect(answer.headers["content-type"]).toBe("text/xml");
  const xml = answer.body.toString();
  expect(xml).toMatch(
    /^<\?xml .*<ErrorResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/"><Error><Type>/s,
  );
  expect(xml).toContain(`<RequestId>${answer.headers["x-amz-request-id"]}</RequestId>`);
  expect(xml).not.toContain("AccessKeyId");
}

describe("AssumeRole", () => {
  test("gives keys, until when they are good, and who they make one", async () => {
    const answer = await ask({ Policy: text, DurationSeconds: 900 });
    expect(keysOf(answer)).toEqual({
      accessKeyId: expect.stringMatching(/^ASIA[A-Z2-7]{16}$/),
      secretAccessKey: expect.stringMatching(/^[A-Za-z0-9+/]{40}$/),
      sessionToken: expect.stringMatching(/^[A-Za-z0-9+/=]{100,}$/),
      expiresAt: new Date(nowMs + 900_000),
    });
    const xml = answer.body.toString();
    expect(xml).toContain("<Arn>arn:aws:sts::000000000000:assumed-role/staging/test</Arn>");
    expect(xml).toContain(`<PackedPolicySize>${Math.ceil((text.length * 100) / 2_048)}</PackedPolicySize>`);
    expect(xml).toMatch(/^<\?xml[^>]*>\n<AssumeRoleResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/">/);
  });

  test("lasts an hour unless asked otherwise, and from 900 s to what the role allows", async () => {
    expect(keysOf(await ask({ Policy: text })).expiresAt).toEqual(new Date(nowMs + 3_600_000));
    for (const DurationSeconds of [900, role.secondsMax]) {
      const { expiresAt } = keysOf(await ask({ Policy: text, DurationSeconds }));
      expect(expiresAt).toEqual(new Date(nowMs + DurationSeconds * 1_000));
    }
  });

  test.each<[string, number, string, Record<string, string | number | undefined>]>([
    ["no policy, which would be every right of the role", 400, "ValidationError", { Policy: undefined }],
    ["an empty policy", 400, "ValidationError", { Policy: "" }],
    ["a policy of 2,049 characters", 400, "ValidationError", { Policy: text.padEnd(2_049) }],
    ["a policy with a character beyond U+00FF", 400, "ValidationError", { Policy: text.replace("x/", "日/") }],
    ["a policy with a control character", 400, "ValidationError", { Policy: `${text}\u0000` }],
    ["a policy that is no JSON", 400, "MalformedPolicyDocument", { Policy: "x" }],
    ["a policy without statements' element", 400, "MalformedPolicyDocument", { Policy: "{}" }],
    [
      "a policy with a principal",
      400,
      "MalformedPolicyDocument",
      { Policy: text.replace('"Effect"', '"Principal":"*","Effect"') },
    ],
    [
      "a policy with an unknown condition",
      400,
      "MalformedPolicyDocument",
      { Policy: text.replace('"Effect"', '"Condition":{"Bool":{"a":"b"}},"Effect"') },
    ],
    ["899 seconds", 400, "ValidationError", { DurationSeconds: 899 }],
    ["more than the role allows", 400, "ValidationError", { DurationSeconds: 3_601 }],
    ["more than STS allows", 400, "ValidationError", { DurationSeconds: 43_201 }],
    ["no number of seconds", 400, "ValidationError", { DurationSeconds: "1e3" }],
    ["a negative number of seconds", 400, "ValidationError", { DurationSeconds: "-900" }],
    ["an empty number of seconds", 400, "ValidationError", { DurationSeconds: "" }],
    ["no session name", 400, "ValidationError", { RoleSessionName: undefined }],
    ["a session name of one character", 400, "ValidationError", { RoleSessionName: "a" }],
    ["a session name of 65 characters", 400, "ValidationError", { RoleSessionName: "a".repeat(65) }],
    ["a session name with a slash", 400, "ValidationError", { RoleSessionName: "a/b" }],
    ["no role", 400, "ValidationError", { RoleArn: undefined }],
    ["a role that is none", 403, "AccessDenied", { RoleArn: "arn:aws:iam::000000000000:role/other" }],
    ["a role of another account", 403, "AccessDenied", { RoleArn: "arn:aws:iam::111111111111:role/staging" }],
    ["a role of the prototype", 403, "AccessDenied", { RoleArn: "arn:aws:iam::000000000000:role/__proto__" }],
    [
      "managed policies",
      400,
      "ValidationError",
      { "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/ReadOnlyAccess" },
    ],
    ["tags", 400, "ValidationError", { "Tags.member.1.Key": "a", "Tags.member.1.Value": "b" }],
    ["an external id", 400, "ValidationError", { ExternalId: "12" }],
    ["another action", 400, "InvalidAction", { Action: "GetFederationToken" }],
    ["no action", 400, "InvalidAction", { Action: undefined }],
    ["another version of the protocol", 400, "InvalidAction", { Version: "2010-01-01" }],
  ])("with %s is refused: %i %s", async (_, status, code, change) => {
    expectRefusal(await ask({ Policy: text, ...change }), status, code);
  });

  test("takes a policy of 2,048 characters, and one without statements", async () => {
    expect((await ask({ Policy: text.padEnd(2_048) })).status).toBe(200);
    expect((await ask({ Policy: '{"Version":"2012-10-17","Statement":[]}' })).status).toBe(200);
  });
});

describe("whoever is not the broker", () => {
  test("may not assume the role, nor learn whether there is one", async () => {
    const known = await ask({ Policy: text }, { credential: owner });
    expectRefusal(known, 403, "AccessDenied");
    const unknown = await ask(
      { Policy: text, RoleArn: "arn:aws:iam::000000000000:role/nothing" },
      { credential: owner },
    );
    expect(unknown.body.toString().replace(/role\/nothing|<RequestId>.*?</g, "")).toBe(
      known.body.toString().replace(/role\/staging|<RequestId>.*?</g, ""),
    );
  });

  test("may not assume it with the keys of a session either", async () => {
    const everything = policyOf({ Effect: "Allow", Action: "*", Resource: "*" });
    const credential = await sessionOf(bench.endpoint, everything, { at });
    expectRefusal(await ask({ Policy: text }, { credential }), 403, "AccessDenied");
  });

  test.each<[string, number, string, Parameters<typeof askSts>[2]]>([
    ["another secret", 403, "SignatureDoesNotMatch", { credential: { ...broker, secretAccessKey: "x".repeat(20) } }],
    ["an unknown key", 403, "InvalidClientTokenId", { credential: { ...broker, accessKeyId: "NOBODY" } }],
    ["a token that nobody issued", 403, "InvalidClientTokenId", { credential: { ...broker, sessionToken: "x" } }],
    ["a signature for S3", 400, "IncompleteSignature", { service: "s3" }],
    ["a signature of 16 minutes ago", 400, "RequestExpired", { at: new Date(nowMs - 16 * 60_000) }],
  ])("because of %s is refused: %i %s", async (_, status, code, options) => {
    expectRefusal(await ask({ Policy: text }, options), status, code);
  });
});

describe("a call", () => {
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const body = new URLSearchParams({
    Action: "AssumeRole",
    Version: "2011-06-15",
    RoleArn: "arn:aws:iam::000000000000:role/staging",
    RoleSessionName: "test",
    Policy: text,
  }).toString();
  const sign = (call: { path?: string; headers?: Record<string, string>; body?: string }) =>
    signCall(
      bench.endpoint,
      { method: "POST", path: "/", headers: form, body, ...call },
      { credential: broker, service: "sts", at },
    );

  test("is served as it was signed, and with other bytes it is not", async () => {
    const signed = await sign({});
    expect((await sendRaw(bench.endpoint.port, signed)).status).toBe(200);
    const forged = { ...signed, body: body.replace("files%2Fx", "files%2Fy") };
    expect(forged.body).not.toBe(signed.body);
    expectRefusal(await sendRaw(bench.endpoint.port, forged), 403, "SignatureDoesNotMatch");
  });

  test.each<[string, number, string, Parameters<typeof sign>[0]]>([
    ["another content type", 400, "ValidationError", { headers: { "content-type": "application/json" } }],
    [
      "a parameter given twice",
      400,
      "ValidationError",
      { body: `${body}&Policy=${encodeURIComponent('{"Statement":[]}')}` },
    ],
    ["more bytes than any call needs", 400, "ValidationError", { body: `${body}&a=${"x".repeat(16 * 1_024)}` }],
    ["no bytes", 400, "InvalidAction", { body: "" }],
  ])("with %s is refused: %i %s", async (_, status, code, change) => {
    expectRefusal(await sendRaw(bench.endpoint.port, await sign(change)), status, code);
  });

  test("without a signature is refused, and one with parameters in the query as well", async () => {
    const bare = { method: "POST", path: "/", headers: { host: "127.0.0.1", ...form }, body };
    expectRefusal(await sendRaw(bench.endpoint.port, bare), 403, "MissingAuthenticationToken");
    const signed = await sign({});
    const more = { ...signed, path: "/?Action=AssumeRole" };
    expectRefusal(await sendRaw(bench.endpoint.port, more), 400, "ValidationError");
  });

  test("of STS at another path, or for an object, is none", async () => {
    const call = { method: "POST", path: "/files/a", headers: form, body };
    const signed = await signCall(bench.endpoint, call, { credential: broker, service: "sts", at });
    expect((await sendRaw(bench.endpoint.port, signed)).code).toBe("AuthorizationHeaderMalformed");
  });
});

test("an endpoint without roles gives out no keys, and knows none", async () => {
  const plain = await startBench({ credentials: [owner, broker], clock: { nowMs: () => nowMs } });
  try {
    expectRefusal(await askSts(plain.endpoint, { Policy: text }, { at }), 403, "AccessDenied");
    const credential = await sessionOf(bench.endpoint, reading, { at });
    const call = await signCall(plain.endpoint, { method: "GET", path: "/files/x/a" }, { credential, at });
    expect(await sendRaw(plain.endpoint.port, call)).toMatchObject({ status: 400, code: "InvalidToken" });
  } finally {
    await plain.stop();
  }
});
