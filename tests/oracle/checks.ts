/** What a run found: checks that held or did not, and what could not be checked and why. */

/** Thrown by what cannot be had on this machine: a reason to skip, and no failure unless it was promised to be there. */
export class NotHere extends Error {}

/** Thrown by a check that found what is known of a program that is not ours: neither holds it nor does it not. */
export class KnownToDiffer extends Error {}

export interface Skipped {
  readonly name: string;
  readonly why: string;
  readonly count: number;
}

export class Checks {
  passed = 0;
  readonly failures: string[] = [];
  readonly skips: Skipped[] = [];
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** `found`: undefined when the check holds, else what was seen instead. */
  note(name: string, found: string | undefined): void {
    if (found === undefined) {
      this.passed += 1;
      this.#print(`ok      ${name}`);
      return;
    }
    this.failures.push(name);
    this.#print(`FAILED  ${name}\n        ${found.trim().replaceAll("\n", "\n        ")}`);
  }

  async check(name: string, step: () => Promise<void> | void): Promise<void> {
    let found: string | undefined;
    try {
      await step();
    } catch (error) {
      if (error instanceof KnownToDiffer) return this.skip(name, error.message);
      found = error instanceof Error ? error.message : String(error);
    }
    this.note(name, found);
  }

  skip(name: string, why: string, count = 1): void {
    this.skips.push({ name, why, count });
    this.#print(`skipped ${name}: ${why}`);
  }

  get skipped(): number {
    return this.skips.reduce((sum, { count }) => sum + count, 0);
  }
}

/** Compares by what JSON says of both. */
export function expectSame(got: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`got ${a}, wanted ${b}`);
}

export function expectIn(text: string, part: string): void {
  if (!text.includes(part)) throw new Error(`'${part}' is not in:\n${text}`);
}
