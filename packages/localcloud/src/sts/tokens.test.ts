/** Tokens over the wire: whose they are, how long they are good, and what was done to them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type Bench,
  type Keys,
  objectPath,
  owner,
  type RawCall,
  send,
  sendRaw,
  signCall,
  startBench,
} from "../testing/s3bench.ts";
import { policyOf, role, type SessionKeys, secret, sessionOf, withRole } from "../testing/stsbench.ts";

let bench: Bench;
let nowMs = Date.UTC(2026, 5, 1, 12);
const clock = { nowMs: () => nowMs };
const startMs = nowMs;
beforeAll(async () => {
  bench = await startBench({ ...withRole, clock });
});
afterAll(() => bench.stop());
beforeEach(() => {
  nowMs = startMs;
});

const now = () => ({ at: new Date(nowMs) });
const ask = (credential: Keys, call: RawCall) => send(bench.endpoint, call, { credential, ...now() });
const keysFor = (...statements: Record<string, unknown>[]) => sessionOf(bench.endpoint, policyOf(...statements), now());

const within = (folder: string, ...actions: string[]) => ({
  Effect: "Allow",
  Action: actions.map((action) => `s3:${action}`),
  Resource: `arn:aws:s3:::files/${folder}*`,
});
const writing = within("x/", "PutObject", "GetObject", "AbortMultipartUpload", "ListMultipartUploadParts");

async function stored(key: string, body = `of ${key}`): Promise<void> {
  expect((await ask(owner, { method: "PUT", path: objectPath("files", key), body })).status).toBe(200);
}

describe("a token", () => {
  let mine: SessionKeys;
  let theirs: SessionKeys;
  const get = { method: "GET", path: "/files/x/a" };
  beforeAll(async () => {
    await stored("x/a");
    mine = await keysFor(within("x/", "GetObject"));
    theirs = await keysFor(within("y/", "GetObject"));
  });

  test("opens what its policy says, with its own key", async () => {
    expect((await ask(mine, get)).body.toString()).toBe("of x/a");
    expect((await ask(theirs, get)).code).toBe("AccessDenied");
  });

  test.each<[string, number, string, () => Keys]>([
    [
      "with another session's key and secret",
      400,
      "InvalidToken",
      () => ({ ...theirs, sessionToken: mine.sessionToken }),
    ],
    [
      "with another session's secret",
      403,
      "SignatureDoesNotMatch",
      () => ({ ...mine, secretAccessKey: theirs.secretAccessKey }),
    ],
    ["with another session's key", 400, "InvalidToken", () => ({ ...mine, accessKeyId: theirs.accessKeyId })],
    ["with a configured key", 400, "InvalidToken", () => ({ ...owner, sessionToken: mine.sessionToken })],
    [
      "left out",
      403,
      "InvalidAccessKeyId",
      () => ({ accessKeyId: mine.accessKeyId, secretAccessKey: mine.secretAccessKey }),
    ],
    [
      "with a letter changed",
      400,
      "InvalidToken",
      () => ({ ...mine, sessionToken: mine.sessionToken.replace(/.$/, (c) => (c === "A" ? "B" : "A")) }),
    ],
    ["cut short", 400, "InvalidToken", () => ({ ...mine, sessionToken: mine.sessionToken.slice(0, -4) })],
    ["beside an unknown key", 400, "InvalidToken", () => ({ ...mine, accessKeyId: "NOBODY" })],
  ])("%s is refused: %i %s", async (_, status, code, keys) => {
    expect(await ask(keys(), get)).toMatchObject({ status, code });
  });

  test("whose policy was rewritten is refused", async () => {
    const bytes = Buffer.from(theirs.sessionToken, "base64");
    const rewritten = Buffer.from(bytes.toString("latin1").replace("files/y/", "files/x/"), "latin1");
    expect(rewritten.equals(bytes)).toBe(false);
    const keys = { ...theirs, sessionToken: rewritten.toString("base64") };
    expect(await ask(keys, get)).toMatchObject({ status: 400, code: "InvalidToken" });
  });

  test("that is sent and not signed is refused, and one sent with another signature does not count", async () => {
    const call = await signCall(bench.endpoint, get, { credential: owner, ...now() });
    const headers = { ...call.headers, "x-amz-security-token": mine.sessionToken };
    expect((await sendRaw(bench.endpoint.port, { ...call, headers })).code).toBe("AccessDenied");
    const query = { "X-Amz-Security-Token": mine.sessionToken };
    const { accessKeyId, secretAccessKey } = mine;
    const inQuery = await ask({ accessKeyId, secretAccessKey }, { ...get, query });
    expect(inQuery).toMatchObject({ status: 400, code: "InvalidToken" });
  });

  test("is good to the second before it expires and not after, and the expired one says so", async () => {
    nowMs = mine.expiresAt.getTime() - 1;
    expect((await ask(mine, get)).status).toBe(200);
    nowMs = mine.expiresAt.getTime();
    expect(await ask(mine, get)).toMatchObject({ status: 400, code: "ExpiredToken" });
    const forged = { ...mine, secretAccessKey: theirs.secretAccessKey };
    expect((await ask(forged, get)).status).not.toBe(200);
  });

  test("is good after a restart with the same secret, and with another it is not", async () => {
    const again = await startBench({ ...withRole, root: bench.root, clock });
    const other = await startBench({
      ...withRole,
      sessions: { ...withRole.sessions, secret: `${secret}, but another` },
      root: bench.root,
      clock,
    });
    try {
      const options = { credential: mine, ...now() };
      expect((await send(again.endpoint, get, options)).body.toString()).toBe("of x/a");
      expect(await send(other.endpoint, get, options)).toMatchObject({ status: 400, code: "InvalidToken" });
    } finally {
      await again.stop();
      await other.stop();
    }
  });

  test("of a role that lost a right, or is gone, has lost it too", async () => {
    const narrowed = { ...role, grants: [{ bucket: "files", actions: ["GetObject" as const], prefix: "y/" }] };
    for (const [roles, code] of [
      [[narrowed], "AccessDenied"],
      [[], "InvalidToken"],
    ] as const) {
      const later = await startBench({ ...withRole, sessions: { secret, roles }, root: bench.root, clock });
      try {
        expect((await send(later.endpoint, get, { credential: mine, ...now() })).code).toBe(code);
      } finally {
        await later.stop();
      }
    }
  });
});

describe("a presigned URL of a session", () => {
  let keys: SessionKeys;
  const put: RawCall = { method: "PUT", path: "/files/x/link", body: "by link" };
  beforeAll(async () => {
    keys = await keysFor(writing);
  });
  const presigned = (call: RawCall, credential: Keys = keys) =>
    signCall(bench.endpoint, call, { credential, presign: 3_600, ...now() });

  test("writes and reads where the session may, and nowhere else", async () => {
    expect((await sendRaw(bench.endpoint.port, await presigned(put))).status).toBe(200);
    expect(
      (await sendRaw(bench.endpoint.port, await presigned({ ...put, method: "GET", body: "" }))).body.toString(),
    ).toBe("by link");
    const outside = await presigned({ ...put, path: "/files/y/link" });
    expect((await sendRaw(bench.endpoint.port, outside)).code).toBe("AccessDenied");
  });

  test.each<[string, string, (path: string) => string]>([
    ["another key", "SignatureDoesNotMatch", (path) => path.replace("/x/link", "/x/other")],
    ["its token left out", "InvalidAccessKeyId", (path) => path.replace(/&?X-Amz-Security-Token=[^&]*/, "")],
    [
      "its token in another case",
      "InvalidAccessKeyId",
      (path) => path.replace("X-Amz-Security-Token", "x-amz-security-token"),
    ],
    ["its token given twice", "InvalidArgument", (path) => `${path}&X-Amz-Security-Token=x`],
    ["another token", "InvalidToken", (path) => path.replace(/(X-Amz-Security-Token=)./, "$1_")],
  ])("with %s is refused: %s", async (_, code, forge) => {
    const call = await presigned(put);
    const path = forge(call.path);
    expect(path).not.toBe(call.path);
    expect((await sendRaw(bench.endpoint.port, { ...call, path })).code).toBe(code);
  });

  test("ends with its session, however long it was to live", async () => {
    const short = await sessionOf(bench.endpoint, policyOf(writing), { seconds: 900, ...now() });
    const call = await presigned({ ...put, method: "GET", body: "" }, short);
    expect((await sendRaw(bench.endpoint.port, call)).status).toBe(200);
    nowMs += 900_000;
    expect((await sendRaw(bench.endpoint.port, call)).code).toBe("ExpiredToken");
  });
});
