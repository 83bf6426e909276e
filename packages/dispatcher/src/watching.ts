/**
 * Watching tasks: what `watchTask` streams. However many watch one task, one poll looks at it, at a bounded rate; each
 * watcher keeps its own place and is given what is new from there. Nothing is kept for a slow one: it reads its next piece of
 * the log when it has taken the last. The place is in the id of every event, so that any dispatcher can take a stream up.
 */
import { createHash } from "node:crypto";
import {
  type Attempt,
  type LogEvent,
  type RouteEvent,
  type TaskDetail,
  TraceError,
  type userRoutes,
} from "@trace/contracts";
import type { ObjectStore, StreamContext } from "@trace/kit";
import { watchAttemptsBytes, watchLogEveryMs, watchQueuedEveryMs, watchRunningEveryMs } from "./limits.ts";
import type { Listing } from "./listing.ts";
import { LogTail, type LogVersion } from "./logtail.ts";

type WatchEvent = RouteEvent<(typeof userRoutes)["watchTask"]>;

export interface WatchingOptions {
  readonly listing: Pick<Listing, "find" | "get">;
  readonly store: Pick<ObjectStore, "head" | "range">;
  readonly scratchBucket: string;
  /** Resolves after `ms`, or when the signal is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly monotonicMs: () => number;
}

export interface Watched {
  readonly orgId: number;
  readonly taskId: string;
  /** Only the log of this attempt, and only to its end. */
  readonly attempt: number | undefined;
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

/** The task as it was found, and how often it had been looked at by then. */
interface Look {
  readonly number: number;
  readonly task: TaskDetail;
  readonly hash: string;
}

/** Looks at one task as long as somebody watches it and it is not over. */
class TaskPoll {
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
    const { monotonicMs, scratchBucket, store } = this.#options;
    const known = this.#heads.get(lease_no);
    const final = ended_at !== null;
    if (known !== undefined && (known.final || (!final && monotonicMs() - known.atMs < watchLogEveryMs))) {
      return known.version;
    }
    const version = store.head(scratchBucket, logKey(this.#what.taskId, lease_no));
    this.#heads.set(lease_no, { atMs: monotonicMs(), final, version });
    version.catch(() => this.#heads.delete(lease_no)); // whoever awaits it is told; the next one asks again
    return version;
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
    const { pause } = this.#options;
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
      await pause(state === "running" ? watchRunningEveryMs : watchQueuedEveryMs, signal);
    }
  }

  async #once(): Promise<void> {
    const { orgId, taskId } = this.#what;
    const number = (this.#look?.number ?? 0) + 1;
    const { listing } = this.#options;
    const hash = hashOf(await listing.find(orgId, taskId));
    // Attempts come and go with the task's own row, so that a task that stands still costs one row.
    if (this.#look?.hash === hash) this.#look = { ...this.#look, number };
    else this.#look = { number, task: bounded(await listing.get(orgId, taskId)), hash };
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}

/** How far one watcher has been told. */
class Watcher {
  readonly #only: number | undefined;
  readonly #place: Place | undefined;
  #hash: string | undefined;
  /** The attempt whose log is read, by its lease; undefined before there is one. */
  #tail: { readonly leaseNo: number; readonly log: LogTail } | undefined;

  constructor(what: Watched, place: Place | undefined) {
    this.#only = what.attempt;
    this.#place = place;
    this.#hash = place?.hash;
  }

  get id(): string {
    const { leaseNo, log } = this.#tail ?? { leaseNo: this.#place?.leaseNo ?? 0, log: undefined };
    return `${leaseNo}.${log?.next ?? this.#place?.next ?? 0}.${this.#hash ?? ""}`;
  }

  /** Is nothing to come after what was found? */
  over(task: TaskDetail): boolean {
    if (task.state !== "queued" && task.state !== "running") return true;
    const last = this.#only === undefined ? undefined : task.attempts.findLast((one) => one.attempt === this.#only);
    // A released attempt is begun again under its number.
    return last !== undefined && last.ended_at !== null && last.state !== "released";
  }

  async *news(look: Look, poll: TaskPoll): AsyncGenerator<WatchEvent, void, undefined> {
    if (look.hash !== this.#hash) {
      this.#hash = look.hash;
      yield { event: "task", data: look.task, id: this.id };
    }
    for (const attempt of this.#due(look.task)) {
      if (this.#tail?.leaseNo !== attempt.lease_no) this.#tail = this.#begin(attempt.lease_no, poll);
      yield* this.#log(attempt, this.#tail.log, poll);
    }
  }

  /** Attempts whose log may have news, in order; none is begun before the one before it was read to its end. */
  #due(task: TaskDetail): readonly Attempt[] {
    const some =
      this.#only === undefined ? task.attempts : task.attempts.filter((attempt) => attempt.attempt === this.#only);
    const from = this.#tail?.leaseNo ?? this.#place?.leaseNo;
    // A stream begins with the newest attempt; where one attempt is asked for, with the first of that number.
    if (from === undefined || from === 0) return this.#only === undefined ? some.slice(-1) : some;
    return some.filter((attempt) => attempt.lease_no >= from);
  }

  #begin(leaseNo: number, poll: TaskPoll) {
    const next = this.#tail === undefined && this.#place?.leaseNo === leaseNo ? this.#place.next : 0;
    return { leaseNo, log: poll.tail(leaseNo, next) };
  }

  async *#log(attempt: Attempt, log: LogTail, poll: TaskPoll): AsyncGenerator<WatchEvent, void, undefined> {
    let version: LogVersion | undefined;
    try {
      version = await poll.head(attempt);
    } catch (error) {
      // While it runs the next look tries again; what is over has no next one.
      if (attempt.ended_at !== null) throw error;
      return;
    }
    if (version === undefined) return;
    const { lease_no } = attempt;
    for await (const piece of log.advance(version)) {
      const data: LogEvent = { attempt: attempt.attempt, lease_no, dropped: piece.dropped, lines: [...piece.lines] };
      yield { event: "log", data, id: this.id };
    }
  }
}

/** Where a stream was when it was cut off. */
interface Place {
  readonly leaseNo: number;
  readonly next: number;
  readonly hash: string;
}

/** Throws TR-1002. */
function placeOf(lastEventId: string | undefined): Place | undefined {
  if (lastEventId === undefined || lastEventId === "") return undefined;
  const match = /^(\d{1,15})\.(\d{1,15})\.([0-9a-f]*)$/.exec(lastEventId);
  if (match !== null) return { leaseNo: Number(match[1]), next: Number(match[2]), hash: match[3] ?? "" };
  throw new TraceError("TR-1002", {
    detail: "Last-Event-ID is no id of an event of this stream",
    where: "header Last-Event-ID",
    fix: "send the id of the last event that came, unchanged, or leave the header out",
  });
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
