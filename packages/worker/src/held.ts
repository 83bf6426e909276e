/**
 * Wake-up messages whose tasks run here. They stay hidden from others while the tasks run and are deleted when all are
 * settled; a worker that dies gives them back, which wakes another. At most one per running task is held.
 */
import { type Log, type MessageQueue, TestSignal } from "@trace/kit";
import { extendEveryMs, visibilitySeconds } from "./limits.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { Timers } from "./timers.ts";

/** What the worker needs of SQS. */
export type WakeupQueue = Pick<MessageQueue, "receive" | "extend" | "delete">;

export interface HeldMessagesParts {
  readonly queue: WakeupQueue;
  readonly queueName: string;
  readonly timers: Timers;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
}

export class HeldMessages {
  readonly deleted = new TestSignal<readonly string[]>("messages deleted");
  readonly extended = new TestSignal<readonly string[]>("messages extended");
  readonly #parts: HeldMessagesParts;
  readonly #receipts = new Set<string>();
  readonly #toDelete = new Set<string>();
  /** Calls on their way. */
  readonly #calls = new Set<Promise<void>>();
  #deleting = false;
  #cancelExtend: (() => void) | undefined;
  #stopped = false;

  constructor(parts: HeldMessagesParts) {
    this.#parts = parts;
  }

  /** Keeps a message hidden until `settled`, then deletes it. */
  hold(receipt: string, settled: Promise<unknown>): void {
    this.#receipts.add(receipt);
    this.#parts.metrics.wakeups.inc({ event: "held" });
    this.#cancelExtend ??= this.#parts.timers.after(extendEveryMs, () => void this.#extend());
    void settled.finally(() => {
      if (this.#stopped) return;
      this.#receipts.delete(receipt);
      this.delete([receipt]);
    });
  }

  /** Deletes messages: at once, or together with others once the call on its way is back. Nobody waits for it. */
  delete(receipts: readonly string[]): void {
    for (const receipt of receipts) this.#toDelete.add(receipt);
    if (this.#deleting || this.#toDelete.size === 0) return;
    this.#deleting = true;
    this.#track(this.#delete());
  }

  /** Shows messages again at once, to whoever receives next. */
  giveBack(receipts: readonly string[]): void {
    this.#track(this.#giveBack(receipts));
  }

  /**
   * Extends nothing more: what is still held becomes visible by itself and wakes another worker. Resolves when no call is on
   * its way; a caller that does not wait for it loses nothing but hints that come again.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelExtend?.();
    while (this.#calls.size > 0) await Promise.all(this.#calls);
  }

  #track(call: Promise<void>): void {
    this.#calls.add(call);
    void call.finally(() => this.#calls.delete(call));
  }

  /** A failure costs one more delivery of a hint and nothing else. */
  async #delete(): Promise<void> {
    const { log, metrics, queue, queueName } = this.#parts;
    while (this.#toDelete.size > 0) {
      const receipts = [...this.#toDelete];
      this.#toDelete.clear();
      try {
        await queue.delete(queueName, receipts);
        metrics.wakeups.inc({ event: "deleted" }, receipts.length);
        this.deleted.emit(receipts);
      } catch (error) {
        log.info({ error, messages: receipts.length }, "wake-ups not deleted; they will come again");
      }
    }
    this.#deleting = false;
  }

  async #giveBack(receipts: readonly string[]): Promise<void> {
    const { log, metrics, queue, queueName } = this.#parts;
    try {
      await queue.extend(queueName, receipts, 0);
      metrics.wakeups.inc({ event: "given_back" }, receipts.length);
    } catch (error) {
      log.info({ error, messages: receipts.length }, "wake-ups not given back; they will come again");
    }
  }

  async #extend(): Promise<void> {
    const receipts = [...this.#receipts];
    this.#cancelExtend = undefined;
    if (receipts.length === 0 || this.#stopped) return;
    try {
      await this.#parts.queue.extend(this.#parts.queueName, receipts, visibilitySeconds);
      this.extended.emit(receipts);
    } catch (error) {
      // Others may now see the message and claim nothing: its tasks are leased.
      this.#parts.log.info({ error, messages: receipts.length }, "wake-ups not extended");
    }
    if (!this.#stopped) this.#cancelExtend ??= this.#parts.timers.after(extendEveryMs, () => void this.#extend());
  }
}
