/** The client of STS against a server that says what STS says: what is sent, and which answer becomes what. */
import { createHash, createHmac, type Hash } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { SignatureV4 } from "@smithy/signature-v4";
import { TraceError } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { folderPolicy, TokenService, type TokenServiceOptions } from "./sts.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** What the vendor's signer hashes with. */
class NodeHash {
  readonly #hash: Hash;
  constructor(secret?: Buffer | string) {
    this.#hash = secret === undefined ? createHash("sha256") : (createHmac("sha256", secret) as unknown as Hash);
  }
  update(data: string | Uint8Array): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}

const nowMs = Date.UTC(2026, 5, 1, 12);
let server: Server;
let endpoint: string;
let seen: Seen[];
let answers: { status: number; headers?: Record<string, string>; body?: string }[];
const opened: TokenService[] = [];

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? { status: 500 };
    const date = new Date(nowMs).toUTCString();
    response.writeHead(answer.status, { date, ...answer.headers }).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  seen = [];
  answers = [given];
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((service) => service.stop()));
});

const given = {
  status: 200,
  body:
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>' +
    "<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/e+c&amp;ret</SecretAccessKey><SessionToken>t/o=</SessionToken>" +
    "<Expiration>2026-06-01T12:15:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
};
const refusal = (status: number, code: string) => ({
  status,
  body: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>because &lt;x&gt;</Message></Error></ErrorResponse>`,
});

const credentials = { accessKeyId: "AK", secretAccessKey: "very-secret" };
function newService(options: Partial<TokenServiceOptions> = {}): TokenService {
  const clock = { nowMs: () => nowMs };
  const service = new TokenService({ endpoint, region: "eu-west-1", credentials, clock, random: () => 0, ...options });
  opened.push(service);
  return service;
}

const request = {
  roleArn: "arn:aws:iam::000000000000:role/staging",
  sessionName: "task-1",
  policy: folderPolicy(["s3:PutObject", "s3:GetObject"], [{ bucket: "data", prefix: "d/abc/" }]),
  seconds: 900,
};

async function refusedWith(asked: Promise<unknown>): Promise<TraceError> {
  const error = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TraceError)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

describe("AssumeRole", () => {
  test("gives the keys of the answer, as they are", async () => {
    expect(await newService().assumeRole(request)).toEqual({
      accessKeyId: "ASIA1",
      secretAccessKey: "s/e+c&ret",
      sessionToken: "t/o=",
      expiresAt: new Date("2026-06-01T12:15:00Z"),
    });
  });

  test("sends a form whose policy holds no space, written without a plus", async () => {
    await newService().assumeRole({ ...request, sessionName: "a b+c" });
    const [call] = seen;
    expect(call).toMatchObject({ method: "POST", url: "/" });
    expect(call?.body).not.toContain("+");
    expect(Object.fromEntries(new URLSearchParams(call?.body))).toEqual({
      Action: "AssumeRole",
      Version: "2011-06-15",
      RoleArn: request.roleArn,
      RoleSessionName: "a b+c",
      DurationSeconds: "900",
      Policy:
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],' +
        '"Resource":"arn:aws:s3:::data/d/abc/*"}]}',
    });
  });

  test.each([
    ["a key of a role", undefined],
    ["a key of a session", "chained+token="],
  ])("is signed as the vendor's signer signs it, with %s", async (_, sessionToken) => {
    await newService({ credentials: { ...credentials, sessionToken } }).assumeRole(request);
    const { headers = {}, body = "" } = seen[0] ?? {};
    expect(headers["x-amz-security-token"]).toBe(sessionToken);
    const signer = new SignatureV4({
      service: "sts",
      region: "eu-west-1",
      credentials: { ...credentials, ...(sessionToken === undefined ? {} : { sessionToken }) },
      sha256: NodeHash as never,
      applyChecksum: false,
    });
    const wanted = await signer.sign(
      {
        method: "POST",
        protocol: "http:",
        hostname: "127.0.0.1",
        path: "/",
        headers: { host: String(headers.host), "content-type": String(headers["content-type"]) },
        body,
      },
      { signingDate: new Date(nowMs) },
    );
    expect(headers.authorization).toBe(wanted.headers.authorization);
  });
});

describe("an answer", () => {
  test.each([
    [403, "AccessDenied", "TR-4008"],
    [400, "MalformedPolicyDocument", "TR-4008"],
    [400, "PackedPolicyTooLarge", "TR-4008"],
    [403, "ExpiredToken", "TR-4008"],
    [400, "Throttling", "TR-4006"],
    [429, "TooMany", "TR-4006"],
    [500, "InternalFailure", "TR-4006"],
  ])("of %i %s is %s, names the role and tells no secret", async (status, code, expected) => {
    answers = [refusal(status, code)];
    const error = await refusedWith(newService({ triesMax: 1 }).assumeRole(request));
    expect(error.code).toBe(expected);
    expect(error.message).toContain(`${code}: because <x>`);
    expect(error.where).toBe(`AssumeRole ${request.roleArn}`);
    expect(`${error.message} ${error.why} ${error.fix}`).not.toContain("very-secret");
  });

  test("that may pass is asked for again, one that will not is not", async () => {
    answers = [refusal(500, "InternalFailure"), given];
    expect((await newService().assumeRole(request)).accessKeyId).toBe("ASIA1");
    expect(seen).toHaveLength(2);
    answers = [refusal(403, "AccessDenied"), given];
    await refusedWith(newService().assumeRole(request));
    expect(seen).toHaveLength(3);
  });

  test("of a service whose clock is elsewhere is asked for again in its time", async () => {
    const date = new Date(nowMs + 6 * 3_600_000).toUTCString();
    answers = [{ ...refusal(403, "SignatureDoesNotMatch"), headers: { date } }, given];
    await newService().assumeRole(request);
    expect(seen.map(({ headers }) => headers["x-amz-date"])).toEqual(["20260601T120000Z", "20260601T180000Z"]);
  });

  test.each([
    ["without a key", given.body.replace("ASIA1", "")],
    ["without an end", given.body.replace(/<Expiration>.*<\/Expiration>/, "")],
    ["that is something else", "<html></html>"],
  ])("of 200 %s is no success", async (_, body) => {
    answers = [{ status: 200, body }];
    expect((await refusedWith(newService().assumeRole(request))).code).toBe("TR-4006");
  });

  test("of nobody is TR-4006, and a call that was given up throws what it was given up with", async () => {
    const nobody = newService({ endpoint: "http://127.0.0.1:1", triesMax: 1 });
    expect((await refusedWith(nobody.assumeRole(request))).code).toBe("TR-4006");
    const enough = new Error("enough");
    await expect(newService().assumeRole({ ...request, signal: AbortSignal.abort(enough) })).rejects.toBe(enough);
  });
});

describe("a policy", () => {
  test("that STS would not take is never sent", async () => {
    const folders = Array.from({ length: 60 }, (_, at) => ({ bucket: "data", prefix: `d/${"x".repeat(20)}${at}/` }));
    const error = await refusedWith(
      newService().assumeRole({ ...request, policy: folderPolicy(["s3:PutObject"], folders) }),
    );
    expect(error).toMatchObject({ code: "TR-4008" });
    expect(error.why).toContain("characters of 2048");
    expect(seen).toEqual([]);
  });

  test("for no folder, or no action, denies everything: none at all would be every right of the role", () => {
    const nothing = { Version: "2012-10-17", Statement: [{ Effect: "Deny", Action: "*", Resource: "*" }] };
    expect(folderPolicy(["s3:PutObject"], [])).toEqual(nothing);
    expect(folderPolicy([], [{ bucket: "data", prefix: "d/" }])).toEqual(nothing);
  });

  test.each([
    "",
    "d",
    "/",
    "/d/",
    "d//",
    "d/*/",
    "d/?/",
    "d/$x/",
    "d/../",
    "../",
    "./d/",
    "d/é/",
    "d/ /",
    "d/%2F/",
    "d/a",
  ])("cannot be made of the prefix '%s'", (prefix) => {
    expect(() => folderPolicy(["s3:PutObject"], [{ bucket: "data", prefix }])).toThrow(RangeError);
  });

  test.each(["", "*", "Data", "a", "data/x", "da?a"])("cannot be made of the bucket '%s'", (bucket) => {
    expect(() => folderPolicy(["s3:PutObject"], [{ bucket, prefix: "d/" }])).toThrow(RangeError);
  });
});
