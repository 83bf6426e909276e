/** What the keys of a stack open, tried at the endpoint that knows them, with the clients that roles use. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { folderPolicy, ObjectStore, type SessionPolicy, silentLog, TokenService } from "@trace/kit";
import { S3Endpoint, StateFolder } from "@trace/localcloud";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buckets, type StackSecrets, stackSecrets, stagingRoleArn } from "./secrets.ts";

const dir = mkdtempSync(join(tmpdir(), "trace-secrets-"));
let folder: StateFolder;
let secrets: StackSecrets;
let endpoint: S3Endpoint;
let url: string;
/** How far the endpoint's clock has gone ahead of the tests', milliseconds. */
let aheadMs = 0;
const region = "us-east-1";
const opened: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  folder = await StateFolder.open({ dir: join(dir, "state"), command: "test" });
  secrets = stackSecrets(folder);
  const read = (name: string) => JSON.parse(readFileSync(join(folder.dir, "secrets", name), "utf8"));
  endpoint = new S3Endpoint({
    root: join(dir, "objects"),
    host: "127.0.0.1",
    port: 0,
    buckets: [{ name: buckets.datasets, requireIfNoneMatch: true }, { name: buckets.scratch }],
    credentials: read("s3-credentials"),
    sessions: read("s3-sessions"),
    clock: { nowMs: () => Date.now() + aheadMs },
    log: silentLog(),
  });
  await endpoint.start();
  url = `http://127.0.0.1:${endpoint.port}`;
});
afterAll(async () => {
  await Promise.all(opened.map((service) => service.stop()));
  await endpoint.stop();
  await folder.close();
  rmSync(dir, { recursive: true, force: true });
});

function tokens(credentials: StackSecrets["dispatcher"]): TokenService {
  const service = new TokenService({ endpoint: url, region, credentials, triesMax: 1 });
  opened.push(service);
  return service;
}

async function staging(policy: SessionPolicy): Promise<ObjectStore> {
  const request = { roleArn: stagingRoleArn, sessionName: "task-1", seconds: 900, policy };
  const credentials = await tokens(secrets.dispatcher).assumeRole(request);
  const store = new ObjectStore({ endpoint: url, region, credentials, triesMax: 1 });
  opened.push(store);
  return store;
}

function ownStore(): ObjectStore {
  const store = new ObjectStore({ endpoint: url, region, credentials: secrets.worker, triesMax: 1 });
  opened.push(store);
  return store;
}

const body = Buffer.from("rows");
const sha256 = createHash("sha256").update(body).digest("hex");
const put = (store: ObjectStore, bucket: string, key: string) =>
  store.put({ bucket, key, body, bytes: body.length, sha256, ifAbsent: true });
const refused = { code: "TR-4008" };

describe("keys for one attempt", () => {
  const writes = ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"] as const;

  test("write and read in its folders, and nowhere else", async () => {
    const folders = [buckets.datasets, buckets.scratch].map((bucket) => ({ bucket, prefix: "o/attempt1/" }));
    const store = await staging(folderPolicy(writes, folders));
    for (const bucket of Object.values(buckets)) {
      expect(await put(store, bucket, "o/attempt1/a")).toBe("stored");
      expect(Buffer.from((await store.get(bucket, "o/attempt1/a", 10)) ?? []).toString()).toBe("rows");
      for (const key of ["o/attempt12/a", "o/a", "o/attempt1"]) {
        await expect(put(store, bucket, key)).rejects.toMatchObject(refused);
      }
    }
  });

  test("delete and list nothing, whatever they were given: the role does not", async () => {
    const everything = { Effect: "Allow", Action: "s3:*", Resource: "*" } as const;
    const store = await staging({ Version: "2012-10-17", Statement: [everything] });
    expect(await put(store, buckets.datasets, "o/whole/a")).toBe("stored");
    await expect(store.delete(buckets.datasets, "o/whole/a")).rejects.toMatchObject(refused);
    await expect(store.list({ bucket: buckets.datasets, prefix: "o/whole/" })).rejects.toMatchObject(refused);
    expect(await store.head(buckets.datasets, "o/whole/a")).toMatchObject({ bytes: 4 });
  });

  test("end with their time, and what they stored stays", async () => {
    const folders = [{ bucket: buckets.datasets, prefix: "o/ended/" }];
    try {
      // Neither is further from the clock that calls are signed by than a signature may be.
      aheadMs = -10 * 60_000;
      const store = await staging(folderPolicy(writes, folders));
      expect(await put(store, buckets.datasets, "o/ended/a")).toBe("stored");
      aheadMs = 4 * 60_000;
      expect(await put(store, buckets.datasets, "o/ended/b")).toBe("stored");
      aheadMs = 6 * 60_000;
      for (const key of ["o/ended/a", "o/ended/c"]) {
        await expect(put(store, buckets.datasets, key)).rejects.toMatchObject(refused);
      }
      const upload = store.startUpload({ bucket: buckets.datasets, key: "o/ended/d", ifAbsent: true });
      await expect(upload).rejects.toMatchObject(refused);
    } finally {
      aheadMs = 0;
    }
    const own = ownStore();
    expect(await own.head(buckets.datasets, "o/ended/a")).toMatchObject({ bytes: 4 });
    await expect(put(own, buckets.datasets, "o/ended/c")).rejects.toMatchObject(refused);
  });

  test("for no folder open nothing", async () => {
    const store = await staging(folderPolicy(writes, []));
    await expect(put(store, buckets.datasets, "o/attempt1/b")).rejects.toMatchObject(refused);
  });

  test("are made by the dispatcher alone", async () => {
    const policy = folderPolicy(writes, [{ bucket: buckets.datasets, prefix: "o/" }]);
    const request = { roleArn: stagingRoleArn, sessionName: "task-1", seconds: 900, policy };
    await expect(tokens(secrets.worker).assumeRole(request)).rejects.toMatchObject(refused);
    await expect(tokens(secrets.dispatcher).assumeRole(request)).resolves.toHaveProperty("sessionToken");
  });
});

test("the worker's own key reads datasets and writes none, and writes to scratch", async () => {
  const own = ownStore();
  const at = { bucket: buckets.datasets, ifAbsent: true };
  for (const key of ["o/worker/a", "o/attempt1/b", "doctor/a"]) {
    await expect(put(own, buckets.datasets, key)).rejects.toMatchObject(refused);
    await expect(own.startUpload({ ...at, key })).rejects.toMatchObject(refused);
  }
  const store = await staging(folderPolicy(["s3:PutObject"], [{ bucket: buckets.datasets, prefix: "o/read/" }]));
  expect(await put(store, buckets.datasets, "o/read/a")).toBe("stored");
  expect(Buffer.from((await own.get(buckets.datasets, "o/read/a", 10)) ?? []).toString()).toBe("rows");
  for (const bucket of Object.values(buckets)) {
    await expect(own.delete(bucket, "o/read/a")).rejects.toMatchObject(refused);
    await expect(own.list({ bucket, prefix: "" })).rejects.toMatchObject(refused);
  }
  expect(await put(own, buckets.scratch, "logs/a")).toBe("stored");
});

test("what sessions are signed with stays the same from one start to the next, and is told to no role", () => {
  const signing = folder.secret("s3-session-signing");
  const again = stackSecrets(folder);
  expect(readFileSync(join(folder.dir, "secrets", "s3-sessions"), "utf8")).toContain(signing);
  expect(JSON.stringify(again)).not.toContain(signing);
});
