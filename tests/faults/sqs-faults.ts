/** What the SQS proxy can do to calls and messages: the settings, their quiet defaults, and the names of what is counted. */
import { requireProbabilities } from "./counts.ts";

/** 503; a throttling error; the connection reset without an answer. */
export type SqsRefusal = "unavailable" | "throttled" | "reset";

export interface SqsFaults {
  /** Per message: it is in the queue twice or more, under one message id, with receipts of their own. */
  readonly duplicate: number;
  /** Copies beside the first, at most. */
  readonly duplicatesMax: number;
  /** Per copy: answered as sent, put into the queue between `delayMinMs` and `delayMaxMs` later. */
  readonly delay: number;
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Per copy: answered as sent, held until `reorderMessages` of its queue are, or `reorderMaxMs` passed, then shuffled. */
  readonly reorder: number;
  readonly reorderMessages: number;
  readonly reorderMaxMs: number;
  /** Per message: answered as sent, never delivered. */
  readonly drop: number;
  /** Per answer that carries messages: the connection is reset instead; they stay hidden until their visibility ends. */
  readonly loseReceived: number;
  /** Per call other than receive: the backend did it, the connection is reset instead of an answer. */
  readonly loseAnswer: number;
  /** Per call: it does not reach the backend, and is answered as one of `refuseHow`. */
  readonly refuse: number;
  readonly refuseHow: readonly SqsRefusal[];
  /** Per entry of a batch: not done, and told in `Failed` with `SenderFault: false`. */
  readonly failEntry: number;
  /** Per entry of a batch: not done, and told in `Failed` with `SenderFault: true`. */
  readonly blameEntry: number;
}

export const noSqsFaults: SqsFaults = {
  duplicate: 0,
  duplicatesMax: 1,
  delay: 0,
  delayMinMs: 0,
  delayMaxMs: 5_000,
  reorder: 0,
  reorderMessages: 10,
  reorderMaxMs: 2_000,
  drop: 0,
  loseReceived: 0,
  loseAnswer: 0,
  refuse: 0,
  refuseHow: ["unavailable", "throttled", "reset"],
  failEntry: 0,
  blameEntry: 0,
};

/** Settings that are probabilities; each draws from a generator of its own. */
export const sqsChances = [
  "duplicate",
  "delay",
  "reorder",
  "drop",
  "loseReceived",
  "loseAnswer",
  "refuse",
  "failEntry",
  "blameEntry",
] as const;

export type SqsChance = (typeof sqsChances)[number];

/**
 * Beside the faults: queues purged by `purge`, held messages that the backend refused for good (`undeliverable`), and
 * calls that could not reach it (`backendAway`).
 */
export const sqsFaultKinds = [...sqsChances, "purge", "undeliverable", "backendAway"] as const;
export type SqsFaultKind = (typeof sqsFaultKinds)[number];

/** Throws RangeError when the settings contradict themselves. */
export function checkSqsFaults(faults: SqsFaults): void {
  requireProbabilities({ ...faults }, sqsChances);
  const whole = (name: "duplicatesMax" | "reorderMessages", min: number) => {
    if (!Number.isInteger(faults[name]) || faults[name] < min) {
      throw new RangeError(`'${name}' must be a whole number from ${min}, not ${faults[name]}`);
    }
  };
  whole("duplicatesMax", 1);
  whole("reorderMessages", 2);
  if (!(faults.delayMinMs >= 0 && faults.delayMinMs <= faults.delayMaxMs && Number.isFinite(faults.delayMaxMs))) {
    throw new RangeError(`a delay lies between two times, not ${faults.delayMinMs} and ${faults.delayMaxMs} ms`);
  }
  if (!(faults.reorderMaxMs >= 0 && Number.isFinite(faults.reorderMaxMs))) {
    throw new RangeError(`'reorderMaxMs' must be a time, not ${faults.reorderMaxMs}`);
  }
  if (faults.refuseHow.length === 0) throw new RangeError("'refuseHow' names no way to refuse");
}
