/** What of the rows of a send was not taken: whole rows, or the part of a row whose entry failed. */
import type { EntryFault } from "@trace/kit";

export interface Left<T> {
  readonly items: readonly T[];
  /** An answer blamed the row, with this reason. Otherwise it is simply sent again. */
  readonly reason: string | undefined;
}

export class Unsent<T> {
  readonly #left = new Map<number, { items: T[]; reason: string | undefined }>();
  /** The destination did not take a call, for this reason. */
  away: unknown;
  /** The destination took a call. */
  heard = false;

  add(outboxId: number, items: readonly T[], fault?: EntryFault): void {
    const left = this.#left.get(outboxId) ?? { items: [], reason: undefined };
    left.items.push(...items);
    if (fault?.blamed === true) left.reason ??= fault.reason;
    this.#left.set(outboxId, left);
  }

  /** Undefined: all of the row was taken. */
  of(outboxId: number): Left<T> | undefined {
    return this.#left.get(outboxId);
  }
}

/** Makes calls side by side, in order of their start, and starts no more once one returns false. Returns those not made. */
export async function inFlight<C>(
  calls: readonly C[],
  inFlightMax: number,
  make: (call: C) => Promise<boolean>,
): Promise<C[]> {
  const left = [...calls];
  let going = true;
  const one = async () => {
    while (going) {
      const call = left.shift();
      if (call === undefined) return;
      if (!(await make(call))) going = false;
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlightMax, calls.length) }, one));
  return left;
}
