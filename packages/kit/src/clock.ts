/** Time and randomness as arguments, so that rules stay pure and tests decide what time it is. */

export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };

/** A number in [0, 1). */
export type Random = () => number;
export const systemRandom: Random = () => Math.random();
