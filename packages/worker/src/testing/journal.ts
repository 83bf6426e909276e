/** Waiting for a condition over what a fake has seen: looked at again whenever it sees something. */

const patienceMs = 10_000;

export class Journal {
  readonly #checks = new Set<() => void>();

  note(): void {
    for (const check of [...this.#checks]) check();
  }

  /** Resolves when the condition holds; rejects after ten seconds, saying what did not come. */
  until(what: string, holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        this.#checks.delete(check);
      };
      const check = () => {
        if (!holds()) return;
        end();
        resolve();
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`did not come: ${what}`));
      }, patienceMs);
      this.#checks.add(check);
    });
  }
}
