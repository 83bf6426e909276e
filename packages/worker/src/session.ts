/**
 * One session of this worker: beats while it lives and ends every attempt that holds a lease of it when it is over.
 *
 * The dispatcher counts the time to live from when it received a beat. This side counts from when the last beat that
 * succeeded was sent, by a monotonic clock: it is always the first to know that the session is over (invariant 4).
 */
import { batchItemsMax, type Progress, type Session, TraceError } from "@trace/contracts";
import { backoffMs, type Log, type Random, TestSignal } from "@trace/kit";
import { isCode, type WorkerApi } from "./api.ts";
import { Change } from "./change.ts";
import { closeSessionMs, progressEveryMs, retryBaseMs, retryMaxMs } from "./limits.ts";
import type { WorkerMetrics } from "./metrics.ts";
import { abortOf, type Timers, wait } from "./timers.ts";

/** An attempt as its session sees it. */
export interface LeaseHolder {
  readonly leaseNo: number;
  /** The newest progress; the same object until it changes. */
  readonly progress: Progress | undefined;
  /** The lease is gone. Called at most once. */
  lose(reason: TraceError): void;
}

export interface SessionParts {
  readonly api: WorkerApi;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
}

export class LiveSession {
  readonly id: string;
  /** Emitted after each beat that the dispatcher took, with the leases that it says are lost. */
  readonly beaten = new TestSignal<readonly number[]>("session beaten");
  readonly #parts: SessionParts;
  readonly #session: Session;
  readonly #abort = new AbortController();
  readonly #holders = new Map<number, LeaseHolder>();
  readonly #reported = new Map<number, Progress>();
  readonly #unusable = new AbortController();
  #retired = false;
  #closed: Promise<boolean> | undefined;
  #aliveFromMs: number;
  #cancelExpiry: () => void = () => undefined;
  /** When the last beat was sent, good or not; beats follow each other and never overlap. */
  #beatSentMs: number;
  #retryAtMs = 0;
  #failedBeats = 0;
  /** Some holder has progress that was not told yet. */
  #news = false;
  readonly #newsCame = new Change();

  /** `sentAtMs`: monotonic time at which the call that opened it was sent. */
  constructor(parts: SessionParts, session: Session, sentAtMs: number) {
    this.#parts = parts;
    this.#session = session;
    this.id = session.session_id;
    this.#aliveFromMs = sentAtMs;
    this.#beatSentMs = sentAtMs;
  }

  /** Aborted when the session is over. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get usable(): boolean {
    return !this.#unusable.signal.aborted;
  }

  /** Aborted when no more may be claimed with it: what a claim that waits would bring is not wanted any more. */
  get claiming(): AbortSignal {
    return this.#unusable.signal;
  }

  get retired(): boolean {
    return this.#retired;
  }

  /** Beats in a row that failed. */
  get failedBeats(): number {
    return this.#failedBeats;
  }

  /** Resolves when no more may be claimed with it: it is over, or it was retired. */
  get unusable(): Promise<void> {
    return abortOf(this.#unusable.signal);
  }

  start(): void {
    this.#armExpiry();
    void this.#beatUntilOver();
  }

  /** Registers an attempt; the answer takes it off. A session that is over takes its lease away at once. */
  hold(holder: LeaseHolder): () => void {
    if (this.signal.aborted) {
      holder.lose(this.signal.reason as TraceError);
      return () => undefined;
    }
    this.#holders.set(holder.leaseNo, holder);
    return () => {
      this.#holders.delete(holder.leaseNo);
      this.#reported.delete(holder.leaseNo);
      if (this.#retired && this.#holders.size === 0) void this.close();
    };
  }

  /** A holder has new progress: people watch it, so that it goes with the next beat, which comes early for it. */
  progressed(): void {
    if (this.#news) return;
    this.#news = true;
    this.#newsCame.report();
  }

  /**
   * Claims nothing more with this session, and closes it when its last attempt has ended. Used when a claim's answer was
   * lost: tasks may be leased to this session that nobody here knows of, and closing it requeues them.
   */
  retire(): void {
    this.#retired = true;
    this.#unusable.abort();
    if (this.#holders.size === 0) void this.close();
  }

  /** The session is over: every attempt that holds a lease of it loses it now. */
  end(reason: TraceError): void {
    if (this.signal.aborted) return;
    this.#cancelExpiry();
    this.#abort.abort(reason);
    this.#unusable.abort(reason);
    const holders = [...this.#holders.values()];
    this.#holders.clear();
    for (const holder of holders) holder.lose(reason);
  }

  /**
   * Ends it here and tells the dispatcher, which requeues at once what it still holds. Answers whether the dispatcher heard
   * it. Never throws.
   */
  close(): Promise<boolean> {
    if (this.#closed === undefined) {
      // Set before the work begins: ending the session calls back here.
      const closed = Promise.withResolvers<boolean>();
      this.#closed = closed.promise;
      void this.#close().then(closed.resolve);
    }
    return this.#closed;
  }

  async #close(): Promise<boolean> {
    const { api, log, timers } = this.#parts;
    this.end(new TraceError("TR-3002", { detail: `session ${this.id} was closed by its worker` }));
    const limit = new AbortController();
    const cancel = timers.after(closeSessionMs, () => limit.abort());
    try {
      await api.closeSession({ params: { session_id: this.id } }, { signal: limit.signal });
      return true;
    } catch (error) {
      // Nothing is lost by this: the session is not beaten any more and ends when its time to live is over.
      log.info({ error, sessionId: this.id }, "session not closed; it ends by itself");
      return false;
    } finally {
      cancel();
    }
  }

  #armExpiry(): void {
    this.#cancelExpiry();
    const leftMs = this.#aliveFromMs + this.#session.ttl_ms - this.#parts.timers.monotonicMs();
    this.#cancelExpiry = this.#parts.timers.after(leftMs, () => {
      this.end(
        new TraceError("TR-3002", {
          detail: `session ${this.id} had no successful beat within ${this.#session.ttl_ms} ms`,
          why: "the dispatcher did not answer in time, or this process was held up",
          fix: "the worker opens a new session by itself; 'trace doctor' tells whether the dispatcher answers",
        }),
      );
    });
  }

  async #beatUntilOver(): Promise<void> {
    while (!this.signal.aborted) {
      await this.#untilDue();
      if (!this.signal.aborted) await this.#beat();
    }
  }

  /** Progress that comes meanwhile brings the next beat forward. */
  async #untilDue(): Promise<void> {
    const { timers } = this.#parts;
    for (;;) {
      const leftMs = this.#dueMs() - timers.monotonicMs();
      if (leftMs <= 0 || this.signal.aborted) return;
      const over = new AbortController();
      const signal = AbortSignal.any([this.signal, over.signal]);
      await Promise.race([wait(timers, leftMs, signal), this.#newsCame.next(signal)]);
      over.abort();
    }
  }

  /** When the next beat is to be sent, monotonic. */
  #dueMs(): number {
    if (this.#failedBeats > 0) return this.#retryAtMs;
    return this.#beatSentMs + (this.#news ? Math.min(progressEveryMs, this.#session.beat_ms) : this.#session.beat_ms);
  }

  /** One beat, in as many calls as its leases need. */
  async #beat(): Promise<void> {
    const { log, metrics, random, timers } = this.#parts;
    const holders = [...this.#holders.values()];
    this.#news = false;
    this.#beatSentMs = timers.monotonicMs();
    try {
      const lost: number[] = [];
      for (let from = 0; from === 0 || from < holders.length; from += batchItemsMax) {
        lost.push(...(await this.#tell(holders.slice(from, from + batchItemsMax))));
        if (this.signal.aborted) return;
      }
      this.#failedBeats = 0;
      metrics.beats.inc({ result: "ok" });
      this.beaten.emit(lost);
    } catch (error) {
      if (this.signal.aborted) return;
      metrics.beats.inc({ result: isCode(error, "TR-3002") ? "refused" : "failed" });
      const rule = { baseMs: retryBaseMs, maxMs: Math.min(retryMaxMs, this.#session.beat_ms) };
      this.#retryAtMs = timers.monotonicMs() + backoffMs(rule, this.#failedBeats, random);
      this.#failedBeats += 1;
      if (isCode(error, "TR-3002")) this.end(error);
      else if (this.#failedBeats === 1) log.warn({ error, sessionId: this.id }, "heartbeat failed; trying again");
    }
  }

  /** One call of a beat. Whatever part of the leases it names, it keeps the whole session alive. */
  async #tell(holders: readonly LeaseHolder[]): Promise<readonly number[]> {
    const { api, timers } = this.#parts;
    const progress = holders.flatMap(({ leaseNo, progress }) =>
      progress === undefined || this.#reported.get(leaseNo) === progress ? [] : [{ lease_no: leaseNo, progress }],
    );
    const sentAtMs = timers.monotonicMs();
    const body = { leases: holders.map(({ leaseNo }) => leaseNo), progress };
    const { lost } = await api.heartbeat({ params: { session_id: this.id }, body }, { signal: this.signal });
    if (this.signal.aborted) return [];
    this.#aliveFromMs = sentAtMs;
    this.#armExpiry();
    for (const item of progress) {
      if (this.#holders.has(item.lease_no)) this.#reported.set(item.lease_no, item.progress);
    }
    this.#lose(lost);
    return lost;
  }

  #lose(leaseNos: readonly number[]): void {
    for (const leaseNo of leaseNos) {
      const holder = this.#holders.get(leaseNo);
      if (holder === undefined) continue;
      this.#holders.delete(leaseNo);
      holder.lose(
        new TraceError("TR-3004", {
          detail: `lease ${leaseNo} is no longer live`,
          why: "it expired, its task was canceled, or its attempt was ended already",
        }),
      );
    }
  }
}
