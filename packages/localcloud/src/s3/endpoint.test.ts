/** The endpoint as clients see it: the vendor's client with its defaults, and HTTP by hand. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { TestSignal } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, sdkClient, send, sendRaw, signCall, startBench } from "../testing/s3bench.ts";
import type { S3RequestReport } from "./endpoint.ts";

let bench: Bench;
const reports = new TestSignal<S3RequestReport>("request");

beforeAll(async () => {
  bench = await startBench({ onRequest: (report) => reports.emit(report) });
});
afterAll(() => bench.stop());

const megabyte = Buffer.alloc(1024 ** 2, "0123456789abcdef");

function failure(promise: Promise<unknown>): Promise<{ name: string; status: number | undefined }> {
  return promise.then(
    () => ({ name: "none", status: 200 }),
    (error: { name: string; $metadata?: { httpStatusCode?: number } }) => ({
      name: error.name,
      status: error.$metadata?.httpStatusCode,
    }),
  );
}

describe("the vendor's client with its default configuration", () => {
  test("stores an object with its headers and metadata and reads it back, checksum verified", async () => {
    const s3 = sdkClient(bench.endpoint);
    const report = reports.next(5_000, ({ operation }) => operation === "PutObject");
    const put = await s3.send(
      new PutObjectCommand({
        Bucket: "files",
        Key: "in/quakes.json",
        Body: megabyte,
        ContentType: "application/json",
        CacheControl: "no-store",
        ContentDisposition: 'attachment; filename="q.json"',
        ContentEncoding: "identity",
        Metadata: { rows: "1707", spaced: "a  b" },
      }),
    );
    expect(await report).toMatchObject({ status: 200, bytes: megabyte.length });
    const got = await s3.send(new GetObjectCommand({ Bucket: "files", Key: "in/quakes.json" }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(megabyte)).toBe(true);
    expect(got).toMatchObject({
      ContentType: "application/json",
      CacheControl: "no-store",
      ContentDisposition: 'attachment; filename="q.json"',
      ContentEncoding: "identity",
      Metadata: { rows: "1707", spaced: "a  b" },
      ContentLength: megabyte.length,
      ETag: put.ETag,
    });
    expect(got.ChecksumCRC32).toBe(put.ChecksumCRC32);
    expect(put.ChecksumCRC32).toMatch(/^[A-Za-z0-9+/]{6}==$/);
  });

  test("streams a body whose checksum follows as a trailer; aws-chunked leaves no trace", async () => {
    const s3 = sdkClient(bench.endpoint);
    const body = Readable.from([megabyte, megabyte, Buffer.from("tail")]);
    const bytes = megabyte.length * 2 + 4;
    await s3.send(
      new PutObjectCommand({
        Bucket: "files",
        Key: "stream",
        Body: body,
        ContentLength: bytes,
        ContentEncoding: "gzip",
      }),
    );
    const head = await s3.send(new HeadObjectCommand({ Bucket: "files", Key: "stream", ChecksumMode: "ENABLED" }));
    expect(head).toMatchObject({ ContentLength: bytes, ContentEncoding: "gzip" });
    expect(head.ChecksumCRC32).toBeDefined();
    const part = await s3.send(new GetObjectCommand({ Bucket: "files", Key: "stream", Range: "bytes=-4" }));
    expect(await part.Body?.transformToString()).toBe("tail");
    expect(part.ContentRange).toBe(`bytes ${bytes - 4}-${bytes - 1}/${bytes}`);
  });

  test.each(["CRC32", "CRC32C", "SHA1", "SHA256"] as const)("gives back the %s it sent", async (ChecksumAlgorithm) => {
    const s3 = sdkClient(bench.endpoint);
    const name = `Checksum${ChecksumAlgorithm}` as const;
    const put = await s3.send(new PutObjectCommand({ Bucket: "files", Key: "sum", Body: "data", ChecksumAlgorithm }));
    const head = await s3.send(new HeadObjectCommand({ Bucket: "files", Key: "sum", ChecksumMode: "ENABLED" }));
    expect(put[name]).toBeDefined();
    expect(head[name]).toBe(put[name]);
  });

  test("deletes, twice, and finds nothing afterwards", async () => {
    const s3 = sdkClient(bench.endpoint);
    const object = { Bucket: "files", Key: "deep/down/here" };
    await s3.send(new PutObjectCommand({ ...object, Body: "x" }));
    for (let i = 0; i < 2; i += 1) {
      expect((await s3.send(new DeleteObjectCommand(object))).$metadata.httpStatusCode).toBe(204);
    }
    expect(await failure(s3.send(new GetObjectCommand(object)))).toEqual({ name: "NoSuchKey", status: 404 });
    expect(await failure(s3.send(new HeadObjectCommand(object)))).toEqual({ name: "NotFound", status: 404 });
    expect(await readdir(join(bench.root, "b", "files"))).not.toContain("ddeep");
  });

  test("lists with prefix and delimiter, in pages", async () => {
    const s3 = sdkClient(bench.endpoint);
    for (const key of ["l/a", "l/b/1", "l/b/2", "l/c", "l/é"]) {
      await s3.send(new PutObjectCommand({ Bucket: "files", Key: key, Body: key }));
    }
    const found: string[] = [];
    let token: string | undefined;
    do {
      const page = await s3.send(
        new ListObjectsV2Command({
          Bucket: "files",
          Prefix: "l/",
          Delimiter: "/",
          MaxKeys: 1,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      expect(page.KeyCount).toBe(1);
      for (const { Key, Size, ETag, LastModified } of page.Contents ?? []) {
        expect(Size).toBe(Buffer.byteLength(Key ?? ""));
        expect(ETag).toMatch(/^"[0-9a-f]{32}"$/);
        expect(LastModified?.getTime()).toBeGreaterThan(0);
        found.push(Key ?? "");
      }
      for (const { Prefix } of page.CommonPrefixes ?? []) found.push(Prefix ?? "");
      token = page.NextContinuationToken;
      expect(page.IsTruncated).toBe(token !== undefined);
    } while (token !== undefined);
    expect(found).toEqual(["l/a", "l/b/", "l/c", "l/é"]);
  });

  test("finds its buckets, and is told that others are not made by request", async () => {
    const s3 = sdkClient(bench.endpoint);
    expect((await s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toEqual(["files", "once"]);
    expect((await s3.send(new HeadBucketCommand({ Bucket: "files" }))).$metadata.httpStatusCode).toBe(200);
    expect((await failure(s3.send(new HeadBucketCommand({ Bucket: "other" })))).status).toBe(403);
    expect((await send(bench.endpoint, { method: "PUT", path: "/other" })).code).toBe("AccessDenied");
    expect((await send(bench.endpoint, { method: "PUT", path: "/files" })).code).toBe("BucketAlreadyOwnedByYou");
  });
});

describe("conditional writes", () => {
  test("of fifty puts of one key with If-None-Match: * exactly one wins, and its bytes stay", async () => {
    const puts = Array.from({ length: 50 }, (_, i) =>
      send(bench.endpoint, {
        method: "PUT",
        path: "/once/race",
        headers: { "if-none-match": "*" },
        body: `writer ${i}`.repeat(1_000),
      }),
    );
    const answers = await Promise.all(puts);
    const winners = answers.flatMap(({ status }, i) => (status === 200 ? [i] : []));
    expect(winners.length).toBe(1);
    expect(answers.filter(({ status, code }) => status === 412 && code === "PreconditionFailed").length).toBe(49);
    const got = await send(bench.endpoint, { method: "GET", path: "/once/race" });
    expect(got.body.toString()).toBe(`writer ${winners[0]}`.repeat(1_000));
    expect(await readdir(join(bench.root, "tmp"))).toEqual([]);
  });

  test("a bucket that asks for If-None-Match refuses a put without it and says how to fix it", async () => {
    const answer = await send(bench.endpoint, { method: "PUT", path: "/once/plain", body: "x" });
    expect(answer).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(answer.body.toString()).toContain("If-None-Match: *");
    expect((await send(bench.endpoint, { method: "GET", path: "/once/plain" })).status).toBe(404);
  });

  test("If-Match replaces exactly the version it names", async () => {
    const put = (body: string, headers: Record<string, string> = {}) =>
      send(bench.endpoint, { method: "PUT", path: "/files/cas", body, headers });
    expect((await put("0", { "if-match": '"00000000000000000000000000000000"' })).code).toBe("NoSuchKey");
    const first = await put("1");
    const swaps = await Promise.all(
      ["2", "3", "4"].map((body) => put(body, { "if-match": String(first.headers.etag) })),
    );
    expect(swaps.map(({ status }) => status).sort()).toEqual([200, 412, 412]);
    expect((await put("5", { "if-match": String(first.headers.etag) })).code).toBe("PreconditionFailed");
  });
});

describe("reads", () => {
  test("of an object that is being replaced see one version or the other, whole", async () => {
    const versions = [Buffer.alloc(700_000, "a"), Buffer.alloc(900_000, "b")] as const;
    const put = (i: number) =>
      send(bench.endpoint, { method: "PUT", path: "/files/swap", body: versions[i % 2 === 0 ? 0 : 1] });
    await put(0);
    const writes = (async () => {
      for (let i = 1; i <= 20; i += 1) await put(i);
    })();
    const reads = Array.from({ length: 40 }, () => send(bench.endpoint, { method: "GET", path: "/files/swap" }));
    for (const { status, body, headers } of await Promise.all(reads)) {
      expect(status).toBe(200);
      expect(versions.some((version) => version.equals(body))).toBe(true);
      expect(headers["content-length"]).toBe(String(body.length));
    }
    await writes;
  });

  test("honour ranges, conditions and response- parameters", async () => {
    const put = await send(bench.endpoint, { method: "PUT", path: "/files/read", body: "0123456789" });
    const get = (headers: Record<string, string>, query: Record<string, string> = {}, method = "GET") =>
      send(bench.endpoint, { method, path: "/files/read", headers, query });
    expect(await get({ range: "bytes=3-5" })).toMatchObject({ status: 206, body: Buffer.from("345") });
    expect(await get({ range: "bytes=3-5" }, {}, "HEAD")).toMatchObject({ status: 206, body: Buffer.alloc(0) });
    const beyond = await get({ range: "bytes=10-" });
    expect(beyond).toMatchObject({ status: 416, code: "InvalidRange" });
    expect(beyond.headers["content-range"]).toBe("bytes */10");
    const unchanged = await get({ "if-none-match": String(put.headers.etag) });
    expect(unchanged).toMatchObject({ status: 304, body: Buffer.alloc(0) });
    expect((await get({ "if-match": '"no"' })).code).toBe("PreconditionFailed");
    const named = await get({}, { "response-content-type": "text/csv" });
    expect(named.headers["content-type"]).toBe("text/csv");
    expect((await get({}, { "response-content-type": "a\r\nx: y" })).code).toBe("InvalidArgument");
  });

  test("of an empty object answer 200 with nothing", async () => {
    expect((await send(bench.endpoint, { method: "PUT", path: "/files/empty" })).status).toBe(200);
    const got = await send(bench.endpoint, { method: "GET", path: "/files/empty" });
    expect(got).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(got.headers.etag).toBe('"d41d8cd98f00b204e9800998ecf8427e"');
  });
});

describe("presigned URLs", () => {
  test("read and write without further credentials", async () => {
    const put = await signCall(bench.endpoint, { method: "PUT", path: "/files/pre", body: "by link" }, { presign: 60 });
    expect((await sendRaw(bench.endpoint.port, put)).status).toBe(200);
    const get = await signCall(bench.endpoint, { method: "GET", path: "/files/pre" }, { presign: 604_800 });
    expect((await sendRaw(bench.endpoint.port, get)).body.toString()).toBe("by link");
  });

  test("of more than seven days are refused", async () => {
    const get = await signCall(bench.endpoint, { method: "GET", path: "/files/pre" }, { presign: 604_800 });
    const longer = { ...get, path: get.path.replace("604800", "604801") };
    expect((await sendRaw(bench.endpoint.port, longer)).code).toBe("AuthorizationQueryParametersError");
  });
});

test.each([
  ["PUT", "/files/read?tagging=", "tagging"],
  ["PUT", "/files/read?uploadId=x", "uploadId"],
  ["PUT", "/files/read?partNumber=1", "partNumber"],
  ["PUT", "/files/read?uploads=", "uploads"],
  ["PUT", "/files/read?partNumber=1&uploadId=x&tagging=", "tagging"],
  ["DELETE", "/files/read?tagging=", "tagging"],
  ["DELETE", "/files/read?versionId=x", "versionId"],
  ["DELETE", "/files/read?partNumber=1", "partNumber"],
  ["GET", "/files?versions=", "versions"],
  ["DELETE", "/files", "DeleteBucket"],
  ["POST", "/files", "PostObject"],
  ["POST", "/files/read?delete=", "delete"],
  ["PUT", "/files?delete=", "delete"],
  ["PATCH", "/files/read", "PATCH"],
])("%s %s is answered 501 and named, and changes nothing", async (method, url, name) => {
  const [path = "", search = ""] = url.split("?");
  const query = Object.fromEntries(new URLSearchParams(search));
  const answer = await send(bench.endpoint, { method, path, query });
  expect(answer).toMatchObject({ status: 501, code: "NotImplemented" });
  expect(answer.body.toString()).toContain(name);
  expect((await send(bench.endpoint, { method: "GET", path: "/files/read" })).body.toString()).toBe("0123456789");
});

test.each([
  { "x-amz-copy-source": "/files/read?versionId=3" },
  { "x-amz-tagging": "a=b" },
  { "x-amz-server-side-encryption": "aws:kms" },
])("a put with %j is refused rather than done without it", async (headers) => {
  const answer = await send(bench.endpoint, { method: "PUT", path: "/files/implied", headers, body: "x" });
  expect(answer).toMatchObject({ status: 501, code: "NotImplemented" });
  expect((await send(bench.endpoint, { method: "HEAD", path: "/files/implied" })).status).toBe(404);
});

test("requests beyond the limit of concurrency are told to slow down", async () => {
  const small = await startBench({ limits: { concurrentRequests: 0 } });
  try {
    expect(await send(small.endpoint, { method: "GET", path: "/files/x" })).toMatchObject({
      status: 503,
      code: "SlowDown",
    });
  } finally {
    await small.stop();
  }
});

test("a taken port and a contradictory configuration are catalogued errors", async () => {
  await expect(startBench({ port: bench.endpoint.port })).rejects.toMatchObject({ code: "TR-6102" });
  await expect(startBench({ buckets: [{ name: ".." }] })).rejects.toMatchObject({ code: "TR-6103" });
  const grants = [{ bucket: "files", actions: ["GetObject" as const], prefix: "in/a" }];
  const credentials = [{ accessKeyId: "KEY", secretAccessKey: "sixteen-letters-", grants }];
  await expect(startBench({ credentials })).rejects.toMatchObject({ code: "TR-6103" });
  await expect(startBench({ root: "/dev/null/nowhere" })).rejects.toMatchObject({ code: "TR-6104" });
});
