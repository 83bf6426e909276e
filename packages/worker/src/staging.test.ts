import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DuckResult } from "@trace/duck";
import { afterEach, describe, expect, it } from "vitest";
import { uploadTriesMax } from "./limits.ts";
import { stageOutput } from "./staging.ts";
import { ingestJob, type TestContext, testContext } from "./testing/context.ts";

const job = ingestJob({ kind: "file", path: "a.csv", format: "csv" });
const columns = [{ name: "n", type: "BIGINT" }];
const contexts: TestContext[] = [];
afterEach(async () => {
  for (const { remove } of contexts.splice(0)) await remove();
});

async function prepare(parts: Parameters<typeof testContext>[1] = {}): Promise<TestContext & { result: DuckResult }> {
  const current = await testContext(job, parts);
  contexts.push(current);
  const path = join(current.folder, "part-0.parquet");
  await writeFile(path, "PAR1 data PAR1");
  const files = [{ path, bytes: 14, rows: 2, columns }];
  return { ...current, result: { columns, rowCount: 2, files, elapsedMs: 1, peakRssBytes: 1 } };
}

/** Timers that do not wait. */
function atOnce(_ms: number, call: () => void): () => void {
  const soon = setImmediate(call);
  return () => clearImmediate(soon);
}

describe("staging an output", () => {
  it("takes an object that its own lost put left under the key", async () => {
    const { context, result, store } = await prepare();
    store.failNext.push({ fits: /0\.parquet$/, stored: true });
    await stageOutput(context, result);
    expect(store.puts).toEqual(["trace-datasets/g1/l7/0.parquet", "trace-datasets/g1/l7/manifest.json"]);
  });

  it("tries again while the store is away, and gives up in the end", async () => {
    const { context, result, store } = await prepare();
    store.failNext.push({ fits: /parquet$/, stored: false }, { fits: /manifest/, stored: false });
    await stageOutput(context, result);
    const timers = { monotonicMs: () => performance.now(), after: atOnce };
    const other = await prepare({ services: { timers } });
    for (let tries = 0; tries < uploadTriesMax; tries += 1)
      other.store.failNext.push({ fits: /parquet$/, stored: false });
    await expect(stageOutput(other.context, other.result)).rejects.toMatchObject({ code: "TR-4006" });
    expect(other.store.puts).toEqual([]);
  });

  it("refuses a key that holds something else, and writes no manifest", async () => {
    const { context, result, store } = await prepare();
    store.objects.set("trace-datasets/g1/l7/0.parquet", Buffer.from("PAR1 else PAR1"));
    await expect(stageOutput(context, result)).rejects.toMatchObject({ code: "TR-5010" });
    expect(store.puts).toEqual([]);
  });

  it("refuses a result with more columns than a manifest takes, before anything is stored", async () => {
    const { context, result, store } = await prepare();
    const wide = Array.from({ length: 2_001 }, (_, index) => ({ name: `c${index}`, type: "BIGINT" }));
    await expect(stageOutput(context, { ...result, columns: wide })).rejects.toMatchObject({ code: "TR-5011" });
    expect(store.puts).toEqual([]);
  });

  it("refuses a claim that names no place, or more than one", async () => {
    for (const staging of [[], [1, 2].map((n) => ({ dataset: "quakes", bucket: "b", prefix: `p${n}/` }))]) {
      const { context, result } = await prepare({ task: { staging } });
      await expect(stageOutput(context, result)).rejects.toMatchObject({ code: "TR-4005" });
    }
  });

  it("stores nothing more once its attempt is aborted", async () => {
    const { abort, context, result, store } = await prepare();
    abort.abort(new Error("lost"));
    await expect(stageOutput(context, result)).rejects.toThrow();
    expect(store.puts).toEqual([]);
  });
});
