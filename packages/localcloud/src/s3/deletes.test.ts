/** Many keys deleted by one request: each for itself. */
import { createHash } from "node:crypto";
import { DeleteObjectsCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bench, objectPath, owner, sdkClient, send, startBench } from "../testing/s3bench.ts";
import type { S3Credential } from "./access.ts";
import { escapeXml } from "./xml.ts";

/** As the worker of a local stack: reads and writes both buckets, deletes nothing. */
const worker: S3Credential = {
  accessKeyId: "WORKERKEY",
  secretAccessKey: "worker-secret-of-the-tests",
  grants: ["files", "once"].map((bucket) => ({ bucket, actions: ["GetObject", "PutObject"] })),
};
/** Deletes in one folder only. */
const sweeper: S3Credential = {
  accessKeyId: "SWEEPERKEY",
  secretAccessKey: "sweeper-secret-of-the-tests",
  grants: [{ bucket: "files", actions: ["DeleteObject"], prefix: "old/" }],
};
const stranger: S3Credential = {
  accessKeyId: "STRANGERKEY",
  secretAccessKey: "stranger-secret-of-the-tests",
  grants: [],
};

let bench: Bench;
beforeAll(async () => {
  bench = await startBench({ credentials: [owner, worker, sweeper, stranger] });
});
afterAll(() => bench.stop());

async function put(...keys: string[]): Promise<void> {
  for (const key of keys) {
    const path = objectPath("files", key);
    expect((await send(bench.endpoint, { method: "PUT", path, body: key })).status).toBe(200);
  }
}
const exists = async (key: string, bucket = "files") =>
  (await send(bench.endpoint, { method: "HEAD", path: objectPath(bucket, key) })).status === 200;

function remove(body: string, headers: Record<string, string> = {}, credential = owner, bucket = "files") {
  const md5 = createHash("md5").update(body).digest("base64");
  const call = { method: "POST", path: `/${bucket}`, query: { delete: "" }, body };
  return send(bench.endpoint, { ...call, headers: { "content-md5": md5, ...headers } }, { credential });
}
const listOf = (...keys: string[]) =>
  `<Delete>${keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join("")}</Delete>`;

test("the vendor's client deletes present and missing keys alike, whatever their characters", async () => {
  const keys = ["d/a", "d/a/b", "d/<&>'\"", "d/ é\r\n\t", "d/../x", "d//"];
  await put(...keys);
  const answer = await sdkClient(bench.endpoint).send(
    new DeleteObjectsCommand({ Bucket: "files", Delete: { Objects: [...keys, "d/missing"].map((Key) => ({ Key })) } }),
  );
  expect(answer.Errors).toBeUndefined();
  expect(answer.Deleted?.map(({ Key }) => Key)).toEqual([...keys, "d/missing"]);
  for (const key of keys) expect(await exists(key)).toBe(false);
});

test("quiet mode tells errors only; one key's refusal leaves the others done", async () => {
  await put("old/a", "old/b", "new/a");
  const body = listOf("old/a", "new/a", "old/b", "k".repeat(1_025)).replace("<Delete>", "<Delete><Quiet>true</Quiet>");
  const answer = await remove(body, {}, sweeper);
  expect(answer.status).toBe(200);
  const text = answer.body.toString();
  expect(text).not.toContain("<Deleted>");
  expect(
    [...text.matchAll(/<Error><Key>(.*?)<\/Key><Code>(.*?)<\/Code>/g)].map(([, key, code]) => [key?.slice(0, 5), code]),
  ).toEqual([
    ["new/a", "AccessDenied"],
    ["kkkkk", "AccessDenied"],
  ]);
  expect([await exists("old/a"), await exists("old/b"), await exists("new/a")]).toEqual([false, false, true]);
});

test("an ETag names the content that may be deleted; a version is none that is kept", async () => {
  await put("e/1", "e/2", "e/3");
  const etag = createHash("md5").update("e/1").digest("hex");
  const members = ["e/1", "e/2"].map((key) => `<Object><Key>${key}</Key><ETag>"${etag}"</ETag></Object>`);
  const version = "<Object><Key>e/3</Key><VersionId>x</VersionId></Object>";
  const answer = await remove(`<Delete>${members.join("")}${version}</Delete>`);
  const text = answer.body.toString();
  expect(text).toContain("<Deleted><Key>e/1</Key></Deleted>");
  expect(text).toContain("<Key>e/2</Key><Code>PreconditionFailed</Code>");
  expect(text).toContain("<Key>e/3</Key><Code>NoSuchVersion</Code>");
  expect([await exists("e/1"), await exists("e/2"), await exists("e/3")]).toEqual([false, true, true]);
});

test("1,000 keys are the most", async () => {
  const keys = Array.from({ length: 1_001 }, (_, i) => `many/${i}`);
  await put("many/7", "many/1000");
  expect(await remove(listOf(...keys))).toMatchObject({ status: 400, code: "MalformedXML" });
  expect(await exists("many/7")).toBe(true);
  const answer = await remove(listOf(...keys.slice(0, 1_000)));
  expect(answer.body.toString().match(/<Deleted>/g)?.length).toBe(1_000);
  expect([await exists("many/7"), await exists("many/1000")]).toEqual([false, true]);
});

test.each<[string, string, Record<string, string>, string]>([
  ["no XML", "", {}, "MalformedXML"],
  ["an empty list", "<Delete></Delete>", {}, "MalformedXML"],
  ["another root", "<Remove/>", {}, "MalformedXML"],
  ["an object without key", "<Delete><Object/></Delete>", {}, "MalformedXML"],
  ["a body that changed on its way", listOf("stays"), { "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==" }, "BadDigest"],
])("%s deletes nothing", async (_, body, headers, code) => {
  await put("stays");
  expect(await remove(body, headers)).toMatchObject({ status: 400, code });
  expect(await exists("stays")).toBe(true);
});

test("a list without a digest deletes nothing", async () => {
  await put("stays");
  const call = { method: "POST", path: "/files", query: { delete: "" }, body: listOf("stays") };
  expect(await send(bench.endpoint, call)).toMatchObject({ status: 400, code: "InvalidRequest" });
  expect(await exists("stays")).toBe(true);
});

test("a worker's key writes once and deletes nothing, by no way", async () => {
  const as = { credential: worker };
  const call = { path: "/once/part", body: "written once" };
  const once = { ...call, method: "PUT", headers: { "if-none-match": "*" } };
  expect((await send(bench.endpoint, once, as)).status).toBe(200);
  expect((await send(bench.endpoint, once, as)).code).toBe("PreconditionFailed");
  expect((await send(bench.endpoint, { ...call, method: "PUT" }, as)).code).toBe("AccessDenied");
  const match = {
    ...call,
    method: "PUT",
    headers: { "if-match": `"${createHash("md5").update(call.body).digest("hex")}"` },
  };
  expect((await send(bench.endpoint, match, as)).code).toBe("AccessDenied");
  expect((await send(bench.endpoint, { method: "DELETE", path: "/once/part" }, as)).code).toBe("AccessDenied");
  const many = await remove(listOf("part", "missing"), {}, worker, "once");
  expect(many.body.toString().match(/<Code>AccessDenied<\/Code>/g)?.length).toBe(2);
  const presigned = { credential: worker, presign: 60 };
  expect((await send(bench.endpoint, { method: "DELETE", path: "/once/part" }, presigned)).code).toBe("AccessDenied");
  expect((await send(bench.endpoint, { ...call, method: "PUT" }, presigned)).code).toBe("AccessDenied");
  expect((await send(bench.endpoint, { method: "GET", path: "/once/part" })).body.toString()).toBe("written once");
});

test("a stranger is not told which buckets there are", async () => {
  for (const bucket of ["files", "nowhere"]) {
    expect(await remove(listOf("a"), {}, stranger, bucket)).toMatchObject({ status: 403, code: "AccessDenied" });
  }
});
