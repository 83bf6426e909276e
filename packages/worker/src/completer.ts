/**
 * Ends attempts at the dispatcher. Completions that meet while a call is on its way go together in the next one; what an
 * unavailable service did not answer is sent again with the same body, which the fence makes safe, for as long as the
 * lease may live.
 */
import { type Completion, type CompletionAnswer, TraceError, toErrorRecord } from "@trace/contracts";
import { backoffMs, type Log, type Random, type Service, TestSignal } from "@trace/kit";
import { isCode, type WorkerApi } from "./api.ts";
import { completionRetryBaseMs, completionRetryMaxMs, completionsPerCallMax } from "./limits.ts";
import type { Timers } from "./timers.ts";

export interface CompleterParts {
  readonly api: WorkerApi;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
}

interface Waiting {
  readonly completion: Completion;
  readonly signal: AbortSignal;
  readonly settle: (answer: CompletionAnswer | undefined) => void;
}

/**
 * Refusals of one item that say "not now" of a service, and nothing of what the attempt did: the lease is kept and the
 * same completion is sent again. Every other refusal is about the item.
 */
const unavailableCodes: readonly string[] = ["TR-1000", "TR-1007", "TR-1008", "TR-1009", "TR-1010", "TR-4006"];

export class Completer implements Service {
  /** Emitted with the number of items before each call. */
  readonly called = new TestSignal<number>("completions sent");
  readonly #parts: CompleterParts;
  readonly #waiting = new Set<Waiting>();
  readonly #stop = new AbortController();
  #sending: Promise<void> | undefined;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;

  constructor(parts: CompleterParts) {
    this.#parts = parts;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  /** Gives up what is not answered yet: when it is called, no session lives that an answer would matter to. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancelRetry?.();
    await this.#sending;
    for (const item of this.#waiting) this.#settle(item, undefined);
  }

  /**
   * Resolves with the dispatcher's answer, or with nothing when `signal` (the lease is lost) aborts before one came. A
   * call on its way is waited for: its answer counts.
   */
  complete(completion: Completion, signal: AbortSignal): Promise<CompletionAnswer | undefined> {
    return new Promise((resolve) => {
      const settle = (answer: CompletionAnswer | undefined) => {
        signal.removeEventListener("abort", giveUp);
        resolve(answer);
      };
      const item: Waiting = { completion, signal, settle };
      const giveUp = () => {
        if (this.#waiting.has(item)) this.#settle(item, undefined);
      };
      this.#waiting.add(item);
      if (signal.aborted || this.#stop.signal.aborted) return giveUp();
      signal.addEventListener("abort", giveUp, { once: true });
      this.#send();
    });
  }

  #settle(item: Waiting, answer: CompletionAnswer | undefined): void {
    this.#waiting.delete(item);
    item.settle(answer);
  }

  /** Leading edge: sends at once when no call is on its way and no retry is due later. */
  #send(): void {
    if (this.#sending !== undefined || this.#cancelRetry !== undefined) return;
    if (this.#waiting.size === 0 || this.#stop.signal.aborted) return;
    const batch = [...this.#waiting].slice(0, completionsPerCallMax);
    this.#sending = this.#call(batch).then((again) => {
      this.#sending = undefined;
      if (again) this.#retryLater();
      else this.#send();
    });
  }

  #retryLater(): void {
    const rule = { baseMs: completionRetryBaseMs, maxMs: completionRetryMaxMs };
    const waitMs = backoffMs(rule, this.#failures++, this.#parts.random);
    this.#cancelRetry = this.#parts.timers.after(waitMs, () => {
      this.#cancelRetry = undefined;
      this.#send();
    });
  }

  /** True when something is to be sent again, later. */
  async #call(batch: readonly Waiting[]): Promise<boolean> {
    // On its way: giving up waits for the answer.
    for (const item of batch) this.#waiting.delete(item);
    this.called.emit(batch.length);
    try {
      const body = { items: batch.map(({ completion }) => completion) };
      const answer = await this.#parts.api.complete({ body }, { signal: this.#stop.signal });
      if (answer.items.length !== batch.length) {
        throw new TraceError("TR-1010", {
          detail: `${answer.items.length} answers came to ${batch.length} completions`,
        });
      }
      this.#failures = 0;
      return batch.map((item, index) => this.#take(item, answer.items[index])).some((again) => again);
    } catch (error) {
      if (isCode(error, "TR-1001", "TR-1002")) return this.#refused(batch, error);
      if (this.#failures === 0 && !this.#stop.signal.aborted)
        this.#parts.log.warn({ error, items: batch.length }, "completions not answered; sent again");
      return batch.map((item) => this.#again(item)).some((again) => again);
    }
  }

  #take(item: Waiting, answer: CompletionAnswer | undefined): boolean {
    if (answer?.error !== undefined && unavailableCodes.includes(answer.error.code)) {
      this.#parts.log.warn({ refusal: answer.error }, "a completion has to wait; sent again");
      return this.#again(item);
    }
    item.settle(answer);
    return false;
  }

  #again(item: Waiting): boolean {
    if (item.signal.aborted || this.#stop.signal.aborted) {
      item.settle(undefined);
      return false;
    }
    this.#waiting.add(item);
    return true;
  }

  /** The call as a whole is wrong: alone, each item shows whether it is the one. */
  async #refused(batch: readonly Waiting[], error: TraceError): Promise<boolean> {
    const [only, ...others] = batch;
    if (only !== undefined && others.length === 0) {
      only.settle({ accepted: false, error: toErrorRecord(error) });
      return false;
    }
    let again = false;
    for (const item of batch) again = (await this.#call([item])) || again;
    return again;
  }
}
