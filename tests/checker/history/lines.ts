/**
 * The history: what crossed between callers and dispatchers, one JSON document a line, in the order in which the recorder saw
 * it. A call has a line when it arrived and another when its answer was there, so that what happened between the two is known
 * to have been undecided. Times are monotonic nanoseconds since the recording began; a decision of the dispatcher lies
 * between the two lines of its call, however late the recorder came to write either.
 */

/** The listener that was called. */
export type Via = "user" | "worker" | "task";

export interface CallLine {
  /** Number of the call; its answer names it. */
  readonly call: number;
  readonly at: number;
  readonly via: Via;
  /** Method and path, without a query. */
  readonly do: string;
  /** The lease token that opened a call of the task API. */
  readonly as?: string;
  /** The call that this one repeats, or contradicts, without its caller's doing. */
  readonly of?: number;
  readonly body?: unknown;
}

export interface AnswerLine {
  readonly answer: number;
  readonly at: number;
  readonly status: number;
  /** Which dispatcher answered. */
  readonly by: number;
  /** The answer was kept from the caller. */
  readonly lost?: true;
  readonly body?: unknown;
}

/** No answer came. */
export interface SilenceLine {
  readonly silence: number;
  readonly at: number;
  readonly why: string;
  /** False when no dispatcher can have seen the call, which then had no effect. */
  readonly carried: boolean;
}

/** The time of day at a moment: a step of it would make every deadline of the database wrong. */
export interface ClockLine {
  readonly clock: number;
  readonly at: number;
}

/** What was done to the system, for people who read the history. */
export interface NoteLine {
  readonly note: string;
  readonly at: number;
}

export type HistoryLine = CallLine | AnswerLine | SilenceLine | ClockLine | NoteLine;

/** Named parts of a line that go in front of a body which is JSON already. */
export function lineWithBody(head: Readonly<Record<string, unknown>>, body: string | undefined): string {
  const text = JSON.stringify(head);
  if (body === undefined || body === "") return text;
  // A line feed between the parts of a JSON document means nothing, and inside a string it is always written as \n.
  return `${text.slice(0, -1)},"body":${body.replaceAll("\n", " ")}}`;
}
