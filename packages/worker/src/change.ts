/** A condition that some wait for and others report: "a slot is free", "a session is open". */

export class Change {
  readonly #waiting = new Set<() => void>();

  /** Wakes everybody who waits now. */
  report(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the next report, or when the signal aborts. The caller looks again at what it waits for. */
  next(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
