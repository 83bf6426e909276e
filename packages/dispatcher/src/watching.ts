/**
 * Watching tasks: what `watchTask` streams. However many watch one task, one poll looks at it, at a bounded rate; each
 * watcher is told what is new from its own place on. Nothing is kept for a slow one: it reads its next piece of the log when
 * it has taken the last.
 */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Attempt, TaskDetail } from "@trace/contracts";
import type { ObjectStore, StreamContext } from "@trace/kit";
import { watchAttemptsBytes, watchLogEveryMs, watchQueuedEveryMs, watchRunningEveryMs } from "./limits.ts";
import type { Listing } from "./listing.ts";
import { LogTail, type LogVersion } from "./logtail.ts";
import { type LogSource, type Look, placeOf, type WatchEvent, type Watched, Watcher } from "./watcher.ts";

export interface WatchingOptions {
  readonly listing: Pick<Listing, "find" | "get">;
  readonly store: Pick<ObjectStore, "head" | "range">;
  readonly scratchBucket: string;
  /** Resolves after `ms`, or when the signal is aborted. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly monotonicMs?: () => number;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    // Whoever waits looks at the signal next; a wait that was cut is no failure.
    if (!signal.aborted) throw error;
  }
}

export class Watching {
  readonly #options: WatchingOptions;
  readonly #polls = new Map<string, TaskPoll>();

  constructor(options: WatchingOptions) {
    this.#options = options;
  }

  /** Tasks looked at now. */
  get polled(): number {
    return this.#polls.size;
  }

  /** Throws TR-1002 for an id that is none of ours, TR-1006, and TR-4006 when the log of an attempt that is over cannot be read. */
  async *watch(what: Watched, stream: StreamContext): AsyncGenerator<WatchEvent, void, undefined> {
    const watcher = new Watcher(what, placeOf(stream.lastEventId));
    const poll = this.#join(what);
    try {
      for (let seen = 0; ; ) {
        const look = await poll.after(seen, stream.signal);
        if (look === undefined) return;
        seen = look.number;
        yield* watcher.news(look, poll);
        if (watcher.over(look.task)) {
          yield { event: "end", data: { state: look.task.state }, id: watcher.id };
          return;
        }
      }
    } finally {
      poll.leave();
    }
  }

  #join(what: Watched): TaskPoll {
    const key = `${what.orgId}:${what.taskId}`;
    let poll = this.#polls.get(key);
    if (poll === undefined) {
      const made = new TaskPoll(this.#options, what, () => {
        if (this.#polls.get(key) === made) this.#polls.delete(key);
      });
      this.#polls.set(key, made);
      poll = made;
    }
    poll.join();
    return poll;
  }
}

/** Looks at one task as long as somebody watches it and it is not over. */
class TaskPoll implements LogSource {
  readonly #options: WatchingOptions;
  readonly #what: Watched;
  readonly #onEnd: () => void;
  readonly #abort = new AbortController();
  readonly #waiting = new Set<() => void>();
  readonly #heads = new Map<number, { atMs: number; final: boolean; version: Promise<LogVersion | undefined> }>();
  readonly #reads = new Map<string, Promise<Uint8Array | undefined>>();
  #watchers = 0;
  #look: Look | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: WatchingOptions, what: Watched, onEnd: () => void) {
    this.#options = options;
    this.#what = what;
    this.#onEnd = onEnd;
  }

  join(): void {
    this.#watchers += 1;
    if (this.#watchers === 1) void this.#run();
  }

  leave(): void {
    this.#watchers -= 1;
    if (this.#watchers > 0) return;
    this.#onEnd();
    this.#abort.abort();
  }

  /** The next look after that one; undefined when the signal is aborted before. Throws what the poll failed with. */
  async after(seen: number, signal: AbortSignal): Promise<Look | undefined> {
    for (;;) {
      if (signal.aborted) return undefined;
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#look !== undefined && this.#look.number > seen) return this.#look;
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#waiting.delete(done);
          signal.removeEventListener("abort", done);
          resolve();
        };
        this.#waiting.add(done);
        signal.addEventListener("abort", done, { once: true });
      });
    }
  }

  /** The newest version of an attempt's log; of one that is over, the last. Watchers share what they ask for. */
  head({ lease_no, ended_at }: Attempt): Promise<LogVersion | undefined> {
    const { scratchBucket, store } = this.#options;
    const nowMs = (this.#options.monotonicMs ?? performance.now.bind(performance))();
    const known = this.#heads.get(lease_no);
    const final = ended_at !== null;
    if (known !== undefined && (known.final || (!final && nowMs - known.atMs < watchLogEveryMs))) return known.version;
    const version = store.head(scratchBucket, logKey(this.#what.taskId, lease_no));
    this.#heads.set(lease_no, { atMs: nowMs, final, version });
    version.catch(() => this.forget(lease_no)); // whoever awaits it is told; the next one asks again
    return version;
  }

  /** What was found of an attempt's log is no longer true. */
  forget(leaseNo: number): void {
    this.#heads.delete(leaseNo);
  }

  tail(leaseNo: number, next: number): LogTail {
    const { scratchBucket, store } = this.#options;
    const key = logKey(this.#what.taskId, leaseNo);
    return new LogTail(({ etag }, start, end) => {
      const name = `${leaseNo} ${etag} ${start} ${end}`;
      const running = this.#reads.get(name);
      if (running !== undefined) return running;
      const read = store.range(scratchBucket, key, { etag, start, end }).finally(() => this.#reads.delete(name));
      this.#reads.set(name, read);
      return read;
    }, next);
  }

  async #run(): Promise<void> {
    const wait = this.#options.pause ?? pause;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        await this.#once();
      } catch (error) {
        // Each watcher is told, and those who come back start a poll of their own.
        this.#failure = { error };
        this.#onEnd();
        this.#wake();
        return;
      }
      const state = this.#look?.task.state;
      // Over: those who watch are given the rest of the log; a task that is replayed gets a new poll.
      if (state !== "queued" && state !== "running") this.#onEnd();
      this.#wake();
      if (state !== "queued" && state !== "running") return;
      await wait(state === "running" ? watchRunningEveryMs : watchQueuedEveryMs, signal);
    }
  }

  async #once(): Promise<void> {
    const { orgId, taskId } = this.#what;
    const number = (this.#look?.number ?? 0) + 1;
    const { listing } = this.#options;
    const hash = hashOf(await listing.find(orgId, taskId));
    // Attempts come and go with the task's own row, so that a task that stands still costs one row.
    if (this.#look?.hash === hash) this.#look = { ...this.#look, number };
    else {
      const task = await listing.get(orgId, taskId);
      this.#look = { number, task, shown: bounded(task), hash };
    }
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}

function hashOf(row: unknown): string {
  return createHash("sha256").update(JSON.stringify(row)).digest("hex").slice(0, 16);
}

/** A task that snoozes all day has thousands of attempts: the newest ones are told, as many as fit. */
function bounded(task: TaskDetail): TaskDetail {
  const attempts: Attempt[] = [];
  let bytes = 0;
  for (const attempt of task.attempts.toReversed()) {
    bytes += Buffer.byteLength(JSON.stringify(attempt));
    if (bytes > watchAttemptsBytes && attempts.length > 0) break;
    attempts.push(attempt);
  }
  return { ...task, attempts: attempts.reverse() };
}

function logKey(taskId: string, leaseNo: number): string {
  return `logs/${taskId}/${leaseNo}.jsonl`;
}
