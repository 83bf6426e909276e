/**
 * "Next n": claims the next tasks of the queue without any wake-up. While slots are free one claim waits at the dispatcher, so
 * that what becomes ready there starts at once; it is asked anew every few seconds, so that losing every message loses
 * nothing. Whoever knows of work that the waiting one may not be told of nudges: it is then asked for beside it.
 */
import { backoffMs, type Log, type Random, type Service, TestSignal } from "@trace/kit";
import { Change } from "./change.ts";
import type { Claimer, Waited } from "./claimer.ts";
import { claimWaitLeastMs, claimWaitMs, retryBaseMs, retryMaxMs } from "./limits.ts";
import type { SessionKeeper } from "./sessions.ts";
import type { Slots } from "./slots.ts";
import { type Timers, wait } from "./timers.ts";

export interface PollerParts {
  readonly claimer: Claimer;
  readonly sessions: SessionKeeper;
  readonly slots: Slots;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
}

export class Poller implements Service {
  /** Emitted when it begins to wait by itself, not at the dispatcher. */
  readonly idle = new TestSignal<void>("poller idle");
  readonly #parts: PollerParts;
  readonly #stop = new AbortController();
  readonly #nudges = new Change();
  #nudged = false;
  #failures = 0;
  /** Claims in a row that were answered with nothing although they should have waited. */
  #unwaited = 0;
  #running: Promise<void> | undefined;

  constructor(parts: PollerParts) {
    this.#parts = parts;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  /** Resolves when its last claim is settled: one that waits lasts until its session is closed (Claimer.stop). */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Asks for a claim now. */
  nudge(): void {
    this.#nudged = true;
    this.#nudges.report();
    if (this.#parts.claimer.isWaiting) void this.#claimBeside();
  }

  /** A slot was given back: worth a call when the last claim left work. */
  slotFreed(): void {
    if (this.#parts.claimer.leftWork) this.nudge();
  }

  async #run(): Promise<void> {
    const { sessions, slots } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sessions.whenOpen(signal);
      await slots.whenFree(signal);
      if (signal.aborted) return;
      this.#nudged = false;
      const waitMs = await this.#claim();
      if (waitMs > 0) await this.#waitOrNudge(waitMs);
    }
  }

  /** Answers how long to wait before the next claim, milliseconds. */
  async #claim(): Promise<number> {
    const { claimer, log, random, timers } = this.#parts;
    const sentAtMs = timers.monotonicMs();
    try {
      const waited = await claimer.claimNext(Math.round(claimWaitMs * (0.5 + random())));
      if (waited !== undefined && this.#failures > 0) log.info("claiming works again");
      if (waited !== undefined) this.#failures = 0;
      return await this.#afterwardsMs(waited, timers.monotonicMs() - sentAtMs);
    } catch (error) {
      if (this.#failures === 0) log.warn({ error }, "cannot claim tasks; trying again");
      this.#nudged = false;
      return backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, this.#failures++, random);
    }
  }

  async #afterwardsMs(waited: Waited | undefined, tookMs: number): Promise<number> {
    const { claimer, random } = this.#parts;
    // No session, or none any more: the next one nudges.
    if (waited === undefined) return retryBaseMs * (0.5 + random());
    if (waited.started.size > 0 || waited.full || waited.more || tookMs >= claimWaitLeastMs) this.#unwaited = 0;
    if (waited.started.size > 0 || waited.full) return 0;
    // Work is left that could not be had just now (others hold it): asking at once again would spin.
    if (waited.more) return retryBaseMs * (0.5 + random());
    if (waited.overtaken) {
      await claimer.settled();
      return 0;
    }
    if (tookMs >= claimWaitLeastMs) return 0;
    // The dispatcher stops, or is of a version that does not wait: the latter is soon asked as rarely as a wait takes.
    return backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, this.#unwaited++, random);
  }

  /** Where the other claim waits nothing may be known of what there is: another dispatcher has it. */
  async #claimBeside(): Promise<void> {
    try {
      await this.#parts.claimer.claim([]);
    } catch (error) {
      this.#parts.log.info({ error }, "the next tasks could not be claimed; the claim that waits is asked anew");
    }
  }

  async #waitOrNudge(ms: number): Promise<void> {
    const both = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, both.signal]);
    this.idle.emit();
    if (!this.#nudged) await Promise.race([wait(this.#parts.timers, ms, signal), this.#nudges.next(signal)]);
    both.abort();
  }
}
