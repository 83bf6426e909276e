/**
 * Named points in production code at which a test can pause: what the scheduler of threads is to a debugger. With them a
 * test puts two callers in the one order that matters, every time, instead of hoping for it in a thousand runs.
 *
 * Put a point where what is known may stop being true before it is used, and only there: between a decision and the write
 * that rests on it, after the locks are held and before the commit, after the commit and before its answer, between taking
 * a thing from a queue and recording that it was taken. Name it `noun:moment`, for example `complete:before-commit`. A
 * point stands outside loops over items, carries no data, and nothing may depend on it: with `noRace` it is not there.
 *
 *   const paused = race.reach("complete:before-commit");
 *   if (paused) await paused;
 */

export interface RacePoints {
  /** The caller is at the point. It awaits what it gets, if it gets something; a rejection is thrown on as its own failure. */
  reach(name: string): Promise<void> | void;
}

/** Production: no point pauses anybody, and no promise is made for it. */
export const noRace: RacePoints = { reach: () => undefined };

export interface Pause {
  /**
   * Resolves when as many callers as asked for wait at the point. Rejects when they did not come in time, or when the
   * pause was ended before: a point that is never reached is a failed test, not a hang.
   */
  readonly reached: Promise<void>;
  /** Lets those who wait go on, and later ones pass. */
  resume(): void;
  /** Throws `error` where they wait, as if the process or its connection broke there; later callers pass. */
  fail(error: Error): void;
}

export interface PauseOptions {
  /** Callers that are stopped, and for which `reached` waits. Default 1; the next ones pass. */
  readonly times?: number;
  /** `reached` rejects after this. */
  readonly timeoutMs?: number;
}

const reachTimeoutMs = 10_000;

/** Points that pause where a test says. Pauses at one name take callers in the order in which the pauses were made. */
export class TestRace implements RacePoints {
  readonly #pauses = new Map<string, HeldPause[]>();
  readonly #seen = new Map<string, number>();

  reach(name: string): Promise<void> | void {
    this.#seen.set(name, this.timesReached(name) + 1);
    return this.#pauses
      .get(name)
      ?.find((pause) => pause.takes)
      ?.hold();
  }

  /** How often callers came to the point, paused or not. */
  timesReached(name: string): number {
    return this.#seen.get(name) ?? 0;
  }

  pauseAt(name: string, options: PauseOptions = {}): Pause {
    const { times = 1, timeoutMs = reachTimeoutMs } = options;
    if (!Number.isInteger(times) || times < 1) throw new RangeError(`a pause stops 1 caller or more, not ${times}`);
    const late = () => {
      const seen = [...this.#seen].map(([point, count]) => `${point} (${count}x)`).join(", ") || "none";
      return `race point '${name}' was not reached by ${times} within ${timeoutMs} ms; points reached: ${seen}`;
    };
    const pause = new HeldPause({ name, times, timeoutMs, late, ended: () => this.#forget(name, pause) });
    this.#pauses.set(name, [...(this.#pauses.get(name) ?? []), pause]);
    return pause;
  }

  /** Ends every pause, so that what waits can be stopped when a test is over. */
  resumeAll(): void {
    for (const pauses of [...this.#pauses.values()]) for (const pause of pauses) pause.resume();
  }

  #forget(name: string, pause: HeldPause): void {
    const left = (this.#pauses.get(name) ?? []).filter((one) => one !== pause);
    if (left.length > 0) this.#pauses.set(name, left);
    else this.#pauses.delete(name);
  }
}

class HeldPause implements Pause {
  readonly reached: Promise<void>;
  readonly #name: string;
  readonly #ended: () => void;
  readonly #timer: NodeJS.Timeout;
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #left: number;
  readonly #arrived = Promise.withResolvers<void>();

  constructor(options: { name: string; times: number; timeoutMs: number; late: () => string; ended: () => void }) {
    this.#name = options.name;
    this.#left = options.times;
    this.#ended = options.ended;
    this.#timer = setTimeout(() => this.#arrived.reject(new Error(options.late())), options.timeoutMs);
    this.reached = this.#arrived.promise;
    // A test that does not ask whether the point was reached is not failed by it.
    this.reached.catch(() => undefined);
  }

  /** Whether the next caller is this one's to stop. */
  get takes(): boolean {
    return this.#left > 0;
  }

  hold(): Promise<void> {
    const waiter = Promise.withResolvers<void>();
    this.#waiting.push(waiter);
    this.#left -= 1;
    if (this.#left === 0) {
      clearTimeout(this.#timer);
      this.#arrived.resolve();
    }
    return waiter.promise;
  }

  resume(): void {
    this.#end((waiter) => waiter.resolve());
  }

  fail(error: Error): void {
    this.#end((waiter) => waiter.reject(error));
  }

  #end(tell: (waiter: PromiseWithResolvers<void>) => void): void {
    clearTimeout(this.#timer);
    this.#ended();
    this.#arrived.reject(new Error(`the pause at '${this.#name}' was ended before the point was reached`));
    for (const waiter of this.#waiting.splice(0)) tell(waiter);
  }
}
