/** How many tasks may run at once, and who waits for a place. Nothing is claimed that has no slot: there is no prefetch. */
import { Change } from "./change.ts";

export class Slots {
  readonly max: number;
  #used = 0;
  #expected = 0;
  /** A slot was given back, or one that was expected to be taken was not. */
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

  /** Free slots beyond those that claims on their way are expected to take. */
  get room(): number {
    return Math.max(0, this.free - this.#expected);
  }

  /** A claim that is on its way will take so many, or as many as there is room for; the answer says that it is back. */
  expect(count: number): () => void {
    const expected = Math.min(count, this.room);
    this.#expected += expected;
    return () => {
      this.#expected -= expected;
      this.#given.report();
    };
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

  /** Resolves when there is room for more than what is on its way, or the signal aborts. */
  async whenRoom(signal: AbortSignal): Promise<void> {
    while (this.room === 0 && !signal.aborted) await this.#given.next(signal);
  }

  /** Resolves when no slot is taken or the signal aborts. */
  async whenIdle(signal: AbortSignal): Promise<void> {
    while (this.#used > 0 && !signal.aborted) await this.#given.next(signal);
  }
}
