/**
 * The dump: what the state database holds when a run is over, one JSON document a line, each task with its attempts in the
 * order of their leases, then the commits. Written from plain tables, by SQL that shares nothing with the dispatcher's.
 */

/** lease number, attempt number, state, code of its error or null, whether that has words, token in base64url. */
export type DumpAttempt = readonly [
  lease: number,
  attempt: number,
  state: string,
  code: string | null,
  detail: boolean,
  token: string,
];

export interface DumpTask {
  readonly task: string;
  /** Which tables hold it: `ready`, `waiting`, `lease`, `outcome`. */
  readonly places: readonly string[];
  /** Of its outcome; null while it is not over. */
  readonly state: string | null;
  readonly attempt: number;
  readonly failures: number;
  readonly failures_max: number;
  readonly lease_losses: number;
  readonly lease_losses_max: number;
  /** How long it could have been running by now, milliseconds; negative: it is not due yet. Null unless ready or waiting. */
  readonly due_ms: number | null;
  /** Its job has as many slots taken as it may; null unless waiting. */
  readonly slots_full: boolean | null;
  /** The session of its lease lives, and its deadline is ahead; null unless leased. */
  readonly lease_live: boolean | null;
  readonly error: string | null;
  readonly attempts: readonly DumpAttempt[];
}

export interface DumpCommit {
  readonly commit: number;
  readonly dataset: string;
  readonly generation: number;
  readonly task: string;
  readonly lease: number;
}
