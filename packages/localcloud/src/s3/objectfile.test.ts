/** The file of an object: what is written is what is read, up to the most that an object may be described by. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { footerBytesMax, keyBytesMax, objectBytesMax, partBytesMin, partNumberMax } from "../limits.ts";
import { encodeTail, openObject, readSummary } from "./objectfile.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "trace-s3-file-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const data = Buffer.from("data");
const md5 = "8d777f385d3dfec8815d20f7496026dc";

test.each([md5, `${md5}-1`, `${md5}-10000`])("an ETag is kept: %s", async (etag) => {
  const path = join(folder, etag);
  const summary = { bytes: data.length, etag, modifiedMs: 1_764_000_000_123, dataCrc32: crc32(data) };
  await writeFile(path, Buffer.concat([data, encodeTail({ key: "k", headers: {}, metadata: {} }, summary)]));
  expect(await readSummary(path)).toMatchObject(summary);
});

test("the longest description fits: 10,000 parts of different sizes, the longest key and all headers", async () => {
  const path = join(folder, "longest");
  const parts = Array.from({ length: partNumberMax }, (_, i) => ({
    bytes: i % 2 === 0 ? objectBytesMax - i : partBytesMin + i,
    count: 1,
  }));
  const key = "\u0001".repeat(keyBytesMax);
  const description = { key, headers: { expires: "\u0001".repeat(16 * 1024) }, metadata: {}, parts };
  const summary = { bytes: data.length, etag: `${md5}-${parts.length}`, modifiedMs: 0, dataCrc32: crc32(data) };
  await writeFile(path, Buffer.concat([data, encodeTail(description, summary)]));
  const object = await openObject(path, key);
  await object.handle.close();
  expect(object.description).toEqual(description);
});

test("a description that could not be read again is not written", () => {
  const description = { key: "k", headers: { expires: "x".repeat(footerBytesMax) }, metadata: {} };
  const summary = { bytes: 0, etag: md5, modifiedMs: 0, dataCrc32: 0 };
  expect(() => encodeTail(description, summary)).toThrow(RangeError);
});
