/**
 * Messages between the answer "sent" and the queue: those on their way now, those delayed, those waiting for others to be
 * shuffled with. Also knows in what order messages were sent, and so which ones really arrived out of it.
 */
import type { FaultCounts } from "./counts.ts";
import { idsRememberedMax, redeliverMs } from "./limits.ts";
import type { SeededRandom } from "./random.ts";
import { BackendAway, type SqsBackend } from "./sqs-backend.ts";
import type { SqsFaultKind, SqsFaults } from "./sqs-faults.ts";
import type { Timer } from "./timer.ts";

/** A message that the proxy puts into the queue itself. */
export interface Copy {
  /** Path of the queue's URL. */
  readonly queue: string;
  /** As SendMessage takes it, without QueueUrl. */
  readonly message: Readonly<Record<string, unknown>>;
  /** The id that the sender was told, which every copy is received under. */
  readonly told: string;
  /** Its place among all that were sent to the queue. */
  readonly place: number;
  /** Counted once the copy is in the queue. */
  readonly faults: readonly SqsFaultKind[];
}

export interface HeldOptions {
  readonly backend: SqsBackend;
  readonly counts: FaultCounts<SqsFaultKind>;
  readonly random: SeededRandom;
  readonly timer: Timer;
}

interface Shuffled {
  readonly copies: Copy[];
  readonly cancel: () => void;
}

export class HeldMessages {
  readonly #options: HeldOptions;
  readonly #delayed = new Map<Copy, () => void>();
  readonly #shuffled = new Map<string, Shuffled>();
  readonly #delivering = new Set<Promise<void>>();
  readonly #places = new Map<string, { next: number; newest: number }>();
  readonly #ids = new Map<string, string>();

  constructor(options: HeldOptions) {
    this.#options = options;
  }

  /** Messages held back now. */
  get size(): number {
    let size = this.#delayed.size;
    for (const { copies } of this.#shuffled.values()) size += copies.length;
    return size;
  }

  /** The place of the next message that is sent to the queue. */
  place(queue: string): number {
    const places = this.#placesOf(queue);
    places.next += 1;
    return places.next;
  }

  /** A message of this place is in the queue; true when one that was sent later is there already. */
  arrived(queue: string, place: number): boolean {
    const places = this.#placesOf(queue);
    if (place < places.newest) return true;
    places.newest = place;
    return false;
  }

  /** The id that the sender was told for a message of the backend. */
  toldId(backendId: string): string {
    return this.#ids.get(backendId) ?? backendId;
  }

  delay(copy: Copy, ms: number): void {
    const due = () => {
      this.#delayed.delete(copy);
      this.deliver([copy]);
    };
    this.#delayed.set(copy, this.#options.timer.after(ms, due));
  }

  reorder(copy: Copy, faults: Pick<SqsFaults, "reorderMessages" | "reorderMaxMs">): void {
    const flush = () => this.#flush(copy.queue);
    const held = this.#shuffled.get(copy.queue) ?? {
      copies: [],
      cancel: this.#options.timer.after(faults.reorderMaxMs, flush),
    };
    this.#shuffled.set(copy.queue, held);
    held.copies.push(copy);
    if (held.copies.length >= faults.reorderMessages) flush();
  }

  /** Puts copies into their queues one after the other. */
  deliver(copies: readonly Copy[]): Promise<void> {
    const delivering = this.#deliverAll(copies);
    this.#delivering.add(delivering);
    // A defect that throws here is not handled and ends the run of tests, as it should.
    void delivering.finally(() => this.#delivering.delete(delivering));
    return delivering;
  }

  /** Resolves when nothing is on its way into a queue; what is held stays held. */
  async settled(): Promise<void> {
    while (this.#delivering.size > 0) await Promise.all(this.#delivering);
  }

  /** Everything held goes into its queue now. */
  async release(): Promise<void> {
    const delayed = [...this.#delayed.keys()];
    for (const cancel of this.#delayed.values()) cancel();
    this.#delayed.clear();
    for (const queue of [...this.#shuffled.keys()]) this.#flush(queue);
    await this.deliver(delayed);
    await this.settled();
  }

  /** What is held of a queue, or of all, is gone: the queue was purged, or the proxy is stopped. */
  discard(queue?: string): void {
    for (const [copy, cancel] of [...this.#delayed]) {
      if (queue !== undefined && copy.queue !== queue) continue;
      cancel();
      this.#delayed.delete(copy);
    }
    for (const [name, { cancel }] of [...this.#shuffled]) {
      if (queue !== undefined && name !== queue) continue;
      cancel();
      this.#shuffled.delete(name);
    }
  }

  #flush(queue: string): void {
    const held = this.#shuffled.get(queue);
    if (held === undefined) return;
    held.cancel();
    this.#shuffled.delete(queue);
    let copies = this.#options.random.shuffle(held.copies);
    // A shuffle that changed nothing would not be one.
    if (copies.every((copy, at) => copy === held.copies[at])) copies = [...copies.slice(1), ...copies.slice(0, 1)];
    this.deliver(copies);
  }

  async #deliverAll(copies: readonly Copy[]): Promise<void> {
    for (const copy of copies) await this.#deliverOne(copy);
  }

  async #deliverOne(copy: Copy): Promise<void> {
    const { backend, counts } = this.#options;
    const input = { ...copy.message, QueueUrl: `${backend.origin}${copy.queue}` };
    try {
      const answer = await backend.call("SendMessage", input);
      if (answer.status >= 500) throw new BackendAway(`SQS behind the proxy answered ${answer.status}`);
      if (answer.status !== 200) return counts.add("undeliverable");
      this.#remember((JSON.parse(answer.text) as { MessageId: string }).MessageId, copy.told);
    } catch (error) {
      if (!(error instanceof BackendAway)) throw error;
      // It was answered as sent, so it must arrive once the backend is back.
      return this.delay(copy, redeliverMs);
    }
    const late = this.arrived(copy.queue, copy.place);
    for (const fault of copy.faults) if (fault !== "reorder" || late) counts.add(fault);
  }

  #remember(backendId: string, told: string): void {
    this.#ids.set(backendId, told);
    if (this.#ids.size <= idsRememberedMax) return;
    for (const oldest of this.#ids.keys()) {
      this.#ids.delete(oldest);
      break;
    }
  }

  #placesOf(queue: string): { next: number; newest: number } {
    const places = this.#places.get(queue) ?? { next: 0, newest: 0 };
    this.#places.set(queue, places);
    return places;
  }
}
