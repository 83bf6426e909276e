/** Objects that come in parts: by the vendor's client, and by hand where a client would not go wrong. */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  AbortMultipartUploadCommand,
  type ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, objectPath, type RawAnswer, sdkClient, send, startBench } from "../testing/s3bench.ts";
import { startChecksum } from "./checksum.ts";

const partBytes = 5 * 1024 ** 2;
const first = Buffer.alloc(partBytes, "first part ");
const second = Buffer.alloc(partBytes + 1, "second part ");
const last = Buffer.from("the end");
const whole = Buffer.concat([first, second, last]);

/** As S3 documents it: the MD5 of the MD5s, and how many. */
function etagOf(parts: readonly Buffer[]): string {
  const md5 = (data: Buffer) => createHash("md5").update(data).digest();
  return `"${md5(Buffer.concat(parts.map(md5))).toString("hex")}-${parts.length}"`;
}

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

function uploadFolders(): Promise<string[]> {
  return readdir(join(bench.root, "uploads"));
}

async function create(key: string, headers: Record<string, string> = {}, bucket = "files"): Promise<string> {
  const answer = await send(bench.endpoint, {
    method: "POST",
    path: objectPath(bucket, key),
    query: { uploads: "" },
    headers,
  });
  expect(answer.status).toBe(200);
  return /<UploadId>(.*?)</.exec(answer.body.toString())?.[1] ?? "";
}

function put(
  key: string,
  uploadId: string,
  partNumber: number | string,
  body: Buffer | string,
  headers: Record<string, string> = {},
  bucket = "files",
): Promise<RawAnswer> {
  const query = { partNumber: String(partNumber), uploadId };
  return send(bench.endpoint, { method: "PUT", path: objectPath(bucket, key), query, body, headers });
}

function partsXml(parts: readonly (readonly [number | string, unknown, string?])[]): string {
  const xml = parts.map(
    ([number, etag, more = ""]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag>${more}</Part>`,
  );
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${xml.join("")}</CompleteMultipartUpload>`;
}

function complete(
  key: string,
  uploadId: string,
  body: string,
  headers: Record<string, string> = {},
  bucket = "files",
): Promise<RawAnswer> {
  return send(bench.endpoint, { method: "POST", path: objectPath(bucket, key), query: { uploadId }, body, headers });
}

describe("the vendor's client", () => {
  test("uploads three parts in any order, one of them twice, and reads back the whole, each part, and a range over two", async () => {
    const s3 = sdkClient(bench.endpoint);
    const object = { Bucket: "files", Key: "in parts/größe" };
    const { UploadId } = await s3.send(
      new CreateMultipartUploadCommand({ ...object, ContentType: "text/csv", Metadata: { rows: "7" } }),
    );
    const ETags: string[] = [];
    for (const [PartNumber, Body] of [
      [7, last],
      [1, second],
      [3, second],
      [1, first],
    ] as const) {
      const part = await s3.send(new UploadPartCommand({ ...object, UploadId, PartNumber, Body }));
      ETags[PartNumber] = part.ETag ?? "";
    }
    expect(await send(bench.endpoint, { method: "HEAD", path: objectPath("files", object.Key) })).toMatchObject({
      status: 404,
    });
    const Parts = [1, 3, 7].map((PartNumber) => ({ PartNumber, ETag: ETags[PartNumber] ?? "" }));
    const done = await s3.send(
      new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts }, IfNoneMatch: "*" }),
    );
    expect(done).toMatchObject({ ...object, ETag: etagOf([first, second, last]) });
    const got = await s3.send(new GetObjectCommand(object));
    expect(got).toMatchObject({ ETag: done.ETag, ContentType: "text/csv", Metadata: { rows: "7" } });
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(whole)).toBe(true);
    for (const [i, part] of [first, second, last].entries()) {
      const one = await s3.send(new GetObjectCommand({ ...object, PartNumber: i + 1 }));
      expect(one).toMatchObject({ PartsCount: 3, ContentLength: part.length, ETag: done.ETag });
      expect(Buffer.from((await one.Body?.transformToByteArray()) ?? []).equals(part)).toBe(true);
    }
    const Range = `bytes=${partBytes - 2}-${partBytes + 2}`;
    const some = await s3.send(new GetObjectCommand({ ...object, Range }));
    expect(await some.Body?.transformToString()).toBe(whole.toString("utf8", partBytes - 2, partBytes + 3));
    expect(await s3.send(new HeadObjectCommand({ ...object, PartNumber: 3 }))).toMatchObject({
      PartsCount: 3,
      ContentLength: last.length,
    });
    const attributes = await s3.send(
      new GetObjectAttributesCommand({ ...object, ObjectAttributes: ["ETag", "ObjectSize", "ObjectParts"] }),
    );
    expect(attributes).toMatchObject({
      ETag: JSON.parse(done.ETag ?? ""),
      ObjectSize: whole.length,
      ObjectParts: { TotalPartsCount: 3 },
    });
    expect(await uploadFolders()).toEqual([]);
    expect(await readdir(join(bench.root, "tmp"))).toEqual([]);
  });

  test.each<[ChecksumAlgorithm, "COMPOSITE" | "FULL_OBJECT"]>([
    ["CRC32", "COMPOSITE"],
    ["CRC32", "FULL_OBJECT"],
    ["CRC32C", "COMPOSITE"],
    ["CRC32C", "FULL_OBJECT"],
    ["CRC64NVME", "FULL_OBJECT"],
    ["SHA1", "COMPOSITE"],
    ["SHA256", "COMPOSITE"],
  ])("gets the %s of the kind %s that the documentation describes", async (algorithm, type) => {
    // The SDK brings CRC64NVME by an optional package, so here the parts' checksums are computed by hand.
    const known = algorithm.toLowerCase() as "crc32";
    const sum = (data: Buffer) => {
      const running = startChecksum(known);
      running.update(data);
      return running.finish();
    };
    const key = `sums/${algorithm}/${type}`;
    const id = await create(key, { "x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": type });
    const parts: [number, unknown, string][] = [];
    for (const [i, part] of [first, last].entries()) {
      const header = { [`x-amz-checksum-${known}`]: sum(part) };
      const answer = await put(key, id, i + 1, part, header);
      expect(answer.headers[`x-amz-checksum-${known}`]).toBe(sum(part));
      parts.push([i + 1, answer.headers.etag, `<Checksum${algorithm}>${sum(part)}</Checksum${algorithm}>`]);
    }
    const composite = `${sum(Buffer.concat([first, last].map((part) => Buffer.from(sum(part), "base64"))))}-2`;
    const expected = type === "COMPOSITE" ? composite : sum(Buffer.concat([first, last]));
    const wrong = { [`x-amz-checksum-${known}`]: type === "COMPOSITE" ? `${sum(last)}-2` : sum(last) };
    expect(await complete(key, id, partsXml(parts), wrong)).toMatchObject({ status: 400, code: "BadDigest" });
    const done = await complete(key, id, partsXml(parts), { [`x-amz-checksum-${known}`]: expected });
    expect(done.status).toBe(200);
    expect(done.body.toString()).toContain(`<Checksum${algorithm}>${expected}</Checksum${algorithm}>`);
    const head = await sdkClient(bench.endpoint).send(
      new HeadObjectCommand({ Bucket: "files", Key: key, ChecksumMode: "ENABLED" }),
    );
    expect(head).toMatchObject({ [`Checksum${algorithm}`]: expected, ChecksumType: type });
  });

  test("lists parts and uploads in pages, and aborts", async () => {
    const s3 = sdkClient(bench.endpoint);
    const Bucket = "files";
    const ids = new Map<string, string>();
    for (const Key of ["l/b", "l/a", "l/sub/x", "l/sub/y", "l/z", "m"]) {
      const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: "CRC32" }));
      ids.set(Key, UploadId ?? "");
    }
    const object = { Bucket, Key: "l/a", UploadId: ids.get("l/a") };
    for (const PartNumber of [10_000, 2, 5])
      await s3.send(new UploadPartCommand({ ...object, PartNumber, Body: `part ${PartNumber}` }));
    const listed = await s3.send(new ListPartsCommand({ ...object, MaxParts: 2 }));
    expect(listed).toMatchObject({ IsTruncated: true, NextPartNumberMarker: "5", ChecksumAlgorithm: "CRC32" });
    expect(listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
      [2, 6],
      [5, 6],
    ]);
    expect(listed.Parts?.[0]?.ChecksumCRC32).toMatch(/^[A-Za-z0-9+/]{6}==$/);
    const rest = await s3.send(new ListPartsCommand({ ...object, PartNumberMarker: "5" }));
    expect(rest.IsTruncated).toBe(false);
    expect(rest.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([10_000]);

    const found: string[] = [];
    let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
    for (let more = true; more && found.length < 9; ) {
      const page = await s3.send(
        new ListMultipartUploadsCommand({ Bucket, Prefix: "l/", Delimiter: "/", MaxUploads: 1, ...markers }),
      );
      found.push(...(page.Uploads ?? []).map(({ Key, UploadId }) => `${Key} ${UploadId === ids.get(Key ?? "")}`));
      found.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? ""));
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
      more = page.IsTruncated === true;
    }
    expect(found).toEqual(["l/a true", "l/b true", "l/sub/", "l/z true"]);
    for (const [Key, UploadId] of ids) await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    expect((await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? []).toEqual([]);
    await expect(s3.send(new ListPartsCommand(object))).rejects.toMatchObject({ name: "NoSuchUpload" });
  });
});

describe("a completion", () => {
  test("of parts without checksums gets a checksum of the whole when the upload asked for one", async () => {
    const id = await create("computed", { "x-amz-checksum-algorithm": "CRC64NVME" });
    const part = await put("computed", id, 1, "123456789");
    const done = await complete("computed", id, partsXml([[1, part.headers.etag]]));
    // The catalogued check value of CRC-64/NVME.
    const expected = Buffer.from("ae8b14860a799888", "hex").toString("base64");
    expect(done.body.toString()).toContain(`<ChecksumCRC64NVME>${expected}</ChecksumCRC64NVME>`);
  });

  test("names parts as they came, in order, none too small; what was refused can be mended", async () => {
    const id = await create("strict");
    const tags: unknown[] = [];
    for (const [i, body] of ["small", last, first].entries())
      tags[i + 1] = (await put("strict", id, i + 1, body)).headers.etag;
    const ask = async (parts: readonly (readonly [number | string, unknown, string?])[], headers = {}) =>
      (await complete("strict", id, partsXml(parts), headers)).code;
    expect(await ask([])).toBe("MalformedXML");
    expect(await ask([["one", tags[1]]])).toBe("MalformedXML");
    expect(await ask([[0, tags[1]]])).toBe("InvalidArgument");
    expect(await ask([[10_001, tags[1]]])).toBe("InvalidArgument");
    expect(await ask([[4, tags[1]]])).toBe("InvalidPart");
    expect(await ask([[1, tags[2]]])).toBe("InvalidPart");
    expect(await ask([[1, tags[1], "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"]])).toBe("InvalidPart");
    const swapped: [number, unknown][] = [
      [3, tags[3]],
      [2, tags[2]],
    ];
    expect(await ask(swapped)).toBe("InvalidPartOrder");
    expect(
      await ask([
        [3, tags[3]],
        [3, tags[3]],
      ]),
    ).toBe("InvalidPartOrder");
    expect(
      await ask([
        [2, tags[2]],
        [3, tags[3]],
      ]),
    ).toBe("EntityTooSmall");
    expect(await ask([[3, tags[3]]], { "x-amz-mp-object-size": String(partBytes - 1) })).toBe("InvalidRequest");
    expect(await ask([[3, tags[3]]], { "x-amz-checksum-crc32": "AAAAAA==" })).toBe("InvalidRequest");
    expect((await complete("strict", id, "<Delete/>")).code).toBe("MalformedXML");
    expect((await complete("strict", id, "no xml")).code).toBe("MalformedXML");
    expect((await send(bench.endpoint, { method: "HEAD", path: "/files/strict" })).status).toBe(404);
    expect(await readdir(join(bench.root, "tmp"))).toEqual([]);
    const size = { "x-amz-mp-object-size": String(partBytes) };
    expect((await complete("strict", id, partsXml([[3, tags[3]]]), size)).status).toBe(200);
    const got = await send(bench.endpoint, { method: "GET", path: "/files/strict" });
    expect(got.body.equals(first)).toBe(true);
    expect(got.headers.etag).toBe(etagOf([first]));
    expect(await ask([[3, tags[3]]])).toBe("NoSuchUpload");
  });

  test("of a composite checksum needs the checksum of each part", async () => {
    const id = await create("composite", { "x-amz-checksum-algorithm": "SHA256" });
    const part = await put("composite", id, 1, "x");
    expect(part.headers["x-amz-checksum-sha256"]).toBe(createHash("sha256").update("x").digest("base64"));
    expect((await complete("composite", id, partsXml([[1, part.headers.etag]]))).code).toBe("InvalidRequest");
  });

  test("into a bucket of objects that are written once needs If-None-Match: *, and of eight exactly one wins", async () => {
    const uploads = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const id = await create("race", {}, "once");
        const part = await put("race", id, 1, `writer ${i}`, {}, "once");
        return { id, xml: partsXml([[1, part.headers.etag]]) };
      }),
    );
    const bare = await complete("race", uploads[0]?.id ?? "", uploads[0]?.xml ?? "", {}, "once");
    expect(bare).toMatchObject({ status: 403, code: "AccessDenied" });
    const answers = await Promise.all(
      uploads.map(({ id, xml }) => complete("race", id, xml, { "if-none-match": "*" }, "once")),
    );
    const winners = answers.flatMap(({ status }, i) => (status === 200 ? [i] : []));
    expect(winners.length).toBe(1);
    expect(answers.filter(({ code }) => code === "PreconditionFailed").length).toBe(7);
    const got = await send(bench.endpoint, { method: "GET", path: "/once/race" });
    expect(got.body.toString()).toBe(`writer ${winners[0]}`);
    // The losers' parts stay until they are aborted, as at S3.
    const { store } = bench.endpoint;
    expect((await store.uploads.list("once")).length).toBe(7);
    for (const [i, { id }] of uploads.entries()) {
      const abort = await send(bench.endpoint, { method: "DELETE", path: "/once/race", query: { uploadId: id } });
      expect(abort.status).toBe(i === winners[0] ? 404 : 204);
    }
    expect(await store.uploads.list("once")).toEqual([]);
  });

  test("with If-Match replaces exactly the version it names", async () => {
    const before = await send(bench.endpoint, { method: "PUT", path: "/files/cas", body: "before" });
    const id = await create("cas");
    const xml = partsXml([[1, (await put("cas", id, 1, "after")).headers.etag]]);
    expect((await complete("cas", id, xml, { "if-match": '"0123"' })).code).toBe("PreconditionFailed");
    expect((await complete("cas", id, xml, { "if-match": String(before.headers.etag) })).status).toBe(200);
    expect((await send(bench.endpoint, { method: "GET", path: "/files/cas" })).body.toString()).toBe("after");
  });

  test("that is sent twice at the same time makes one object and tells the other that the upload is over", async () => {
    const id = await create("twice");
    const xml = partsXml([[1, (await put("twice", id, 1, first)).headers.etag]]);
    const answers = await Promise.all([complete("twice", id, xml), complete("twice", id, xml)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404]);
  });
});

describe("a part", () => {
  test.each([
    ["the number 0", 0, "InvalidArgument"],
    ["the number 10,001", 10_001, "InvalidArgument"],
    ["no number", "", "InvalidArgument"],
    ["a number that is none", "one", "InvalidArgument"],
  ])("with %s is refused", async (_, number, code) => {
    const id = await create("numbers");
    expect(await put("numbers", id, number, "x")).toMatchObject({ status: 400, code });
    expect(await put("numbers", id, 10_000, "x")).toMatchObject({ status: 200 });
  });

  test("of an upload that is unknown, of another key or bucket, aborted, or a path, is NoSuchUpload", async () => {
    const id = await create("mine");
    const gone = await create("mine");
    const abort = { method: "DELETE", path: "/files/mine", query: { uploadId: gone } };
    expect((await send(bench.endpoint, abort)).status).toBe(204);
    expect((await send(bench.endpoint, abort)).code).toBe("NoSuchUpload");
    for (const other of ["", "x", "0".repeat(44), "../tmp", `${id}/..`, gone]) {
      expect(await put("mine", other, 1, "x")).toMatchObject({ status: 404, code: "NoSuchUpload" });
    }
    expect((await put("other", id, 1, "x")).code).toBe("NoSuchUpload");
    expect((await put("mine", id, 1, "x", {}, "once")).code).toBe("NoSuchUpload");
    expect((await put("mine", id, 1, "x")).status).toBe(200);
  });

  test("whose bytes are not those it promises replaces nothing", async () => {
    const id = await create("honest", { "x-amz-checksum-algorithm": "CRC32" });
    const honest = await put("honest", id, 1, "honest");
    const wrong = await put("honest", id, 1, "forged", { "x-amz-checksum-crc32": "AAAAAA==" });
    expect(wrong).toMatchObject({ status: 400, code: "BadDigest" });
    const other = createHash("sha256").update("forged").digest("base64");
    expect((await put("honest", id, 1, "forged", { "x-amz-checksum-sha256": other })).code).toBe("InvalidRequest");
    const sum = String(honest.headers["x-amz-checksum-crc32"]);
    const xml = partsXml([[1, honest.headers.etag, `<ChecksumCRC32>${sum}</ChecksumCRC32>`]]);
    expect((await complete("honest", id, xml)).status).toBe(200);
    expect((await send(bench.endpoint, { method: "GET", path: "/files/honest" })).body.toString()).toBe("honest");
  });

  test.each([
    [{ "x-amz-checksum-algorithm": "MD4" }, "InvalidRequest"],
    [{ "x-amz-checksum-type": "COMPOSITE" }, "InvalidRequest"],
    [{ "x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE" }, "InvalidRequest"],
    [{ "x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT" }, "InvalidRequest"],
    [{ "x-amz-tagging": "a=b" }, "NotImplemented"],
  ])("has no upload that was created with %j", async (headers, code) => {
    const before = await uploadFolders();
    const answer = await send(bench.endpoint, { method: "POST", path: "/files/no", query: { uploads: "" }, headers });
    expect(answer.code).toBe(code);
    expect(await uploadFolders()).toEqual(before);
  });
});
