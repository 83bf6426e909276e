/** What the Postgres proxy can do to connections: the settings, their quiet defaults, and the names of what is counted. */
import { requireProbabilities } from "./counts.ts";

/** `rst` breaks a connection off, `fin` ends it in order, in mid-sentence. */
export type Cut = "rst" | "fin";

/** The connection is reset; or the server is said to be starting up (SQLSTATE 57P03). */
export type PostgresRefusal = "reset" | "startingUp";

/**
 * Where a call is cut. Before: the server never got it. During: the server has got it, the client is cut at once while the
 * server goes on. After: the server has done and answered it, and the client is cut instead of getting the answer.
 * The client cannot tell the three apart.
 */
export const cutPoints = ["Before", "During", "After"] as const;
export type CutPoint = (typeof cutPoints)[number];

/** A commit, alone or at the end of a text; or a statement outside a transaction, which commits by itself. */
export const cutUnits = ["Commit", "Statement"] as const;
export type CutUnit = (typeof cutUnits)[number];

export type CutFault = `cut${CutPoint}${CutUnit}`;

export interface PostgresFaults extends Readonly<Record<CutFault, number>> {
  /** Whatever goes to the server is held back for this long, in its order. */
  readonly toServerDelayMs: number;
  readonly toClientDelayMs: number;
  readonly refuseHow: readonly PostgresRefusal[];
}

export const noPostgresFaults: PostgresFaults = {
  cutBeforeCommit: 0,
  cutDuringCommit: 0,
  cutAfterCommit: 0,
  cutBeforeStatement: 0,
  cutDuringStatement: 0,
  cutAfterStatement: 0,
  toServerDelayMs: 0,
  toClientDelayMs: 0,
  refuseHow: ["reset", "startingUp"],
};

const cutFaults = cutPoints.flatMap((point) => cutUnits.map((unit): CutFault => `cut${point}${unit}`));

/**
 * Beside the above: connections cut by `cutAll` and `cutOne`, refused, stalled by a black hole; parts of a direction that
 * were held back; connections that could not be made to the server (`serverAway`).
 */
export const postgresFaultKinds = [
  ...cutFaults,
  "cut",
  "refuse",
  "blackHole",
  "delayToServer",
  "delayToClient",
  "serverAway",
] as const;
export type PostgresFaultKind = (typeof postgresFaultKinds)[number];

/** Throws RangeError when the settings contradict themselves. */
export function checkPostgresFaults(faults: PostgresFaults): void {
  requireProbabilities({ ...faults }, cutFaults);
  for (const unit of cutUnits) {
    const sum = cutPoints.reduce((total, point) => total + faults[`cut${point}${unit}`], 0);
    if (sum > 1) throw new RangeError(`a ${unit.toLowerCase()} is cut at one point: ${sum} is more than always`);
  }
  for (const name of ["toServerDelayMs", "toClientDelayMs"] as const) {
    if (!(faults[name] >= 0 && Number.isFinite(faults[name]))) {
      throw new RangeError(`'${name}' must be a time, not ${faults[name]}`);
    }
  }
  if (faults.refuseHow.length === 0) throw new RangeError("'refuseHow' names no way to refuse");
}
