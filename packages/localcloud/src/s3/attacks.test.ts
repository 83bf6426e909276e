/** What must not work. Each attack is tried against an object that would give it away. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Bench,
  objectPath,
  owner,
  type RawCall,
  type Signed,
  send,
  sendRaw,
  signCall,
  startBench,
} from "../testing/s3bench.ts";
import type { S3Credential } from "./access.ts";

const reader: S3Credential = {
  accessKeyId: "READERKEY",
  secretAccessKey: "reader-secret-of-the-tests",
  grants: [{ bucket: "files", actions: ["GetObject"], prefix: "o/mine/" }],
};
const lister: S3Credential = {
  accessKeyId: "LISTERKEY",
  secretAccessKey: "lister-secret-of-the-tests",
  grants: [{ bucket: "files", actions: ["GetObject", "ListBucket"], prefix: "o/mine/" }],
};
const writer: S3Credential = {
  accessKeyId: "WRITERKEY",
  secretAccessKey: "writer-secret-of-the-tests",
  grants: [{ bucket: "files", actions: ["PutObject"], prefix: "o/mine/" }],
};

let bench: Bench;
const nowMs = Date.UTC(2026, 5, 1, 12);
const at = new Date(nowMs);

beforeAll(async () => {
  bench = await startBench({ credentials: [owner, reader, lister, writer], clock: { nowMs: () => nowMs } });
  for (const key of ["o/mine/a", "o/mine2/a", "o/theirs/a", "secret"]) {
    const answer = await send(
      bench.endpoint,
      { method: "PUT", path: objectPath("files", key), body: `of ${key}` },
      { at },
    );
    expect(answer.status).toBe(200);
  }
});
afterAll(() => bench.stop());

const secret: RawCall = { method: "GET", path: "/files/secret" };

function withHeader(call: Signed, name: string, edit: (value: string) => string): Signed {
  return { ...call, headers: { ...call.headers, [name]: edit(call.headers[name] ?? "") } };
}

describe("a read of a secret", () => {
  test("succeeds for its owner, so that the refusals below mean something", async () => {
    expect(await send(bench.endpoint, secret, { at })).toMatchObject({ status: 200, body: Buffer.from("of secret") });
  });

  test.each<[string, string, (call: Signed) => Signed]>([
    ["no signature", "AccessDenied", (call) => ({ ...call, headers: { host: call.headers.host ?? "" } })],
    [
      "a flipped signature",
      "SignatureDoesNotMatch",
      (call) => withHeader(call, "authorization", (v) => v.replace(/.$/, (c) => (c === "0" ? "1" : "0"))),
    ],
    [
      "an empty signature",
      "SignatureDoesNotMatch",
      (call) => withHeader(call, "authorization", (v) => v.replace(/Signature=.*/, "Signature=")),
    ],
    ["a longer signature", "SignatureDoesNotMatch", (call) => withHeader(call, "authorization", (v) => `${v}00`)],
    [
      "an upper-case signature",
      "SignatureDoesNotMatch",
      (call) =>
        withHeader(call, "authorization", (v) =>
          v.replace(/Signature=(.*)/, (_, s: string) => `Signature=${s.toUpperCase()}`),
        ),
    ],
    [
      "another user's key id",
      "SignatureDoesNotMatch",
      (call) => withHeader(call, "authorization", (v) => v.replace("OWNERKEY", "READERKEY")),
    ],
    [
      "an unknown key id",
      "InvalidAccessKeyId",
      (call) => withHeader(call, "authorization", (v) => v.replace("OWNERKEY", "NOBODY")),
    ],
    [
      "a key id of the prototype",
      "InvalidAccessKeyId",
      (call) => withHeader(call, "authorization", (v) => v.replace("OWNERKEY", "__proto__")),
    ],
    [
      "another region",
      "SignatureDoesNotMatch",
      (call) => withHeader(call, "authorization", (v) => v.replace("eu-central-1", "us-east-1")),
    ],
    [
      "another service",
      "AuthorizationHeaderMalformed",
      (call) => withHeader(call, "authorization", (v) => v.replace("/s3/", "/sts/")),
    ],
    [
      "another mechanism",
      "InvalidRequest",
      (call) => withHeader(call, "authorization", (v) => v.replace("AWS4-HMAC-SHA256", "AWS")),
    ],
    [
      "another date",
      "SignatureDoesNotMatch",
      (call) => withHeader(call, "x-amz-date", (v) => v.replace("T120000Z", "T120001Z")),
    ],
    ["the date of another day", "AccessDenied", (call) => withHeader(call, "x-amz-date", () => "20260602T000000Z")],
    [
      "host not signed",
      "AccessDenied",
      (call) => withHeader(call, "authorization", (v) => v.replace("SignedHeaders=host;", "SignedHeaders=")),
    ],
    [
      "an x-amz- header that is not signed",
      "AccessDenied",
      (call) => ({ ...call, headers: { ...call.headers, "x-amz-meta-a": "b" } }),
    ],
    [
      "a changed payload hash",
      "SignatureDoesNotMatch",
      (call) => withHeader(call, "x-amz-content-sha256", () => "UNSIGNED-PAYLOAD"),
    ],
    ["another host", "SignatureDoesNotMatch", (call) => withHeader(call, "host", () => "evil.example")],
    [
      "an added parameter",
      "SignatureDoesNotMatch",
      (call) => ({ ...call, path: `${call.path}?response-content-type=text/html` }),
    ],
    ["another method", "SignatureDoesNotMatch", (call) => ({ ...call, method: "DELETE" })],
    ["another path", "SignatureDoesNotMatch", (call) => ({ ...call, path: "/files/o/mine/a" })],
    [
      "a session token nobody issued",
      "AccessDenied",
      (call) => ({ ...call, headers: { ...call.headers, "x-amz-security-token": "x" } }),
    ],
    ["both ways of signing", "InvalidArgument", (call) => ({ ...call, path: `${call.path}?X-Amz-Signature=00` })],
    ["a path that is not UTF-8", "InvalidURI", (call) => ({ ...call, path: "/files/%ff" })],
    ["a path without slash", "InvalidURI", (call) => ({ ...call, path: "http://127.0.0.1/files/secret" })],
  ])("with %s is refused: %s", async (_, code, forge) => {
    const answer = await sendRaw(bench.endpoint.port, forge(await signCall(bench.endpoint, secret, { at })));
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.code).toBe(code);
    expect(answer.body.toString()).not.toContain("of secret");
    expect(answer.body.toString()).not.toContain(owner.secretAccessKey);
  });

  test("signed 16 minutes ago or ahead is refused", async () => {
    for (const minutes of [-16, 16]) {
      const answer = await send(bench.endpoint, secret, { at: new Date(nowMs + minutes * 60_000) });
      expect(answer).toMatchObject({ status: 403, code: "RequestTimeTooSkewed" });
    }
  });

  test.each<[string, string, (path: string) => string]>([
    ["a longer life", "SignatureDoesNotMatch", (path) => path.replace("X-Amz-Expires=60", "X-Amz-Expires=600")],
    [
      "a life of zero",
      "AuthorizationQueryParametersError",
      (path) => path.replace("X-Amz-Expires=60", "X-Amz-Expires=0"),
    ],
    [
      "a negative life",
      "AuthorizationQueryParametersError",
      (path) => path.replace("X-Amz-Expires=60", "X-Amz-Expires=-1"),
    ],
    ["its life given twice", "InvalidArgument", (path) => `${path}&X-Amz-Expires=60`],
    ["its signature given twice", "InvalidArgument", (path) => `${path}&X-Amz-Signature=00`],
    ["no signature", "AccessDenied", (path) => path.replace(/&?X-Amz-Signature=[0-9a-f]+/, "")],
    [
      "a signature parameter in another case",
      "AuthorizationQueryParametersError",
      (path) => path.replace("X-Amz-Signature", "x-amz-signature"),
    ],
    ["another key", "SignatureDoesNotMatch", (path) => path.replace("/files/secret", "/files/o/mine/a")],
  ])("by a presigned URL with %s is refused: %s", async (_, code, forge) => {
    const call = await signCall(bench.endpoint, secret, { at, presign: 60 });
    expect((await sendRaw(bench.endpoint.port, call)).status).toBe(200);
    const answer = await sendRaw(bench.endpoint.port, { ...call, path: forge(call.path) });
    expect(answer.code).toBe(code);
  });

  test("by a presigned URL that expired is refused", async () => {
    const call = await signCall(bench.endpoint, secret, { at: new Date(nowMs - 61_000), presign: 60 });
    expect(await sendRaw(bench.endpoint.port, call)).toMatchObject({ status: 403, code: "AccessDenied" });
  });
});

describe("grants", () => {
  const ask = (credential: S3Credential, method: string, key: string, query: Record<string, string> = {}) => {
    const path = key === "" ? "/files" : objectPath("files", key);
    const body = method === "PUT" ? "intruder" : "";
    return send(bench.endpoint, { method, path, query, body }, { at, credential });
  };

  test.each([
    ["a sibling folder whose name begins alike", "GET", "o/mine2/a"],
    ["another folder", "GET", "o/theirs/a"],
    ["another folder by dots", "GET", "o/mine/../theirs/a"],
    ["the folder above", "GET", "secret"],
    ["a write into its own folder", "PUT", "o/mine/a"],
    ["a delete in its own folder", "DELETE", "o/mine/a"],
    ["a listing", "GET", ""],
    ["a missing key, without the right to list", "GET", "o/mine/missing"],
    ["the head of a missing key, without the right to list", "HEAD", "o/mine/missing"],
  ])("a reader of o/mine/ may not have %s", async (_, method, key) => {
    const answer = await ask(reader, method, key, key === "" ? { "list-type": "2" } : {});
    expect(answer.status).toBe(403);
    expect(answer.body.toString()).not.toContain("of ");
  });

  test("a reader of o/mine/ may have what it was granted", async () => {
    expect((await ask(reader, "GET", "o/mine/a")).body.toString()).toBe("of o/mine/a");
  });

  test("a lister of o/mine/ lists there and nowhere else, and learns which keys are missing there", async () => {
    const list = (prefix: string) => ask(lister, "GET", "", { "list-type": "2", prefix });
    expect((await list("o/mine/")).body.toString()).toContain("<Key>o/mine/a</Key>");
    for (const prefix of ["", "o/", "o/mine", "o/mine2/", "o/theirs/"]) expect((await list(prefix)).status).toBe(403);
    expect((await ask(lister, "GET", "o/mine/missing")).code).toBe("NoSuchKey");
    expect((await ask(lister, "GET", "o/theirs/missing")).code).toBe("AccessDenied");
  });

  test("a writer cannot read, nor probe contents with If-Match", async () => {
    expect((await ask(writer, "GET", "o/mine/a")).status).toBe(403);
    const etag = createHash("md5").update("of o/mine/a").digest("hex");
    const probe = { method: "PUT", path: "/files/o/mine/a", headers: { "if-match": `"${etag}"` }, body: "x" };
    expect(await send(bench.endpoint, probe, { at, credential: writer })).toMatchObject({
      status: 403,
      code: "AccessDenied",
    });
    expect((await ask(writer, "PUT", "o/mine/new")).status).toBe(200);
  });

  test("an unknown bucket and a forbidden one look the same", async () => {
    for (const bucket of ["once", "nothing"]) {
      const answer = await send(bench.endpoint, { method: "GET", path: `/${bucket}/a` }, { at, credential: reader });
      expect(answer).toMatchObject({ status: 403, code: "AccessDenied" });
    }
  });
});

describe("a put", () => {
  const put = { method: "PUT", path: "/files/victim", body: "honest bytes" };
  const stored = () => send(bench.endpoint, { method: "GET", path: "/files/victim" }, { at });

  test.each<[string, string, RawCall, (call: Signed) => Signed]>([
    [
      "another body of the same length",
      "XAmzContentSHA256Mismatch",
      put,
      (call) => ({ ...call, body: "forged bytes" }),
    ],
    [
      "a shorter body than it says",
      "IncompleteBody",
      {
        ...put,
        headers: {
          "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
          "x-amz-trailer": "x-amz-checksum-crc32",
          "x-amz-decoded-content-length": "12",
        },
        body: "6\r\nhonest\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
      },
      (call) => call,
    ],
    [
      "a wrong Content-MD5",
      "BadDigest",
      { ...put, headers: { "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==" } },
      (call) => call,
    ],
    ["a Content-MD5 that is none", "InvalidDigest", { ...put, headers: { "content-md5": "abc" } }, (call) => call],
    ["a wrong CRC32", "BadDigest", { ...put, headers: { "x-amz-checksum-crc32": "AAAAAA==" } }, (call) => call],
    [
      "a wrong CRC64NVME",
      "BadDigest",
      { ...put, headers: { "x-amz-checksum-crc64nvme": "AAAAAAAAAAA=" } },
      (call) => call,
    ],
    [
      "a checksum that is none",
      "InvalidRequest",
      { ...put, headers: { "x-amz-checksum-sha256": "AAAA" } },
      (call) => call,
    ],
    [
      "two checksums",
      "InvalidRequest",
      { ...put, headers: { "x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA==" } },
      (call) => call,
    ],
    [
      "an unknown checksum",
      "NotImplemented",
      { ...put, headers: { "x-amz-checksum-xxhash3": "AAAAAAAAAAA=" } },
      (call) => call,
    ],
    [
      "an announced checksum that is missing",
      "InvalidRequest",
      { ...put, headers: { "x-amz-sdk-checksum-algorithm": "CRC32" } },
      (call) => call,
    ],
    [
      "a signed-chunk mode over a plain body",
      "MissingContentLength",
      { ...put, headers: { "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" } },
      (call) => call,
    ],
    [
      "an unknown payload mode",
      "InvalidArgument",
      { ...put, headers: { "x-amz-content-sha256": "WHATEVER" } },
      (call) => call,
    ],
    [
      "too much metadata",
      "MetadataTooLarge",
      { ...put, headers: { "x-amz-meta-a": "x".repeat(2_048) } },
      (call) => call,
    ],
    ["a key of 1,025 bytes", "KeyTooLongError", { ...put, path: `/files/${"k".repeat(1_025)}` }, (call) => call],
    ["NUL in its key", "InvalidArgument", { ...put, path: "/files/a%00b" }, (call) => call],
    [
      "more bytes than any object may have",
      "EntityTooLarge",
      put,
      (call) => withHeader(call, "content-length", () => String(5 * 1024 ** 3 + 1)),
    ],
  ])("with %s stores nothing: %s", async (_, code, call, forge) => {
    const before = await send(bench.endpoint, put, { at });
    expect(before.status).toBe(200);
    const forged = forge(await signCall(bench.endpoint, call, { at }));
    const answer = await sendRaw(bench.endpoint.port, forged);
    expect(answer.code).toBe(code);
    expect((await stored()).body.toString()).toBe("honest bytes");
    expect(await readdir(join(bench.root, "tmp"))).toEqual([]);
  });

  test("with keys that try to leave the folder stays inside and is read back under its own name", async () => {
    const keys = [
      "../../../../etc/passwd",
      "/etc/passwd",
      "..",
      ".",
      "a/../../b",
      "..\\..\\x",
      "%2e%2e/x",
      "b/../../tmp/x",
    ];
    for (const key of keys) {
      const call = await signCall(bench.endpoint, { method: "PUT", path: objectPath("files", key), body: key }, { at });
      // Dots may be escaped on the wire; they are signed, and named, unescaped.
      const answer = await sendRaw(bench.endpoint.port, { ...call, path: call.path.replaceAll("..", "%2E%2e") });
      expect(answer.status).toBe(200);
    }
    for (const key of keys) {
      const got = await send(bench.endpoint, { method: "GET", path: objectPath("files", key) }, { at });
      expect(got.body.toString()).toBe(key);
    }
    expect(await readdir(join(bench.root, ".."))).toEqual(["objects"]);
    expect((await readdir(bench.root)).sort()).toEqual(["b", "tmp", "uploads"]);
    expect(await readFile("/etc/passwd", "utf8")).not.toBe("../../../../etc/passwd");
  });
});
