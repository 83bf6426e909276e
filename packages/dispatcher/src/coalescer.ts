/**
 * Group commit: calls that meet share one transaction. The first call goes at once (leading edge); what arrives while it is on
 * its way waits and goes together in the next one, as soon as that has committed. So a lone call waits for nobody, and a thousand
 * at once cost as much as a few. Another transaction goes beside one that is on its way when a whole batch waits, or when that
 * one is slow: nobody is held up by a call that hangs. What may wait is bounded; beyond that a call is turned away before
 * anything of it was done (TR-1015).
 */
import { TraceError } from "@trace/contracts";

export interface CoalescerOptions<I, A> {
  /** For messages: "creates", "completions". */
  readonly name: string;
  /** Items that go together, unless one call has more. */
  readonly batchMax: number;
  readonly inFlightMax: number;
  readonly waitingMax: number;
  /** A transaction that takes longer than this is slow, milliseconds. */
  readonly slowMs: number;
  /** One answer for each item, in order. */
  run(items: readonly I[]): Promise<readonly A[]>;
  onBatch?(items: number, calls: number): void;
}

interface Call<I, A> {
  readonly items: readonly I[];
  resolve(answers: readonly A[]): void;
  reject(error: unknown): void;
}

export class Coalescer<I, A> {
  readonly #options: CoalescerOptions<I, A>;
  #calls: Call<I, A>[] = [];
  #waiting = 0;
  #inFlight = 0;
  #startedMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CoalescerOptions<I, A>) {
    this.#options = options;
  }

  /** Items that wait for a transaction to begin. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Answers in the order of the items. Throws TR-1015 when too much waits already; nothing of the call was done then. */
  async call(items: readonly I[]): Promise<readonly A[]> {
    const { name, waitingMax } = this.#options;
    if (items.length === 0) return [];
    if (this.#waiting > 0 && this.#waiting + items.length > waitingMax) {
      throw new TraceError("TR-1015", {
        detail: `${this.#waiting} ${name} wait already; at most ${waitingMax} may`,
        why: "more arrives than Postgres can write at this moment; nothing of this call was done",
        fix: "call again after the seconds in Retry-After, with fewer and larger calls",
      });
    }
    return new Promise((resolve, reject) => {
      this.#calls.push({ items, resolve, reject });
      this.#waiting += items.length;
      this.#next();
    });
  }

  #next(): void {
    while (this.#inFlight < this.#options.inFlightMax && this.#calls.length > 0) {
      if (this.#isTooSoon()) return;
      const batch = this.#take();
      this.#inFlight += 1;
      this.#startedMs = performance.now();
      void this.#run(batch).finally(() => {
        this.#inFlight -= 1;
        this.#next();
      });
    }
  }

  /** True when the last transaction is on its way and not slow yet; its end, or the timer, looks again. */
  #isTooSoon(): boolean {
    const { batchMax, slowMs } = this.#options;
    if (this.#inFlight === 0 || this.#waiting >= batchMax) return false;
    const leftMs = this.#startedMs + slowMs - performance.now();
    if (leftMs <= 0) return false;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#next();
    }, leftMs);
    return true;
  }

  #take(): Call<I, A>[] {
    let count = 0;
    let calls = 0;
    for (const { items } of this.#calls) {
      if (calls > 0 && count + items.length > this.#options.batchMax) break;
      count += items.length;
      calls += 1;
    }
    this.#waiting -= count;
    return this.#calls.splice(0, calls);
  }

  async #run(calls: readonly Call<I, A>[]): Promise<void> {
    const [first, ...others] = calls;
    if (first === undefined) return;
    try {
      const items = others.length === 0 ? first.items : calls.flatMap((call) => call.items);
      this.#options.onBatch?.(items.length, calls.length);
      const answers = await this.#options.run(items);
      if (answers.length !== items.length) throw new Error(`${answers.length} answers came to ${items.length} items`);
      let from = 0;
      for (const call of calls) {
        call.resolve(answers.slice(from, from + call.items.length));
        from += call.items.length;
      }
    } catch (error) {
      if (others.length === 0 || (error instanceof TraceError && error.retryable)) {
        for (const call of calls) call.reject(error);
        return;
      }
      // Something in it is bad: alone, each call shows whether it is the one, and the others do not suffer for it.
      for (const call of calls) await this.#run([call]);
    }
  }
}
