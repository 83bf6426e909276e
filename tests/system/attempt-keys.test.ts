/**
 * Who may write to the datasets bucket of a stack: an attempt with its own keys, below its own prefixes, for as long as it
 * holds its lease and a while longer. The worker's own key, another attempt's and made-up ones are tried with the client
 * of AWS itself, and beside what is refused stands what is allowed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import type { ClaimedTask } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { datasetsBucket as Bucket } from "./harness/access.ts";
import { makeParquet, readFiles, resolve } from "./harness/reader.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { deploy, runToEnd } from "./harness/work.ts";
import { ByHand, placeOf } from "./refusals-byhand.ts";
import { expectTold, objectFiles, refusalOf } from "./refusals-traces.ts";

const outputs = 60;
const source = mkdtempSync(join(tmpdir(), "trace-attempt-keys-"));
let stack: RunningStack;
let byHand: ByHand;
let parquet: Buffer;
const clients: S3Client[] = [];

beforeAll(async () => {
  writeFileSync(join(source, "one.csv"), "n\n1\n");
  stack = await startStack({ roots: [source] });
  parquet = (await makeParquet("select 1 as one")).bytes;
});
afterAll(async () => {
  for (const client of clients) client.destroy();
  await stack?.stop();
  rmSync(source, { recursive: true, force: true });
});
beforeEach(async () => {
  byHand = await ByHand.open(stack.access);
});
afterEach(() => byHand.stop());
afterEach((context) => tellIfFailed(context, stack?.folder));

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

function clientWith(credentials: Keys): S3Client {
  const { s3: endpoint } = stack.access.endpoints;
  const client = new S3Client({ endpoint, region: "us-east-1", credentials, forcePathStyle: true, maxAttempts: 1 });
  clients.push(client);
  return client;
}

const workersKey = (): Keys => ({ accessKeyId: "TRACEWORKER", secretAccessKey: stack.folder.secret("s3-worker") });

/** The keys of an attempt with one output. */
async function keysOf(claimed: ClaimedTask): Promise<Keys> {
  const [keys, ...more] = await stack.access.attemptKeys(claimed.lease_token);
  if (keys === undefined || more.length > 0) throw new Error("not one set of keys");
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = keys;
  return { accessKeyId, secretAccessKey, sessionToken };
}

async function s3ErrorOf(call: Promise<unknown>): Promise<{ status: number | undefined; name: string }> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error;
    return { status: error.$metadata.httpStatusCode, name: error.name };
  }
  throw new Error("S3 did not refuse");
}

const denied = { status: 403, name: "AccessDenied" };
const exists = { status: 412, name: "PreconditionFailed" };
const once = { IfNoneMatch: "*" } as const;

/** An upload that the attempt began and could complete. */
async function beginUpload(attempt: S3Client, Key: string) {
  const { UploadId } = await attempt.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const upload = { Bucket, Key, UploadId };
  const { ETag } = await attempt.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: "rows" }));
  return { upload, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } };
}

test("the worker's own key reads, and can neither put, complete an upload, copy into nor delete in the datasets bucket", async () => {
  const claimed = await byHand.claim("own_dag", "own_out");
  const attempt = clientWith(await keysOf(claimed));
  const { prefix } = placeOf(claimed);
  const { upload, MultipartUpload } = await beginUpload(attempt, `${prefix}parts`);
  const Key = await byHand.commit(claimed, parquet);
  const worker = clientWith(workersKey());
  const before = objectFiles(stack.folder.dir).datasets;
  const fresh = { Bucket, Key: `${prefix}fresh` };
  const CopySource = `${Bucket}/${Key}`;
  const tries: Record<string, () => Promise<unknown>> = {
    put: () => worker.send(new PutObjectCommand({ ...fresh, ...once, Body: "evil" })),
    "put elsewhere": () => worker.send(new PutObjectCommand({ Bucket, ...once, Key: "evil", Body: "evil" })),
    overwrite: () => worker.send(new PutObjectCommand({ Bucket, Key, Body: "evil" })),
    "overwrite with a condition": () => worker.send(new PutObjectCommand({ Bucket, Key, ...once, Body: "evil" })),
    copy: () => worker.send(new CopyObjectCommand({ ...fresh, ...once, CopySource })),
    "begin an upload": () => worker.send(new CreateMultipartUploadCommand(fresh)),
    "send a part": () => worker.send(new UploadPartCommand({ ...upload, PartNumber: 2, Body: "evil" })),
    "copy a part": () => worker.send(new UploadPartCopyCommand({ ...upload, PartNumber: 2, CopySource })),
    complete: () => worker.send(new CompleteMultipartUploadCommand({ ...upload, ...once, MultipartUpload })),
    abort: () => worker.send(new AbortMultipartUploadCommand(upload)),
    delete: () => worker.send(new DeleteObjectCommand({ Bucket, Key })),
    list: () => worker.send(new ListObjectsV2Command({ Bucket, Prefix: prefix })),
  };
  for (const [what, attack] of Object.entries(tries)) expect([what, await s3ErrorOf(attack())]).toEqual([what, denied]);
  const many = await worker.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key }] } }));
  expect(many.Errors).toMatchObject([{ Key, Code: "AccessDenied" }]);
  expect(objectFiles(stack.folder.dir).datasets).toEqual(before);
  const whole = await worker.send(new GetObjectCommand({ Bucket, Key }));
  expect(Buffer.from((await whole.Body?.transformToByteArray()) ?? [])).toEqual(parquet);
  // It was the key that was refused: the attempt's own completes the upload.
  await attempt.send(new CompleteMultipartUploadCommand({ ...upload, ...once, MultipartUpload }));
});

test("an attempt's keys write below its prefix and nowhere beside it, and never again what is stored", async () => {
  const other = await byHand.claim("beside_dag", "beside_out");
  const theirs = await byHand.commit(other, parquet);
  const claimed = await byHand.claim("inside_dag", "inside_out");
  const keys = await keysOf(claimed);
  const attempt = clientWith(keys);
  const { prefix } = placeOf(claimed);
  const Key = await byHand.commit(claimed, parquet);
  const { upload, MultipartUpload } = await beginUpload(attempt, Key);
  const before = objectFiles(stack.folder.dir).datasets;
  const beside = [
    prefix.slice(0, -1),
    `${prefix.slice(0, -1)}x/a`,
    `${prefix.split("/").slice(0, 2).join("/")}/a`,
    `/${prefix}a`,
    `${placeOf(other).prefix}late`,
    theirs,
    "a",
  ];
  for (const key of beside) {
    const put = attempt.send(new PutObjectCommand({ Bucket, Key: key, ...once, Body: "evil" }));
    expect([key, await s3ErrorOf(put)]).toEqual([key, denied]);
    const copy = attempt.send(new CopyObjectCommand({ Bucket, Key: key, ...once, CopySource: `${Bucket}/${Key}` }));
    expect([key, await s3ErrorOf(copy)]).toEqual([key, denied]);
    const begin = attempt.send(new CreateMultipartUploadCommand({ Bucket, Key: key }));
    expect([key, await s3ErrorOf(begin)]).toEqual([key, denied]);
  }
  const own = { Bucket, Key };
  const CopySource = `${Bucket}/${prefix}manifest.json`;
  const again: Record<string, [() => Promise<unknown>, object]> = {
    put: [() => attempt.send(new PutObjectCommand({ ...own, ...once, Body: "evil" })), exists],
    "put without a condition": [() => attempt.send(new PutObjectCommand({ ...own, Body: "evil" })), denied],
    copy: [() => attempt.send(new CopyObjectCommand({ ...own, ...once, CopySource })), exists],
    "copy without a condition": [() => attempt.send(new CopyObjectCommand({ ...own, CopySource })), denied],
    complete: [() => attempt.send(new CompleteMultipartUploadCommand({ ...upload, ...once, MultipartUpload })), exists],
    "complete without a condition": [
      () => attempt.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload })),
      denied,
    ],
    delete: [() => attempt.send(new DeleteObjectCommand(own)), denied],
    list: [() => attempt.send(new ListObjectsV2Command({ Bucket, Prefix: prefix })), denied],
    "read another's": [() => attempt.send(new GetObjectCommand({ Bucket, Key: theirs })), denied],
  };
  for (const [what, [attack, refusal]] of Object.entries(again)) {
    expect([what, await s3ErrorOf(attack())]).toEqual([what, refusal]);
  }
  expect(objectFiles(stack.folder.dir).datasets).toEqual(before);
});

test("keys are worth nothing without their token, with another's, or with a token that was changed, and their end is recorded", async () => {
  const claimed = await byHand.claim("token_dag", "token_out");
  const other = await byHand.claim("token2_dag", "token2_out");
  const keys = await keysOf(claimed);
  const theirs = await keysOf(other);
  const token = keys.sessionToken ?? "";
  const Key = `${placeOf(claimed).prefix}a`;
  const put = (credentials: Keys) =>
    clientWith(credentials).send(new PutObjectCommand({ Bucket, Key, ...once, Body: "evil" }));
  const { accessKeyId, secretAccessKey } = keys;
  const middle = Math.floor(token.length / 2);
  const changed = `${token.slice(0, middle)}${token[middle] === "A" ? "B" : "A"}${token.slice(middle + 1)}`;
  for (const wrong of [
    { accessKeyId, secretAccessKey },
    { ...theirs, sessionToken: token },
    { ...keys, sessionToken: theirs.sessionToken ?? "" },
    { ...keys, sessionToken: changed },
    { ...keys, secretAccessKey: theirs.secretAccessKey },
    { ...keys, secretAccessKey: workersKey().secretAccessKey },
    { ...workersKey(), sessionToken: token },
  ]) {
    const { status } = await s3ErrorOf(put(wrong));
    expect(status === 400 || status === 403, String(status)).toBe(true);
  }
  expect(await s3ErrorOf(put(theirs))).toEqual(denied);
  await put(keys);
  const [{ expires_at = "" } = {}] = await stack.access.attemptKeys(claimed.lease_token);
  const [row] = await stack.access.sql<{ ends: boolean }>(
    `select bool_and($2::timestamptz <= s.write_until + interval '1 second'
                     and s.write_until <= l.deadline + interval '15 minutes') as ends
       from staging s join leases l using (lease_no) where s.lease_no = $1`,
    [claimed.lease_no, expires_at],
  );
  expect(row).toEqual({ ends: true });
});

test("whoever lost the lease gets no other keys, and those of the next attempt open another prefix", async () => {
  const claimed = await byHand.claim("lost_dag", "lost_out");
  await stack.access.attemptKeys(claimed.lease_token);
  await byHand.complete(claimed.lease_token, { kind: "snooze", delay_ms: 0 });
  expectTold(await refusalOf(stack.access.attemptKeys(claimed.lease_token)), "TR-3001");
  const again = await byHand.claimTask(claimed.task_id);
  expect(placeOf(again).prefix).not.toBe(placeOf(claimed).prefix);
  expectTold(await refusalOf(stack.access.attemptKeys(claimed.lease_token)), "TR-3001");
  const put = new PutObjectCommand({ Bucket, Key: `${placeOf(claimed).prefix}late`, ...once, Body: "evil" });
  expect(await s3ErrorOf(clientWith(await keysOf(again)).send(put))).toEqual(denied);
  await byHand.giveUp(again.lease_token);
});

test("no other signature can do anything, and a link reads one object", async () => {
  const Key = await byHand.commit(await byHand.claim("s3_dag", "s3_out"), parquet);
  const before = objectFiles(stack.folder.dir).datasets;
  const { secretAccessKey: secret } = workersKey();
  const forged = `${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`;
  for (const [credentials, name] of [
    [{ ...workersKey(), secretAccessKey: forged }, "SignatureDoesNotMatch"],
    [{ ...workersKey(), accessKeyId: "TRACENOBODY" }, "InvalidAccessKeyId"],
  ] as const) {
    const client = clientWith(credentials);
    const put = new PutObjectCommand({ Bucket, Key: `${Key}.new`, ...once, Body: "evil" });
    expect(await s3ErrorOf(client.send(new GetObjectCommand({ Bucket, Key })))).toEqual({ status: 403, name });
    expect(await s3ErrorOf(client.send(put))).toEqual({ status: 403, name });
    expect(await s3ErrorOf(client.send(new DeleteObjectCommand({ Bucket, Key })))).toEqual({ status: 403, name });
  }
  const url = `${stack.access.endpoints.s3}/${Bucket}/${Key}`;
  for (const [method, body] of [
    ["GET", null],
    ["PUT", "evil"],
    ["DELETE", null],
  ] as const) {
    const answer = await fetch(url, { method, body, headers: method === "PUT" ? { "if-none-match": "*" } : {} });
    expect([method, answer.status]).toEqual([method, 403]);
    expect(await answer.text()).toContain("<Code>AccessDenied</Code>");
  }
  const link = (await resolve(stack.access, "s3_out")).files[0]?.url ?? "";
  expect((await fetch(link)).status).toBe(200);
  const changed = [link.replace("good.parquet", "manifest.json"), link.replace(/Expires=\d+/, "Expires=604800")];
  for (const other of changed) expect((await fetch(other)).status).toBe(403);
  for (const method of ["PUT", "DELETE"]) expect((await fetch(link, { method })).status).toBe(403);
  expect(objectFiles(stack.folder.dir).datasets).toEqual(before);
});

test(`a job with ${outputs} outputs writes them all with keys of its attempt, more than one policy can name`, async () => {
  const named = Array.from({ length: outputs }, (_, n) => {
    return n === 0 ? "      - wide_0" : `      - { dataset: wide_${n}, sql: "select n + ${n} as n from source" }`;
  });
  await deploy(
    stack.access,
    `dag: wide\njobs:\n  all:\n    operator: ingest\n    source: { file: ${join(source, "one.csv")} }\n    outputs:\n${named.join("\n")}\n`,
  );
  expect(await runToEnd(stack.access, "wide", 120_000)).toMatchObject({ state: "completed" });
  for (const n of [0, 21, 22, 43, 44, outputs - 1]) {
    const { files } = await resolve(stack.access, `wide_${n}`);
    expect(await readFiles(files, "select n::int as n from data")).toEqual([{ n: n + 1 }]);
  }
  const [row] = await stack.access.sql(
    "select count(distinct dataset_id)::int as datasets from datasets where name like 'wide\\_%'",
  );
  expect(row).toEqual({ datasets: outputs });
});
