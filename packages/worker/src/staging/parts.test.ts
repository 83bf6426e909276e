/** Files in parts: each part sent again by itself, what fails thrown away, and a lost answer found out. */
import { createHash } from "node:crypto";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { manifestSchema } from "@trace/contracts";
import { sha256OfParts } from "@trace/kit";
import { afterEach, describe, expect, it } from "vitest";
import { uploadPartBytes, uploadTriesMax, uploadWholeBytesMax } from "../limits.ts";
import { ingestJob, type TestContext, testContext } from "../testing/context.ts";
import { digestFile } from "./digest.ts";
import { putInParts } from "./parts.ts";
import { stageOutputs } from "./stage.ts";

const job = ingestJob({ kind: "file", path: "a.csv", format: "csv" });
const name = "trace-datasets/g1/l7/0.parquet";
const body = Buffer.from("0123456789".repeat(25));
const partBytes = 64;
const contexts: TestContext[] = [];
afterEach(async () => {
  for (const { remove } of contexts.splice(0)) await remove();
});

const timers = {
  monotonicMs: () => performance.now(),
  after: (_ms: number, call: () => void) => {
    const soon = setImmediate(call);
    return () => clearImmediate(soon);
  },
};

async function prepare(): Promise<TestContext & { send(signal?: AbortSignal): Promise<string>; reported: number[] }> {
  const current = await testContext(job, { services: { timers } });
  contexts.push(current);
  const path = join(current.folder, "large");
  await writeFile(path, body);
  const reported: number[] = [];
  const send = async (signal = current.context.signal) => {
    const { parts } = await digestFile(path, current.context.signal, partBytes);
    const place = { path, bucket: "trace-datasets", key: "g1/l7/0.parquet", bytes: body.length, contentType: "x/y" };
    return putInParts(current.context, place, parts, signal, (bytes) => void reported.push(bytes));
  };
  return { ...current, send, reported };
}

describe("checksums of a file", () => {
  it("are of the whole and of its parts, wherever reads and parts begin and end", async () => {
    const { folder } = await prepare();
    const path = join(folder, "digested");
    const data = Buffer.alloc(2 * 1024 * 1024 + 10, "abc");
    await writeFile(path, data);
    for (const size of [1024 * 1024, 700_001, data.length, data.length + 1, data.length / 2]) {
      const { bytes, parts, sha256 } = await digestFile(path, new AbortController().signal, size);
      expect(sha256).toBe(createHash("sha256").update(data).digest("hex"));
      expect([bytes, parts.length]).toEqual([data.length, Math.ceil(data.length / size)]);
      for (const part of parts) {
        const piece = data.subarray(part.start, part.start + part.bytes);
        expect(part.sha256).toBe(createHash("sha256").update(piece).digest("hex"));
      }
    }
  });

  it("are none of parts where no size is given, and none at all of a file that is not there", async () => {
    const { folder } = await prepare();
    const { signal } = new AbortController();
    expect(await digestFile(join(folder, "large"), signal)).toMatchObject({ bytes: body.length, parts: [] });
    await expect(digestFile(join(folder, "missing"), signal)).rejects.toThrow("ENOENT");
  });
});

describe("a file in parts", () => {
  it("is stored whole, with the checksum of its parts", async () => {
    const { reported, send, store } = await prepare();
    const stored = await send();
    expect(reported.toSorted((a, b) => b - a)).toEqual([64, 64, 64, 58]);
    expect(store.objects.get(name)).toEqual(body);
    expect((await store.head("trace-datasets", "g1/l7/0.parquet"))?.sha256).toBe(stored);
    expect(stored).toMatch(/^[0-9a-f]{64}-4$/);
    expect(store.uploads.size).toBe(0);
  });

  it("takes each call again by itself while the store is away, and also when only an answer is lost", async () => {
    const { send, store } = await prepare();
    store.failNext.push(
      { fits: /#start$/, stored: false },
      { fits: /#2$/, stored: false },
      { fits: /#3$/, stored: true },
    );
    store.failNext.push({ fits: /#complete$/, stored: true });
    await send();
    expect(store.objects.get(name)).toEqual(body);
    expect([store.failNext, store.puts]).toEqual([[], [name]]);
  });

  it("is given up after as many tries as any upload, and its parts are thrown away", async () => {
    for (const fits of [/#3$/, /#complete$/]) {
      const { send, store } = await prepare();
      for (let tries = 0; tries < uploadTriesMax; tries += 1) store.failNext.push({ fits, stored: false });
      await expect(send()).rejects.toMatchObject({ code: "TR-4006" });
      expect([store.puts, store.uploads.size]).toEqual([[], 0]);
    }
  });

  it("is refused where the key holds something else, and its parts are thrown away", async () => {
    const { send, store } = await prepare();
    store.objects.set(name, Buffer.from("something else"));
    await expect(send()).rejects.toMatchObject({ code: "TR-5010" });
    expect(store.uploads.size).toBe(0);
  });

  it("is thrown away when its attempt is aborted in the middle", async () => {
    const { context, send, store } = await prepare();
    const abort = new AbortController();
    const upload = store.upload.bind(store);
    store.upload = (options, id) => {
      abort.abort(new Error("lease lost"));
      return upload(options, id);
    };
    await expect(send(AbortSignal.any([context.signal, abort.signal]))).rejects.toThrow("lease lost");
    expect([store.puts, store.uploads.size]).toEqual([[], 0]);
  });

  it("fails with its own failure when its parts cannot be thrown away either", async () => {
    const { send, said, store } = await prepare();
    store.objects.set(name, Buffer.from("something else"));
    const upload = store.upload.bind(store);
    store.upload = (options, id) => ({ ...upload(options, id), abort: () => Promise.reject(new Error("away")) });
    await expect(send()).rejects.toMatchObject({ code: "TR-5010" });
    expect(said.join("\n")).toContain("stay until the bucket's rule ends them");
  });
});

it("an output above the bound goes in parts, and its manifest names both checksums", async () => {
  const current = await testContext(job, {});
  contexts.push(current);
  const path = join(current.folder, "part-0.parquet");
  const bytes = uploadWholeBytesMax + 1;
  const handle = await open(path, "w");
  await handle.truncate(bytes);
  await handle.close();
  const columns = [{ name: "n", type: "BIGINT" }];
  const files = [{ path, bytes, rows: 1, columns }];
  await stageOutputs(current.context, [{ dataset: "quakes", columns, files, partitioned: false }]);
  const text = current.store.text("trace-datasets/g1/l7/manifest.json");
  const digest = await digestFile(path, current.context.signal, uploadPartBytes);
  expect(manifestSchema.parse(JSON.parse(text)).files[0]).toMatchObject({
    bytes,
    sha256: digest.sha256,
    stored_sha256: sha256OfParts(digest.parts.map(({ sha256 }) => sha256)),
  });
  expect(current.store.composites.get(name)).toMatch(/-3$/);
});
