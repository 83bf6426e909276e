/**
 * Attacks on sessions: what somebody tries with the keys of one attempt to reach what another owns, or what nobody gave.
 * Beside each refusal stands what is allowed, so that it means something.
 */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Bench,
  type Keys,
  objectPath,
  owner,
  type RawCall,
  sdkClient,
  send,
  sendRaw,
  signCall,
  startBench,
} from "../testing/s3bench.ts";
import { policyOf, type SessionKeys, sessionOf, withRole } from "../testing/stsbench.ts";

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
const bodyOf = async (key: string) =>
  (await ask(owner, { method: "GET", path: objectPath("files", key) })).body.toString();

describe("a writer of x/", () => {
  let keys: SessionKeys;
  beforeAll(async () => {
    keys = await keysFor(writing);
  });
  const outside = [
    "x",
    "xy/a",
    "x*",
    "x*/a",
    "X/a",
    "/x/a",
    " x/a",
    "y/a",
    "a",
    "y/x/a",
    "%78/a",
    "x%2Fa",
    "é/a",
    "..",
    "x\\a",
  ];
  const inside = ["x/", "x/a", "x//a", "x/../y/a", "x/..", "x/*", "x/日本", "x/%2F", "x/%2e%2e/y", "x/é", "x/e\u0301"];

  test.each(outside)("may not put, read or begin '%s'", async (key) => {
    const path = objectPath("files", key);
    for (const call of [
      { method: "PUT", path, body: "intruder" },
      { method: "GET", path },
      { method: "HEAD", path },
      { method: "POST", path, query: { uploads: "" } },
    ]) {
      expect((await ask(keys, call)).status).toBe(403);
    }
    expect((await ask(owner, { method: "HEAD", path })).status).toBe(404);
  });

  test.each(inside)("may put and read '%s', which is that key and no other", async (key) => {
    const path = objectPath("files", key);
    expect((await ask(keys, { method: "PUT", path, body: key })).status).toBe(200);
    expect((await ask(keys, { method: "GET", path })).body.toString()).toBe(key);
    expect((await ask(owner, { method: "HEAD", path: objectPath("files", "y/a") })).status).toBe(404);
  });

  test("may write a slash escaped: it is the same key, and dots are never walked", async () => {
    const call = await signCall(
      bench.endpoint,
      { method: "PUT", path: "/files/x/b", body: "b" },
      { credential: keys, ...now() },
    );
    expect((await sendRaw(bench.endpoint.port, { ...call, path: "/files/x%2Fb" })).status).toBe(200);
    expect((await ask(owner, { method: "GET", path: "/files/x/b" })).body.toString()).toBe("b");
    const dots = await ask(keys, { method: "PUT", path: "/files/x/../z", body: "dots" });
    expect(dots.status).toBe(200);
    expect((await ask(owner, { method: "HEAD", path: "/files/z" })).status).toBe(404);
  });

  test("may not delete, by either way, what it has written", async () => {
    await stored("x/kept");
    expect(await ask(keys, { method: "DELETE", path: "/files/x/kept" })).toMatchObject({
      status: 403,
      code: "AccessDenied",
    });
    const body = "<Delete><Object><Key>x/kept</Key></Object></Delete>";
    const many = { method: "POST", path: "/files", query: { delete: "" }, body };
    const headers = { "content-md5": createHash("md5").update(body).digest("base64") };
    const answer = await ask(keys, { ...many, headers });
    expect(answer.body.toString()).toContain("<Key>x/kept</Key><Code>AccessDenied</Code>");
    expect(await bodyOf("x/kept")).toBe("of x/kept");
  });

  test("may not list, nor know a bucket", async () => {
    const list = { method: "GET", path: "/files", query: { "list-type": "2", prefix: "x/" } };
    for (const call of [
      list,
      { ...list, query: { uploads: "", prefix: "x/" } },
      { method: "HEAD", path: "/files" },
      { method: "PUT", path: "/files" },
    ]) {
      expect((await ask(keys, call)).status).toBe(403);
    }
    expect((await ask(keys, { method: "GET", path: "/" })).body.toString()).toContain("<Buckets></Buckets>");
    // Nor learn by a 404 which keys are missing.
    expect((await ask(keys, { method: "GET", path: "/files/x/missing" })).code).toBe("AccessDenied");
  });

  test("may not reach another bucket, or the same key in it", async () => {
    for (const bucket of ["once", "nothing"]) {
      expect((await ask(keys, { method: "PUT", path: `/${bucket}/x/a`, body: "a" })).status).toBe(403);
    }
  });

  test("may not copy from outside, nor to outside", async () => {
    await stored("y/secret");
    await stored("x/mine");
    const copy = (from: string, to: string) =>
      ask(keys, { method: "PUT", path: objectPath("files", to), headers: { "x-amz-copy-source": from } });
    for (const from of [
      "files/y/secret",
      "/files/y/secret",
      "files/x%2F..%2Fy%2Fsecret",
      "files/%79/secret",
      "once/x/a",
    ]) {
      expect((await copy(from, "x/stolen")).status).toBeGreaterThanOrEqual(403);
    }
    expect((await ask(owner, { method: "HEAD", path: "/files/x/stolen" })).status).toBe(404);
    expect((await copy("files/x/mine", "y/planted")).code).toBe("AccessDenied");
    expect((await copy("files/x/mine", "x/copied")).status).toBe(200);
    expect(await bodyOf("x/copied")).toBe("of x/mine");
  });

  test("may upload in parts there, and touch no upload of another key", async () => {
    const created = async (credential: Keys, key: string) => {
      const answer = await ask(credential, { method: "POST", path: objectPath("files", key), query: { uploads: "" } });
      return /<UploadId>(.*?)</.exec(answer.body.toString())?.[1] ?? "";
    };
    const theirs = await created(owner, "y/big");
    const uploadId = await created(keys, "x/big");
    const part = (key: string, id: string, body: string) =>
      ask(keys, { method: "PUT", path: objectPath("files", key), query: { uploadId: id, partNumber: "1" }, body });
    const { etag } = (await part("x/big", uploadId, "mine")).headers;
    expect((await part("y/big", theirs, "planted")).code).toBe("AccessDenied");
    // Another's upload under a key of one's own is no upload.
    expect((await part("x/big", theirs, "planted")).code).toBe("NoSuchUpload");
    for (const method of ["GET", "DELETE"]) {
      expect((await ask(keys, { method, path: "/files/y/big", query: { uploadId: theirs } })).code).toBe(
        "AccessDenied",
      );
      expect((await ask(keys, { method, path: "/files/x/big", query: { uploadId: theirs } })).code).toBe(
        "NoSuchUpload",
      );
    }
    const from = { "x-amz-copy-source": "/files/y/secret" };
    const copied = { method: "PUT", path: "/files/x/big", query: { uploadId, partNumber: "2" }, headers: from };
    expect((await ask(keys, copied)).code).toBe("AccessDenied");
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`;
    const complete = (key: string) =>
      ask(keys, { method: "POST", path: objectPath("files", key), query: { uploadId }, body });
    expect((await complete("y/big")).code).toBe("AccessDenied");
    expect((await complete("x/big")).status).toBe(200);
    expect(await bodyOf("x/big")).toBe("mine");
  });

  test("needs the rights of a part by name: putting is not listing them or giving them up", async () => {
    const putter = await keysFor(within("x/", "PutObject"));
    const answer = await ask(putter, { method: "POST", path: "/files/x/parts", query: { uploads: "" } });
    const query = { uploadId: /<UploadId>(.*?)</.exec(answer.body.toString())?.[1] ?? "" };
    for (const method of ["GET", "DELETE"]) {
      expect((await ask(putter, { method, path: "/files/x/parts", query })).code).toBe("AccessDenied");
      expect((await ask(keys, { method, path: "/files/x/parts", query })).status).toBeLessThan(300);
    }
  });

  test("streams a body with its checksum behind it", async () => {
    const own = await startBench(withRole);
    const credentials = await sessionOf(own.endpoint, policyOf(writing));
    const mute = () => undefined;
    // It tells the console of a refused stream, which is what is wanted here.
    const logger = { debug: mute, info: mute, warn: mute, error: mute };
    const client = sdkClient(own.endpoint, { credentials, logger });
    try {
      const put = (Key: string) =>
        client.send(
          new PutObjectCommand({
            Bucket: "files",
            Key,
            Body: Readable.from([Buffer.from("streamed")]),
            ContentLength: 8,
          }),
        );
      expect((await put("x/streamed")).ChecksumCRC32).toBeDefined();
      const got = await send(own.endpoint, { method: "GET", path: "/files/x/streamed" });
      expect(got.body.toString()).toBe("streamed");
      await expect(put("y/streamed")).rejects.toMatchObject({ name: "AccessDenied" });
    } finally {
      client.destroy();
      await own.stop();
    }
  });

  test("posts nothing to the service: a form is no way around its policy", async () => {
    const form = '--b\r\ncontent-disposition: form-data; name="key"\r\n\r\ny/posted\r\n--b--\r\n';
    const headers = { "content-type": "multipart/form-data; boundary=b" };
    expect((await ask(keys, { method: "POST", path: "/", headers, body: form })).status).toBeGreaterThanOrEqual(400);
    expect((await ask(keys, { method: "POST", path: "/files", headers, body: form })).status).toBe(501);
    expect((await ask(owner, { method: "HEAD", path: "/files/y/posted" })).status).toBe(404);
  });
});
