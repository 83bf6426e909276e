/** Uploads that are killed, cut, stalled or meet a full disk leave nothing, and hurt nobody else. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { link, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { silentLog, TestSignal } from "@trace/kit";
import { afterEach, describe, expect, test } from "vitest";
import { type Bench, buckets, owner, type RawAnswer, send, sendRaw, signCall, startBench } from "../testing/s3bench.ts";
import { S3Endpoint, type S3RequestReport } from "./endpoint.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "trace-s3-crash-"));
  cleanups.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

interface Child {
  readonly process: ChildProcess;
  readonly endpoint: S3Endpoint;
  next(): Promise<Record<string, unknown>>;
}

/** Starts the child by a command line; `endpoint` is a stand-in that only knows the port, for signing. */
async function startChild(command: string, args: readonly string[]): Promise<Child> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse(String((await lines.next()).value)) as Record<string, unknown>;
  const { port } = await next();
  return { process: child, endpoint: { port } as S3Endpoint, next };
}

const script = join(import.meta.dirname, "..", "testing", "s3child.ts");
const payload = Buffer.alloc(2 * 1024 ** 2, "payload-");

/** Sends headers that promise the whole payload, and its first half. */
async function beginUpload(
  endpoint: S3Endpoint,
  key: string,
): Promise<{ request: ClientRequest; answer: Promise<RawAnswer> }> {
  const path = `/files/${key}`;
  const signed = await signCall(endpoint, { method: "PUT", path, body: payload }, { unsignedPayload: true });
  const request = httpRequest({
    host: "127.0.0.1",
    port: endpoint.port,
    method: "PUT",
    path: signed.path,
    headers: { ...signed.headers, "content-length": String(payload.length) },
    agent: false,
  });
  const answer = once(request, "response").then(async ([response]) => readAnswer(response as IncomingMessage));
  // Each test says what it expects; an unexpected end must not be an unhandled rejection beside it.
  answer.catch(() => undefined);
  request.write(payload.subarray(0, payload.length / 2));
  return { request, answer };
}

async function readAnswer(response: IncomingMessage): Promise<RawAnswer> {
  const body = Buffer.concat((await response.toArray()) as Buffer[]);
  const code = /<Code>(.*?)<\/Code>/.exec(body.toString())?.[1];
  return { status: response.statusCode ?? 0, headers: response.headers, body, code };
}

async function benchWithReports(
  options: Parameters<typeof startBench>[0] = {},
): Promise<{ bench: Bench; reports: TestSignal<S3RequestReport> }> {
  const reports = new TestSignal<S3RequestReport>("request");
  const bench = await startBench({ ...options, onRequest: (report) => reports.emit(report) });
  cleanups.push(() => bench.stop());
  return { bench, reports };
}

describe("kill -9 in the middle of an upload", () => {
  test("leaves the key absent, the temporary file until the next start, and everything else as it was", async () => {
    const root = join(await folder(), "objects");
    const child = await startChild(process.execPath, [script, root]);
    expect((await send(child.endpoint, { method: "PUT", path: "/files/kept", body: "kept" })).status).toBe(200);
    child.process.stdin?.write("watch\n");
    expect(await child.next()).toEqual({ watching: true });
    const upload = await beginUpload(child.endpoint, "killed");
    const { upload: temporary } = await child.next();
    child.process.kill("SIGKILL");
    await once(child.process, "exit");
    await expect(upload.answer).rejects.toThrow();
    expect((await readdir(join(root, "tmp"))).map((name) => join(root, "tmp", name))).toEqual([temporary]);
    const next = await startBench({ root });
    cleanups.push(() => next.stop());
    expect(await readdir(join(root, "tmp"))).toEqual([]);
    expect((await send(next.endpoint, { method: "GET", path: "/files/killed" })).code).toBe("NoSuchKey");
    expect((await send(next.endpoint, { method: "GET", path: "/files/kept" })).body.toString()).toBe("kept");
    const list = await send(next.endpoint, { method: "GET", path: "/files", query: { "list-type": "2" } });
    expect([...list.body.toString().matchAll(/<Key>(.*?)</g)].map(([, key]) => key)).toEqual(["kept"]);
  });

  test("between the link and the unlink of the temporary name keeps the object", async () => {
    const root = join(await folder(), "objects");
    const first = await startBench({ root });
    await send(first.endpoint, { method: "PUT", path: "/files/linked", body: "linked" });
    await first.stop();
    await link(join(root, "b", "files", "flinked"), join(root, "tmp", "0123"));
    const next = await startBench({ root });
    cleanups.push(() => next.stop());
    expect(await readdir(join(root, "tmp"))).toEqual([]);
    expect((await send(next.endpoint, { method: "GET", path: "/files/linked" })).body.toString()).toBe("linked");
  });
});

describe("an upload that does not end", () => {
  test("because its client hangs up leaves nothing", async () => {
    const { bench, reports } = await benchWithReports();
    const started = bench.endpoint.store.uploadStarted.next(5_000);
    const upload = await beginUpload(bench.endpoint, "short");
    await started;
    const report = reports.next(5_000, ({ operation }) => operation === "PutObject");
    upload.request.destroy();
    await expect(upload.answer).rejects.toThrow();
    expect((await report).status).not.toBe(200);
    expect(await readdir(join(bench.root, "tmp"))).toEqual([]);
    expect((await send(bench.endpoint, { method: "GET", path: "/files/short" })).code).toBe("NoSuchKey");
  });

  test("because its client falls silent is cut with RequestTimeout and leaves nothing", async () => {
    const { bench, reports } = await benchWithReports({ limits: { bodyIdleMs: 100 } });
    const report = reports.next(5_000, ({ operation }) => operation === "PutObject");
    const upload = await beginUpload(bench.endpoint, "stalled");
    expect(await upload.answer).toMatchObject({ status: 400, code: "RequestTimeout" });
    expect((await report).status).toBe(400);
    await once(upload.request, "close");
    expect(await readdir(join(bench.root, "tmp"))).toEqual([]);
    expect((await send(bench.endpoint, { method: "GET", path: "/files/stalled" })).code).toBe("NoSuchKey");
  });

  test("is cut by stop, which leaves nothing either", async () => {
    const { bench } = await benchWithReports({ limits: { bodyIdleMs: 200 } });
    const started = bench.endpoint.store.uploadStarted.next(5_000);
    const upload = await beginUpload(bench.endpoint, "stopped");
    await started;
    await bench.endpoint.stop();
    upload.request.destroy();
    expect(await readdir(join(bench.root, "tmp"))).toEqual([]);
  });
});

describe("a refused upload", () => {
  test("is answered before its body is read, and a body without end is cut off", async () => {
    const { bench } = await benchWithReports();
    const signed = await signCall(bench.endpoint, { method: "PUT", path: "/once/huge" }, { unsignedPayload: true });
    const request = httpRequest({
      host: "127.0.0.1",
      port: bench.endpoint.port,
      method: "PUT",
      path: signed.path,
      headers: { ...signed.headers, "content-length": String(5 * 1024 ** 3) },
      agent: false,
    });
    let sent = 0;
    const pump = () => {
      while (!request.destroyed && request.write(payload)) sent += payload.length;
    };
    request.on("drain", pump);
    // Being cut is what is wanted here, so the error of it is no failure.
    request.on("error", () => undefined);
    const closed = new Promise((resolve) => request.on("close", resolve));
    pump();
    const [response] = await once(request, "response");
    expect(await readAnswer(response as IncomingMessage)).toMatchObject({ status: 403, code: "AccessDenied" });
    await closed;
    expect(sent).toBeLessThan(256 * 1024 ** 2);
    expect((await send(bench.endpoint, { method: "GET", path: "/once/huge" })).code).toBe("NoSuchKey");
  });

  test("of a client that waits for 100 Continue never sends its body; an accepted one does", async () => {
    const { bench } = await benchWithReports();
    const ask = async (bucket: string): Promise<{ continued: boolean; answer: RawAnswer }> => {
      const call = { method: "PUT", path: `/${bucket}/waits`, headers: { expect: "100-continue" }, body: "body" };
      const signed = await signCall(bench.endpoint, call);
      const request = httpRequest({
        host: "127.0.0.1",
        port: bench.endpoint.port,
        agent: false,
        ...signed,
        headers: { ...signed.headers, "content-length": "4" },
      });
      let continued = false;
      request.on("continue", () => {
        continued = true;
        request.end("body");
      });
      request.flushHeaders();
      const [response] = await once(request, "response");
      const answer = await readAnswer(response as IncomingMessage);
      request.destroy();
      return { continued, answer };
    };
    expect(await ask("once")).toMatchObject({ continued: false, answer: { status: 403 } });
    expect(await ask("files")).toMatchObject({ continued: true, answer: { status: 200 } });
  });
});

describe("a damaged object", () => {
  test("whose data changed on disk is never delivered whole", async () => {
    const { bench } = await benchWithReports();
    await send(bench.endpoint, { method: "PUT", path: "/files/rot", body: payload });
    const path = join(bench.root, "b", "files", "frot");
    const bytes = await readFile(path);
    bytes[1_000_000] = (bytes[1_000_000] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(send(bench.endpoint, { method: "GET", path: "/files/rot" })).rejects.toThrow();
  });

  test("that was cut, or put in the place of another, is an InternalError", async () => {
    const { bench } = await benchWithReports();
    for (const key of ["cut", "moved"]) await send(bench.endpoint, { method: "PUT", path: `/files/${key}`, body: key });
    const files = join(bench.root, "b", "files");
    await truncate(join(files, "fcut"), 40);
    await link(join(files, "fmoved"), join(files, "felsewhere"));
    for (const key of ["cut", "elsewhere"]) {
      const answer = await send(bench.endpoint, { method: "GET", path: `/files/${key}` });
      expect(answer).toMatchObject({ status: 500, code: "InternalError" });
    }
    expect((await send(bench.endpoint, { method: "GET", path: "/files/moved" })).status).toBe(200);
  });
});

/** A disk of 4 MiB in a mount namespace of its own needs user namespaces; where they are forbidden the test is skipped. */
const mayMount =
  spawnSync("unshare", ["-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], { stdio: "ignore" }).status === 0;

test.skipIf(!mayMount)(
  "a full disk is 507 with a catalogued message; what was stored stays, and the endpoint goes on",
  async () => {
    const root = await folder();
    const command = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" "$3" "$1"';
    const child = await startChild("unshare", ["-rm", "sh", "-c", command, "sh", root, process.execPath, script]);
    const put = (key: string, body: Buffer | string) =>
      send(child.endpoint, { method: "PUT", path: `/files/${key}`, body });
    const get = (key: string) => send(child.endpoint, { method: "GET", path: `/files/${key}` });
    expect((await put("first", payload)).status).toBe(200);
    for (const key of ["second", "first"]) {
      const full = await put(key, Buffer.concat([payload, payload]));
      expect(full).toMatchObject({ status: 507, code: "InsufficientStorage" });
      for (const part of ["TR-6101", "Where:", "Why:", "Fix:"]) expect(full.body.toString()).toContain(part);
    }
    expect((await get("first")).body.equals(payload)).toBe(true);
    expect((await get("second")).code).toBe("NoSuchKey");
    expect((await put("small", "fits")).status).toBe(200);
    expect((await send(child.endpoint, { method: "DELETE", path: "/files/first" })).status).toBe(204);
    expect((await put("second", Buffer.alloc(3 * 1024 ** 2))).status).toBe(200);
  },
);

test("an endpoint can be stopped twice, and started anew over its objects", async () => {
  const root = join(await folder(), "objects");
  const endpoint = new S3Endpoint({
    root,
    host: "127.0.0.1",
    port: 0,
    buckets,
    credentials: [owner],
    log: silentLog(),
  });
  await endpoint.start();
  expect((await send(endpoint, { method: "PUT", path: "/files/stays", body: "here" })).status).toBe(200);
  await endpoint.stop();
  await endpoint.stop();
  const call = { method: "GET", path: "/files/stays" };
  await expect(sendRaw(endpoint.port, await signCall(endpoint, call))).rejects.toThrow();
  await endpoint.start();
  expect((await send(endpoint, call)).body.toString()).toBe("here");
  await endpoint.stop();
});
