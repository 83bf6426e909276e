/**
 * A background loop: runs a pass, waits for its interval or a nudge, runs again. A pass that fails is logged once and
 * tried again after a backoff; it never ends the process.
 */
import { backoffMs } from "./backoff.ts";
import { type Random, systemRandom } from "./clock.ts";
import type { Log } from "./log.ts";
import type { Service } from "./service.ts";
import { TestSignal } from "./signal.ts";

export interface LoopOptions {
  readonly name: string;
  /** The longest time between two passes, in milliseconds. */
  readonly everyMs: number;
  /** Wait after a failed pass: doubles from here to `retryMaxMs`. */
  readonly retryBaseMs?: number;
  readonly retryMaxMs?: number;
  readonly log: Log;
  readonly random?: Random;
  /** One pass. Returns `again` when it left work behind, to be run at once. */
  pass(signal: AbortSignal): Promise<"again" | "idle">;
}

export class Loop implements Service {
  /** Emitted after each pass that did not throw. */
  readonly passed: TestSignal<"again" | "idle">;
  readonly #options: LoopOptions;
  #abort = new AbortController();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #nudged = false;
  #failures = 0;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.passed = new TestSignal(`${options.name} passed`);
  }

  start(): Promise<void> {
    if (this.#running === undefined) {
      this.#abort = new AbortController();
      this.#running = this.#run();
    }
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#wake?.();
    await this.#running;
    this.#running = undefined;
  }

  /** Asks for a pass now. A nudge during a pass is kept for the next one. */
  nudge(): void {
    this.#nudged = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      this.#nudged = false;
      let waitMs = this.#options.everyMs;
      try {
        const result = await this.#options.pass(signal);
        this.#failures = 0;
        this.passed.emit(result);
        if (result === "again") waitMs = 0;
      } catch (error) {
        if (signal.aborted) return;
        waitMs = this.#failureWaitMs();
        this.#options.log.warn({ error, loop: this.#options.name, retryInMs: Math.round(waitMs) }, "pass failed");
        this.#nudged = false;
      }
      if (waitMs > 0) await this.#wait(waitMs);
    }
  }

  #failureWaitMs(): number {
    const rule = { baseMs: this.#options.retryBaseMs ?? 200, maxMs: this.#options.retryMaxMs ?? 5_000 };
    return backoffMs(rule, this.#failures++, this.#options.random ?? systemRandom);
  }

  #wait(ms: number): Promise<void> {
    if (this.#nudged || this.#abort.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = done;
    });
  }
}
