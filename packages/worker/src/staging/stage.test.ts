/** What is stored for an attempt, in which order, and what becomes of a store that is away or refuses. */
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Manifest, manifestSchema } from "@trace/contracts";
import { afterEach, describe, expect, it } from "vitest";
import { uploadTriesMax } from "../limits.ts";
import { ingestJob, placeOf, type TestContext, testContext } from "../testing/context.ts";
import type { MemoryStore } from "../testing/memory-store.ts";
import type { OutputFiles } from "./manifest.ts";
import { stageOutputs } from "./stage.ts";

const job = ingestJob({ kind: "file", path: "a.csv", format: "csv" });
const columns = [{ name: "n", type: "BIGINT", fieldId: 4 }];
const contexts: TestContext[] = [];
afterEach(async () => {
  for (const { remove } of contexts.splice(0)) await remove();
});

/** Timers that do not wait. */
const timers = {
  monotonicMs: () => performance.now(),
  after: (_ms: number, call: () => void) => {
    const soon = setImmediate(call);
    return () => clearImmediate(soon);
  },
};

async function prepare(parts: Parameters<typeof testContext>[1] = {}): Promise<TestContext & { output: OutputFiles }> {
  const current = await testContext(job, { ...parts, services: { timers, ...parts.services } });
  contexts.push(current);
  const path = join(current.folder, "part-0.parquet");
  await writeFile(path, "PAR1 data PAR1");
  const files = [{ path, bytes: 14, rows: 2, columns }];
  return { ...current, output: { dataset: "quakes", columns, files, partitioned: false } };
}

function manifestOf(store: MemoryStore, prefix = "g1/l7/"): Manifest {
  return manifestSchema.parse(JSON.parse(store.text(`trace-datasets/${prefix}manifest.json`)));
}

describe("staging an output", () => {
  it("stores its files and then a manifest with field ids, partition and provenance", async () => {
    const staging = [{ ...placeOf("quakes"), partition: "2001-01" }];
    const { context, output, store } = await prepare({ task: { staging, partition: "2001-01" } });
    const sha256 = createHash("sha256").update("PAR1 data PAR1").digest("hex");
    const provenance = { fingerprint: "f".repeat(64), source: { kind: "url", etag: '"v1"', sha256 } as const };
    const [staged] = await stageOutputs(context, [output], provenance);
    expect(store.puts).toEqual(["trace-datasets/g1/l7/0.parquet", "trace-datasets/g1/l7/manifest.json"]);
    const text = store.text("trace-datasets/g1/l7/manifest.json");
    expect(staged).toEqual({
      dataset: "quakes",
      manifest_key: "g1/l7/manifest.json",
      manifest_sha256: createHash("sha256").update(text).digest("hex"),
    });
    expect(manifestOf(store)).toEqual({
      format: "trace-manifest-1",
      dataset: "quakes",
      task_id: context.task.task_id,
      lease_no: 7,
      partition: "2001-01",
      schema: [{ name: "n", type: "BIGINT", field_id: 4 }],
      rows: 2,
      bytes: 14,
      files: [{ key: "g1/l7/0.parquet", bytes: 14, rows: 2, sha256, columns: [{ name: "n", type: "BIGINT" }] }],
      ...provenance,
    });
  });

  it("takes an object that its own lost put left under the key", async () => {
    const { context, output, store } = await prepare();
    store.failNext.push({ fits: /0\.parquet$/, stored: true });
    await stageOutputs(context, [output]);
    expect(store.puts).toEqual(["trace-datasets/g1/l7/0.parquet", "trace-datasets/g1/l7/manifest.json"]);
  });

  it("tries again while the store is away, and gives up in the end", async () => {
    const { context, output, store } = await prepare();
    store.failNext.push({ fits: /parquet$/, stored: false }, { fits: /manifest/, stored: false });
    await stageOutputs(context, [output]);
    const other = await prepare();
    for (let tries = 0; tries < uploadTriesMax; tries += 1)
      other.store.failNext.push({ fits: /parquet$/, stored: false });
    await expect(stageOutputs(other.context, [other.output])).rejects.toMatchObject({ code: "TR-4006" });
    expect(other.store.puts).toEqual([]);
  });

  it("refuses a key that holds something else, and writes no manifest", async () => {
    const { context, output, store } = await prepare();
    store.objects.set("trace-datasets/g1/l7/0.parquet", Buffer.from("PAR1 else PAR1"));
    await expect(stageOutputs(context, [output])).rejects.toMatchObject({ code: "TR-5010" });
    expect(store.puts).toEqual([]);
  });

  it("refuses a result with more columns than a manifest takes, or without a file, before anything is stored", async () => {
    const { context, output, store } = await prepare();
    const wide = Array.from({ length: 2_001 }, (_, index) => ({ name: `c${index}`, type: "BIGINT" }));
    for (const other of [{ columns: wide }, { columns: [] }, { files: [] }]) {
      await expect(stageOutputs(context, [{ ...output, ...other }])).rejects.toMatchObject({ code: "TR-5011" });
    }
    expect(store.puts).toEqual([]);
  });

  it("refuses a claim that names no place, another one, or more than there are outputs", async () => {
    for (const staging of [[], [placeOf("others")], [placeOf("quakes"), placeOf("others", 2)]]) {
      const { context, output, store } = await prepare({ task: { staging } });
      await expect(stageOutputs(context, [output])).rejects.toMatchObject({ code: "TR-4005" });
      expect(store.puts).toEqual([]);
    }
  });

  it("stores nothing more once its attempt is aborted", async () => {
    const { abort, context, output, store } = await prepare();
    abort.abort(new Error("lost"));
    await expect(stageOutputs(context, [output])).rejects.toThrow("lost");
    expect(store.puts).toEqual([]);
  });
});

describe("staging several outputs", () => {
  const staging = [placeOf("quakes"), placeOf("other", 2)];

  it("stores the files of all before the first manifest", async () => {
    const { context, output, store } = await prepare({ task: { staging } });
    const staged = await stageOutputs(context, [output, { ...output, dataset: "other" }]);
    expect(staged.map(({ dataset }) => dataset)).toEqual(["quakes", "other"]);
    const names = store.puts.map((name) => name.slice("trace-datasets/".length));
    expect(names.slice(0, 2).toSorted()).toEqual(["g1/l7/0.parquet", "g2/l7/0.parquet"]);
    expect(names.slice(2)).toEqual(["g1/l7/manifest.json", "g2/l7/manifest.json"]);
  });

  it("writes no manifest when a file of any of them cannot be stored", async () => {
    const { context, output, store } = await prepare({ task: { staging } });
    store.objects.set("trace-datasets/g2/l7/0.parquet", Buffer.from("PAR1 else PAR1"));
    const run = stageOutputs(context, [output, { ...output, dataset: "other" }]);
    await expect(run).rejects.toMatchObject({ code: "TR-5010" });
    expect(store.puts.filter((name) => name.endsWith("manifest.json"))).toEqual([]);
  });
});

describe("an output of many partitions", () => {
  it("names the partition of each file in the order of the files, and none of its own", async () => {
    const { context, output, store } = await prepare();
    const [file] = output.files;
    if (file === undefined) throw new Error("no file");
    const files = Array.from({ length: 30 }, (_, n) => ({ ...file, rows: n, partition: `2001-${n}` }));
    await stageOutputs(context, [{ ...output, files, partitioned: true }]);
    const manifest = manifestOf(store);
    expect(manifest.partition).toBeNull();
    expect(manifest.files.map(({ key, partition, rows }) => [key, partition, rows])).toEqual(
      files.map(({ partition, rows }, n) => [`g1/l7/${n}.parquet`, partition, rows]),
    );
  });

  it("has no file where it has no row, and a manifest that says so", async () => {
    const { context, output, store } = await prepare();
    await stageOutputs(context, [{ ...output, files: [], partitioned: true }]);
    expect(manifestOf(store)).toMatchObject({ partition: null, rows: 0, files: [], schema: [{ name: "n" }] });
  });

  it.each(["", "x".repeat(257)])("refuses a partition key that a dataset cannot have ('%s')", async (partition) => {
    const { context, output, store } = await prepare();
    const files = output.files.map((file) => ({ ...file, partition }));
    const run = stageOutputs(context, [{ ...output, files, partitioned: true }]);
    await expect(run).rejects.toMatchObject({ code: "TR-5011" });
    expect(store.puts).not.toContain("trace-datasets/g1/l7/manifest.json");
  });
});

describe("a store that refuses the keys in hand", () => {
  /** Renews to the store of the context, as often as it is asked. */
  async function refusing(renews: boolean) {
    const current = await prepare();
    let renewals = 0;
    const renew = async () => {
      renewals += 1;
      return renews;
    };
    return {
      ...current,
      context: { ...current.context, writer: { ...current.context.writer, renew } },
      asked: () => renewals,
    };
  }

  it("is written to with others, once for each call", async () => {
    const { asked, context, output, store } = await refusing(true);
    store.failNext.push({ fits: /parquet$/, stored: false, code: "TR-4008" });
    await stageOutputs(context, [output]);
    expect([asked(), store.puts.length]).toEqual([1, 2]);
    store.failNext.push(...[1, 2].map(() => ({ fits: /parquet$/, stored: false, code: "TR-4008" as const })));
    await expect(stageOutputs(context, [output])).rejects.toMatchObject({ code: "TR-4008" });
    expect(asked()).toBe(2);
  });

  it("ends the attempt where there are no others", async () => {
    const { context, output, store } = await refusing(false);
    store.failNext.push({ fits: /parquet$/, stored: false, code: "TR-4008" });
    await expect(stageOutputs(context, [output])).rejects.toMatchObject({ code: "TR-4008", retryable: false });
    expect(store.puts).toEqual([]);
  });
});
