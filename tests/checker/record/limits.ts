/** Bounds of the recorder, with their units. */

/** One call or answer, bytes: more than the dispatcher takes. */
export const bodyBytesMax = 64 * 1024 * 1024;
/** A dispatcher that says nothing for this long is given up, milliseconds: longer than it waits for Postgres. */
export const answerMsMax = 45_000;
/** While no dispatcher answers, a call waits this long for one, milliseconds. */
export const waitForTargetMsMax = 1_000;
export const waitForTargetPollMs = 50;
/** The time of day is recorded this often, milliseconds. */
export const clockEveryMs = 1_000;
