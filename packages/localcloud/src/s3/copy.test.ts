/** Copies within the store, whole and as parts. */
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, objectPath, owner, sdkClient, send, startBench } from "../testing/s3bench.ts";
import type { S3Credential } from "./access.ts";

/** May write everywhere, and read one folder without listing it. */
const copier: S3Credential = {
  accessKeyId: "COPIERKEY",
  secretAccessKey: "copier-secret-of-the-tests",
  grants: [
    { bucket: "files", actions: ["PutObject"] },
    { bucket: "files", actions: ["GetObject"], prefix: "mine/" },
  ],
};

const key = "from/größe +%";
const source = encodeURI(`/files/${key}`).replace("+", "%2B");
let bench: Bench;
let etag: string;
beforeAll(async () => {
  bench = await startBench({ credentials: [owner, copier] });
  const put = await sdkClient(bench.endpoint).send(
    new PutObjectCommand({
      Bucket: "files",
      Key: key,
      Body: "0123456789",
      ContentType: "text/csv",
      Metadata: { rows: "10" },
    }),
  );
  etag = put.ETag ?? "";
});
afterAll(() => bench.stop());

const copy = (to: string, headers: Record<string, string>, options?: Parameters<typeof send>[2]) =>
  send(bench.endpoint, { method: "PUT", path: to, headers: { "x-amz-copy-source": source, ...headers } }, options);
const read = async (path: string) => (await send(bench.endpoint, { method: "GET", path })).body.toString();

describe("a copy of an object", () => {
  test("has its bytes, headers, metadata and checksum, or those that it is given instead", async () => {
    const s3 = sdkClient(bench.endpoint);
    const copied = await s3.send(new CopyObjectCommand({ Bucket: "files", Key: "to/a", CopySource: source }));
    expect(copied.CopyObjectResult).toMatchObject({ ETag: etag, ChecksumCRC32: expect.any(String) });
    const got = await s3.send(new GetObjectCommand({ Bucket: "files", Key: "to/a" }));
    expect(got).toMatchObject({ ContentType: "text/csv", Metadata: { rows: "10" }, ETag: etag });
    expect(await got.Body?.transformToString()).toBe("0123456789");
    await s3.send(
      new CopyObjectCommand({
        Bucket: "files",
        Key: "to/a",
        CopySource: "files/to/a",
        MetadataDirective: "REPLACE",
        ContentType: "text/plain",
        ChecksumAlgorithm: "SHA256",
      }),
    );
    const replaced = await s3.send(new GetObjectCommand({ Bucket: "files", Key: "to/a", ChecksumMode: "ENABLED" }));
    expect(replaced).toMatchObject({ ContentType: "text/plain", Metadata: {}, ChecksumSHA256: expect.any(String) });
    expect(await replaced.Body?.transformToString()).toBe("0123456789");
  });

  test.each<[string, Record<string, string>, number, string]>([
    ["a missing source", { "x-amz-copy-source": "/files/missing" }, 404, "NoSuchKey"],
    ["a source in no bucket", { "x-amz-copy-source": "/nowhere/a" }, 403, "AccessDenied"],
    ["a source without key", { "x-amz-copy-source": "files" }, 400, "InvalidArgument"],
    ["an empty source", { "x-amz-copy-source": "" }, 400, "InvalidArgument"],
    ["a source that is not UTF-8", { "x-amz-copy-source": "files/%ff" }, 400, "InvalidArgument"],
    ["a version of its source", { "x-amz-copy-source": "files/a?versionId=1" }, 501, "NotImplemented"],
    ["an unknown directive", { "x-amz-metadata-directive": "MERGE" }, 400, "InvalidArgument"],
    ["an unknown checksum", { "x-amz-checksum-algorithm": "MD4" }, 400, "InvalidRequest"],
    ["tags", { "x-amz-tagging-directive": "REPLACE" }, 501, "NotImplemented"],
    ["another source ETag", { "x-amz-copy-source-if-match": '"no"' }, 412, "PreconditionFailed"],
    [
      "a date before its source",
      { "x-amz-copy-source-if-unmodified-since": new Date(0).toUTCString() },
      412,
      "PreconditionFailed",
    ],
    ["a target ETag that is not there", { "if-match": '"no"' }, 404, "NoSuchKey"],
  ])("with %s is refused and makes nothing", async (_, headers, status, code) => {
    expect(await copy("/files/refused", headers)).toMatchObject({ status, code });
    expect((await send(bench.endpoint, { method: "HEAD", path: "/files/refused" })).status).toBe(404);
  });

  test("heeds the ETag of its source and whether its target exists", async () => {
    expect((await copy("/files/heeds", { "x-amz-copy-source-if-none-match": etag })).code).toBe("PreconditionFailed");
    const headers = { "x-amz-copy-source-if-match": etag, "if-none-match": "*" };
    expect((await copy("/files/heeds", headers)).status).toBe(200);
    expect((await copy("/files/heeds", headers)).code).toBe("PreconditionFailed");
    expect(await read("/files/heeds")).toBe("0123456789");
  });

  test("onto itself without a change is refused", async () => {
    const onto = { "x-amz-copy-source": "/files/self" };
    await send(bench.endpoint, { method: "PUT", path: "/files/self", body: "self" });
    expect(await copy("/files/self", onto)).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect((await copy("/files/self", { ...onto, "x-amz-metadata-directive": "REPLACE" })).status).toBe(200);
    expect(await read("/files/self")).toBe("self");
  });

  test("into a bucket of objects that are written once needs If-None-Match: *", async () => {
    expect(await copy("/once/copy", {})).toMatchObject({ status: 403, code: "AccessDenied" });
    expect((await copy("/once/copy", { "if-none-match": "*" })).status).toBe(200);
    expect(await read("/once/copy")).toBe("0123456789");
  });

  test("needs the right to read its source and the right to write its target", async () => {
    await send(bench.endpoint, { method: "PUT", path: "/files/mine/a", body: "mine" });
    const from = (path: string) => ({ "x-amz-copy-source": path });
    const as = { credential: copier };
    expect((await copy("/files/stolen", {}, as)).code).toBe("AccessDenied");
    expect((await copy("/files/stolen", from("/files/mine/../from/x"), as)).code).toBe("AccessDenied");
    expect((await copy("/files/stolen", from("/files/mine/missing"), as)).code).toBe("AccessDenied");
    expect((await copy("/once/stolen", { ...from("/files/mine/a"), "if-none-match": "*" }, as)).code).toBe(
      "AccessDenied",
    );
    expect((await copy("/files/allowed", from("/files/mine/a"), as)).status).toBe(200);
    expect(await read("/files/allowed")).toBe("mine");
  });
});

describe("a part that is copied", () => {
  test("is the source or a range of it", async () => {
    const s3 = sdkClient(bench.endpoint);
    const object = { Bucket: "files", Key: "parts" };
    const big = Buffer.alloc(6 * 1024 ** 2, "abc");
    await send(bench.endpoint, { method: "PUT", path: "/files/big", body: big });
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(object));
    const upload = { ...object, UploadId };
    const range = `bytes=1-${5 * 1024 ** 2}`;
    const one = await s3.send(
      new UploadPartCopyCommand({ ...upload, PartNumber: 1, CopySource: "files/big", CopySourceRange: range }),
    );
    const two = await s3.send(new UploadPartCopyCommand({ ...upload, PartNumber: 2, CopySource: source }));
    expect(two.CopyPartResult?.ETag).toBe(etag);
    const Parts = [one, two].map(({ CopyPartResult }, i) => ({ PartNumber: i + 1, ETag: CopyPartResult?.ETag }));
    await s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
    const expected = Buffer.concat([big.subarray(1, 5 * 1024 ** 2 + 1), Buffer.from("0123456789")]);
    const got = await send(bench.endpoint, { method: "GET", path: "/files/parts" });
    expect(got.body.equals(expected)).toBe(true);
    // A plain copy of an object made of parts is one object again, with the MD5 of its bytes.
    const flat = await copy("/files/flat", { "x-amz-copy-source": "/files/parts" });
    expect(flat.body.toString()).toMatch(/<ETag>&quot;[0-9a-f]{32}&quot;<\/ETag>/);
    expect((await send(bench.endpoint, { method: "GET", path: "/files/flat" })).body.equals(expected)).toBe(true);
  });

  test.each([
    [{ "x-amz-copy-source-range": "bytes=5-" }, "InvalidArgument"],
    [{ "x-amz-copy-source-range": "bytes=-5" }, "InvalidArgument"],
    [{ "x-amz-copy-source-range": "bytes=5-4" }, "InvalidArgument"],
    [{ "x-amz-copy-source-range": "bytes=5-10" }, "InvalidArgument"],
    [{ "x-amz-copy-source": "/files/missing" }, "NoSuchKey"],
    [{ "x-amz-copy-source-if-match": '"no"' }, "PreconditionFailed"],
  ])("with %j is refused", async (headers, code) => {
    const s3 = sdkClient(bench.endpoint);
    const { UploadId = "" } = await s3.send(new CreateMultipartUploadCommand({ Bucket: "files", Key: "refused" }));
    const path = objectPath("files", "refused");
    const query = { partNumber: "1", uploadId: UploadId };
    const call = { method: "PUT", path, query, headers: { "x-amz-copy-source": source, ...headers } };
    expect((await send(bench.endpoint, call)).code).toBe(code);
    const parts = await send(bench.endpoint, { method: "GET", path, query: { uploadId: UploadId } });
    expect(parts.body.toString()).not.toContain("<Part>");
  });
});
