/** Time that passes when a test says so. */
import type { Timers } from "../timers.ts";

interface Due {
  readonly atMs: number;
  readonly call: () => void;
}

export class ManualTimers implements Timers {
  #nowMs = 1_000;
  readonly #due = new Set<Due>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(ms: number, call: () => void): () => void {
    const due = { atMs: this.#nowMs + Math.max(0, ms), call };
    this.#due.add(due);
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
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
