/**
 * The worker process of either side: starts and stops its worker, counts what it does and says how far it is. What a worker
 * is, is the side's.
 */
import { Parent } from "../harness/child.ts";
import { machineMs } from "../harness/clock.ts";
import { progressEveryMs } from "./limits.ts";
import type { FromWorker, Payload, StartWork, ToWorker, WorkCounts } from "./messages.ts";

export interface BenchWorker {
  /** Lets go of everything: nothing that it began goes on after this. */
  stop(): Promise<void>;
}

/** Starts a worker that tells the tally what it does. Rejections of what it does later go to `tally.fail`. */
export type StartWorker = (tally: Tally) => Promise<BenchWorker>;

export class Tally {
  /** The handler that each task is given to: empty, but for its time where that is asked for. */
  readonly handle: (payload: Payload) => void;
  readonly #order: StartWork;
  readonly #onReached: () => void;
  readonly #onFailed: (error: unknown) => void;
  #done = 0;
  #firstMs = 0;
  #lastMs = 0;
  #wakeups = 0;
  #claims = 0;
  #claimMs: number[] = [];
  #latenciesMs: number[] = [];

  constructor(order: StartWork, onReached: () => void, onFailed: (error: unknown) => void) {
    this.#order = order;
    this.#onReached = onReached;
    this.#onFailed = onFailed;
    this.handle = order.latencies
      ? (payload) => void this.#latenciesMs.push(machineMs() - payload.sent_ms)
      : () => undefined;
  }

  get done(): number {
    return this.#done;
  }

  /** The clock of a drain starts. Only the first call counts. */
  first(): void {
    if (this.#firstMs === 0) this.#firstMs = machineMs();
  }

  ended(tasks: number): void {
    if (tasks === 0) return;
    const before = this.#done;
    this.#done += tasks;
    if (before < this.#order.reach && this.#done >= this.#order.reach) {
      this.#lastMs = machineMs();
      this.#onReached();
    }
  }

  /** Without a time where the call was open for longer than the claim took. */
  claimed(ms?: number): void {
    this.#claims += 1;
    if (ms !== undefined) this.#claimMs.push(ms);
  }

  wokenUp(messages: number): void {
    this.#wakeups += messages;
  }

  fail(error: unknown): void {
    this.#onFailed(error);
  }

  counts(): WorkCounts {
    const [claimMs, latenciesMs] = [this.#claimMs, this.#latenciesMs];
    this.#claimMs = [];
    this.#latenciesMs = [];
    return {
      done: this.#done,
      firstMs: this.#firstMs,
      lastMs: this.#lastMs,
      atMs: machineMs(),
      wakeups: this.#wakeups,
      claims: this.#claims,
      claimMs,
      latenciesMs,
    };
  }
}

export function runWorker(start: StartWorker): void {
  let running: { tally: Tally; worker: BenchWorker; timer: NodeJS.Timeout } | undefined;
  const parent = new Parent<ToWorker, FromWorker>(async (message) => {
    if (message.kind === "start") {
      const tally = new Tally(
        message,
        () => parent.say({ kind: "reached" }),
        (error) => parent.fail(error),
      );
      let told = 0;
      const timer = setInterval(() => {
        if (tally.done === told) return;
        told = tally.done;
        parent.say({ kind: "progress", done: told });
      }, progressEveryMs);
      running = { tally, worker: await start(tally), timer };
      parent.say({ kind: "started" });
      return;
    }
    if (running === undefined) throw new Error(`'${message.kind}' without 'start'`);
    if (message.kind === "count") {
      parent.say({ kind: "counts", counts: running.tally.counts() });
      return;
    }
    clearInterval(running.timer);
    await running.worker.stop();
    parent.say({ kind: "stopped" });
  });
  parent.say({ kind: "ready" });
}
