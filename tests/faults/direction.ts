/**
 * One direction of a connection: what comes from one socket goes to the other, in order; late if it is delayed, not yet if
 * it is stalled. While too much waits nothing more is read, so that the sender feels it as it would without a proxy.
 */
import type { Socket } from "node:net";
import { heldBytesMax } from "./limits.ts";
import type { Timer } from "./timer.ts";

export interface DirectionOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly timer: Timer;
  readonly delayMs: () => number;
  /** A part was held back. */
  readonly delayed: () => void;
  /** Forwards a part, by `write`, or does something else with it. */
  readonly pass: (chunk: Buffer) => void;
}

interface Waiting {
  /** Undefined for the end. */
  readonly chunk: Buffer | undefined;
  readonly dueMs: number;
}

export class Direction {
  readonly #options: DirectionOptions;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #cancel: (() => void) | undefined;
  #stalled = true;
  #full = false;
  #stopped = false;

  /** Stalled until `flow`. */
  constructor(options: DirectionOptions) {
    this.#options = options;
    options.from.on("data", (chunk: Buffer) => this.#arrive(chunk));
    options.from.on("end", () => this.#arrive(undefined));
    const empty = () => {
      this.#full = false;
      this.#adjust();
    };
    options.to.on("drain", empty);
    options.to.on("close", empty);
    this.#adjust();
  }

  write(chunk: Buffer): void {
    if (chunk.length === 0 || !this.#options.to.writable) return;
    this.#full = !this.#options.to.write(chunk);
  }

  /** False when it was stalled already. */
  stall(): boolean {
    const flowed = !this.#stalled;
    this.#stalled = true;
    this.#adjust();
    return flowed;
  }

  flow(): void {
    this.#stalled = false;
    this.#pump();
  }

  /** Nothing is forwarded any more; what comes is read and thrown away, so that the end is seen. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#waiting = [];
    this.#options.from.resume();
  }

  #arrive(chunk: Buffer | undefined): void {
    if (this.#stopped) return;
    const { timer, delayMs, delayed } = this.#options;
    const forMs = delayMs();
    if (forMs > 0 && chunk !== undefined) delayed();
    this.#waiting.push({ chunk, dueMs: timer.nowMs() + forMs });
    this.#waitingBytes += chunk?.length ?? 0;
    this.#pump();
  }

  #pump(): void {
    const { timer } = this.#options;
    this.#cancel?.();
    this.#cancel = undefined;
    while (!this.#stalled && !this.#stopped) {
      const next = this.#waiting[0];
      if (next === undefined) break;
      const leftMs = next.dueMs - timer.nowMs();
      if (leftMs > 0) {
        this.#cancel = timer.after(leftMs, () => this.#pump());
        break;
      }
      this.#waiting.shift();
      this.#waitingBytes -= next.chunk?.length ?? 0;
      if (next.chunk === undefined) this.#options.to.end();
      else this.#options.pass(next.chunk);
    }
    this.#adjust();
  }

  #adjust(): void {
    if (this.#stopped) return;
    const { from } = this.#options;
    if (this.#stalled || this.#full || this.#waitingBytes > heldBytesMax) from.pause();
    else from.resume();
  }
}
