/** SQS in memory, as the worker sees it: long poll, receipts, and an outage when a test wants one. */
import type { QueueMessage, Service } from "@trace/kit";
import { Change } from "../change.ts";
import type { WakeupQueue } from "../held.ts";
import { Journal } from "./journal.ts";

export class FakeQueue implements WakeupQueue, Service {
  readonly journal = new Journal();
  readonly received: QueueMessage[] = [];
  readonly deleted: string[] = [];
  /** Receipts of each call that deletes, its success aside. */
  readonly deletions: (readonly string[])[] = [];
  readonly extended: { receipts: readonly string[]; seconds: number }[] = [];
  /** Long polls waiting now. */
  polling = 0;
  failures = 0;
  /** Called at the begin of a call that deletes messages. */
  beforeDelete: () => Promise<void> | void = () => undefined;
  readonly #changed = new Change();
  #down = false;
  #number = 0;
  #waiting: QueueMessage[] = [];

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  set down(down: boolean) {
    this.#down = down;
    this.#changed.report();
    this.journal.note();
  }

  send(body: unknown): string {
    this.#number += 1;
    const receipt = `receipt-${this.#number}`;
    const text = typeof body === "string" ? body : JSON.stringify(body);
    this.#waiting.push({ id: `message-${this.#number}`, receipt, body: text });
    this.#changed.report();
    this.journal.note();
    return receipt;
  }

  async receive(_queue: string, _wait: number, _visibility: number, signal: AbortSignal): Promise<QueueMessage[]> {
    this.polling += 1;
    this.journal.note();
    try {
      while (this.#waiting.length === 0 && !this.#down && !signal.aborted) await this.#changed.next(signal);
      if (signal.aborted) throw signal.reason;
      if (this.#down) {
        this.failures += 1;
        throw new Error("connect ECONNREFUSED");
      }
      const messages = this.#waiting.splice(0, 10);
      this.received.push(...messages);
      return messages;
    } finally {
      this.polling -= 1;
      this.journal.note();
    }
  }

  extend(_queue: string, receipts: readonly string[], seconds: number): Promise<void> {
    this.extended.push({ receipts, seconds });
    this.journal.note();
    return Promise.resolve();
  }

  async delete(_queue: string, receipts: readonly string[]): Promise<void> {
    this.deletions.push(receipts);
    this.journal.note();
    await this.beforeDelete();
    this.deleted.push(...receipts);
    this.journal.note();
  }
}
