/** What the doctor tries at a store and reads of a Postgres: with the embedded S3, right and wrong. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { ObjectStore, silentLog } from "@trace/kit";
import { S3Endpoint } from "@trace/localcloud";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ports, triedStore } from "./local.ts";
import { judgeSettings, type PostgresSettings } from "./postgres.ts";
import { storeRights } from "./store.ts";

const key = "doctor/one";
const bucket = "trace-datasets";
const accessKeys = { worker: "TRACEWORKER", dispatcher: "TRACEDISPATCHER" } as const;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-doctor-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Action = "GetObject" | "PutObject" | "DeleteObject" | "ListBucket";

interface Rights {
  readonly writeOnce: boolean;
  readonly worker: readonly Action[];
  readonly dispatcher: readonly Action[];
}

let stores = 0;

/** What is found at a store with these rights, by name; and what is left in it. */
async function found(rights: Rights): Promise<{ byName: Record<string, string>; left: boolean }> {
  const credentials = (["worker", "dispatcher"] as const).map((role) => ({
    accessKeyId: accessKeys[role],
    secretAccessKey: `secret-of-${role}-0123456789`,
    grants: [{ bucket, actions: [...rights[role]] }],
  }));
  const endpoint = new S3Endpoint({
    root: join(folder, `${++stores}`),
    host: "127.0.0.1",
    port: 0,
    buckets: [{ name: bucket, requireIfNoneMatch: rights.writeOnce }],
    credentials,
    log: silentLog(),
  });
  await endpoint.start();
  const open = (role: keyof typeof accessKeys) =>
    new ObjectStore({
      endpoint: `http://127.0.0.1:${endpoint.port}`,
      region: "us-east-1",
      credentials: { accessKeyId: accessKeys[role], secretAccessKey: `secret-of-${role}-0123456789` },
      triesMax: 1,
    });
  const [worker, dispatcher] = [open("worker"), open("dispatcher")];
  try {
    const findings = await storeRights({ worker: triedStore(worker), dispatcher: triedStore(dispatcher) }, key);
    const left = (await dispatcher.head(bucket, key)) !== undefined;
    return { byName: Object.fromEntries(findings.map(({ name, status }) => [name, status])), left };
  } finally {
    await Promise.all([worker.stop(), dispatcher.stop()]);
    await endpoint.stop();
  }
}

const right: Rights = {
  writeOnce: true,
  worker: ["GetObject"],
  dispatcher: ["GetObject", "DeleteObject", "ListBucket"],
};

test.each([
  ["as the stack gives them", ["GetObject"]],
  ["of a worker that writes itself", ["GetObject", "PutObject"]],
] as const)("rights %s are well, and nothing stays behind", async (_, worker) => {
  expect(await found({ ...right, worker })).toEqual({
    byName: { "s3 overwrite": "ok", "s3 put": "ok", "s3 delete": "ok", "s3 collect": "ok" },
    left: false,
  });
});

test("a bucket that takes a put without a condition fails, and is left clean", async () => {
  const { byName, left } = await found({ ...right, writeOnce: false, worker: ["GetObject", "PutObject"] });
  expect([byName["s3 overwrite"], left]).toEqual(["fail", false]);
});

test("a worker that can delete fails", async () => {
  expect((await found({ ...right, worker: ["GetObject", "PutObject", "DeleteObject"] })).byName).toMatchObject({
    "s3 delete": "fail",
    "s3 collect": "ok",
  });
});

test("a dispatcher that cannot delete fails: garbage would stay", async () => {
  expect((await found({ ...right, dispatcher: ["GetObject", "ListBucket"] })).byName).toMatchObject({
    "s3 collect": "fail",
  });
});

test("a store that does not answer is no refusal", async () => {
  const away = () => Promise.reject(new TraceError("TR-4006", { detail: "away" }));
  const store = { put: away, delete: away };
  await expect(storeRights({ worker: store, dispatcher: store }, key)).rejects.toMatchObject({ code: "TR-4006" });
});

const safe: PostgresSettings = {
  server_version: "18.4",
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  data_checksums: "on",
};

test.each([
  [{}, "ok", undefined],
  [{ fsync: "off" }, "fail", "fsync = on"],
  [{ full_page_writes: "off", fsync: "off" }, "fail", "fsync = on, full_page_writes = on"],
  [{ synchronous_commit: "off" }, "fail", "synchronous_commit = on"],
  [{ synchronous_commit: "local" }, "ok", undefined],
  [{ data_checksums: "off" }, "warn", "pg_checksums"],
  [{ server_version: "15.9 (Debian)" }, "fail", "upgrade"],
] as const)("settings with %j are judged %s", (changes, status, fix) => {
  const finding = judgeSettings({ ...safe, ...changes });
  expect(finding.status).toBe(status);
  if (fix === undefined) expect(finding.fix).toBeUndefined();
  else expect(finding.fix).toContain(fix);
});

test("ports that others use are named, and no failure", async () => {
  expect(await ports(() => Promise.resolve(false))).toMatchObject({ status: "ok" });
  const taken = await ports((port) => Promise.resolve(port === 7410));
  expect(taken).toMatchObject({ status: "warn", detail: "in use by another program: 7410" });
});
