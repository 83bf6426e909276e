/** Compressed sources: known by their bytes, checked to their end, bounded. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DuckInput, DuckRunner } from "./index.ts";

let root: string;
let runner: DuckRunner;
const rows = Array.from({ length: 20_000 }, (_, n) => `${n},v${(n * 7919) % 10_007}`).join("\n");
const csv = `a,b\n${rows}\n`;
const more = "20000,x\n20001,y\n";
const gzip = (text: string) => gzipSync(text);
const zstd = (text: string) => zstdCompressSync(text);

function read(name: string, content: Buffer | string, input: Partial<DuckInput> = {}, limits = {}) {
  const path = join(root, name);
  writeFileSync(path, content);
  return runner.run({
    inputs: [{ name: "source", files: [path], format: "csv", ...input }],
    sql: "SELECT count(*), max(a) FROM source",
    output: { kind: "rows", rowsMax: 10, bytesMax: 1_000 },
    limits,
  });
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "duck-packed-"));
  mkdirSync(join(root, "work"));
  runner = new DuckRunner({ log: silentLog(), workFolder: join(root, "work"), concurrencyMax: 2 });
  await runner.start();
});
afterAll(async () => {
  await runner.stop();
  const left = readdirSync(join(root, "work"));
  rmSync(root, { recursive: true, force: true });
  expect(left).toEqual([]);
});

describe("a compressed source", () => {
  it.each([
    ["plain.csv.gz", csv, "none", 20_000],
    ["a.csv", gzip(csv), "gzip", 20_000],
    ["b.zst", gzip(csv), "gzip", 20_000],
    ["c.gz", zstd(csv), "zstd", 20_000],
    ["members.gz", Buffer.concat([gzip(csv), gzip(more)]), "gzip", 20_002],
    ["frames.zst", Buffer.concat([zstd(csv), zstd(more)]), "zstd", 20_002],
    ["skipped.zst", Buffer.concat([Buffer.from("502a4d1803000000616263", "hex"), zstd(csv)]), "zstd", 20_000],
  ] as const)("is known by its bytes, whatever it is called: %s", async (name, content, compression, count) => {
    const result = await read(name, content);
    expect(result.rows).toEqual([[count, count - 1]]);
    expect(result.inference?.[0]).toMatchObject({ input: "source", compression, lookedAt: "all" });
  });

  const flipped = (content: Buffer, at: number) => {
    const copy = Buffer.from(content);
    copy[at] = (copy[at] ?? 0) ^ 0xff;
    return copy;
  };
  it.each([
    ["cut.gz", gzip(csv).subarray(0, -100)],
    ["cut in its sum.gz", gzip(csv).subarray(0, -3)],
    ["cut member.gz", Buffer.concat([gzip(csv), gzip(more).subarray(0, 12)])],
    ["wrong.gz", flipped(gzip(csv), gzip(csv).length - 6)],
    ["garbage behind.gz", Buffer.concat([gzip(csv), Buffer.from("garbage")])],
    ["cut.zst", zstd(csv).subarray(0, -100)],
    ["cut frame.zst", Buffer.concat([zstd(csv), zstd(more).subarray(0, 9)])],
    ["garbage behind.zst", Buffer.concat([zstd(csv), Buffer.from("garbage")])],
  ])("is refused where it is damaged: %s", async (name, content) => {
    await expect(read(name, content)).rejects.toMatchObject({ code: "TR-5206", where: name });
  });

  it("is refused where it is declared otherwise, and where it is another kind of archive", async () => {
    await expect(read("d.csv", csv, { compression: "gzip" })).rejects.toMatchObject({ code: "TR-5206" });
    await expect(read("e.csv", zstd(csv), { compression: "gzip" })).rejects.toMatchObject({ code: "TR-5206" });
    await expect(read("f.zip", Buffer.from("504b030414000000", "hex"))).rejects.toMatchObject({ code: "TR-5206" });
  });

  it("is stopped at the bound of what it may unpack to", async () => {
    const bomb = Buffer.concat(Array.from({ length: 20 }, () => gzip("1,2\n".repeat(250_000))));
    await expect(read("bomb.gz", bomb, {}, { unpackBytesMax: 10_000_000 })).rejects.toMatchObject({ code: "TR-5209" });
  });

  it("is unpacked in other formats too", async () => {
    const result = await read("g.json", gzip('{"a":1}\n{"a":5}\n'), { format: "json" });
    expect(result.rows).toEqual([[2, 5]]);
  });
});
