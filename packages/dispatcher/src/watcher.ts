/**
 * How far one watcher of a task has been told: which state of it, and the log of which attempt up to which line. That is the
 * place in the id of every event, with which a stream that was cut off goes on, at whichever dispatcher.
 */
import {
  type Attempt,
  type LogEvent,
  type RouteEvent,
  type TaskDetail,
  TraceError,
  type userRoutes,
} from "@trace/contracts";
import { logVersionsMax } from "./limits.ts";
import type { LogTail, LogVersion } from "./logtail.ts";

export type WatchEvent = RouteEvent<(typeof userRoutes)["watchTask"]>;

export interface Watched {
  readonly orgId: number;
  readonly taskId: string;
  /** Only the log of this attempt, and only to its end. */
  readonly attempt: number | undefined;
}

/** The task as it was found, and how often it had been looked at by then. */
export interface Look {
  readonly number: number;
  readonly task: TaskDetail;
  /** The task as it is told. */
  readonly shown: TaskDetail;
  readonly hash: string;
}

/** The logs of the attempts of one task. */
export interface LogSource {
  /** The newest version of an attempt's log; of one that is over, the last. */
  head(attempt: Attempt): Promise<LogVersion | undefined>;
  /** What was found of an attempt's log is no longer true. */
  forget(leaseNo: number): void;
  tail(leaseNo: number, next: number): LogTail;
}

/** Where a stream was when it was cut off. */
export interface Place {
  readonly leaseNo: number;
  readonly next: number;
  readonly hash: string;
}

/** Throws TR-1002. */
export function placeOf(lastEventId: string | undefined): Place | undefined {
  if (lastEventId === undefined || lastEventId === "") return undefined;
  const match = /^(\d{1,15})\.(\d{1,15})\.([0-9a-f]*)$/.exec(lastEventId);
  if (match !== null) return { leaseNo: Number(match[1]), next: Number(match[2]), hash: match[3] ?? "" };
  throw new TraceError("TR-1002", {
    detail: "Last-Event-ID is no id of an event of this stream",
    where: "header Last-Event-ID",
    fix: "send the id of the last event that came, unchanged, or leave the header out",
  });
}

export class Watcher {
  readonly #what: Watched;
  readonly #place: Place | undefined;
  #hash: string | undefined;
  /** The lease of the first attempt whose log is told; undefined before the first look. */
  #from: number | undefined;
  /** The log that is read. */
  #tail: { readonly leaseNo: number; readonly log: LogTail } | undefined;

  constructor(what: Watched, place: Place | undefined) {
    this.#what = what;
    this.#place = place;
    this.#hash = place?.hash;
    this.#from = place?.leaseNo;
  }

  /** The place behind everything that was told. */
  get id(): string {
    const { leaseNo, next } =
      this.#tail === undefined
        ? { leaseNo: this.#from ?? 0, next: this.#place?.next ?? 0 }
        : { leaseNo: this.#tail.leaseNo, next: this.#tail.log.next };
    return `${leaseNo}.${next}.${this.#hash ?? ""}`;
  }

  /** Is nothing to come after what was found? */
  over(task: TaskDetail): boolean {
    if (task.state !== "queued" && task.state !== "running") return true;
    const last = this.#what.attempt === undefined ? undefined : this.#mine(task).at(-1);
    // A released attempt is begun again under its number.
    return last !== undefined && last.ended_at !== null && last.state !== "released";
  }

  async *news(look: Look, logs: LogSource): AsyncGenerator<WatchEvent, void, undefined> {
    const mine = this.#mine(look.task);
    this.#from ??= this.#what.attempt === undefined ? (mine.at(-1)?.lease_no ?? 0) : 0;
    if (look.hash !== this.#hash) {
      this.#hash = look.hash;
      yield { event: "task", data: look.shown, id: this.id };
    }
    const from = this.#tail?.leaseNo ?? this.#from;
    // In order, and none is begun before the one before it was read to its end.
    for (const attempt of mine.filter(({ lease_no }) => lease_no >= from)) {
      const tail = this.#tailOf(attempt.lease_no, logs);
      yield* this.#log(attempt, tail, logs);
    }
  }

  /** Attempts that are watched. Throws TR-1006 when there is none of the number asked for. */
  #mine(task: TaskDetail): readonly Attempt[] {
    const { attempt, taskId } = this.#what;
    if (attempt === undefined) return task.attempts;
    const mine = task.attempts.filter((one) => one.attempt === attempt);
    if (mine.length > 0) return mine;
    throw new TraceError("TR-1006", {
      detail: `task ${taskId} has no attempt ${attempt}`,
      fix: `'trace task show ${taskId}' lists its attempts`,
    });
  }

  #tailOf(leaseNo: number, logs: LogSource): LogTail {
    if (this.#tail?.leaseNo === leaseNo) return this.#tail.log;
    const next = this.#tail === undefined && this.#place?.leaseNo === leaseNo ? this.#place.next : 0;
    const log = logs.tail(leaseNo, next);
    this.#tail = { leaseNo, log };
    return log;
  }

  async *#log(attempt: Attempt, log: LogTail, logs: LogSource): AsyncGenerator<WatchEvent, void, undefined> {
    const over = attempt.ended_at !== null;
    for (let tries = 1; ; tries++) {
      try {
        const version = await logs.head(attempt);
        if (version === undefined || (yield* this.#pieces(attempt, log, version))) return;
      } catch (error) {
        // While it runs the next look tries again; what is over has no next one.
        if (over || !(error instanceof TraceError)) throw error;
      }
      if (!over) return;
      // An attempt that lost its lease may still write; what it wrote replaces what was found.
      if (tries >= logVersionsMax) throw restlessLog(attempt, this.#what.taskId);
      logs.forget(attempt.lease_no);
    }
  }

  /** Returns whether all of the version was told. */
  async *#pieces(
    { attempt, lease_no }: Attempt,
    log: LogTail,
    version: LogVersion,
  ): AsyncGenerator<WatchEvent, boolean, undefined> {
    const pieces = log.advance(version);
    for (;;) {
      const piece = await pieces.next();
      if (piece.done === true) return piece.value;
      const { dropped, lines } = piece.value;
      const data: LogEvent = { attempt, lease_no, dropped, lines: [...lines] };
      yield { event: "log", data, id: this.id };
    }
  }
}

function restlessLog(attempt: Attempt, taskId: string): TraceError {
  return new TraceError("TR-4006", {
    detail: `the log of attempt ${attempt.attempt} of task ${taskId} was replaced ${logVersionsMax} times while it was read`,
    fix: "open the stream again",
  });
}
