/** How runs end that do not end well: bombs, deadlines, kills; and that nothing is left of any run. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DuckRunner } from "./index.ts";
import type { DuckSingleRun } from "./types.ts";

const mib = 1024 * 1024;
const endless = "WITH RECURSIVE r AS (SELECT 1 a UNION ALL SELECT a + 1 FROM r) SELECT count(*) FROM r";
/** Binds 3.6 million columns; nothing of it is execution. */
const planningBomb = `SELECT ${Array(6_000).fill("*").join(",")} FROM (SELECT ${Array(600).fill("1").join(",")})`;
const { resource_abuse: abuse } = JSON.parse(readFileSync(new URL("./fixtures/sql.json", import.meta.url), "utf8")) as {
  resource_abuse: string[];
};
const linux = process.platform === "linux";

let root: string;
let work: string;
let runner: DuckRunner;

function run(sql: string, more: Partial<DuckSingleRun> = {}) {
  return runner.run({ inputs: [], sql, output: { kind: "rows", rowsMax: 10, bytesMax: 1_000 }, ...more });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // An orphan stays a zombie where process 1 does not collect it (some containers).
    return !(linux && /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));
  } catch {
    return false; // No such process: the answer asked for.
  }
}

/** Turns of the event loop until it holds; the test's own timeout bounds it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

async function failure(promise: Promise<unknown>): Promise<{ error: unknown; tookMs: number }> {
  const started = performance.now();
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  return { error, tookMs: performance.now() - started };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "duck-life-"));
  work = join(root, "work");
  runner = new DuckRunner({ log: silentLog(), workFolder: work });
  await runner.start();
});
afterAll(async () => {
  await runner.stop();
  const left = readdirSync(work);
  rmSync(root, { recursive: true, force: true });
  expect(left).toEqual([]);
});

describe("a memory bomb", () => {
  it.each([
    "SELECT repeat('x', 3000000000)",
    "SELECT len(range(1000000000))",
    "SELECT length(repeat('x', 1000000000) || repeat('y', 1000000000))",
  ])("dies within the limit of its own process: %s", async (sql) => {
    const assigned = runner.assigned.next(10_000);
    const pending = failure(run(sql, { limits: { dataBytesMax: 768 * mib, deadlineMs: 20_000 } }));
    const pid = await assigned;
    let peak = 0;
    const look = setInterval(() => {
      peak = Math.max(peak, residentBytes(pid));
    }, 5);
    const { error } = await pending;
    clearInterval(look);
    expect(error).toMatchObject({ code: expect.stringMatching(/^TR-52(07|10)$/) });
    expect(peak).toBeLessThan(768 * mib + 256 * mib);
    if (linux) expect(peak).toBeGreaterThan(10 * mib);
  });

  it("made of rows is cut by the caps before it fills the child's heap", async () => {
    const sql = "SELECT repeat('x', 20000) FROM range(100000000)";
    const result = await run(sql, { output: { kind: "rows", rowsMax: 10_000, bytesMax: 70_000 } });
    expect(result).toMatchObject({ rowCount: 3, truncated: true });
    expect(result.peakRssBytes).toBeLessThan(1_024 * mib);
  });
});

function residentBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0; // Gone, or no /proc.
  }
}

describe("a deadline", () => {
  it.each([
    ["planning, which DuckDB cannot interrupt", planningBomb],
    ["recursion without end", endless],
  ])("ends %s within one second of itself", async (_, sql) => {
    const { error, tookMs } = await failure(run(sql, { limits: { deadlineMs: 1_500 } }));
    expect(error).toMatchObject({ code: "TR-5208", retryable: true });
    expect(tookMs).toBeGreaterThan(1_400);
    expect(tookMs).toBeLessThan(2_500);
  });

  it.each(abuse.map((sql, index) => [index, sql] as const))(
    "or a bound of memory holds for hostile query %i",
    async (_, sql) => {
      const { error, tookMs } = await failure(run(sql, { limits: { deadlineMs: 1_500, dataBytesMax: 768 * mib } }));
      // The nested joins of the list are harmless in this version of DuckDB and may end in time.
      if (error !== undefined) expect(error).toMatchObject({ code: expect.stringMatching(/^TR-52(07|08)$/) });
      expect(tookMs).toBeLessThan(2_500);
    },
  );

  it("counts from the call, so a run that waits for a place keeps it", async () => {
    const single = new DuckRunner({ log: silentLog(), workFolder: work, concurrencyMax: 1 });
    await single.start();
    const output = { kind: "rows", rowsMax: 1, bytesMax: 100 } as const;
    const first = failure(single.run({ inputs: [], sql: endless, output, limits: { deadlineMs: 1_200 } }));
    const second = failure(single.run({ inputs: [], sql: "SELECT 1", output, limits: { deadlineMs: 300 } }));
    expect((await second).error).toMatchObject({ code: "TR-5208", retryable: true });
    expect((await second).tookMs).toBeLessThan(1_000);
    expect((await first).error).toMatchObject({ code: "TR-5208" });
    await single.stop();
  });
});

describe("a run", () => {
  it("that its caller aborts is killed within a second, and its output is gone", async () => {
    const folder = join(root, "aborted");
    mkdirSync(folder);
    const abort = new AbortController();
    const assigned = runner.assigned.next(10_000);
    const output = { kind: "parquet", folder } as const;
    const sql = "SELECT i, hash(i) FROM range(100000000000) t(i)";
    const wrote = Promise.withResolvers<void>();
    const onProgress = ({ bytes }: { bytes?: number }) => bytes !== undefined && wrote.resolve();
    const pending = failure(run(sql, { output, onProgress, signal: abort.signal }));
    const pid = await assigned;
    await wrote.promise;
    const aborted = performance.now();
    abort.abort();
    expect((await pending).error).toMatchObject({ code: "TR-5211", retryable: true });
    expect(performance.now() - aborted).toBeLessThan(1_000);
    expect(isAlive(pid)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("that was aborted before it began starts no process", async () => {
    const { error } = await failure(run("SELECT 1", { signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ code: "TR-5211" });
    expect(runner.pids).toEqual([]);
  });

  it("whose output outgrows its limit is killed and leaves nothing", async () => {
    const folder = join(root, "large");
    mkdirSync(folder);
    const sql = "SELECT hash(i), random() FROM range(1000000000) t(i)";
    const output = { kind: "parquet", folder } as const;
    const { error } = await failure(run(sql, { output, limits: { outputBytesMax: 5 * mib } }));
    expect(error).toMatchObject({ code: "TR-5209", retryable: false });
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each(["SIGSEGV", "SIGABRT", "SIGKILL"] as const)("whose process dies by %s harms nobody else", async (signal) => {
    const assigned = runner.assigned.next(10_000);
    const pending = failure(run(endless));
    process.kill(await assigned, signal);
    expect((await pending).error).toMatchObject({ code: "TR-5210", retryable: true });
    expect((await run("SELECT 1")).rows).toEqual([[1]]);
  });

  it("ends with the service, and none begins after it", async () => {
    const own = new DuckRunner({ log: silentLog(), workFolder: work, poolSize: 1 });
    await own.start();
    const assigned = own.assigned.next(10_000);
    const output = { kind: "rows", rowsMax: 1, bytesMax: 100 } as const;
    const pending = failure(own.run({ inputs: [], sql: endless, output }));
    const pid = await assigned;
    await own.stop();
    expect((await pending).error).toMatchObject({ code: "TR-5211" });
    expect(own.pids).toEqual([]);
    expect(isAlive(pid)).toBe(false);
    expect((await failure(own.run({ inputs: [], sql: "SELECT 1", output }))).error).toMatchObject({ code: "TR-5211" });
  });

  it("does not outlive a parent that was killed", async () => {
    const script = fileURLToPath(new URL("./fixtures/parent.ts", import.meta.url));
    const folder = join(root, "orphan");
    const parent = spawn(process.execPath, [script, folder], { stdio: ["ignore", "pipe", "ignore"] });
    const pid = await new Promise<number>((resolve) =>
      parent.stdout.once("data", (line: Buffer) => resolve(Number(line))),
    );
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await until(() => !isAlive(pid));
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("the child", () => {
  it.runIf(linux)("has an empty environment, no standard input or output, limits, and a private folder", async () => {
    const own = new DuckRunner({ log: silentLog(), workFolder: work, poolSize: 1 });
    const prewarmed = own.prewarmed.next(10_000);
    await own.start();
    const proc = `/proc/${await prewarmed}`;
    expect(readFileSync(`${proc}/environ`, "utf8")).toBe("");
    expect([0, 1].map((fd) => readlinkSync(`${proc}/fd/${fd}`))).toEqual(["/dev/null", "/dev/null"]);
    expect(readlinkSync(`${proc}/cwd`).startsWith(work)).toBe(true);
    const limits = readFileSync(`${proc}/limits`, "utf8");
    expect(limits).toMatch(new RegExp(`Max data size +${1_536 * mib} +${1_536 * mib} `));
    expect(limits).toMatch(/Max core file size +0 +0 /);
    expect(limits).toMatch(/Max cpu time +\d+ +\d+ /);
    expect(limits).toMatch(/Max open files +512 +512 /);
    await own.stop();
  });

  it("is prewarmed, used once, and replaced", async () => {
    const own = new DuckRunner({ log: silentLog(), workFolder: work, poolSize: 1 });
    const prewarmed = own.prewarmed.next(10_000);
    await own.start();
    const first = await prewarmed;
    const assigned = own.assigned.next(10_000);
    const next = own.prewarmed.next(10_000);
    const output = { kind: "rows", rowsMax: 1, bytesMax: 100 } as const;
    expect((await own.run({ inputs: [], sql: "SELECT 1", output })).rows).toEqual([[1]]);
    expect(await assigned).toBe(first);
    expect(isAlive(first)).toBe(false);
    expect(await next).not.toBe(first);
    // Other limits of memory need a process of their own.
    const other = own.assigned.next(10_000);
    await own.run({ inputs: [], sql: "SELECT 1", output, limits: { dataBytesMax: 900 * mib } });
    expect(await other).not.toBe(await next);
    await own.stop();
  });

  it("is retired when nobody uses it", async () => {
    const own = new DuckRunner({ log: silentLog(), workFolder: work, poolSize: 1, idleMs: 50 });
    const retired = own.retired.next(10_000);
    await own.start();
    const pid = await retired;
    expect(isAlive(pid)).toBe(false);
    expect(own.pids).toEqual([]);
    await own.stop();
  });
});
