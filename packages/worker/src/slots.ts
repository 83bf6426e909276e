/** How many tasks may run at once, and who waits for a place. Nothing is claimed that has no slot: there is no prefetch. */
import { Change } from "./change.ts";

export class Slots {
  readonly max: number;
  #used = 0;
  readonly #given = new Change();
  readonly #onFree: () => void;

  /** `onFree` is called each time a slot is given back. */
  constructor(max: number, onFree: () => void = () => undefined) {
    this.max = max;
    this.#onFree = onFree;
  }

  get free(): number {
    return this.max - this.#used;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes one; the answer gives it back, once. */
  take(): () => void {
    if (this.free === 0) throw new Error(`all ${this.max} slots are taken`);
    this.#used += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#used -= 1;
      this.#given.report();
      this.#onFree();
    };
  }

  /** Resolves when a slot is free or the signal aborts. */
  async whenFree(signal: AbortSignal): Promise<void> {
    while (this.free === 0 && !signal.aborted) await this.#given.next(signal);
  }

  /** Resolves when no slot is taken or the signal aborts. */
  async whenIdle(signal: AbortSignal): Promise<void> {
    while (this.#used > 0 && !signal.aborted) await this.#given.next(signal);
  }
}
