/**
 * The producer process of either side: creates tasks in calls of a size, so many in flight, no faster than tasks are done.
 * What a call is, is the side's; everything that could favour one of them is here.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Parent } from "../harness/child.ts";
import { machineMs } from "../harness/clock.ts";
import {
  type FromProducer,
  type Payload,
  type Produce,
  type ProduceCounts,
  payload,
  type ToProducer,
} from "./messages.ts";

export interface TaskCreator {
  /** One call. Throws when one of the tasks was not created. */
  create(payloads: readonly Payload[]): Promise<void>;
}

/** With a rate, the time between two calls varies by this share of it, so that no loop of a queue runs in step with them. */
const jitter = 0.5;

class Production {
  readonly #creator: TaskCreator;
  readonly #order: Produce;
  #started = 0;
  #created = 0;
  #done = 0;
  #stopped = false;
  #callMs: number[] = [];
  #room: (() => void)[] = [];

  constructor(creator: TaskCreator, order: Produce) {
    this.#creator = creator;
    this.#order = order;
  }

  async run(): Promise<void> {
    if (this.#order.rate !== null) await this.#runAtRate(this.#order.rate);
    else await Promise.all(Array.from({ length: this.#order.lanes }, () => this.#runLane()));
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  done(done: number): void {
    this.#done = done;
    this.#wake();
  }

  counts(): ProduceCounts {
    const callMs = this.#callMs;
    this.#callMs = [];
    return { created: this.#created, atMs: machineMs(), callMs };
  }

  #wake(): void {
    for (const go of this.#room.splice(0)) go();
  }

  /** How many the next call creates; 0 at the end. */
  #next(): number {
    const { batch, tasks } = this.#order;
    return this.#stopped ? 0 : Math.min(batch, (tasks ?? Number.POSITIVE_INFINITY) - this.#started);
  }

  #isFull(count: number): boolean {
    const { outstandingMax } = this.#order;
    return outstandingMax !== null && this.#started - this.#done + count > outstandingMax;
  }

  async #runLane(): Promise<void> {
    for (let count = this.#next(); count > 0; count = this.#next()) {
      if (this.#isFull(count)) await new Promise<void>((go) => this.#room.push(go));
      else await this.#call(count);
    }
  }

  async #runAtRate(rate: number): Promise<void> {
    const calls = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    for (let dueMs = machineMs(), count = this.#next(); count > 0; count = this.#next()) {
      dueMs += (1_000 / rate) * (1 + jitter * (2 * Math.random() - 1));
      await pause(Math.max(0, dueMs - machineMs()));
      if (this.#isFull(count)) throw new Error("more tasks are outstanding than allowed: the rate is too high");
      const call = this.#call(count)
        .catch((error: unknown) => {
          failure ??= { error };
          this.#stopped = true;
        })
        .finally(() => calls.delete(call));
      calls.add(call);
    }
    await Promise.all(calls);
    if (failure !== undefined) throw failure.error;
  }

  async #call(count: number): Promise<void> {
    const first = this.#started;
    this.#started += count;
    const sentMs = machineMs();
    await this.#creator.create(Array.from({ length: count }, (_, index) => payload(first + index, sentMs)));
    this.#callMs.push(machineMs() - sentMs);
    this.#created += count;
  }
}

export function runProducer(creator: TaskCreator): void {
  let production: Production | undefined;
  const parent = new Parent<ToProducer, FromProducer>(async (message) => {
    if (message.kind === "produce") {
      const mine = new Production(creator, message);
      production = mine;
      await mine.run();
      parent.say({ kind: "produced", counts: mine.counts() });
      return;
    }
    if (production === undefined) throw new Error(`'${message.kind}' without 'produce'`);
    if (message.kind === "done") production.done(message.done);
    else if (message.kind === "count") parent.say({ kind: "counts", counts: production.counts() });
    else production.stop();
  });
  parent.say({ kind: "ready" });
}
