/** What policies come to at the endpoint: listings under a prefix, wild cards, opposites, and the role as the bound of all. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
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
import { broker, policyOf, role, type SessionKeys, secret, sessionOf, withRole } from "../testing/stsbench.ts";

let bench: Bench;
const nowMs = Date.UTC(2026, 5, 1, 12);
const clock = { nowMs: () => nowMs };
beforeAll(async () => {
  bench = await startBench({ ...withRole, clock });
});
afterAll(() => bench.stop());

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

describe("listing", () => {
  const list = (credential: Keys, query: Record<string, string>) =>
    ask(credential, { method: "GET", path: "/files", query: { "list-type": "2", ...query } });
  let keys: SessionKeys;
  beforeAll(async () => {
    await stored("l/a");
    await stored("lm/a");
    keys = await keysFor({
      Effect: "Allow",
      Action: "s3:ListBucket",
      Resource: "arn:aws:s3:::files",
      Condition: { StringLike: { "s3:prefix": "l/*" } },
    });
  });

  test("is allowed under the prefix of the condition", async () => {
    for (const prefix of ["l/", "l/a"]) {
      expect((await list(keys, { prefix })).body.toString()).toContain("<Key>l/a</Key>");
    }
  });

  test.each<Record<string, string>>([
    {},
    { prefix: "" },
    { prefix: "l" },
    { prefix: "lm/" },
    { prefix: "L/" },
    { prefix: "/l/" },
    { Prefix: "l/" },
    { delimiter: "/" },
    { prefix: "", "start-after": "l/" },
  ])("is refused with %j", async (query) => {
    expect(await list(keys, query)).toMatchObject({ status: 403, code: "AccessDenied" });
  });

  test("is refused with a prefix given twice, and of uploads, and of buckets, and tells no bucket", async () => {
    const call = await signCall(
      bench.endpoint,
      { method: "GET", path: "/files", query: { prefix: "l/" } },
      { credential: keys, ...now() },
    );
    expect(
      (await sendRaw(bench.endpoint.port, { ...call, path: `${call.path}&prefix=` })).status,
    ).toBeGreaterThanOrEqual(400);
    expect((await ask(keys, { method: "GET", path: "/files", query: { uploads: "", prefix: "l/" } })).code).toBe(
      "AccessDenied",
    );
    expect((await ask(keys, { method: "HEAD", path: "/files" })).status).toBe(403);
    expect((await ask(keys, { method: "GET", path: "/" })).body.toString()).toContain("<Buckets></Buckets>");
  });
});

describe("a policy", () => {
  const put = (credential: Keys, key: string, headers: Record<string, string> = {}) =>
    ask(credential, { method: "PUT", path: objectPath("files", key), body: "p", headers });

  test("without statements opens nothing, and never what the role may", async () => {
    const keys = await keysFor();
    for (const call of [
      { method: "GET", path: "/" },
      { method: "GET", path: "/files/x/a" },
      { method: "GET", path: "/files", query: { "list-type": "2" } },
      { method: "PUT", path: "/files/x/a", body: "a" },
      { method: "DELETE", path: "/files/x/a" },
    ]) {
      const answer = await ask(keys, call);
      expect(answer.status === 403 || answer.body.toString().includes("<Buckets></Buckets>")).toBe(true);
    }
  });

  test("that allows everything opens what the role may and no more", async () => {
    const narrow = { ...role, grants: [{ bucket: "files", actions: ["PutObject" as const], prefix: "r/" }] };
    const small = await startBench({ ...withRole, sessions: { secret, roles: [narrow] }, clock });
    try {
      const everything = policyOf({ Effect: "Allow", Action: "*", Resource: "*" });
      const options = { credential: await sessionOf(small.endpoint, everything, now()), ...now() };
      const status = async (call: RawCall) => (await send(small.endpoint, call, options)).status;
      expect(await status({ method: "PUT", path: "/files/r/a", body: "a" })).toBe(200);
      for (const path of ["/files/a", "/files/rr/a", "/once/r/a"]) {
        expect(await status({ method: "PUT", path, body: "a", headers: { "if-none-match": "*" } })).toBe(403);
      }
      for (const method of ["GET", "DELETE"]) expect(await status({ method, path: "/files/r/a" })).toBe(403);
    } finally {
      await small.stop();
    }
  });

  test("with a wild card in its resource reaches what the wild card says: nothing else narrows it", async () => {
    const keys = await keysFor(within("in*2/", "PutObject"));
    for (const [key, status] of [
      ["in2/a", 200],
      ["inZZ2/a", 200],
      ["in/x/2/a", 200],
      ["in1/a", 403],
    ] as const) {
      expect((await put(keys, key)).status).toBe(status);
    }
    const literal = await keysFor(within(`in\${*}2/`, "PutObject"));
    expect((await put(literal, "in*2/a")).status).toBe(200);
    expect((await put(literal, "inZZ2/a")).status).toBe(403);
  });

  test("by its opposites allows all but what they name", async () => {
    const keys = await keysFor({
      Effect: "Allow",
      NotAction: "s3:DeleteObject",
      NotResource: "arn:aws:s3:::files/y/*",
    });
    expect((await put(keys, "n/a")).status).toBe(200);
    expect((await put(keys, "y/n")).status).toBe(403);
    expect((await ask(keys, { method: "DELETE", path: "/files/n/a" })).status).toBe(403);
  });

  test("may ask that writes be made once, in the words that AWS has for it", async () => {
    const once = {
      Effect: "Deny",
      Action: "s3:PutObject",
      Resource: "*",
      Condition: { Null: { "s3:if-none-match": "true" } },
    };
    const keys = await keysFor(writing, once);
    expect((await put(keys, "x/once")).code).toBe("AccessDenied");
    expect((await put(keys, "x/once", { "if-none-match": "*" })).status).toBe(200);
    expect((await put(keys, "x/once", { "if-none-match": "*" })).code).toBe("PreconditionFailed");
  });

  test("does not lift what a bucket asks of everybody", async () => {
    const roles = [{ ...role, grants: [{ bucket: "once", actions: ["PutObject" as const] }] }];
    const strict = await startBench({ ...withRole, sessions: { secret, roles }, clock });
    try {
      const everything = policyOf({ Effect: "Allow", Action: "*", Resource: "*" });
      const options = { credential: await sessionOf(strict.endpoint, everything, now()), ...now() };
      const call = { method: "PUT", path: "/once/a", body: "a" };
      expect((await send(strict.endpoint, call, options)).code).toBe("AccessDenied");
      const conditional = { ...call, headers: { "if-none-match": "*" } };
      expect((await send(strict.endpoint, conditional, options)).status).toBe(200);
    } finally {
      await strict.stop();
    }
  });
});

test("the broker, who may make sessions, has no rights of its own", async () => {
  await stored("x/a");
  expect((await ask(broker, { method: "GET", path: "/files/x/a" })).code).toBe("AccessDenied");
});
