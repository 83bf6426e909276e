/** Time for what holds something back: the system's, or one that a test moves on by hand. */
import { type Clock, systemClock } from "@trace/kit";

export interface Timer extends Clock {
  /** Runs `run` once `ms` from now; the answer takes it back. */
  after(ms: number, run: () => void): () => void;
}

export const systemTimer: Timer = {
  nowMs: systemClock.nowMs,
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Stands still until `advance`; then everything due runs, in the order in which it is due. */
export class ManualTimer implements Timer {
  #nowMs: number;
  #waiting: { readonly dueMs: number; readonly run: () => void }[] = [];

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, run: () => void): () => void {
    const entry = { dueMs: this.#nowMs + Math.max(0, ms), run };
    this.#waiting.push(entry);
    return () => {
      this.#waiting = this.#waiting.filter((one) => one !== entry);
    };
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      // Looked for anew each time: what runs may set another.
      const next = this.#waiting.toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#waiting = this.#waiting.filter((one) => one !== next);
      this.#nowMs = next.dueMs;
      next.run();
    }
    this.#nowMs = untilMs;
  }
}
