/**
 * "Next n": claims the next tasks of the queue without any wake-up. It runs as soon as slots free after a claim that left
 * work, every 5 s while slots are free, and whenever receiving fails, so that losing every message loses nothing.
 */
import { backoffMs, type Log, type Random, type Service, TestSignal } from "@trace/kit";
import { Change } from "./change.ts";
import type { Claimer } from "./claimer.ts";
import { pollEveryMs, retryBaseMs, retryMaxMs } from "./limits.ts";
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
  /** Emitted when it begins to wait. */
  readonly idle = new TestSignal<void>("poller idle");
  readonly #parts: PollerParts;
  readonly #stop = new AbortController();
  readonly #nudges = new Change();
  #nudged = false;
  #failures = 0;
  #running: Promise<void> | undefined;

  constructor(parts: PollerParts) {
    this.#parts = parts;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Asks for a claim now. */
  nudge(): void {
    this.#nudged = true;
    this.#nudges.report();
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
    const { claimer, log, random } = this.#parts;
    try {
      const claimed = await claimer.claim([]);
      if (this.#failures > 0) log.info("claiming works again");
      this.#failures = 0;
      if (claimed?.more !== true) return pollEveryMs * (0.5 + random());
      // Work is left that could not be had just now (others hold it): asking at once again would spin.
      return claimed.started.size > 0 || claimed.full ? 0 : retryBaseMs * (0.5 + random());
    } catch (error) {
      if (this.#failures === 0) log.warn({ error }, "cannot claim tasks; trying again");
      this.#nudged = false;
      return backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, this.#failures++, random);
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
