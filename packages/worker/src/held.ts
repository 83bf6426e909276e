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
      void this.delete([receipt]);
    });
  }

  /** Deletes messages. A failure costs one more delivery of a hint and nothing else. */
  async delete(receipts: readonly string[]): Promise<void> {
    if (receipts.length === 0) return;
    try {
      await this.#parts.queue.delete(this.#parts.queueName, receipts);
      this.#parts.metrics.wakeups.inc({ event: "deleted" }, receipts.length);
      this.deleted.emit(receipts);
    } catch (error) {
      this.#parts.log.info({ error, messages: receipts.length }, "wake-ups not deleted; they will come again");
    }
  }

  /** Extends nothing more: what is still held becomes visible by itself and wakes another worker. */
  stop(): void {
    this.#stopped = true;
    this.#cancelExtend?.();
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
