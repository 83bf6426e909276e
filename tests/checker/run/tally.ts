/** Counts of what a run did, by name. */

export class Tally {
  readonly #counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }
}
