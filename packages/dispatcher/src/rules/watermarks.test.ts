/** Where claims start: never behind what commits a little late, and never behind anything for longer than a sweep takes to come. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Position, Watermarks } from "./watermarks.ts";

const limits = { lagMs: 100, sweepEveryMs: 250, sweepShare: 20 };
const front = "-infinity";

/** A time as Postgres writes it. */
const text = (us: number) => `2026-01-01 00:00:00.${String(us).padStart(6, "0")}+00`;
const at = (us: number, task_id = us): Position => ({ run_at: text(us), task_id });
const startsOf = (marks: Watermarks, nowMs: number) => {
  const { priorities, runAts, taskIds } = marks.positions(nowMs);
  return priorities.map((priority, index) => [priority, runAts[index], taskIds[index]]);
};

describe("a position", () => {
  test("is the start when the lag has passed since it was reached, and one claim has looked before it since", () => {
    const marks = new Watermarks(limits);
    marks.taken(0, at(5), 1_000);
    expect(startsOf(marks, 1_099)).toEqual([[0, front, 0]]);
    expect(startsOf(marks, 1_099)).toEqual([[0, front, 0]]);
    expect(startsOf(marks, 1_100)).toEqual([[0, front, 0]]);
    expect(startsOf(marks, 1_100)).toEqual([[0, text(5), 5]]);
  });

  test("goes on while claims go on, each step when it is old enough: claims in quick succession do not hold it back", () => {
    const marks = new Watermarks(limits);
    const seen: unknown[] = [];
    for (let us = 1; us <= 50; us += 1) {
      seen.push(startsOf(marks, us * 10)[0]?.[1]);
      marks.taken(0, at(us), us * 10);
    }
    // Reached at 10 ms (1), 110 ms (11), 210 ms (21), 310 ms (31), 410 ms (41).
    expect(new Set(seen)).toEqual(new Set([undefined, front, text(1), text(11), text(21), text(31)]));
    expect(seen.indexOf(text(31))).toBe(41); // of the claim at 420 ms
  });

  test("is kept for each priority, lowest number first", () => {
    const marks = new Watermarks(limits);
    marks.taken(5, at(1), 0);
    marks.taken(-100, at(2), 0);
    marks.taken(0, at(3), 0);
    marks.positions(200);
    expect(startsOf(marks, 200)).toEqual([
      [-100, text(2), 2],
      [0, text(3), 3],
      [5, text(1), 1],
    ]);
  });
});

describe("what is added", () => {
  test("in a priority that was unknown makes it known, from the front", () => {
    const marks = new Watermarks(limits);
    expect(startsOf(marks, 0)).toEqual([]);
    marks.added(7, false);
    expect(startsOf(marks, 0)).toEqual([[7, front, 0]]);
  });

  test("now leaves the position, which lies before it; with a time that has passed sends it to the front", () => {
    const marks = new Watermarks(limits);
    marks.taken(0, at(5), 0);
    marks.added(0, false);
    marks.positions(100);
    expect(startsOf(marks, 100)).toEqual([[0, text(5), 5]]);
    marks.added(0, true);
    expect(startsOf(marks, 1_000)).toEqual([[0, front, 0]]);
  });
});

describe("a sweep", () => {
  test("is one caller's, then nobody's until its time has come again", () => {
    const marks = new Watermarks(limits);
    expect(marks.takeSweep(10)).toBe(true);
    expect(marks.takeSweep(10)).toBe(false);
    expect(marks.takeSweep(259)).toBe(false);
    expect(marks.takeSweep(260)).toBe(true);
  });

  test("that failed is made again after the usual time", () => {
    const marks = new Watermarks(limits);
    expect(marks.takeSweep(0)).toBe(true); // and `swept` never comes
    expect(marks.takeSweep(250)).toBe(true);
  });

  test("that took long is rarer: it may take one part in twenty of the time", () => {
    const marks = new Watermarks(limits);
    marks.takeSweep(0);
    marks.swept([], 0, 100); // until 2,100
    expect(marks.takeSweep(2_099)).toBe(false);
    expect(marks.takeSweep(2_100)).toBe(true);
    marks.swept([], 2_100, 2_101); // 20 ms would be less than the usual 250
    expect(marks.takeSweep(2_350)).toBe(false);
    expect(marks.takeSweep(2_351)).toBe(true);
  });

  test("sets positions to what is there, earlier or later, and leaves those of which nothing is there", () => {
    const marks = new Watermarks(limits);
    for (const priority of [0, 1, 2]) marks.taken(priority, at(50), 0);
    marks.positions(100);
    const found = [
      { priority: 0, ...at(7) },
      { priority: 1, ...at(90) },
      { priority: 9, ...at(3) },
    ];
    marks.swept(found, 100, 101);
    expect(startsOf(marks, 101)).toEqual([
      [0, text(7), 7],
      [1, text(90), 90],
      [2, text(50), 50],
      [9, text(3), 3],
    ]);
  });
});

/**
 * A queue whose rows commit out of order, and claims by one dispatcher, on a clock of milliseconds. A row's time is when its
 * transaction began. What the start does not reach stays, as in Postgres.
 */
interface Row {
  readonly priority: number;
  readonly run_at: number;
  readonly task_id: number;
  readonly committedMs: number;
}

type Event =
  | { readonly kind: "create"; readonly priority: number; readonly commitsAfterMs: number; readonly heard: boolean }
  | { readonly kind: "claim"; readonly max: number }
  | { readonly kind: "wait"; readonly ms: number };

const events: fc.Arbitrary<Event[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("create" as const),
        priority: fc.nat(2),
        commitsAfterMs: fc.nat(400),
        heard: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("claim" as const), max: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(300) }) },
  ),
  { maxLength: 80 },
);

class Queue {
  readonly marks = new Watermarks(limits);
  rows: Row[] = [];
  nowMs = 10_000;
  #ids = 0;

  create({ priority, commitsAfterMs, heard }: Event & { kind: "create" }): void {
    this.#ids += 1;
    const task_id = this.#ids;
    this.rows.push({ priority, run_at: this.nowMs, task_id, committedMs: this.nowMs + commitsAfterMs });
    if (heard) this.marks.added(priority, false);
  }

  /** As claims.ts does it: from the positions, then a sweep if one is due, then from what it found. */
  claim(max: number): { taken: Row[]; swept: boolean } {
    const taken = this.#take(max);
    if (!this.marks.takeSweep(this.nowMs)) return { taken, swept: false };
    const firsts = new Map<number, Row>();
    for (const row of this.#visible().toReversed()) firsts.set(row.priority, row);
    // As firstReady answers: not younger than the lag.
    const latest = this.nowMs - limits.lagMs;
    const found = [...firsts.values()].map((row) => ({
      priority: row.priority,
      ...(row.run_at <= latest ? positionOf(row) : at(latest, 0)),
    }));
    this.marks.swept(found, this.nowMs, this.nowMs);
    return { taken: [...taken, ...this.#take(max - taken.length)], swept: true };
  }

  /** Committed, in the order of the index. */
  #visible(): Row[] {
    const seen = this.rows.filter((row) => row.committedMs <= this.nowMs);
    return seen.sort((a, b) => a.priority - b.priority || a.run_at - b.run_at || a.task_id - b.task_id);
  }

  #take(max: number): Row[] {
    const starts = this.marks.positions(this.nowMs);
    const reachable = this.#visible().filter((row) => {
      const lane = starts.priorities.indexOf(row.priority);
      if (lane < 0) return false;
      const runAt = starts.runAts[lane] ?? "";
      if (runAt === front) return true;
      const mine = positionOf(row).run_at;
      return mine > runAt || (mine === runAt && row.task_id >= (starts.taskIds[lane] ?? 0));
    });
    const taken = reachable.slice(0, max);
    this.rows = this.rows.filter((row) => !taken.includes(row));
    const last = new Map(taken.map((row) => [row.priority, row]));
    for (const [priority, row] of last) this.marks.taken(priority, positionOf(row), this.nowMs);
    return taken;
  }
}

function positionOf(row: Row): Position {
  return at(row.run_at, row.task_id);
}

function live(
  script: readonly Event[],
  look: (queue: Queue, claim: { taken: Row[]; swept: boolean; max: number }) => void,
): void {
  const queue = new Queue();
  for (const event of script) {
    if (event.kind === "create") queue.create(event);
    else if (event.kind === "wait") queue.nowMs += event.ms;
    else look(queue, { ...queue.claim(event.max), max: event.max });
  }
}

const visible = (queue: Queue) => queue.rows.filter((row) => row.committedMs <= queue.nowMs);

describe("whatever is created, commits late and is claimed", () => {
  test("a row of a known priority that commits within the lag is passed over by no claim that has room", () => {
    const quick = (event: Event): Event =>
      event.kind === "create"
        ? { ...event, commitsAfterMs: event.commitsAfterMs % limits.lagMs, heard: true }
        : event.kind === "claim"
          ? { ...event, max: 100 }
          : { ...event, ms: event.ms % 40 };
    fc.assert(
      fc.property(events, (script) => {
        live(script.map(quick), (queue) => expect(visible(queue)).toEqual([]));
      }),
      { numRuns: 2_000 },
    );
  });

  test("a claim that sweeps takes what is there, however it was passed over before", () => {
    fc.assert(
      fc.property(events, (script) => {
        live(script, (queue, { taken, swept, max }) => {
          if (swept && taken.length < max) expect(visible(queue)).toEqual([]);
        });
      }),
      { numRuns: 2_000 },
    );
  });

  test("and a row is passed over by no claim that comes when a sweep is due", () => {
    let passedOver = 0;
    fc.assert(
      fc.property(events, (script) => {
        const queue = new Queue();
        for (const event of script) {
          if (event.kind === "create") queue.create(event);
          else if (event.kind === "wait") queue.nowMs += event.ms;
          else if (queue.claim(event.max).taken.length < event.max) passedOver += visible(queue).length;
        }
        queue.nowMs += 1_000;
        expect(queue.claim(100)).toMatchObject({ swept: true });
        expect(visible(queue)).toEqual([]);
        expect(queue.rows).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
    expect(passedOver).toBeGreaterThan(0); // or these rows commit too soon to prove anything
  });
});
