/**
 * Receives wake-ups while slots are free and claims what they name. A message is a hint and never the truth: whatever
 * happens to it, the task is a row, and the poller finds it.
 *
 * From a message to its claim nothing is waited for, and while a claim is on its way the next message is received, as long
 * as there is room for more than what the claim is expected to bring.
 */
import { type Wakeup, wakeupSchema } from "@trace/contracts";
import { backoffMs, type Log, type QueueMessage, type Random, type Service, TestSignal } from "@trace/kit";
import type { Claimed, Claimer } from "./claimer.ts";
import type { HeldMessages, WakeupQueue } from "./held.ts";
import { receiveWaitSeconds, retryBaseMs, retryMaxMs, visibilitySeconds } from "./limits.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { SessionKeeper } from "./sessions.ts";
import type { Slots } from "./slots.ts";
import { type Timers, wait } from "./timers.ts";

export interface ReceiverParts {
  readonly queue: WakeupQueue;
  /** Name in SQS. */
  readonly queueName: string;
  /** Name in Trace, which a wake-up must carry. */
  readonly taskQueue: string;
  readonly claimer: Claimer;
  readonly held: HeldMessages;
  readonly sessions: SessionKeeper;
  readonly slots: Slots;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
  /** Receiving failed: look for work without it. */
  onFailure(): void;
  /** A claim left work behind although slots are free: some freed while it was on its way. */
  onLeftWork(): void;
}

interface Received {
  readonly receipt: string;
  readonly taskIds: readonly string[];
}

export class Receiver implements Service {
  /** Emitted when each message of a receive call was dealt with. */
  readonly handled = new TestSignal<number>("messages handled");
  readonly failed = new TestSignal<unknown>("receive failed");
  readonly #parts: ReceiverParts;
  readonly #stop = new AbortController();
  readonly #handling = new Set<Promise<void>>();
  #failures = 0;
  #running: Promise<void> | undefined;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#handling);
  }

  async #run(): Promise<void> {
    const { sessions, slots, timers } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sessions.whenOpen(signal);
      await slots.whenRoom(signal);
      if (signal.aborted) return;
      const messages = await this.#receive(signal);
      if (messages === undefined) {
        const waitMs = backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, this.#failures - 1, this.#parts.random);
        await wait(timers, waitMs, signal);
      } else if (messages.length > 0) {
        const handling = this.#handle(messages).finally(() => {
          this.#handling.delete(handling);
          this.handled.emit(messages.length);
        });
        this.#handling.add(handling);
      }
    }
  }

  /** Undefined when the call failed. Said once per change, not once per call. */
  async #receive(signal: AbortSignal): Promise<QueueMessage[] | undefined> {
    const { log, metrics, queue, queueName } = this.#parts;
    try {
      const messages = await queue.receive(queueName, receiveWaitSeconds, visibilitySeconds, signal);
      if (this.#failures > 0) log.info({ queue: queueName }, "receiving wake-ups works again");
      this.#failures = 0;
      metrics.wakeups.inc({ event: "received" }, messages.length);
      return messages;
    } catch (error) {
      if (signal.aborted) return [];
      if (this.#failures === 0) {
        log.warn({ error, queue: queueName }, "cannot receive wake-ups; tasks are claimed without them");
      }
      this.#failures += 1;
      metrics.receiveErrors.inc();
      this.#parts.onFailure();
      this.failed.emit(error);
      return undefined;
    }
  }

  async #handle(messages: readonly QueueMessage[]): Promise<void> {
    const { held } = this.#parts;
    const received = this.#read(messages);
    const taskIds = [...new Set(received.flatMap((message) => message.taskIds))];
    if (taskIds.length === 0) return;
    const claimed = await this.#claim(taskIds);
    if (claimed === undefined) {
      // A worker that stops asks for nothing again: another one may have the messages at once. Otherwise they stay hidden for
      // their visibility and come again, and the poller asks meanwhile.
      if (this.#stop.signal.aborted) held.giveBack(received.map(({ receipt }) => receipt));
      return;
    }
    if (claimed.more && !claimed.full) this.#parts.onLeftWork();
    const done: string[] = [];
    for (const { receipt, taskIds } of received) {
      const mine = taskIds.flatMap((id) => claimed.started.get(id) ?? []);
      const leftBehind = mine.length < taskIds.length;
      // Full with ids left: deleting it lets the next free slot, here or elsewhere, ask for the next n.
      if (mine.length === 0 || (leftBehind && claimed.full)) done.push(receipt);
      else held.hold(receipt, Promise.all(mine));
    }
    held.delete(done);
  }

  /** Undefined when no claim could be made. */
  async #claim(taskIds: readonly string[]): Promise<Claimed | undefined> {
    const { claimer, log, slots } = this.#parts;
    const back = slots.expect(taskIds.length);
    try {
      return await claimer.claim(taskIds);
    } catch (error) {
      log.info({ error, tasks: taskIds.length }, "a wake-up could not be claimed for; it will come again");
      return undefined;
    } finally {
      back();
    }
  }

  /** The messages that are wake-ups; all others are logged, counted and deleted. */
  #read(messages: readonly QueueMessage[]): Received[] {
    const { held, log, metrics, taskQueue } = this.#parts;
    const good: Received[] = [];
    const bad: string[] = [];
    for (const message of messages) {
      const wakeup = parseWakeup(message.body);
      if (wakeup?.queue === taskQueue) {
        good.push({ receipt: message.receipt, taskIds: [...new Set(wakeup.task_ids)] });
        continue;
      }
      log.warn({ messageId: message.id, bytes: message.body.length }, "not a wake-up of this queue; deleted");
      metrics.wakeups.inc({ event: "malformed" });
      bad.push(message.receipt);
    }
    held.delete(bad);
    return good;
  }
}

function parseWakeup(body: string): Wakeup | undefined {
  try {
    return wakeupSchema.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined; // Not JSON: the caller logs that it is no wake-up.
  }
}
