/** Watching on a task and a log that the test moves, with looks that the test lets happen. */
import { createHash } from "node:crypto";
import { type Attempt, type TaskDetail, TraceError } from "@trace/contracts";
import type { ObjectHead, ObjectPart } from "@trace/kit";
import { beforeEach, expect, test } from "vitest";
import { logVersionsMax, watchAttemptsBytes, watchLogEveryMs } from "./limits.ts";
import type { WatchEvent } from "./watcher.ts";
import { Watching } from "./watching.ts";

const taskId = "0198c0de-0000-7000-8000-3f9ac01b22d4";
const bucket = "scratch";

let task: TaskDetail;
let objects: Map<string, string>;
let watching: Watching;
let finds: number;
let gets: number;
let heads: number;
let ranges: number;
let nowMs: number;
/** What the listing, or the store, fails with. */
let failing: { listing?: Error; store?: Error };
/** Called before a range is read. */
let onRange: () => void;
/** Ends the waits of all polls: they look again. */
let waits: Set<() => void>;
let waitedMs: number[];

function taskWith(changes: Partial<TaskDetail>): TaskDetail {
  return {
    task_id: taskId,
    dag: "d",
    job: "j",
    operator: "noop",
    queue: "default",
    state: "queued",
    attempt: 0,
    failures: 0,
    failures_max: 3,
    lease_losses: 0,
    priority: 0,
    run_at: null,
    waiting_for: "worker",
    created_at: "2026-11-23T08:00:00.000Z",
    started_at: null,
    ended_at: null,
    worker: null,
    progress: null,
    error: null,
    commits: [],
    attempts: [],
    ...changes,
  };
}

function attemptOf(attempt: number, lease_no: number, state: Attempt["state"] = "running"): Attempt {
  const ended_at = state === "running" ? null : "2026-11-23T08:00:05.000Z";
  return { attempt, lease_no, state, worker: "w", started_at: "2026-11-23T08:00:01.000Z", ended_at, error: null };
}

function running(...attempts: Attempt[]): TaskDetail {
  return taskWith({ state: "running", waiting_for: null, attempt: attempts.length, attempts });
}

function over(...attempts: Attempt[]): TaskDetail {
  return taskWith({ state: "completed", waiting_for: null, ended_at: "2026-11-23T08:00:06.000Z", attempts });
}

function write(leaseNo: number, ...messages: string[]): void {
  const lines = messages.map((message) => ({ time: "2026-11-23T08:00:02.000Z", level: "info", message }));
  objects.set(`logs/${taskId}/${leaseNo}.jsonl`, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

function etagOf(text: string): string {
  return `"${createHash("md5").update(text).digest("hex")}"`;
}

const store = {
  head: (_: string, key: string): Promise<ObjectHead | undefined> => {
    heads += 1;
    if (failing.store !== undefined) return Promise.reject(failing.store);
    const text = objects.get(key);
    return Promise.resolve(
      text === undefined ? undefined : { bytes: Buffer.byteLength(text), etag: etagOf(text), sha256: undefined },
    );
  },
  range: (_: string, key: string, { etag, start, end }: ObjectPart): Promise<Uint8Array | undefined> => {
    ranges += 1;
    onRange();
    if (failing.store !== undefined) return Promise.reject(failing.store);
    const text = objects.get(key) ?? "";
    return Promise.resolve(etagOf(text) === etag ? Buffer.from(text).subarray(start, end) : undefined);
  },
};

/** Lets every poll look again; resolves when each waits once more or is over. */
async function look(): Promise<void> {
  nowMs += watchLogEveryMs;
  for (const done of [...waits]) done();
  await turn();
}

/** All that is ready to run has run. */
async function turn(): Promise<void> {
  for (let n = 0; n < 10; n++) await new Promise((done) => setImmediate(done));
}

/** A watcher that takes what comes. */
class Reader {
  readonly events: WatchEvent[] = [];
  readonly #abort = new AbortController();
  ended = false;
  error: unknown;

  constructor(options: { attempt?: number; lastEventId?: string | undefined } = {}) {
    const { attempt, lastEventId } = options;
    const stream = { signal: this.#abort.signal, lastEventId };
    void this.#take(watching.watch({ orgId: 1, taskId, attempt }, stream));
  }

  async #take(events: AsyncIterable<WatchEvent>): Promise<void> {
    try {
      for await (const event of events) this.events.push(event);
    } catch (error) {
      this.error = error;
    }
    this.ended = true;
  }

  async leave(): Promise<void> {
    this.#abort.abort();
    await turn();
  }

  /** `state:attempts` of a task, `lease:lines` of a log (`-n` lost), `end:state`; since the last time it was asked. */
  news(): string[] {
    return this.events.splice(0).map((event) => {
      if (event.event === "task") return `task ${event.data.state}:${event.data.attempts.length}`;
      if (event.event === "end") return `end ${event.data.state}`;
      const { lease_no, lines, dropped } = event.data;
      return `log ${lease_no}:${lines.map((line) => line.message).join(",")}${dropped === 0 ? "" : `-${dropped}`}`;
    });
  }
}

async function reader(options: ConstructorParameters<typeof Reader>[0] = {}): Promise<Reader> {
  const made = new Reader(options);
  await turn();
  return made;
}

beforeEach(() => {
  task = taskWith({});
  objects = new Map();
  [finds, gets, heads, ranges, nowMs] = [0, 0, 0, 0, 0];
  failing = {};
  onRange = () => undefined;
  waits = new Set();
  waitedMs = [];
  const find = () => {
    finds += 1;
    return failing.listing === undefined ? Promise.resolve({ ...task }) : Promise.reject(failing.listing);
  };
  const get = () => {
    gets += 1;
    return Promise.resolve(task);
  };
  watching = new Watching({
    listing: { find: find as never, get },
    store,
    scratchBucket: bucket,
    monotonicMs: () => nowMs,
    pause: (ms, signal) =>
      new Promise((resolve) => {
        waitedMs.push(ms);
        const done = () => {
          waits.delete(done);
          resolve();
        };
        waits.add(done);
        signal.addEventListener("abort", done, { once: true });
      }),
  });
});

test("a task is told as it is, when it changes and not otherwise, and to its end", async () => {
  const one = await reader();
  expect(one.news()).toEqual(["task queued:0"]);
  await look();
  expect(one.news()).toEqual([]);
  task = running(attemptOf(1, 7));
  await look();
  expect(one.news()).toEqual(["task running:1"]);
  task = { ...task, progress: { message: "reading", done: 5 } };
  await look();
  expect(one.news()).toEqual(["task running:1"]);
  task = over(attemptOf(1, 7, "succeeded"));
  await look();
  expect(one.news()).toEqual(["task completed:1", "end completed"]);
  expect(one.ended).toBe(true);
  expect(watching.polled).toBe(0);
  expect(waitedMs).toEqual([1_000, 1_000, 500, 500]);
});

test("lines come as they are stored, each once, and those stored last come before the end", async () => {
  task = running(attemptOf(1, 7));
  write(7, "a", "b");
  const one = await reader();
  expect(one.news()).toEqual(["task running:1", "log 7:a,b"]);
  await look();
  expect(one.news()).toEqual([]);
  write(7, "a", "b", "c");
  await look();
  expect(one.news()).toEqual(["log 7:c"]);
  write(7, "a", "b", "c", "d");
  task = over(attemptOf(1, 7, "succeeded"));
  await look();
  expect(one.news()).toEqual(["task completed:1", "log 7:d", "end completed"]);
});

test("attempts are told one after the other and never mixed, also those between two looks", async () => {
  task = running(attemptOf(1, 7));
  write(7, "a1");
  const one = await reader();
  one.news();
  write(7, "a1", "a2");
  write(9, "b1");
  write(12, "c1");
  task = running(attemptOf(1, 7, "failed"), attemptOf(2, 9, "expired"), attemptOf(3, 12));
  await look();
  expect(one.news()).toEqual(["task running:3", "log 7:a2", "log 9:b1", "log 12:c1"]);
  // What an attempt writes after it is over is its own affair.
  write(7, "a1", "a2", "late");
  await look();
  expect(one.news()).toEqual([]);
});

test("a stream begins with the newest attempt, or with those to come when there is none", async () => {
  task = running(attemptOf(1, 7, "failed"), attemptOf(2, 9));
  write(7, "old");
  write(9, "new");
  const late = await reader();
  expect(late.news()).toEqual(["task running:2", "log 9:new"]);
  await late.leave();
  task = taskWith({});
  const early = await reader();
  task = running(attemptOf(1, 7, "failed"), attemptOf(2, 9));
  await look();
  expect(early.news()).toEqual(["task queued:0", "task running:2", "log 7:old", "log 9:new"]);
});

test("one attempt alone is watched to its end, whatever becomes of the task", async () => {
  task = running(attemptOf(1, 7));
  write(7, "a");
  const one = await reader({ attempt: 1 });
  expect(one.news()).toEqual(["task running:1", "log 7:a"]);
  // Released: the attempt is begun again under its number, with a lease and a log of its own.
  task = taskWith({ attempts: [attemptOf(1, 7, "released")] });
  await look();
  expect(one.news()).toEqual(["task queued:1"]);
  write(8, "again");
  task = running(attemptOf(1, 7, "released"), attemptOf(1, 8));
  await look();
  expect(one.news()).toEqual(["task running:2", "log 8:again"]);
  write(8, "again", "and failed");
  task = taskWith({ attempts: [attemptOf(1, 7, "released"), attemptOf(1, 8, "failed")] });
  await look();
  expect(one.news()).toEqual(["task queued:2", "log 8:and failed", "end queued"]);
  expect(watching.polled).toBe(0);
});

test("an attempt that is not there, and a task that is not there, refuse the stream", async () => {
  task = running(attemptOf(1, 7));
  expect((await reader({ attempt: 2 })).error).toMatchObject({ code: "TR-1006" });
  failing.listing = new TraceError("TR-1006", { detail: "there is no task" });
  const none = await reader();
  expect(none.events).toEqual([]);
  expect(none.error).toMatchObject({ code: "TR-1006" });
  expect(watching.polled).toBe(0);
});

test.each(["x", "7", "7.1", "-1.0.ab", "7.1.AB", "7.1.ab\n"])("'%s' is no id of ours", async (lastEventId) => {
  expect((await reader({ lastEventId })).error).toMatchObject({ code: "TR-1002" });
});

test("a stream taken up again repeats nothing and leaves nothing out, whichever event was the last", async () => {
  const first = attemptOf(1, 7, "failed");
  write(7, "a1", "a2");
  write(9, "b1", "b2");
  task = running(first, attemptOf(2, 9));
  const whole = await reader();
  write(9, "b1", "b2", "b3");
  await look();
  task = over(first, attemptOf(2, 9, "succeeded"));
  await look();
  const all = [...whole.events];
  expect(whole.news()).toEqual(["task running:2", "log 9:b1,b2", "log 9:b3", "task completed:2", "end completed"]);
  const ids = all.map((event) => event.id);
  // Each time with a watcher that knows nothing but the id, as after a restart.
  const rests: string[][] = [];
  for (const lastEventId of ids) rests.push((await reader({ lastEventId })).news());
  expect(rests).toEqual([
    ["task completed:2", "log 9:b1,b2,b3", "end completed"],
    ["task completed:2", "log 9:b3", "end completed"],
    ["task completed:2", "end completed"],
    ["end completed"],
    ["end completed"],
  ]);
});

test("a stream that was cut off before there was an attempt goes on with the first", async () => {
  const one = await reader();
  const lastEventId = one.events.at(-1)?.id;
  await one.leave();
  write(7, "a1");
  write(9, "b1");
  task = running(attemptOf(1, 7, "failed"), attemptOf(2, 9));
  expect((await reader({ lastEventId })).news()).toEqual(["task running:2", "log 7:a1", "log 9:b1"]);
});

test("however many watch a task, it is looked at once, and its log is read once", async () => {
  task = running(attemptOf(1, 7));
  write(7, "a");
  const readers = await Promise.all([reader(), reader(), reader()]);
  expect([finds, heads, ranges]).toEqual([1, 1, 1]);
  write(7, "a", "b");
  await look();
  // The front of the log and what is new.
  expect([finds, heads, ranges]).toEqual([2, 2, 3]);
  for (const one of readers) expect(one.news()).toEqual(["task running:1", "log 7:a", "log 7:b"]);
  expect(watching.polled).toBe(1);
  await readers[0]?.leave();
  await readers[1]?.leave();
  expect(watching.polled).toBe(1);
  await look();
  expect(finds).toBe(3);
  await readers[2]?.leave();
  expect(watching.polled).toBe(0);
  await look();
  expect(finds).toBe(3);
});

test("a log that does not grow is not read, and its store is not asked at every look", async () => {
  task = running(attemptOf(1, 7));
  write(7, "a");
  await reader();
  for (let n = 0; n < 5; n++) {
    nowMs -= watchLogEveryMs; // looks with no time between them
    await look();
  }
  expect([finds, heads, ranges]).toEqual([6, 1, 1]);
  await look();
  expect([finds, heads, ranges]).toEqual([7, 2, 1]);
});

test("attempts are asked for when the task has moved, the log of one that is over once", async () => {
  task = running(attemptOf(1, 7));
  write(7, "a");
  await reader();
  await look();
  expect([finds, gets]).toEqual([2, 1]);
  task = taskWith({ attempts: [attemptOf(1, 7, "failed")] });
  for (let n = 0; n < 4; n++) await look();
  expect([finds, gets, heads]).toEqual([6, 2, 3]);
});

test("a store that is away holds up the log and not the task; at the end it is told", async () => {
  task = running(attemptOf(1, 7));
  failing.store = new TraceError("TR-4006", { detail: "the store is away" });
  const one = await reader();
  expect(one.news()).toEqual(["task running:1"]);
  task = { ...task, progress: { message: "on" } };
  await look();
  expect(one.news()).toEqual(["task running:1"]);
  delete failing.store;
  write(7, "a");
  await look();
  expect(one.news()).toEqual(["log 7:a"]);
  failing.store = new TraceError("TR-4006", { detail: "the store is away" });
  task = over(attemptOf(1, 7, "succeeded"));
  await look();
  expect(one.news()).toEqual(["task completed:1"]);
  expect(one.error).toMatchObject({ code: "TR-4006" });
});

test("a log replaced while it is read is read anew; one that never rests is told", async () => {
  write(7, "a", "b");
  task = over(attemptOf(1, 7, "expired"));
  let replaced = 0;
  onRange = () => {
    if (replaced++ === 0) write(7, "a", "b", "late");
  };
  expect((await reader()).news()).toEqual(["task completed:1", "log 7:a,b,late", "end completed"]);
  onRange = () => write(7, `again ${replaced++}`);
  const restless = await reader();
  expect(restless.error).toMatchObject({ code: "TR-4006" });
  expect(restless.news()).toEqual(["task completed:1"]);
  expect(replaced).toBeLessThan(3 + 2 * logVersionsMax);
});

test("when Postgres is away each watcher is told, and those who come back are looked after", async () => {
  task = running(attemptOf(1, 7));
  const readers = await Promise.all([reader(), reader()]);
  failing.listing = new TraceError("TR-1009", { detail: "Postgres is away" });
  await look();
  for (const one of readers) expect(one.error).toMatchObject({ code: "TR-1009" });
  expect(watching.polled).toBe(0);
  delete failing.listing;
  const back = await reader({ lastEventId: readers[0]?.events.at(-1)?.id });
  expect(back.error).toBeUndefined();
  task = over(attemptOf(1, 7, "succeeded"));
  await look();
  expect(back.news()).toEqual(["task completed:1", "end completed"]);
});

test("a task that is over and replayed is looked at anew", async () => {
  task = over(attemptOf(1, 7, "failed"));
  expect((await reader()).news()).toEqual(["task completed:1", "end completed"]);
  task = running(attemptOf(1, 7, "failed"), attemptOf(2, 9));
  expect((await reader()).news()).toEqual(["task running:2"]);
});

test("of thousands of attempts an event tells the newest", async () => {
  const attempts = Array.from({ length: 5_000 }, (_, n) => attemptOf(n + 1, n + 1, "snoozed"));
  task = running(...attempts, attemptOf(5_001, 5_001));
  const [event] = (await reader()).events;
  if (event?.event !== "task") throw new Error("no task");
  expect(event.data.attempts.at(-1)?.attempt).toBe(5_001);
  expect(event.data.attempts.length).toBeGreaterThan(500);
  expect(JSON.stringify(event.data).length).toBeLessThan(watchAttemptsBytes + 10_000);
  // Which one is watched does not hang on what is told.
  write(1, "first");
  expect((await reader({ attempt: 1 })).news().slice(1)).toEqual(["log 1:first", "end running"]);
});
