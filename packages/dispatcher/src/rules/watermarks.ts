/**
 * Where claims start to look. Rows leave `ready` in the order of its index, and what they leave behind there is dead but not
 * gone: while an old snapshot is open, Postgres may not remove it. A claim that began at the front would walk over all of it,
 * each time a little more. So each priority of a queue has a position, the last row taken from it, and a claim starts there.
 *
 * Two things make that safe. A position is used only when it is `lagMs` old, and a claim has looked before it once more since:
 * transactions commit out of order, and a row that commits a moment later than one behind it is still found. And a sweep (firstReady) looks at the front now and then, and
 * sets the positions back to what is really there; until then a row that was passed over waits, and is not lost. What a
 * sweep cost decides when the next one is due, so that sweeps take a bounded part of the time however much is dead.
 */

/** A place in the index of one priority. Times are Postgres' own text, to the microsecond. */
export interface Position {
  readonly run_at: string;
  readonly task_id: number;
}

export interface WatermarkLimits {
  readonly lagMs: number;
  readonly sweepEveryMs: number;
  /** A sweep may take one part in this many of the time. */
  readonly sweepShare: number;
}

interface Lane {
  /** Old enough to start from. */
  start: Position;
  /** Reached since, to become `start` when it is `lagMs` old. */
  reached: Position | undefined;
  reachedAtMs: number;
}

const front: Position = { run_at: "-infinity", task_id: 0 };

/** The positions of one queue. Times are monotonic milliseconds, given by the caller. */
export class Watermarks {
  readonly #limits: WatermarkLimits;
  readonly #lanes = new Map<number, Lane>();
  #sweepDueMs = Number.NEGATIVE_INFINITY;

  constructor(limits: WatermarkLimits) {
    this.#limits = limits;
  }

  /** Where the claim that is made now is to start, lowest priority number first. The next one may start further on. */
  positions(nowMs: number): { priorities: number[]; runAts: string[]; taskIds: number[] } {
    const found = [...this.#lanes].sort(([a], [b]) => a - b);
    const starts = {
      priorities: found.map(([priority]) => priority),
      runAts: found.map(([, lane]) => lane.start.run_at),
      taskIds: found.map(([, lane]) => lane.start.task_id),
    };
    for (const [, lane] of found) this.#settle(lane, nowMs);
    return starts;
  }

  /** A claim took rows up to here. */
  taken(priority: number, position: Position, nowMs: number): void {
    const lane = this.#lanes.get(priority);
    if (lane === undefined) {
      this.#lanes.set(priority, { start: front, reached: position, reachedAtMs: nowMs });
      return;
    }
    if (lane.reached !== undefined) return; // One at a time: the next one is taken up when this one has become the start.
    lane.reached = position;
    lane.reachedAtMs = nowMs;
  }

  /** Something became ready here. `early`: with a time of its own, which may lie before what was taken. */
  added(priority: number, early: boolean): void {
    if (early || !this.#lanes.has(priority))
      this.#lanes.set(priority, { start: front, reached: undefined, reachedAtMs: 0 });
  }

  /** True when it is time to look at the front again; the caller who is told so does it, and nobody else meanwhile. */
  takeSweep(nowMs: number): boolean {
    if (nowMs < this.#sweepDueMs) return false;
    this.#sweepDueMs = nowMs + this.#limits.sweepEveryMs;
    return true;
  }

  /** What a sweep found: the first row of each priority there is, and nothing younger than the lag. */
  swept(found: readonly (Position & { readonly priority: number })[], startedMs: number, nowMs: number): void {
    // A priority that was not found keeps its place: what is added to it meanwhile lies behind that.
    for (const { priority, run_at, task_id } of found) {
      this.#lanes.set(priority, { start: { run_at, task_id }, reached: undefined, reachedAtMs: 0 });
    }
    const { sweepEveryMs, sweepShare } = this.#limits;
    this.#sweepDueMs = nowMs + Math.max(sweepEveryMs, (nowMs - startedMs) * sweepShare);
  }

  #settle(lane: Lane, nowMs: number): void {
    if (lane.reached === undefined || nowMs - lane.reachedAtMs < this.#limits.lagMs) return;
    lane.start = lane.reached;
    lane.reached = undefined;
  }
}
