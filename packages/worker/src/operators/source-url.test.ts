/** Downloads from servers that break off, are busy, change their mind or lie. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { downloadRequestsMax, downloadTriesMax } from "../limits.ts";
import { type ContextOptions, ingestJob, type TestContext, testContext } from "../testing/context.ts";
import { type Answer, broken, brokenPart, part, SourceServer, status, whole } from "../testing/source-server.ts";
import { type Downloaded, download } from "./source-url.ts";

const body = Buffer.from(Array.from({ length: 4_000 }, (_, n) => `row ${n}\n`).join(""));
const other = Buffer.from(body.toString().replaceAll("row", "new"));
const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");
const tag = { etag: '"v1"' };
const half = 20_000;

let source: SourceServer;
const contexts: TestContext[] = [];
beforeAll(async () => {
  source = await SourceServer.start();
});
afterAll(() => source.stop());
afterEach(async () => {
  for (const { remove } of contexts.splice(0)) await remove();
});

interface Fetched extends TestContext {
  /** Waits between requests, milliseconds. */
  readonly waits: number[];
  run(known?: Parameters<typeof download>[3]): Promise<Downloaded>;
  bytes(): Promise<Buffer>;
}

async function prepare(answers: readonly Answer[], options: ContextOptions = {}): Promise<Fetched> {
  source.reset(...answers);
  const waits: number[] = [];
  const timers = {
    monotonicMs: () => performance.now(),
    after: (ms: number, call: () => void) => {
      waits.push(ms);
      const soon = setImmediate(call);
      return () => clearImmediate(soon);
    },
  };
  const job = ingestJob({ kind: "url", url: source.url, format: "csv" });
  const services = { guardAllow: [source.host], timers, random: () => 0.5, ...options.services };
  const current = await testContext(job, { leftMs: 20_000, ...options, services });
  contexts.push(current);
  const path = join(current.folder, "source");
  const run = (known?: Parameters<typeof download>[3]) => download(current.context, source.url, path, known);
  return { ...current, waits, run, bytes: () => readFile(path) };
}

const fetched = (data = body) => ({ kind: "fetched", bytes: data.length, sha256: sha256(data) });
const ranges = () => source.asked.map(({ range }) => range);

describe("a download that breaks off", () => {
  it("goes on where it broke, with the version it began with, and tells bytes and total all along", async () => {
    const { bytes, progress, run, said, waits } = await prepare([
      broken(body, half, tag),
      brokenPart(body, 5_000, tag),
      part(body, tag),
    ]);
    expect(await run()).toMatchObject(fetched());
    expect(await bytes()).toEqual(body);
    expect(ranges()).toEqual([undefined, `bytes=${half}-`, `bytes=${half + 5_000}-`]);
    expect(source.asked[1]).toMatchObject({ "if-range": '"v1"' });
    expect(progress.at(-1)).toEqual({ message: "downloading", done: body.length, total: body.length, unit: "bytes" });
    expect(progress.every(({ total }) => total === body.length)).toBe(true);
    expect(said.filter((line) => line.includes("TR-5306"))).toHaveLength(2);
    expect(waits).toHaveLength(2);
  });

  it("goes on by a time of change that lies a second before the reply, and not by a younger one", async () => {
    const date = "Tue, 01 Dec 2026 10:00:05 GMT";
    for (const [modified, resumes] of [
      ["Tue, 01 Dec 2026 10:00:04 GMT", true],
      ["Tue, 01 Dec 2026 10:00:05 GMT", false],
      ["yesterday", false],
    ] as const) {
      const headers = { date, "last-modified": modified };
      const { run } = await prepare([
        broken(body, half, headers),
        resumes ? part(body, headers) : whole(body, headers),
      ]);
      expect(await run()).toMatchObject(fetched());
      expect(ranges()).toEqual([undefined, resumes ? `bytes=${half}-` : undefined]);
      expect(source.asked[1]?.["if-range"]).toBe(resumes ? modified : undefined);
    }
  });

  it.each<[string, Record<string, string>]>([
    ["no validator", {}],
    ["a weak ETag", { etag: 'W/"v1"' }],
    ["an ETag that is none", { etag: "v1" }],
    ["an ETag that is endless", { etag: `"${"x".repeat(2_000)}"` }],
    ["no ranges", { ...tag, "accept-ranges": "none" }],
  ])("begins anew where the server gives %s", async (_, headers) => {
    const { bytes, run } = await prepare([broken(other, half, headers), whole(body, headers)]);
    expect(await run()).toMatchObject(fetched());
    expect(await bytes()).toEqual(body);
    expect(ranges()).toEqual([undefined, undefined]);
  });

  it("begins anew where the server ignores the range, because it cannot or because there is another version", async () => {
    const { bytes, run } = await prepare([broken(other, half, tag), whole(body, { etag: '"v2"' })]);
    expect(await run()).toMatchObject({ ...fetched(), version: { etag: '"v2"' } });
    expect(await bytes()).toEqual(body);
    expect(ranges()).toEqual([undefined, `bytes=${half}-`]);
  });

  it.each<[string, Record<string, string | number>]>([
    ["of another version", { etag: '"v2"' }],
    ["of no version", { etag: "" }],
    ["that begins elsewhere", { ...tag, "content-range": `bytes ${half - 9}-${body.length - 10}/${body.length}` }],
    ["of another length than it says", { ...tag, "content-range": `bytes ${half}-${body.length - 2}/${body.length}` }],
    ["of another whole", { ...tag, "content-range": `bytes ${half}-${body.length - 1}/${body.length + 1}` }],
    ["of a whole that is not told", { ...tag, "content-range": `bytes ${half}-${body.length - 1}/*` }],
    ["that says nothing of itself", { ...tag, "content-range": "" }],
    ["in another encoding", { ...tag, "content-encoding": "gzip" }],
  ])("throws away what it has and asks for no more parts after a part %s", async (_, headers) => {
    const answers = [broken(other, half, tag), part(other, headers), broken(body, half, tag), whole(body, tag)];
    const { bytes, run } = await prepare(answers);
    expect(await run()).toMatchObject(fetched());
    expect(await bytes()).toEqual(body);
    expect(ranges()).toEqual([undefined, `bytes=${half}-`, undefined, undefined]);
  });

  it("leaves nothing of a longer version before", async () => {
    const short = body.subarray(0, 100);
    const { bytes, run } = await prepare([broken(other, half), whole(short)]);
    expect(await run()).toMatchObject(fetched(short));
    expect(await bytes()).toEqual(short);
  });

  it("takes a part that ends early and asks for the rest", async () => {
    const { bytes, run } = await prepare([broken(body, half, tag), part(body, tag, half + 100), part(body, tag)]);
    expect(await run()).toMatchObject(fetched());
    expect(await bytes()).toEqual(body);
    expect(ranges()).toEqual([undefined, `bytes=${half}-`, `bytes=${half + 100}-`]);
  });

  it("begins anew when the range is said not to be there", async () => {
    const { run } = await prepare([
      broken(other, half, tag),
      status(416, { "content-range": "bytes */10" }),
      whole(body),
    ]);
    expect(await run()).toMatchObject(fetched());
    expect(ranges().at(-1)).toBeUndefined();
  });

  it("gives up when requests bring nothing new, however much each brings again", async () => {
    const { run } = await prepare([broken(body, half)]);
    await expect(run()).rejects.toMatchObject({ code: "TR-5306", retryable: true });
    expect(source.asked).toHaveLength(downloadTriesMax + 1);
  });

  it("gives up a source that comes in crumbs", async () => {
    const { run } = await prepare([broken(body, 1, tag), brokenPart(body, 1, tag)]);
    await expect(run()).rejects.toMatchObject({ code: "TR-5306" });
    expect(source.asked).toHaveLength(downloadRequestsMax);
  });

  it("gives up where every reply contradicts the one before", async () => {
    const { run } = await prepare([part(body, tag)]);
    await expect(run()).rejects.toMatchObject({ code: "TR-5315", retryable: true });
    expect(source.asked.length).toBe(downloadTriesMax);
  });
});

describe("a source that is unchanged", () => {
  it("is asked for by its ETag, else by its time, and not downloaded", async () => {
    const time = "Tue, 01 Dec 2026 10:00:00 GMT";
    for (const [known, header] of [
      [{ etag: 'W/"v1"', last_modified: time }, { "if-none-match": 'W/"v1"' }],
      [{ last_modified: time }, { "if-modified-since": time }],
    ] as const) {
      const { run } = await prepare([status(304)]);
      expect(await run(known)).toEqual({ kind: "unchanged" });
      expect(source.asked[0]).toMatchObject(header);
    }
  });

  it("is downloaded when the server does not care or has another version", async () => {
    const { run } = await prepare([whole(body, { etag: '"v2"' })]);
    expect(await run({ etag: '"v1"' })).toMatchObject(fetched());
  });

  it("is not believed where nobody asked whether it changed", async () => {
    const { run } = await prepare([status(304)]);
    await expect(run()).rejects.toMatchObject({ code: "TR-5315" });
    const also = await prepare([status(304)]);
    await expect(also.run({})).rejects.toMatchObject({ code: "TR-5315" });
  });
});

describe("a server that is busy", () => {
  it.each([429, 503])("is left alone for as long as it asks (%i), in seconds or to a time", async (code) => {
    const until = { date: "Tue, 01 Dec 2026 10:00:00 GMT", "retry-after": "Tue, 01 Dec 2026 10:00:09 GMT" };
    const answers = [status(code, { "retry-after": "7" }), status(code, until), whole(body)];
    const { run, waits } = await prepare(answers);
    expect(await run()).toMatchObject(fetched());
    expect(waits).toEqual([7_000, 9_000]);
  });

  it("ends the attempt when it asks for longer than the attempt waits, or has", async () => {
    for (const [seconds, leftMs] of [
      ["3600", 10_000_000],
      ["60", 30_000],
      ["99999999999999", 10_000_000],
    ] as const) {
      const { run, waits } = await prepare([status(429, { "retry-after": seconds })], { leftMs });
      const error = await run().catch((error: unknown) => error);
      expect(error).toMatchObject({ code: "TR-5309", retryable: true });
      expect(String(error)).toContain("left alone for");
      expect([source.asked.length, waits]).toEqual([1, []]);
    }
  });

  it("is asked again with growing rests, and given up", async () => {
    const { run, waits } = await prepare([
      status(500),
      status(502),
      status(503, { "retry-after": "soon" }),
      status(504),
    ]);
    await expect(run()).rejects.toMatchObject({ code: "TR-5309" });
    expect(waits).toEqual([500, 1_000, 2_000, 4_000].slice(0, downloadTriesMax - 1));
    expect(source.asked).toHaveLength(downloadTriesMax);
  });

  it.each([400, 401, 403, 404, 410])("is not asked again when it refuses (%i)", async (code) => {
    const { run } = await prepare([status(code)]);
    await expect(run()).rejects.toMatchObject({ code: "TR-5308", retryable: false });
    expect(source.asked).toHaveLength(1);
  });
});

describe("the bound of bytes", () => {
  it("holds for what is announced, for what comes, and for what is taken up again", async () => {
    const services = { sourceBytesMax: body.length - 1 };
    const chunked: Answer = (response) => {
      response.write(body.subarray(0, 10));
      response.end(body.subarray(10));
    };
    const unannounced: Answer = (response) => {
      response.writeHead(200, tag);
      response.write(body.subarray(0, half), () => response.socket?.end());
    };
    // Says that little is left, and goes on.
    const endless: Answer = (response) => {
      response.writeHead(206, { ...tag, "content-range": `bytes ${half}-${half + 9}/${half + 10}` });
      response.end(body);
    };
    for (const answers of [[whole(body)], [chunked], [unannounced, part(body, tag)], [unannounced, endless]]) {
      const { run } = await prepare(answers, { services });
      await expect(run()).rejects.toMatchObject({ code: "TR-5310", retryable: false });
    }
    const fits = await prepare([whole(body)], { services: { sourceBytesMax: body.length } });
    expect(await fits.run()).toMatchObject(fetched());
  });
});

describe("an encoded reply", () => {
  it("is kept as it was sent", async () => {
    const { bytes, run } = await prepare([whole(body, { "content-encoding": "gzip" })]);
    expect(await run()).toMatchObject({ ...fetched(), version: { encoding: "gzip" } });
    expect(await bytes()).toEqual(body);
    const brotli = await prepare([whole(body, { "content-encoding": "br" })]);
    await expect(brotli.run()).rejects.toMatchObject({ code: "TR-5313" });
  });
});

describe("an attempt that is aborted", () => {
  it("ends at once, while it downloads and while it waits", async () => {
    const first = await prepare([
      (response) => {
        response.writeHead(200, { "content-length": body.length }).write(body.subarray(0, 10));
        first.abort.abort(new Error("lease lost"));
      },
    ]);
    await expect(first.run()).rejects.toThrow("lease lost");
    const after = () => {
      const soon = setImmediate(() => second.abort.abort(new Error("lease lost")));
      return () => clearImmediate(soon);
    };
    const second = await prepare([status(503)], { services: { timers: { monotonicMs: () => 0, after } } });
    await expect(second.run()).rejects.toThrow("lease lost");
    expect(source.asked).toHaveLength(1);
  });
});

it("an address that is not public is refused before anything is asked", async () => {
  const { run } = await prepare([whole(body)], { services: { guardAllow: [] } });
  await expect(run()).rejects.toMatchObject({ code: expect.stringMatching(/^TR-530[24]$/) });
  expect(source.asked).toEqual([]);
});
