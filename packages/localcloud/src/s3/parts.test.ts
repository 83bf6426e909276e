/** Objects in parts as services of Trace store them: kit's client against the endpoint, where a bucket is written once. */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { ObjectStore, type ObjectUpload, sha256OfParts, type UploadedPart } from "@trace/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bench, owner, startBench } from "../testing/s3bench.ts";
import type { S3Credential } from "./access.ts";

const pieces = [Buffer.alloc(5 * 1024 ** 2, "first part "), Buffer.from("the end")];
const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");
const reader: S3Credential = {
  accessKeyId: "READERKEY",
  secretAccessKey: "reader-secret-of-the-tests",
  grants: [{ bucket: "once", actions: ["GetObject"] }],
};

let bench: Bench;
let store: ObjectStore;
let refused: ObjectStore;
beforeAll(async () => {
  bench = await startBench({ credentials: [owner, reader] });
  const endpoint = `http://127.0.0.1:${bench.endpoint.port}`;
  const options = { endpoint, region: "us-east-1", triesMax: 1 };
  store = new ObjectStore({ ...options, credentials: owner });
  refused = new ObjectStore({ ...options, credentials: reader });
});
afterAll(async () => {
  await Promise.all([store.stop(), refused.stop()]);
  await bench.stop();
});

const begin = (key: string, ifAbsent = true) => store.startUpload({ bucket: "once", key, ifAbsent });
const folders = () => readdir(join(bench.root, "uploads"));

function send(upload: ObjectUpload): Promise<UploadedPart[]> {
  // The last one first: their numbers are their order, whenever they come.
  const parts = pieces.map((body, index) => ({ number: index + 1, body, bytes: body.length, sha256: sha256(body) }));
  return Promise.all(parts.toReversed().map((part) => upload.put({ ...part, body: Readable.from([part.body]) })));
}

test("parts become one object, whose checksum is that of the parts' checksums and how many", async () => {
  const upload = await begin("d/large");
  expect(await upload.complete(await send(upload))).toBe("stored");
  expect(await store.head("once", "d/large")).toMatchObject({
    bytes: (pieces[0]?.length ?? 0) + 7,
    sha256: sha256OfParts(pieces.map(sha256)),
  });
  const stored = await store.get("once", "d/large", 6 * 1024 ** 2);
  expect(sha256(Buffer.from(stored ?? []))).toBe(sha256(Buffer.concat(pieces)));
});

test("a part sent again replaces the one before, and one whose bytes are not its checksum's is refused", async () => {
  const upload = await begin("d/again");
  const body = Buffer.from("good");
  const part = { number: 1, bytes: 4, sha256: sha256(body) };
  await expect(upload.put({ ...part, body: Buffer.from("evil") })).rejects.toMatchObject({ code: "TR-4006" });
  await upload.put({ ...part, body: Buffer.from("fine"), sha256: sha256(Buffer.from("fine")) });
  expect(await upload.complete([await upload.put({ ...part, body })])).toBe("stored");
  expect(Buffer.from((await store.get("once", "d/again", 10)) ?? []).toString()).toBe("good");
});

test("a key that was taken meanwhile keeps what it has, and a completion made again says that the key exists", async () => {
  const [first, second] = [await begin("d/twice"), await begin("d/twice")];
  const parts = await send(first);
  const others = await send(second);
  expect(await first.complete(parts)).toBe("stored");
  expect(await second.complete(others)).toBe("exists");
  expect(await first.complete(parts)).toBe("exists");
  await second.abort();
});

test("an upload goes on where it is known by its id alone", async () => {
  const options = { bucket: "once", key: "d/goes-on", ifAbsent: true };
  const { id } = await store.startUpload(options);
  const again = store.upload(options, id);
  expect(again.id).toBe(id);
  expect(await again.complete(await send(again))).toBe("stored");
});

test("an upload that is aborted leaves nothing, also when it is aborted twice", async () => {
  const before = await folders();
  const upload = await begin("d/aborted");
  const parts = await send(upload);
  expect((await folders()).length).toBe(before.length + 1);
  await upload.abort();
  await upload.abort();
  expect(await folders()).toEqual(before);
  expect(await upload.complete(parts)).toBe("exists");
  expect(await store.head("once", "d/aborted")).toBeUndefined();
});

test("a bucket that is written once refuses a completion without the condition, and a reader begins none", async () => {
  const upload = await begin("d/unconditional", false);
  await expect(upload.complete(await send(upload))).rejects.toMatchObject({ code: "TR-4008" });
  await upload.abort();
  const options = { bucket: "once", key: "d/refused", ifAbsent: true };
  await expect(refused.startUpload(options)).rejects.toMatchObject({ code: "TR-4008" });
});

test("an abort of the caller ends what is on its way, and the upload can still be thrown away", async () => {
  const abort = new AbortController();
  const upload = await store.startUpload({ bucket: "once", key: "d/left", ifAbsent: true, signal: abort.signal });
  abort.abort(new Error("lease lost"));
  const body = Buffer.from("x");
  await expect(upload.put({ number: 1, body, bytes: 1, sha256: sha256(body) })).rejects.not.toMatchObject({
    code: "TR-4006",
  });
  await upload.abort();
  expect(await folders()).toEqual([]);
});
