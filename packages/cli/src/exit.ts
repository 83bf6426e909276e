/** How a command ended, as the number a script sees. docs/cli.md tells the same to people. */
import { TraceError } from "@trace/contracts";

export const exitCodes = {
  ok: 0,
  /** A terminal error: something must be changed before the same call can succeed. */
  failed: 1,
  /** Wrong use: unknown command or flag, missing or bad argument. */
  wrongUse: 2,
  /** The command worked and what it watched did not: a run or task ended badly. */
  endedBadly: 3,
  /** A service cannot be reached, or another retryable error: the same call may succeed later. */
  tryAgain: 4,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Thrown by a command that Ctrl-C ended, after it said what goes on without it. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Interrupted) return exitCodes.interrupted;
  if (!(error instanceof TraceError)) return exitCodes.failed;
  if (error.code === "TR-7001") return exitCodes.wrongUse;
  return error.retryable ? exitCodes.tryAgain : exitCodes.failed;
}
