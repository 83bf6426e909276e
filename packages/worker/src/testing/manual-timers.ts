/** Time that passes when a test says so. */
import type { Timers } from "../timers.ts";
import { Journal } from "./journal.ts";

interface Due {
  readonly ms: number;
  readonly atMs: number;
  readonly call: () => void;
}

export class ManualTimers implements Timers {
  #nowMs = 1_000;
  readonly #due = new Set<Due>();
  readonly #journal = new Journal();

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(ms: number, call: () => void): () => void {
    const due = { ms, atMs: this.#nowMs + Math.max(0, ms), call };
    this.#due.add(due);
    this.#journal.note();
    return () => this.#due.delete(due);
  }

  /** Lets time pass and calls what falls due, in order; each call is followed by what it resolves at once. */
  async advance(ms: number): Promise<void> {
    // What was resolved before may still be on its way to its next timer.
    await turn();
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#due].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#due.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.call();
      // A turn of the event loop: promises that the call settled run on before the next timer.
      await turn();
    }
    this.#nowMs = untilMs;
    await turn();
  }

  /** Waits until somebody waits for exactly `ms`, and lets them pass: calls take real time, and waits follow them. */
  async pass(ms: number): Promise<void> {
    await this.#journal.until(`a wait of ${ms} ms`, () => [...this.#due].some((due) => due.ms === ms));
    await this.advance(ms);
  }

  /** Lets time pass, in steps, until the promise is settled. Tells nothing of how long it took: calls take real time. */
  async advanceUntil(settled: Promise<unknown>, stepMs = 1_000): Promise<void> {
    let waiting = true;
    const done = () => {
      waiting = false;
    };
    settled.then(done, done);
    while (waiting) await this.advance(stepMs);
    await settled;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
