/**
 * What the history has told so far: sessions, tasks and their leases, each with the bounds of when what happened to it was
 * decided. Every bound is on the safe side: a rule that compares an upper bound with a lower one cannot accuse wrongly.
 */
import { Interner } from "./json.ts";
import type { Verdict } from "./verdict.ts";

/** Something that is known to have been so from `at` on, and the line that tells. */
export interface Known {
  readonly at: number;
  readonly line: number;
  readonly why: string;
}

export interface Session {
  readonly id: string;
  readonly ttlNs: number;
  /** Latest moment at which the last beat can have been decided. */
  aliveTo: number;
  /** Line of that beat. */
  aliveLine: number;
  /** Earliest moment at which it can have been. */
  aliveFrom: number;
  /** Beats whose answer is not there yet. */
  beating: number;
  /** What is judged when those are there. */
  deferred: (() => void)[];
  /** When the first call that closes it was begun; it may be over from then on. */
  closedFrom: number;
  over: Known | undefined;
}

/** A call that may have ended a lease: how it went is not known, or not yet. */
export interface EndTry {
  readonly call: number;
  readonly start: number;
  readonly body: string;
  readonly outputs: number;
}

export interface LeaseEnd {
  readonly kind: "complete" | "release";
  /** Of the earliest call of this body: it may be the one that took effect. */
  start: number;
  /** Of the earliest answer. */
  at: number;
  readonly line: number;
  readonly body: string;
  readonly answer: string;
  /** As the caller was told. */
  readonly attemptState: string;
  readonly taskState: string;
}

export interface Lease {
  readonly no: number;
  readonly token: string;
  readonly task: Task;
  readonly session: Session;
  readonly attempt: number;
  readonly claimStart: number;
  readonly claimAt: number;
  readonly line: number;
  readonly timeoutNs: number;
  /** Datasets it is to write. */
  readonly outputs: number;
  /** The time limit began here at the latest, and at the earliest. */
  limitTo: number;
  limitFrom: number;
  nonce: string | undefined;
  tries: EndTry[] | undefined;
  end: LeaseEnd | undefined;
  gone: Known | undefined;
  /** Commits its callers were told of and the database has not shown yet. */
  commits: Set<string> | undefined;
  /** As the database has it: undefined until the dump is read. */
  stored: string | undefined;
}

/** A call of a person on a task. `at` is infinite while, or as long as, it is not known what became of it. */
export interface Deed {
  readonly call: number;
  readonly start: number;
  at: number;
}

export interface TaskEnd extends Known {
  readonly state: string;
  readonly start: number;
}

export interface Task {
  readonly id: string;
  /** Line of the answer that told its creation; 0 when no answer did. */
  created: number;
  readonly leases: Lease[];
  ended: TaskEnd | undefined;
  cancels: Deed[] | undefined;
  replays: Deed[] | undefined;
  stored: boolean;
}

export interface CheckOptions {
  /** Clocks of one machine agree, and reading them takes a moment. */
  readonly clockSlackMs: number;
  /** The dispatcher keeps a lease this much longer than the job's time limit. */
  readonly deadlineGraceMs: number;
  /** A call without an answer takes effect within this or not at all: what Postgres and the dispatcher wait at most. */
  readonly lateEffectMaxMs: number;
  /** A task that could run and does not is stuck after this. */
  readonly stuckAfterMs: number;
}

export const checkDefaults: CheckOptions = {
  clockSlackMs: 50,
  deadlineGraceMs: 10_000,
  lateEffectMaxMs: 60_000,
  stuckAfterMs: 10_000,
};

export const nsPerMs = 1_000_000;

export class World {
  readonly verdict: Verdict;
  readonly options: CheckOptions;
  readonly slackNs: number;
  readonly graceNs: number;
  readonly lateNs: number;
  readonly texts = new Interner();
  readonly sessions = new Map<string, Session>();
  readonly tasks = new Map<string, Task>();
  readonly leases = new Map<number, Lease>();
  /** By dataset, generation and number: the lease whose completion was told of it. */
  readonly commits = new Map<string, Lease>();
  /** By job and dedupe key. */
  readonly keys = new Map<string, { readonly task: string; created: boolean; readonly line: number }>();
  /** Tasks of create calls without an answer: they may be there. */
  maybeCreated = 0;

  constructor(verdict: Verdict, options: CheckOptions) {
    this.verdict = verdict;
    this.options = options;
    this.slackNs = options.clockSlackMs * nsPerMs;
    this.graceNs = options.deadlineGraceMs * nsPerMs;
    this.lateNs = options.lateEffectMaxMs * nsPerMs;
  }

  task(id: string): Task {
    let task = this.tasks.get(id);
    if (task === undefined) {
      task = { id, created: 0, leases: [], ended: undefined, cancels: undefined, replays: undefined, stored: false };
      this.tasks.set(id, task);
    }
    return task;
  }

  /** The lease that a token opens; undefined for one that was never handed out. */
  leaseOf(token: string): Lease | undefined {
    const lease = this.leases.get(numberOfToken(token));
    return lease?.token === token ? lease : undefined;
  }
}

/** The lease number in a token, after that of the session: 8 bytes, big endian. NaN when it is no token. */
export function numberOfToken(token: string): number {
  const bytes = Buffer.from(token, "base64url");
  return bytes.length === 40 ? Number(bytes.readBigInt64BE(8)) : Number.NaN;
}

/** Remembers the earliest moment from which a lease is known to be over. */
export function markGone(lease: Lease, known: Known): void {
  if (lease.gone === undefined || known.at < lease.gone.at) lease.gone = known;
}

export function seconds(ns: number): string {
  return `${(ns / 1e9).toFixed(3)} s`;
}
