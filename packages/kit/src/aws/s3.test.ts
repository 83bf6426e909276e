/** The object store's client against a server that says what S3 says: which answer becomes which error. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ObjectStore } from "./s3.ts";

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

let server: Server;
let store: ObjectStore;
let endpoint: string;
let seen: Seen[];
let answer: { status: number; headers?: Record<string, string>; body?: string };

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  endpoint = `http://127.0.0.1:${port}`;
  store = newStore();
});
afterAll(async () => {
  await store.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  seen = [];
  answer = { status: 200 };
});

function newStore(): ObjectStore {
  const credentials = { accessKeyId: "AK", secretAccessKey: "very-secret" };
  return new ObjectStore({ endpoint, region: "us-east-1", credentials, triesMax: 1 });
}

const xml = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>because</Message></Error>`;
const body = Buffer.from("hello");
const sha256 = createHash("sha256").update(body).digest("hex");

function put(ifAbsent = true, to = store) {
  return to.put({ bucket: "b", key: "d/k.parquet", body, bytes: body.length, sha256, ifAbsent });
}

describe("put", () => {
  test("sends the checksum to be kept and the condition to be met", async () => {
    expect(await put()).toBe("stored");
    expect(seen[0]).toMatchObject({ method: "PUT", body: "hello" });
    expect(seen[0]?.url).toMatch(/^\/b\/d\/k\.parquet/);
    expect(seen[0]?.headers).toMatchObject({
      "if-none-match": "*",
      "x-amz-checksum-sha256": Buffer.from(sha256, "hex").toString("base64"),
      "content-length": "5",
    });
    await put(false);
    expect(seen[1]?.headers).not.toHaveProperty("if-none-match");
  });

  test("of a key that exists is told so and is no error", async () => {
    answer = { status: 412, body: xml("PreconditionFailed") };
    expect(await put()).toBe("exists");
  });
});

describe("range", () => {
  const part = { etag: '"e1"', start: 2, end: 5 };

  test("asks for these bytes of this version", async () => {
    answer = { status: 206, body: "llo", headers: { "content-range": "bytes 2-4/9" } };
    expect(Buffer.from((await store.range("b", "k", part)) ?? []).toString()).toBe("llo");
    expect(seen[0]?.headers).toMatchObject({ range: "bytes=2-4", "if-match": '"e1"' });
  });

  test.each([
    ["gone", 404, "NoSuchKey"],
    ["written anew", 412, "PreconditionFailed"],
    ["shorter", 416, "InvalidRange"],
  ])("of a version that is %s is undefined", async (_, status, code) => {
    answer = { status, body: xml(code) };
    expect(await store.range("b", "k", part)).toBeUndefined();
  });

  test("is refused when the store sends more than was asked for, and fails as any call does", async () => {
    answer = { status: 200, body: "hello hello" };
    await expect(store.range("b", "k", part)).rejects.toMatchObject({ code: "TR-4009" });
    answer = { status: 500, body: xml("InternalError") };
    await expect(store.range("b", "k", part)).rejects.toMatchObject({ code: "TR-4006" });
  });
});

describe("an answer", () => {
  test.each([
    [403, "AccessDenied", "TR-4008"],
    [403, "SignatureDoesNotMatch", "TR-4008"],
    [403, "RequestTimeTooSkewed", "TR-4006"],
    [400, "ExpiredToken", "TR-4008"],
    [409, "ConditionalRequestConflict", "TR-4006"],
    [500, "InternalError", "TR-4006"],
    [503, "SlowDown", "TR-4006"],
    [507, "InsufficientStorage", "TR-4007"],
  ])("of %i %s is %s, names the object and tells no secret", async (status, code, expected) => {
    answer = { status, body: xml(code) };
    const error = await put().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof TraceError)) throw new Error("no refusal");
    expect(error.code).toBe(expected);
    expect(error.where).toBe("PutObject s3://b/d/k.parquet");
    expect(`${error.message} ${error.why} ${error.fix}`).not.toContain("very-secret");
  });

  test("of nobody is TR-4006", async () => {
    const credentials = { accessKeyId: "a", secretAccessKey: "b" };
    const nobody = new ObjectStore({ endpoint: "http://127.0.0.1:1", region: "us-east-1", credentials, triesMax: 1 });
    await expect(nobody.head("b", "k")).rejects.toMatchObject({ code: "TR-4006" });
    await nobody.stop();
  });
});

test("a call refused for the time of day is in time when it is made again: the client learns the store's time", async () => {
  const storeMs = Date.now() + 6 * 3_600_000;
  answer = { status: 403, body: xml("RequestTimeTooSkewed"), headers: { date: new Date(storeMs).toUTCString() } };
  const own = newStore();
  await expect(put(true, own)).rejects.toMatchObject({ code: "TR-4006" });
  answer = { status: 200 };
  await put(true, own);
  await own.stop();
  const signed = String(seen[1]?.headers["x-amz-date"]).replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5");
  expect(Math.abs(Date.parse(signed) - storeMs)).toBeLessThan(60_000);
});

describe("head and get", () => {
  test("of what is not there are undefined", async () => {
    answer = { status: 404, body: xml("NoSuchKey") };
    expect(await store.head("b", "k")).toBeUndefined();
    expect(await store.get("b", "k", 10)).toBeUndefined();
  });

  test("tell size, and the checksum as hex when the store has one", async () => {
    const checksum = Buffer.from(sha256, "hex").toString("base64");
    answer = { status: 200, headers: { "content-length": "5", etag: '"x"', "x-amz-checksum-sha256": checksum } };
    expect(await store.head("b", "k")).toEqual({ bytes: 5, etag: '"x"', sha256 });
    expect(seen[0]?.headers["x-amz-checksum-mode"]).toBe("ENABLED");
    answer = { status: 200, headers: { "content-length": "5", etag: '"x"' } };
    expect((await store.head("b", "k"))?.sha256).toBeUndefined();
  });

  test("of more than the bound is refused, said or not said how long it is", async () => {
    answer = { status: 200, headers: { "content-length": "11" }, body: "x".repeat(11) };
    await expect(store.get("b", "k", 10)).rejects.toMatchObject({ code: "TR-4009" });
    answer = { status: 200, headers: { "transfer-encoding": "chunked" }, body: "x".repeat(11) };
    await expect(store.get("b", "k", 10)).rejects.toMatchObject({ code: "TR-4009" });
    answer = { status: 200, headers: { "content-length": "10" }, body: "x".repeat(10) };
    expect(await store.get("b", "k", 10)).toHaveLength(10);
  });
});

describe("deleteMany", () => {
  test("names every key in one call, and what is gone already is no error", async () => {
    answer = { status: 200, body: "<DeleteResult></DeleteResult>" };
    await store.deleteMany("b", ["d/a", "d/<b>"]);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ method: "POST", url: expect.stringMatching(/^\/b\/?\?delete/) });
    expect(seen[0]?.body).toContain("<Key>d/a</Key>");
    expect(seen[0]?.body).toContain("<Key>d/&lt;b&gt;</Key>");
    await store.deleteMany("b", []);
    expect(seen).toHaveLength(1);
  });

  test.each([
    ["AccessDenied", "TR-4008"],
    ["InternalError", "TR-4006"],
  ])("of which one was %s is %s although the answer is 200", async (code, expected) => {
    const body = `<DeleteResult><Error><Key>d/b</Key><Code>${code}</Code><Message>no</Message></Error></DeleteResult>`;
    answer = { status: 200, body };
    const error = { code: expected, where: "DeleteObjects s3://b/d/b" };
    await expect(store.deleteMany("b", ["d/a", "d/b"])).rejects.toMatchObject(error);
  });

  test("of more than one call takes is a defect of the caller, and a store that is away is none", async () => {
    const many = Array.from({ length: 1_001 }, (_, n) => `k${n}`);
    await expect(store.deleteMany("b", many)).rejects.toBeInstanceOf(RangeError);
    answer = { status: 503, body: xml("SlowDown") };
    await expect(store.deleteMany("b", ["d/a"])).rejects.toMatchObject({ code: "TR-4006" });
  });
});

describe("lists", () => {
  const objects =
    "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>logs/a b</Key><Size>3</Size>" +
    "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents></ListBucketResult>";

  test("of objects begin behind a key, end after so many and tell whether more follows", async () => {
    answer = { status: 200, body: objects };
    expect(await store.list({ bucket: "b", prefix: "logs/", after: "logs/a", max: 1 })).toEqual({
      objects: [{ key: "logs/a b", bytes: 3, modifiedAt: new Date("2026-01-02T03:04:05Z") }],
      more: true,
    });
    const asked = new URL(seen[0]?.url ?? "", endpoint).searchParams;
    expect(Object.fromEntries(asked)).toMatchObject({ prefix: "logs/", "start-after": "logs/a", "max-keys": "1" });
    answer = { status: 200, body: "<ListBucketResult></ListBucketResult>" };
    expect(await store.list({ bucket: "b", prefix: "logs/" })).toEqual({ objects: [], more: false });
  });

  test("of uploads name what can be given up, and giving up what is gone is no error", async () => {
    const upload = "<Upload><Key>d/a</Key><UploadId>u1</UploadId></Upload>";
    answer = { status: 200, body: `<ListMultipartUploadsResult>${upload}</ListMultipartUploadsResult>` };
    const listed = await store.listUploads("b", "d/");
    expect(listed).toEqual({ uploads: [{ key: "d/a", uploadId: "u1" }], more: false });
    answer = { status: 404, body: xml("NoSuchUpload") };
    await store.abortUpload("b", { key: "d/a", uploadId: "u1" });
    expect(seen[1]).toMatchObject({ method: "DELETE", url: expect.stringContaining("uploadId=u1") });
  });

  test("that are refused or not answered say so, and so does an upload that stays", async () => {
    answer = { status: 403, body: xml("AccessDenied") };
    await expect(store.list({ bucket: "b", prefix: "logs/" })).rejects.toMatchObject({ code: "TR-4008" });
    await expect(store.listUploads("b", "d/")).rejects.toMatchObject({ code: "TR-4008" });
    answer = { status: 500, body: xml("InternalError") };
    const abort = store.abortUpload("b", { key: "d/a", uploadId: "u1" });
    await expect(abort).rejects.toMatchObject({ code: "TR-4006" });
  });
});

test("a link holds the key's name escaped, a life of 15 minutes at most and no secret", () => {
  const url = new URL(store.presignGet("b", "d/a b+ü(1)*.parquet", 86_400, Date.UTC(2026, 0, 2, 3, 4, 5)));
  expect(url.pathname).toBe("/b/d/a%20b%2B%C3%BC%281%29%2A.parquet");
  expect(url.searchParams.get("X-Amz-Expires")).toBe("900");
  expect(url.searchParams.get("X-Amz-Date")).toBe("20260102T030405Z");
  expect(url.searchParams.get("X-Amz-Signature")).toMatch(/^[0-9a-f]{64}$/);
  expect(url.href).not.toContain("very-secret");
});

describe("a plain read", () => {
  const byLibrary = (request: Seen | undefined) => request?.headers["amz-sdk-invocation-id"] !== undefined;

  test("is one request of our own, signed with the session's token among what is signed", async () => {
    const credentials = { accessKeyId: "AK", secretAccessKey: "very-secret", sessionToken: "for-a-while" };
    const session = new ObjectStore({ endpoint, region: "us-east-1", credentials, triesMax: 1 });
    answer = { status: 200, headers: { "content-length": "5", etag: '"e"' } };
    expect(await session.head("b", "d/a b")).toMatchObject({ bytes: 5, etag: '"e"' });
    await session.stop();
    expect(seen).toHaveLength(1);
    expect(byLibrary(seen[0])).toBe(false);
    expect(seen[0]).toMatchObject({ method: "HEAD", url: "/b/d/a%20b" });
    expect(seen[0]?.headers["x-amz-security-token"]).toBe("for-a-while");
    expect(seen[0]?.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AK\/\d{8}\/us-east-1\/s3\/aws4_request, SignedHeaders=[^,]*x-amz-security-token, Signature=[0-9a-f]{64}$/,
    );
  });

  test.each([
    ["head", () => store.head("b", "k")],
    ["get", () => store.get("b", "k", 10)],
    ["range", () => store.range("b", "k", { etag: '"e"', start: 0, end: 4 })],
  ])("that is refused is asked again by the library, which says what is wrong: %s", async (_name, read) => {
    answer = { status: 403, body: xml("AccessDenied") };
    await expect(read()).rejects.toMatchObject({ code: "TR-4008" });
    expect(seen.map(byLibrary)).toEqual([false, true]);
  });

  test("of the head leaves its connection to later ones", async () => {
    const own = newStore();
    answer = { status: 200, headers: { "content-length": "5" } };
    const connections: unknown[] = [];
    const count = (socket: unknown) => connections.push(socket);
    server.on("connection", count);
    for (let call = 0; call < 20; call += 1) await own.head("b", "k");
    server.off("connection", count);
    // The pool may open one more while the last answer is being put away.
    expect(connections.length).toBeLessThan(5);
    await own.stop();
  });

  test("that breaks off in the middle is asked again by the library", async () => {
    answer = { status: 200, headers: { "content-length": "50", connection: "close" }, body: "not all of it" };
    await expect(store.get("b", "k", 100)).rejects.toMatchObject({ code: "TR-4006" });
    expect(seen.map(byLibrary)).toEqual([false, true]);
  });
});
