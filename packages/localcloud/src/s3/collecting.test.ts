/** What a collector of garbage does to the endpoint, with the client that services use: pages, many deletions, uploads given up. */
import { CreateMultipartUploadCommand, UploadPartCommand } from "@aws-sdk/client-s3";
import { ObjectStore } from "@trace/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bench, objectPath, owner, sdkClient, send, startBench } from "../testing/s3bench.ts";
import type { S3Credential } from "./access.ts";

/** As the dispatcher of a local stack: reads, lists, deletes and gives uploads up, and puts nothing. */
const collector: S3Credential = {
  accessKeyId: "COLLECTORKEY",
  secretAccessKey: "collector-secret-of-the-tests",
  grants: [{ bucket: "files", actions: ["AbortMultipartUpload", "DeleteObject", "GetObject", "ListBucket"] }],
};
/** As a worker: puts and reads, and neither lists nor deletes. */
const writer: S3Credential = {
  accessKeyId: "WRITERKEY",
  secretAccessKey: "writer-secret-of-the-tests",
  grants: [{ bucket: "files", actions: ["GetObject", "PutObject"] }],
};

let bench: Bench;
let store: ObjectStore;
let other: ObjectStore;
const storeOf = ({ accessKeyId, secretAccessKey }: S3Credential) =>
  new ObjectStore({
    endpoint: `http://127.0.0.1:${bench.endpoint.port}`,
    region: "eu-central-1",
    credentials: { accessKeyId, secretAccessKey },
  });

beforeAll(async () => {
  bench = await startBench({ credentials: [owner, collector, writer] });
  store = storeOf(collector);
  other = storeOf(writer);
});
afterAll(async () => {
  await store.stop();
  await other.stop();
  await bench.stop();
});

async function put(key: string, body = key): Promise<void> {
  expect((await send(bench.endpoint, { method: "PUT", path: objectPath("files", key), body })).status).toBe(200);
}

async function keysUnder(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for (let after: string | undefined; ; after = keys.at(-1)) {
    const page = await store.list({ bucket: "files", prefix, after, max: 2 });
    keys.push(...page.objects.map(({ key }) => key));
    if (!page.more) return keys;
  }
}

test("objects are listed in pages by key, with their sizes and times, and only those under the prefix", async () => {
  for (const key of ["l/a", "l/a/b", "l/a0", "l/é", "l/<&>", "m/x"]) await put(key);
  expect(await keysUnder("l/")).toEqual(["l/<&>", "l/a", "l/a/b", "l/a0", "l/é"]);
  const { objects } = await store.list({ bucket: "files", prefix: "l/é" });
  expect(objects).toMatchObject([{ key: "l/é", bytes: 4 }]);
  expect(Math.abs((objects[0]?.modifiedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  expect(await store.list({ bucket: "files", prefix: "nothing/" })).toEqual({ objects: [], more: false });
});

test("many are deleted by one call, those that are gone already too, and the others stay", async () => {
  for (const key of ["d/a", "d/b", "d/<&>"]) await put(key);
  await store.deleteMany("files", ["d/a", "d/<&>", "d/never"]);
  expect(await keysUnder("d/")).toEqual(["d/b"]);
  await store.deleteMany("files", ["d/a"]);
});

test("an upload in parts that nobody finished is listed under its prefix and given up, once and again", async () => {
  const client = sdkClient(bench.endpoint);
  const upload = { Bucket: "files", Key: "u/a.parquet" };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(upload));
  await client.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body: "part" }));
  await client.send(new CreateMultipartUploadCommand({ ...upload, Key: "v/b.parquet" }));
  const { uploads, more } = await store.listUploads("files", "u/");
  expect({ uploads, more }).toEqual({ uploads: [{ key: "u/a.parquet", uploadId: UploadId }], more: false });
  for (const one of [...uploads, ...uploads]) await store.abortUpload("files", one);
  expect((await store.listUploads("files", "u/")).uploads).toEqual([]);
  expect((await store.listUploads("files", "v/")).uploads).toHaveLength(1);
});

test("whoever may neither list nor delete is refused, and nothing is gone", async () => {
  await put("w/a");
  await expect(other.deleteMany("files", ["w/a"])).rejects.toMatchObject({ code: "TR-4008" });
  await expect(other.list({ bucket: "files", prefix: "w/" })).rejects.toMatchObject({ code: "TR-4008" });
  await expect(other.listUploads("files", "w/")).rejects.toMatchObject({ code: "TR-4008" });
  expect(await keysUnder("w/")).toEqual(["w/a"]);
});
