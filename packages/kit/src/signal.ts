/**
 * Signals that a service gives while it works ("batch claimed", "outbox drained"). Production code emits, tests wait
 * for them instead of sleeping. Emitting with nobody waiting costs a loop over an empty set.
 */

type Listener<T> = (value: T) => void;

export class TestSignal<T> {
  readonly name: string;
  #listeners = new Set<Listener<T>>();

  constructor(name: string) {
    this.name = name;
  }

  emit(value: T): void {
    for (const listener of [...this.#listeners]) listener(value);
  }

  /** Resolves with the next value that fits; rejects after `timeoutMs`, so a lost signal is a failed test, not a hang. */
  next(timeoutMs: number, fits: (value: T) => boolean = () => true): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#listeners.delete(listener);
        reject(new Error(`signal '${this.name}' did not come within ${timeoutMs} ms`));
      }, timeoutMs);
      const listener: Listener<T> = (value) => {
        if (!fits(value)) return;
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(value);
      };
      this.#listeners.add(listener);
    });
  }
}
