/** Every bound of the supervisor, named with its unit. */

export const supervisorLimits = {
  /** From spawn to ready. */
  readyMaxMs: 30_000,
  readyPollMs: 50,
  /** One readiness request. */
  readyRequestMaxMs: 2_000,
  /** Restart pauses: doubling from the first to the second. */
  restartBaseMs: 1_000,
  restartMaxMs: 30_000,
  /** Ready for so long: the next end is a new trouble, and pauses begin at the first again. */
  healthyMs: 60_000,
  /** Restarts in a row after which the log says "keeps failing", as an error. */
  loudAfterRestarts: 3,
  /** From the stop signal to SIGKILL. */
  stopMaxMs: 10_000,
  /** A longer line of a child's output is cut. */
  lineCharsMax: 64 * 1024,
  /** Last lines of a process, quoted when it fails. */
  tailLines: 10,
} as const;
