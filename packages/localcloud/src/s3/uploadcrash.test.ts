/** Multipart uploads that are killed, expire, rot or meet a full list leave no object and keep what was answered 200. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { type RawAnswer, send, startBench } from "../testing/s3bench.ts";
import type { S3Endpoint } from "./endpoint.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "trace-s3-uploads-"));
  cleanups.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function benchIn(root: string, options: Parameters<typeof startBench>[0] = {}): Promise<S3Endpoint> {
  const bench = await startBench({ root, ...options });
  cleanups.push(() => bench.stop());
  return bench.endpoint;
}

const first = Buffer.alloc(5 * 1024 ** 2, "first ");
const path = "/files/parts";

async function create(endpoint: S3Endpoint): Promise<string> {
  const answer = await send(endpoint, { method: "POST", path, query: { uploads: "" } });
  return /<UploadId>(.*?)</.exec(answer.body.toString())?.[1] ?? "";
}
const put = (endpoint: S3Endpoint, uploadId: string, number: number, body: Buffer | string): Promise<RawAnswer> =>
  send(endpoint, { method: "PUT", path, query: { uploadId, partNumber: String(number) }, body });
const complete = (endpoint: S3Endpoint, uploadId: string, parts: readonly RawAnswer[]): Promise<RawAnswer> => {
  const xml = parts.map(
    ({ headers }, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${headers.etag}</ETag></Part>`,
  );
  const body = `<CompleteMultipartUpload>${xml.join("")}</CompleteMultipartUpload>`;
  return send(endpoint, { method: "POST", path, query: { uploadId }, body });
};
const get = (endpoint: S3Endpoint): Promise<RawAnswer> => send(endpoint, { method: "GET", path });

test("kill -9 before the completion leaves no object; after the next start the upload goes on with its parts", async () => {
  const root = join(await folder(), "objects");
  const script = join(import.meta.dirname, "..", "testing", "s3child.ts");
  const child = spawn(process.execPath, [script, root], { stdio: ["pipe", "pipe", "inherit"] });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { port } = JSON.parse(String((await lines.next()).value)) as { port: number };
  const before = { port } as S3Endpoint;
  const id = await create(before);
  const one = await put(before, id, 1, first);
  child.stdin.write("watch\n");
  await lines.next();
  // The second part is on its way when the process dies: what of it came is in tmp/, and no part.
  const cut = put(before, id, 2, Buffer.alloc(64 * 1024 ** 2));
  cut.catch(() => undefined);
  await lines.next();
  child.kill("SIGKILL");
  await once(child, "exit");
  await expect(cut).rejects.toThrow();

  const after = await benchIn(root);
  expect(await readdir(join(root, "tmp"))).toEqual([]);
  expect((await get(after)).code).toBe("NoSuchKey");
  const list = await send(after, { method: "GET", path, query: { uploadId: id } });
  expect(list.body.toString().match(/<PartNumber>\d+</g)).toEqual(["<PartNumber>1<"]);
  const two = await put(after, id, 2, "the end");
  expect((await complete(after, id, [one, two])).status).toBe(200);
  expect((await get(after)).body.equals(Buffer.concat([first, Buffer.from("the end")]))).toBe(true);
  expect(await readdir(join(root, "uploads"))).toEqual([]);
});

test("what a crash leaves of an abort or a creation is removed by the next start, and is no upload", async () => {
  const root = join(await folder(), "objects");
  const endpoint = await benchIn(root);
  const id = await create(endpoint);
  await endpoint.stop();
  // Either dies between its rename and its end: a folder with a temporary name.
  await mkdir(join(root, "tmp", "0123"));
  await writeFile(join(root, "tmp", "0123", "p00001"), "part");
  await benchIn(root);
  expect(await readdir(join(root, "tmp"))).toEqual([]);
  expect(await readdir(join(root, "uploads"))).toEqual([id]);
});

test("a part that rotted on disk never becomes an object", async () => {
  const root = join(await folder(), "objects");
  const endpoint = await benchIn(root);
  const id = await create(endpoint);
  const parts = [await put(endpoint, id, 1, first), await put(endpoint, id, 2, "the end")];
  const file = join(root, "uploads", id, "p00001");
  const bytes = await readFile(file);
  bytes[1_000] = (bytes[1_000] ?? 0) ^ 1;
  await writeFile(file, bytes);
  expect(await complete(endpoint, id, parts)).toMatchObject({ status: 500, code: "InternalError" });
  expect((await get(endpoint)).code).toBe("NoSuchKey");
  expect(await readdir(join(root, "tmp"))).toEqual([]);
  // The part can be sent again, and the upload completed.
  expect((await put(endpoint, id, 1, first)).status).toBe(200);
  expect((await complete(endpoint, id, parts)).status).toBe(200);
});

test("an upload whose description was cut is an InternalError, told to the operator", async () => {
  const root = join(await folder(), "objects");
  const endpoint = await benchIn(root);
  const id = await create(endpoint);
  await truncate(join(root, "uploads", id, "upload.json"), 20);
  expect(await put(endpoint, id, 1, "x")).toMatchObject({ status: 500, code: "InternalError" });
});

test("an upload that nobody ends is removed after seven days by the next creation, others are kept", async () => {
  const root = join(await folder(), "objects");
  const day = 24 * 60 * 60 * 1_000;
  const start = Date.now() - 8 * day;
  const old = await benchIn(root, { clock: { nowMs: () => start } });
  const create8 = await send(old, { method: "POST", path, query: { uploads: "" } }, { at: new Date(start) });
  expect(create8.status).toBe(200);
  await old.stop();
  const middle = await benchIn(root, { clock: { nowMs: () => start + 2 * day } });
  await send(middle, { method: "POST", path, query: { uploads: "" } }, { at: new Date(start + 2 * day) });
  expect((await readdir(join(root, "uploads"))).length).toBe(2);
  await middle.stop();
  const now = await benchIn(root);
  const id = await create(now);
  const left = await readdir(join(root, "uploads"));
  expect(left.length).toBe(2);
  expect(left).toContain(id);
  expect(left).not.toContain(/<UploadId>(.*?)</.exec(create8.body.toString())?.[1]);
});
