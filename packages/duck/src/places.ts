/** A fixed number of places; who finds none waits in order of arrival. */

export class Places {
  #free: number;
  #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves with a function that gives the place back (once). Rejects with the signal's reason, keeping no place. */
  take(signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const enter = () => {
        signal.removeEventListener("abort", leave);
        let held = true;
        resolve(() => {
          if (held) this.#giveBack();
          held = false;
        });
      };
      const leave = () => {
        this.#waiting = this.#waiting.filter((other) => other !== enter);
        reject(signal.reason);
      };
      if (this.#free > 0) {
        this.#free -= 1;
        enter();
        return;
      }
      this.#waiting.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #giveBack(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
