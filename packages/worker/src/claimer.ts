/**
 * Claims tasks for the free slots and starts them: those a wake-up names, topped up by the dispatcher with the next ones
 * of the queue. Claims go one after another, so that `max` is always what is really free; those that are asked for while
 * one is on its way go together in the next one.
 *
 * Beside them one claim may wait at the dispatcher until something is ready. The others never wait for it: at the same
 * dispatcher they take its place. Elsewhere both may bring tasks for the same slots, so room is counted when an answer is
 * taken, and what has none is handed back.
 */
import { batchItemsMax, type ClaimedTask, claimedTasks } from "@trace/contracts";
import { backoffMs, type Log, type RacePoints, type Random, TestSignal } from "@trace/kit";
import { isCode, mayHaveTakenEffect, type WorkerApi } from "./api.ts";
import { lastAnswerMs, retryBaseMs, retryMaxMs } from "./limits.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { LiveSession } from "./session.ts";
import type { SessionKeeper } from "./sessions.ts";
import type { Slots } from "./slots.ts";
import { type Timers, wait } from "./timers.ts";

/** Starts a claimed task, whose time counts from `claimedAtMs`; resolves when its attempt is settled. Never rejects. */
export type StartTask = (task: ClaimedTask, session: LiveSession, claimedAtMs: number) => Promise<void>;

export interface Claimed {
  /** By task id, of all that the claim was asked for by: resolves when the attempt is settled. */
  readonly started: ReadonlyMap<string, Promise<void>>;
  /** No slot is left. */
  readonly full: boolean;
  /** The queue had more than there was room for. */
  readonly more: boolean;
}

export interface Waited extends Claimed {
  /** Another claim of ours was on its way meanwhile, whose place is before that of one that waits. */
  readonly overtaken: boolean;
}

export interface ClaimerParts {
  readonly api: WorkerApi;
  readonly sessions: SessionKeeper;
  readonly slots: Slots;
  readonly queue: string;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
  readonly race: RacePoints;
  readonly start: StartTask;
}

interface Ask {
  readonly session: LiveSession;
  readonly taskIds: readonly string[];
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

export class Claimer {
  /** Emitted after each claim that the dispatcher answered. */
  readonly claimed = new TestSignal<Claimed>("tasks claimed");
  readonly #parts: ClaimerParts;
  #turn: Promise<unknown> = Promise.resolve();
  /** Not sent yet: others may join it. */
  #next: { readonly taskIds: Set<string>; readonly claimed: Promise<Claimed | undefined> } | undefined;
  /** Claims sent so far, and whether the last one is on its way; the one that waits aside. */
  #sent = 0;
  #onItsWay = false;
  #waiting: Promise<unknown> | undefined;
  /** What the claim that waited brought is being started or handed back. */
  #taking: Promise<unknown> | undefined;
  #more = false;
  #stopping = false;

  constructor(parts: ClaimerParts) {
    this.#parts = parts;
  }

  /** The last claim left work behind for want of slots, and none that waits was sent since: that one is told of it. */
  get leftWork(): boolean {
    return this.#more;
  }

  /** A claim waits at the dispatcher, as far as is known here. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /**
   * Undefined when no claim could be made: no session is open, or the worker stops. Throws what the dispatcher answered;
   * what a lost answer may have leased to this worker is given back by retiring the session.
   */
  claim(taskIds: readonly string[]): Promise<Claimed | undefined> {
    if (this.#next === undefined) {
      const named = new Set<string>();
      const claimed = this.#turn.then(() => {
        this.#next = undefined;
        return this.#claim([...named]);
      });
      this.#next = { taskIds: named, claimed };
      this.#turn = claimed.catch(() => undefined); // The callers of that turn have the error.
    }
    for (const taskId of taskIds) this.#next.taskIds.add(taskId);
    return this.#next.claimed;
  }

  /**
   * The next tasks of the queue, for which the dispatcher may keep the call open so long. One at a time. Undefined and
   * throws as `claim`; undefined also when the session is not to be claimed with any more while it waits.
   */
  async claimNext(waitMs: number): Promise<Waited | undefined> {
    const { sessions, slots } = this.#parts;
    const session = sessions.current;
    if (session === undefined || this.#stopping) return undefined;
    // Another claim took the last one: the next is asked for when a slot is free again.
    if (slots.free === 0) return { started: new Map(), full: true, more: true, overtaken: false };
    if (this.#waiting !== undefined) throw new Error("a claim waits already");
    const waiting = this.#wait(session, waitMs);
    this.#waiting = waiting.catch(() => undefined); // The caller has the error.
    try {
      return await waiting;
    } finally {
      this.#waiting = undefined;
      this.#taking = undefined;
    }
  }

  /** Resolves when no claim is on its way, one that waits aside. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  /**
   * No further task is started: what a claim on its way brings is handed back. Resolves when none is on its way, but for one
   * that waits and has nothing to bring. That one is not broken off: the dispatcher could lease tasks to it that nobody
   * here hears of, for as long as attempts run on. It stays open while they do, its tasks are handed back, and the end of
   * the session, which requeues whatever it may still bring, ends it.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    const over = new AbortController();
    await Promise.all([this.#turn, Promise.race([this.#waiting, wait(this.#parts.timers, lastAnswerMs, over.signal)])]);
    over.abort();
    await this.#taking;
  }

  async #claim(taskIds: readonly string[]): Promise<Claimed | undefined> {
    const { sessions, slots, timers } = this.#parts;
    const session = sessions.current;
    if (session === undefined || this.#stopping) return undefined;
    if (slots.free === 0) {
      this.#more = true;
      return { started: new Map(), full: true, more: true };
    }
    const sentAtMs = timers.monotonicMs();
    this.#sent += 1;
    this.#onItsWay = true;
    try {
      const answer = await this.#ask({ session, taskIds, waitMs: 0, signal: session.signal });
      const claimed = await this.#take(answer.tasks, answer.more, session, sentAtMs);
      this.#more = claimed.more;
      this.claimed.emit(claimed);
      return claimed;
    } finally {
      this.#onItsWay = false;
    }
  }

  async #wait(session: LiveSession, waitMs: number): Promise<Waited | undefined> {
    const { timers } = this.#parts;
    const sent = this.#sent;
    const onItsWay = this.#onItsWay;
    // It asks for what is left itself. What another claim says after this is news.
    this.#more = false;
    const signal = session.claiming;
    try {
      const answer = await this.#ask({ session, taskIds: [], waitMs, signal });
      // When the dispatcher claimed is not known, only that it was long after the call was sent; that the answer took a
      // moment is covered by the time for which a lease outlives its attempt.
      const taking = this.#take(answer.tasks, answer.more, session, timers.monotonicMs());
      this.#taking = taking;
      const claimed = await taking;
      this.#more = claimed.more;
      this.claimed.emit(claimed);
      return { ...claimed, overtaken: onItsWay || this.#sent !== sent };
    } catch (error) {
      // Given up, as what it would bring is not wanted any more. What ended the session by its answer was told there.
      if (error === signal.reason) return undefined;
      throw error;
    }
  }

  async #ask({ session, taskIds, waitMs, signal }: Ask): Promise<{ tasks: ClaimedTask[]; more: boolean }> {
    const { api, metrics, queue, race, slots } = this.#parts;
    const max = Math.min(slots.free, batchItemsMax);
    const body = { session_id: session.id, queue, task_ids: taskIds.slice(0, batchItemsMax), max, wait_ms: waitMs };
    try {
      const answer = await api.claim({ body }, { signal });
      const paused = race.reach("claim:answered");
      if (paused) await paused;
      const tasks = claimedTasks(answer);
      metrics.claims.inc({ result: tasks.length === 0 ? "empty" : "tasks" });
      return { tasks, more: answer.more };
    } catch (error) {
      if (!signal.aborted) metrics.claims.inc({ result: "failed" });
      this.#failed(session, error);
      throw error;
    }
  }

  async #take(tasks: ClaimedTask[], more: boolean, session: LiveSession, claimedAtMs: number): Promise<Claimed> {
    const { metrics, slots, start } = this.#parts;
    const room = this.#stopping ? 0 : slots.free;
    const started = new Map<string, Promise<void>>();
    for (const task of tasks.slice(0, room)) {
      const give = slots.take();
      metrics.claimed.inc({ operator: task.job.operator });
      started.set(task.task_id, start(task, session, claimedAtMs).finally(give));
    }
    const unstarted = tasks.slice(room);
    if (unstarted.length > 0) await this.#release(unstarted, session);
    return { started, full: slots.free === 0, more: more || unstarted.length > 0 };
  }

  /**
   * Hands back what was claimed and not started, so that it costs nobody an attempt or a wait. Asks until it is answered or
   * the session is over, which requeues them too, as lost leases.
   */
  async #release(tasks: readonly ClaimedTask[], { signal }: LiveSession): Promise<void> {
    const { api, log, metrics, random, timers } = this.#parts;
    const items = tasks.map(({ lease_token }) => ({ lease_token }));
    for (let tries = 0; !signal.aborted; tries += 1) {
      try {
        await api.release({ body: { items } }, { signal });
        metrics.released.inc(tasks.length);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (tries === 0) log.warn({ error, tasks: tasks.length }, "cannot hand back unstarted tasks; trying again");
      }
      await wait(timers, backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, tries, random), signal);
    }
  }

  #failed(session: LiveSession, error: unknown): void {
    if (session.signal.aborted) return;
    if (isCode(error, "TR-3002")) session.end(error);
    else if (mayHaveTakenEffect(error)) session.retire();
  }
}
