/** What is told while files are fetched, and what is not fetched again. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { ObjectCache } from "./cache.ts";
import { fetchFiles } from "./download.ts";

const stack = new FakeStack();
const cache = new ObjectCache({
  folder: join(stack.cwd, "objects"),
  bytesMax: 1e9,
  clock: { nowMs: () => Date.now() },
});
const { signal } = new AbortController();

beforeAll(async () => {
  await stack.start();
  await cache.open();
});
afterAll(() => stack.stop());

test("bytes are told as they come, up to all that has to come; what is here already is in neither figure", async () => {
  const here = stack.addObject("a.parquet", Buffer.alloc(5_000, "a"));
  const far = [1, 2, 3].map((n) => stack.addObject(`${n}.parquet`, Buffer.alloc(n * 100_000, String(n))));
  expect(await fetchFiles(cache, [here], { signal })).toMatchObject({ bytes: 5_000 });
  const told: { done: number; total: number; unit: string }[] = [];
  const files = [here, ...far, ...far];
  const { bytes, paths } = await fetchFiles(cache, files, { signal, onProgress: (progress) => told.push(progress) });
  expect([bytes, paths.size]).toEqual([600_000, 4]);
  expect(told.at(-1)).toEqual({ done: 600_000, total: 600_000, unit: "bytes" });
  expect(told.every(({ total }) => total === 600_000)).toBe(true);
  expect(told.map(({ done }) => done)).toEqual(told.map(({ done }) => done).sort((a, b) => a - b));
  told.length = 0;
  expect((await fetchFiles(cache, files, { signal, onProgress: (progress) => told.push(progress) })).bytes).toBe(0);
  expect(told).toEqual([]);
});

test("a file that cannot be had ends the others with its own error", async () => {
  const good = stack.addObject("good.parquet", Buffer.from("good"));
  const gone = { ...good, sha256: "0".repeat(64), url: `${stack.storeUrl}/trace-datasets/gone?X-Amz-Signature=secret` };
  const failed = fetchFiles(cache, [gone, good], { signal });
  await expect(failed).rejects.toMatchObject({ code: "TR-7007" });
  await expect(failed).rejects.not.toThrow(/secret/);
});
