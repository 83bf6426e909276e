/** How often each fault was really performed: a test that asks for a fault and never meets it shows nothing. */
import { TestSignal } from "@trace/kit";

export class FaultCounts<K extends string> {
  /** Emitted each time a fault was performed. */
  readonly performed = new TestSignal<K>("fault performed");
  readonly #counts: Record<K, number>;

  constructor(kinds: readonly K[]) {
    this.#counts = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<K, number>;
  }

  add(kind: K): void {
    this.#counts[kind] += 1;
    this.performed.emit(kind);
  }

  /** A copy: later faults do not change it. */
  get(): Readonly<Record<K, number>> {
    return { ...this.#counts };
  }
}

/** Throws when a setting that must be a probability is not one. */
export function requireProbabilities(settings: Readonly<Record<string, unknown>>, names: readonly string[]): void {
  for (const name of names) {
    const value = settings[name];
    if (typeof value === "number" && value >= 0 && value <= 1) continue;
    throw new RangeError(`'${name}' must be a probability from 0 to 1, not ${String(value)}`);
  }
}
