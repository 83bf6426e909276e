/**
 * The log of one attempt: kept in memory up to a bound (the oldest lines go first, and a marker says how many), stored as
 * one object of JSON lines in the scratch bucket while it grows and once more at the end. Losing it never fails work.
 * An attempt that writes nothing costs no object.
 */
import { createHash } from "node:crypto";
import { attemptLogBytesMax, type LogLine } from "@trace/contracts";
import { type Clock, type Log, type ObjectStore, TestSignal } from "@trace/kit";
import {
  logMessageCharsMax,
  logUploadBytesPerSecond,
  logUploadEveryMs,
  logUploadEveryMsMax,
  logUploadLingerMs,
  logUploadMsMax,
  logUploadRestTimes,
} from "./limits.ts";
import type { Timers } from "./timers.ts";

/** What an operator writes to; people read it with `trace task logs`. */
export interface TaskLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Lines in order, at most `bytesMax` of them in UTF-8 with their line ends, the marker included. */
export class LogRing {
  readonly #bytesMax: number;
  #lines: string[] = [];
  /** Lines at the front of `#lines` that are gone: cut away in bulk, so that dropping one costs no copy. */
  #head = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(bytesMax: number) {
    // Room for `{"dropped":n}` and its line end, whatever n.
    this.#bytesMax = bytesMax - 40;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Of the lines kept, with their line ends. */
  get bytes(): number {
    return this.#bytes;
  }

  push(line: string): void {
    this.#lines.push(line);
    this.#bytes += Buffer.byteLength(line) + 1;
    while (this.#bytes > this.#bytesMax && this.#head < this.#lines.length) {
      this.#bytes -= Buffer.byteLength(this.#lines[this.#head] ?? "") + 1;
      this.#head += 1;
      this.#dropped += 1;
    }
    if (this.#head > 1_000 && this.#head * 2 > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#head);
      this.#head = 0;
    }
  }

  text(): string {
    const marker = this.#dropped === 0 ? "" : `{"dropped":${this.#dropped}}\n`;
    const kept = this.#lines.slice(this.#head);
    return kept.length === 0 ? marker : `${marker}${kept.join("\n")}\n`;
  }
}

/** How long after an upload of `bytes` that took `tookMs` began the next one may begin, milliseconds. */
export function uploadEveryMs(bytes: number, tookMs: number): number {
  const bySizeMs = (bytes / logUploadBytesPerSecond) * 1_000;
  return Math.min(logUploadEveryMsMax, Math.max(logUploadEveryMs, tookMs * logUploadRestTimes, bySizeMs));
}

export interface AttemptLogParts {
  readonly store: Pick<ObjectStore, "put">;
  readonly bucket: string;
  /** `logs/<task_id>/<lease_no>.jsonl`. */
  readonly key: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly bytesMax?: number;
}

export class AttemptLog implements TaskLog {
  /** Emitted after each upload, well or not. */
  readonly uploaded = new TestSignal<boolean>("attempt log uploaded");
  readonly #parts: AttemptLogParts;
  readonly #ring: LogRing;
  #title: string | undefined;
  #changed = false;
  #closed = false;
  /** Monotonic, milliseconds. */
  #nextUploadMs = 0;
  #cancelTimer: (() => void) | undefined;
  #uploading: Promise<void> | undefined;
  #failed = false;

  constructor(parts: AttemptLogParts) {
    this.#parts = parts;
    this.#ring = new LogRing(parts.bytesMax ?? attemptLogBytesMax);
  }

  /** The line that the log begins with. Kept back until another follows: alone it is not worth an object. */
  title(message: string): void {
    this.#title = this.#line("info", message);
  }

  debug(message: string): void {
    this.#add("debug", message);
  }

  info(message: string): void {
    this.#add("info", message);
  }

  warn(message: string): void {
    this.#add("warn", message);
  }

  error(message: string): void {
    this.#add("error", message);
  }

  /** Stores what is not stored yet. Never throws: the attempt ends the same without its log. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    await this.#uploading;
    if (this.#changed) await this.#upload();
  }

  #line(level: LogLine["level"], message: string): string {
    const cut = message.length > logMessageCharsMax ? `${message.slice(0, logMessageCharsMax)}…` : message;
    const line: LogLine = { time: new Date(this.#parts.clock.nowMs()).toISOString(), level, message: cut };
    return JSON.stringify(line);
  }

  #add(level: LogLine["level"], message: string): void {
    if (this.#title !== undefined) this.#ring.push(this.#title);
    this.#title = undefined;
    this.#ring.push(this.#line(level, message));
    this.#changed = true;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#closed || this.#cancelTimer !== undefined || this.#uploading !== undefined) return;
    const { timers } = this.#parts;
    const waitMs = Math.max(logUploadLingerMs, this.#nextUploadMs - timers.monotonicMs());
    this.#cancelTimer = timers.after(waitMs, () => {
      this.#cancelTimer = undefined;
      this.#uploading = this.#upload().finally(() => {
        this.#uploading = undefined;
        if (this.#changed) this.#schedule();
      });
    });
  }

  async #upload(): Promise<void> {
    const { bucket, key, log, store, timers } = this.#parts;
    const body = Buffer.from(this.#ring.text(), "utf8");
    this.#changed = false;
    const startedMs = timers.monotonicMs();
    const limit = new AbortController();
    const cancel = timers.after(logUploadMsMax, () => limit.abort());
    try {
      const sha256 = createHash("sha256").update(body).digest("hex");
      const contentType = "application/jsonl";
      const { signal } = limit;
      await store.put({ bucket, key, body, bytes: body.length, sha256, contentType, ifAbsent: false, signal });
      this.#failed = false;
      this.uploaded.emit(true);
    } catch (error) {
      this.#changed = true;
      if (!this.#failed) log.warn({ error, key }, "cannot store the log of an attempt");
      this.#failed = true;
      this.uploaded.emit(false);
    } finally {
      cancel();
      this.#nextUploadMs = startedMs + uploadEveryMs(body.length, timers.monotonicMs() - startedMs);
    }
  }
}
