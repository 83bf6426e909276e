import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type CompletionAnswer, TraceError, toErrorRecord } from "@trace/contracts";
import { TestRace } from "@trace/kit";
import { afterEach, describe, expect, it } from "vitest";
import { Bench, type BenchOptions, noopJob } from "./testing/bench.ts";
import { recordingLog } from "./testing/recording-log.ts";

let bench: Bench;
afterEach(() => bench.stop());

async function start(options?: BenchOptions): Promise<Bench> {
  bench = await Bench.start(options);
  return bench;
}

function refusal(code: "TR-3001" | "TR-4002" | "TR-4006"): CompletionAnswer {
  return { accepted: false, error: toErrorRecord(new TraceError(code, { detail: `refused with ${code}` })) };
}

/** Passes time in steps, for waits that begin when an answer arrives. */
async function step(what: string, holds: () => boolean): Promise<void> {
  for (let steps = 0; !holds(); steps += 1) {
    if (steps > 1_000) throw new Error(`did not come: ${what}`);
    await bench.timers.advance(10);
    // A round trip of its own lets the one that is waited for get on.
    await fetch(`http://127.0.0.1:${bench.worker.opsPort}/healthz`);
  }
}

describe("completing attempts", () => {
  it("sends a completion whose answer was lost again, with the same body", async () => {
    const { dispatcher, operator } = await start();
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    dispatcher.after.complete = () => {
      if (dispatcher.calls.length < 3) throw new TraceError("TR-1000", { detail: "broke after the commit" });
    };
    running.end();
    await dispatcher.until("the first call", () => dispatcher.calls.length === 1);
    await step("the third call", () => dispatcher.calls.length === 3);
    expect(dispatcher.calls[1]).toEqual(dispatcher.calls[0]);
    expect(dispatcher.calls[2]).toEqual(dispatcher.calls[0]);
    expect(dispatcher.completed.size).toBe(1);
  });

  it("keeps a completion that has to wait for the object store, and sends the same again", async () => {
    const { dispatcher, operator } = await start();
    bench.wake([noopJob()]);
    dispatcher.onComplete = (_, call) => (call === 1 ? refusal("TR-4006") : undefined);
    (await operator.nth(0)).end();
    await dispatcher.until("the first call", () => dispatcher.calls.length === 1);
    await step("the second call", () => dispatcher.calls.length === 2);
    expect(dispatcher.calls[1]).toEqual(dispatcher.calls[0]);
  });

  it("gives a completion up when its lease is lost, and does not send it again", async () => {
    const { dispatcher, operator, timers, worker } = await start();
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    dispatcher.before.complete = () => {
      throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    running.end();
    await dispatcher.until("the first call", () => dispatcher.calls.length === 1);
    dispatcher.lost.add(running.context.task.lease_no);
    await timers.advance(5_000);
    await bench.pass(1);
    await step("the end of the attempt", () => worker.slots.used === 0);
    const calls = dispatcher.calls.length;
    dispatcher.before = {};
    await bench.pass(3);
    expect(dispatcher.calls).toHaveLength(calls);
    expect(dispatcher.completed.size).toBe(0);
  });

  it("sends completions that meet in one call", async () => {
    const { dispatcher, operator } = await start({ slots: 8 });
    bench.wake(Array.from({ length: 8 }, () => noopJob()));
    const running = [];
    for (let index = 0; index < 8; index += 1) running.push(await operator.nth(index));
    for (const run of running) run.end();
    await dispatcher.until("all eight", () => dispatcher.completed.size === 8);
    expect(dispatcher.calls.length).toBeLessThan(8);
  });

  it("ends an attempt whose manifest was refused as a failure that carries the refusal", async () => {
    const { dispatcher, operator } = await start();
    const { ids } = bench.wake([noopJob()]);
    dispatcher.onComplete = ({ result }) => (result.kind === "success" ? refusal("TR-4002") : undefined);
    (await operator.nth(0)).end();
    await dispatcher.until("the failure", () => dispatcher.completed.size === 1);
    expect(dispatcher.completed.get(ids[0] ?? "")).toEqual({
      kind: "failure",
      error: { code: "TR-4002", detail: "refused with TR-4002" },
    });
    expect(dispatcher.calls).toHaveLength(2);
    expect(bench.store.text(`trace-scratch/logs/${ids[0]}/1.jsonl`)).toContain("TR-4002: refused with TR-4002");
  });

  it("says nothing for an attempt that lost its lease between its end and its completion", async () => {
    const race = new TestRace();
    const { dispatcher, operator } = await start({ deps: { race } });
    const { ids } = bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const paused = race.pauseAt("attempt:ended");
    running.end();
    await paused.reached;
    dispatcher.cancel(ids[0] ?? "");
    await bench.pass(1);
    paused.resume();
    await step("the end of the attempt", () => bench.worker.slots.used === 0);
    expect(dispatcher.calls).toEqual([]);
  });

  it("says no more for an attempt that is stale", async () => {
    const { dispatcher, operator, worker } = await start({ slots: 1 });
    bench.wake([noopJob()]);
    dispatcher.onComplete = (_, call) => (call === 1 ? refusal("TR-3001") : undefined);
    (await operator.nth(0)).end();
    await dispatcher.until("the call", () => dispatcher.calls.length === 1);
    const { ids } = bench.wake([noopJob()]);
    (await operator.nth(1)).end();
    await dispatcher.until("the next task", () => dispatcher.completed.has(ids[0] ?? ""));
    expect(dispatcher.calls).toHaveLength(2);
    expect(worker.slots.max).toBe(1);
  });

  it("fails an attempt that ran past its timeout, and aborts its operator", async () => {
    const { dispatcher, operator, timers } = await start();
    const { ids } = bench.wake([noopJob({ timeoutMs: 10_000 })]);
    const { context } = await operator.nth(0);
    await bench.pass(1);
    await timers.advance(4_999);
    expect(context.signal.aborted).toBe(false);
    await timers.advance(1);
    expect(context.signal.aborted).toBe(true);
    await dispatcher.until("the failure", () => dispatcher.completed.size === 1);
    expect(dispatcher.completed.get(ids[0] ?? "")).toMatchObject({ kind: "failure", error: { code: "TR-3005" } });
  });

  it("reports a catalogued error with its record, and where", async () => {
    const { dispatcher, operator } = await start();
    const { ids } = bench.wake([noopJob()]);
    (await operator.nth(0)).fail(new TraceError("TR-5002", { detail: "no such file", fix: "make it" }));
    await dispatcher.until("the failure", () => dispatcher.completed.size === 1);
    expect(dispatcher.completed.get(ids[0] ?? "")).toEqual({
      kind: "failure",
      error: { code: "TR-5002", detail: "no such file", where: "job wait, attempt 1", fix: "make it" },
    });
  });

  it("reports an error without a code as TR-3007: its message to the user, its stack to the log", async () => {
    const { entries, log } = recordingLog();
    const { dispatcher, operator } = await start({ deps: { log } });
    const { ids } = bench.wake([noopJob()]);
    (await operator.nth(0)).fail(new Error("a bug of ours"));
    await dispatcher.until("the failure", () => dispatcher.completed.size === 1);
    const result = dispatcher.completed.get(ids[0] ?? "");
    expect(result).toMatchObject({ kind: "failure", error: { code: "TR-3007", detail: "a bug of ours" } });
    expect(JSON.stringify(result)).not.toContain("completing.test.ts");
    expect(
      entries.some(({ fields }) => fields.error instanceof Error && fields.error.message === "a bug of ours"),
    ).toBe(true);
  });

  it.each([
    ["queued", "warn"],
    ["dead", "error"],
  ] as const)("logs a failure that leaves its task %s at level %s, with its code", async (task_state, level) => {
    const { entries, log } = recordingLog();
    const { dispatcher, operator } = await start({ deps: { log } });
    dispatcher.onComplete = () => ({ accepted: true, attempt_state: "failed", task_state, commits: [] });
    bench.wake([noopJob()]);
    (await operator.nth(0)).fail(new TraceError("TR-5002", { detail: "no such file" }));
    const said = () => entries.filter(({ fields }) => fields.result === "failure");
    await step("the entry", () => said().length > 0);
    expect(said()).toMatchObject([{ level, fields: { code: "TR-5002", detail: "no such file", task_state } }]);
  });

  it("stores no log for an attempt that wrote nothing, and makes it no folder", async () => {
    const { dispatcher, operator, store } = await start();
    bench.wake([noopJob()]);
    (await operator.nth(0)).end();
    await dispatcher.until("the completion", () => dispatcher.completed.size === 1);
    expect(store.puts).toEqual([]);
    const folders = await readdir(join(bench.folder, "work"), { recursive: true });
    expect(folders.filter((name) => name.includes("lease-"))).toEqual([]);
  });

  it("keeps the logs of attempts apart, each with its own title first", async () => {
    const { dispatcher, operator, store } = await start();
    const { ids } = bench.wake([noopJob(), noopJob()]);
    const [first, second] = [await operator.nth(0), await operator.nth(1)];
    for (let line = 0; line < 3; line += 1) {
      first.context.log.info(`first ${line}`);
      second.context.log.info(`second ${line}`);
    }
    first.end();
    second.fail(new TraceError("TR-5002", { detail: "no such file" }));
    await dispatcher.until("both", () => dispatcher.completed.size === 2);
    const messagesOf = (id: string | undefined, leaseNo: number) => {
      const lines = store.text(`trace-scratch/logs/${id}/${leaseNo}.jsonl`).trimEnd().split("\n");
      return lines.map((line) => JSON.parse(line).message);
    };
    expect(messagesOf(ids[0], 1)).toEqual(["attempt 1 of job wait (noop), lease 1", "first 0", "first 1", "first 2"]);
    expect(messagesOf(ids[1], 2)).toEqual([
      "attempt 1 of job wait (noop), lease 2",
      "second 0",
      "second 1",
      "second 2",
      "TR-5002: no such file",
    ]);
  });

  it("logs an attempt that lost its lease although its operator wrote nothing", async () => {
    const { dispatcher, operator, store } = await start();
    const { ids } = bench.wake([noopJob()]);
    const running = await operator.nth(0);
    dispatcher.lost.add(running.context.task.lease_no);
    await bench.pass(1);
    await store.journal.until("the log", () => store.puts.length > 0);
    expect(store.text(`trace-scratch/logs/${ids[0]}/1.jsonl`)).toMatch(/attempt 1 of job wait.*\n.*aborted: .*TR-3004/);
  });

  it("fails a task whose operator this worker does not know", async () => {
    const { dispatcher } = await start({ deps: { operators: {} } });
    const { ids } = bench.wake([noopJob()]);
    await dispatcher.until("the failure", () => dispatcher.completed.size === 1);
    expect(dispatcher.completed.get(ids[0] ?? "")).toMatchObject({ kind: "failure", error: { code: "TR-3012" } });
  });

  it("asks for its inputs with its own lease token, and again when the dispatcher was away", async () => {
    const { dispatcher, operator } = await start();
    bench.wake([noopJob()]);
    const running = await operator.nth(0);
    dispatcher.before.resolve = () => {
      if (dispatcher.resolvedWith.length < 3) throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    const inputs = running.context.inputs();
    await step("the third call", () => dispatcher.resolvedWith.length === 3);
    expect(await inputs).toEqual([]);
    expect(new Set(dispatcher.resolvedWith)).toEqual(new Set(dispatcher.leases.keys()));
    dispatcher.before.resolve = () => {
      throw new TraceError("TR-3001", { detail: "the lease is not live" });
    };
    await expect(running.context.inputs()).rejects.toMatchObject({ code: "TR-3001" });
  });

  it("never logs a lease token, neither its own log nor the attempt's", async () => {
    const { entries, log } = recordingLog();
    const { dispatcher, operator } = await start({ deps: { log } });
    const { ids } = bench.wake([noopJob()]);
    const running = await operator.nth(0);
    const [token] = [...dispatcher.leases.keys()];
    dispatcher.onComplete = (_, call) => (call === 1 ? refusal("TR-4002") : undefined);
    running.end();
    await dispatcher.until("the failure", () => dispatcher.completed.size === 1);
    expect(Object.keys(running.context.task)).not.toContain("lease_token");
    const said = JSON.stringify(entries, (_, value) => (value instanceof Error ? String(value) : value));
    expect(said).toContain(ids[0]);
    expect(said).not.toContain(token);
    expect([...bench.store.objects.values()].join("\n")).not.toContain(token);
  });
});
