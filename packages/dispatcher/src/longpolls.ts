/**
 * Claims that wait. A claim that finds nothing may stay open; the first thing that becomes ready in this process is claimed
 * for it at once, in the order in which they came, without a message on the way (docs/adr/0006-claims-that-wait.md). Waiting is a
 * shortcut and never the only way: what no waiting claim takes is told through SQS, as before.
 *
 * A session waits once: a later claim of it takes the earlier one's place, so that a worker cannot be given the same free
 * slots twice by one dispatcher. A caller who hung up is not claimed for; what was claimed when it did goes back.
 */
import { type ClaimAnswer, TraceError } from "@trace/contracts";
import type { Log } from "@trace/kit";
import type { ClaimRequest } from "./claims.ts";
import { claimGapMs, claimsWaitingMax, wakeupHoldMs } from "./limits.ts";

export interface LongPollsOptions {
  readonly log: Log;
  readonly monotonicMs?: () => number;
  /** Takes what is ready now. */
  claim(request: ClaimRequest): Promise<ClaimAnswer>;
  /** Hands leases back that nobody will hear of. */
  release(leaseTokens: readonly string[]): Promise<unknown>;
}

export interface WaitingRequest extends ClaimRequest {
  readonly wait_ms: number;
}

/** A claim that left something calls so many of those who wait: the first calls two, they four, ... */
const passOn = 2;
const nothing: ClaimAnswer = { tasks: [], jobs: [], more: false };

/** One claim that waits. */
class Waiter {
  readonly request: WaitingRequest;
  /** A claim of it was answered. */
  looked = false;
  /** Something became ready since it last looked. */
  #called = false;
  #over = false;
  #wake: (() => void) | undefined;

  constructor(request: WaitingRequest) {
    this.request = request;
  }

  get over(): boolean {
    return this.#over;
  }

  get called(): boolean {
    return this.#called;
  }

  /** False when it is over. Called twice before it looks, it looks once. */
  call(): boolean {
    if (this.#over) return false;
    this.#called = true;
    this.#wake?.();
    return true;
  }

  /** Its time is up, its caller hung up, or another claim took its place. */
  end(): void {
    this.#over = true;
    this.#wake?.();
  }

  /** It looks now, or never: what it was called for until here is answered. True when it was called. */
  takeCall(): boolean {
    const called = this.#called;
    this.#called = false;
    return called;
  }

  /** Resolves when it is called or over. */
  async next(): Promise<void> {
    if (this.#called || this.#over) return;
    await new Promise<void>((wake) => {
      this.#wake = wake;
    });
    this.#wake = undefined;
  }
}

export class LongPolls {
  readonly #options: LongPollsOptions;
  readonly #nowMs: () => number;
  /** Of each queue, in the order in which they came. */
  readonly #queues = new Map<string, Set<Waiter>>();
  readonly #sessions = new Map<string, Waiter>();
  /** When a claim of this queue that was not full was last sent. */
  readonly #claimedMs = new Map<string, number>();
  /** When the last one who waited for this queue left. */
  readonly #leftMs = new Map<string, number>();
  #stopped = false;

  constructor(options: LongPollsOptions) {
    this.#options = options;
    this.#nowMs = options.monotonicMs ?? (() => performance.now());
  }

  get waiting(): number {
    return this.#sessions.size;
  }

  /** Somebody waits for tasks of this queue, or did a moment ago and will come again. */
  isWaitedFor(queue: string): boolean {
    return (
      this.#queues.has(queue) || this.#nowMs() - (this.#leftMs.get(queue) ?? Number.NEGATIVE_INFINITY) < wakeupHoldMs
    );
  }

  /** `signal` is aborted when the caller hangs up. Throws what the claim throws. */
  async claim(request: WaitingRequest, signal: AbortSignal): Promise<ClaimAnswer> {
    const earlier = this.#sessions.get(request.session_id);
    earlier?.end();
    const waiter = new Waiter(request);
    const full = this.#sessions.size >= claimsWaitingMax && earlier === undefined;
    if (request.wait_ms === 0 || this.#stopped || full) return (await this.#look(waiter, signal, false)) ?? nothing;
    const leave = this.#enter(waiter);
    const end = () => waiter.end();
    const timer = setTimeout(end, request.wait_ms);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    try {
      return await this.#wait(waiter, signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      leave();
      // It was called and looks no more: the call is for another one.
      if (waiter.takeCall()) this.#pass(waiter, 1);
    }
  }

  /** So many tasks became ready in this queue: those who wait claim them, the first of them first. */
  ready(queue: string, tasks: number): void {
    let left = tasks;
    for (const waiter of this.#queues.get(queue) ?? []) {
      if (left <= 0) return;
      if (waiter.call()) left -= waiter.request.max;
    }
  }

  /** Nobody waits any longer, and nobody will. */
  stop(): void {
    this.#stopped = true;
    for (const waiter of this.#sessions.values()) waiter.end();
  }

  #enter(waiter: Waiter): () => void {
    const { queue, session_id } = waiter.request;
    const line = this.#queues.get(queue) ?? new Set();
    this.#queues.set(queue, line.add(waiter));
    this.#sessions.set(session_id, waiter);
    return () => {
      line.delete(waiter);
      if (line.size === 0) {
        this.#queues.delete(queue);
        if (waiter.looked) this.#leftMs.set(queue, this.#nowMs());
      }
      if (this.#sessions.get(session_id) === waiter) this.#sessions.delete(session_id);
    };
  }

  async #wait(waiter: Waiter, signal: AbortSignal): Promise<ClaimAnswer> {
    const { queue } = waiter.request;
    while (!waiter.over) {
      await this.#gap(queue);
      if (waiter.over) break;
      const answer = await this.#look(waiter, signal, waiter.takeCall());
      if (answer !== undefined) return answer;
      await waiter.next();
    }
    return nothing;
  }

  /** One claim; undefined when there was nothing. What it leaves, or cannot be told of, is the next one's. */
  async #look(waiter: Waiter, signal: AbortSignal, called: boolean): Promise<ClaimAnswer | undefined> {
    const { queue } = waiter.request;
    const sentMs = this.#nowMs();
    let answer: ClaimAnswer;
    try {
      answer = await this.#options.claim({ ...waiter.request, called });
    } catch (error) {
      // What is wrong with this session is not with the next; what is wrong with Postgres is with all of them.
      if (!(error instanceof TraceError && error.retryable)) this.#pass(waiter, 1);
      throw error;
    }
    waiter.looked = true;
    // A queue that has more than was asked for is worked off without a gap, by ever more of those who wait.
    if (!answer.more) this.#claimedMs.set(queue, sentMs);
    if (answer.tasks.length === 0) return undefined;
    if (signal.aborted) {
      await this.#handBack(answer, queue).finally(() => this.#pass(waiter, 1));
      return nothing;
    }
    if (answer.more) this.#pass(waiter, passOn);
    return answer;
  }

  async #handBack({ tasks }: ClaimAnswer, queue: string): Promise<void> {
    const { log, release } = this.#options;
    log.info({ tasks: tasks.length, queue }, "a claim's caller hung up; its tasks are handed back");
    await release(tasks.map((task) => task.lease_token));
  }

  /** Calls the next ones in line instead of this one. */
  #pass(waiter: Waiter, count: number): void {
    let left = count;
    for (const other of this.#queues.get(waiter.request.queue) ?? []) {
      if (left === 0) return;
      if (other !== waiter && !other.called && other.call()) left -= 1;
    }
  }

  /** Under load more has become ready a moment later, and one claim takes it all. */
  async #gap(queue: string): Promise<void> {
    const leftMs = (this.#claimedMs.get(queue) ?? Number.NEGATIVE_INFINITY) + claimGapMs - this.#nowMs();
    if (leftMs > 0) await new Promise((go) => setTimeout(go, leftMs));
  }
}
