/**
 * Claims tasks for the free slots and starts them: those a wake-up names, topped up by the dispatcher with the next ones
 * of the queue. Claims go one after another, so that `max` is always what is really free; those that are asked for while
 * one is on its way go together in the next one.
 */
import { batchItemsMax, type ClaimedTask, claimedTasks } from "@trace/contracts";
import { backoffMs, type Log, type RacePoints, type Random, TestSignal } from "@trace/kit";
import { isCode, mayHaveTakenEffect, type WorkerApi } from "./api.ts";
import { retryBaseMs, retryMaxMs } from "./limits.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { LiveSession } from "./session.ts";
import type { SessionKeeper } from "./sessions.ts";
import type { Slots } from "./slots.ts";
import { type Timers, wait } from "./timers.ts";

/** Starts a claimed task; resolves when its attempt is settled. Never rejects. */
export type StartTask = (task: ClaimedTask, session: LiveSession, claimSentAtMs: number) => Promise<void>;

export interface Claimed {
  /** By task id, of all that the claim was asked for by: resolves when the attempt is settled. */
  readonly started: ReadonlyMap<string, Promise<void>>;
  /** No slot is left. */
  readonly full: boolean;
  /** The queue had more than there was room for. */
  readonly more: boolean;
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

export class Claimer {
  /** Emitted after each claim that the dispatcher answered. */
  readonly claimed = new TestSignal<Claimed>("tasks claimed");
  readonly #parts: ClaimerParts;
  #turn: Promise<unknown> = Promise.resolve();
  /** Not sent yet: others may join it. */
  #next: { readonly taskIds: Set<string>; readonly claimed: Promise<Claimed | undefined> } | undefined;
  #more = false;
  #stopping = false;

  constructor(parts: ClaimerParts) {
    this.#parts = parts;
  }

  /** The last claim left work behind for want of slots. */
  get leftWork(): boolean {
    return this.#more;
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

  /** No further task is started: what a claim on its way brings is handed back. Resolves when none is on its way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#turn;
  }

  async #claim(taskIds: readonly string[]): Promise<Claimed | undefined> {
    const { api, metrics, queue, sessions, slots, timers } = this.#parts;
    const session = sessions.current;
    if (session === undefined || this.#stopping) return undefined;
    const max = Math.min(slots.free, batchItemsMax);
    if (max === 0) {
      this.#more = true;
      return { started: new Map(), full: true, more: true };
    }
    const claimSentAtMs = timers.monotonicMs();
    try {
      const body = { session_id: session.id, queue, task_ids: taskIds.slice(0, batchItemsMax), max };
      const answer = await api.claim({ body }, { signal: session.signal });
      const paused = this.#parts.race.reach("claim:answered");
      if (paused) await paused;
      const tasks = claimedTasks(answer);
      metrics.claims.inc({ result: tasks.length === 0 ? "empty" : "tasks" });
      const claimed = await this.#take(tasks, answer.more, session, claimSentAtMs);
      this.claimed.emit(claimed);
      return claimed;
    } catch (error) {
      metrics.claims.inc({ result: "failed" });
      this.#failed(session, error);
      throw error;
    }
  }

  async #take(tasks: ClaimedTask[], more: boolean, session: LiveSession, claimSentAtMs: number): Promise<Claimed> {
    const { metrics, slots, start } = this.#parts;
    const room = this.#stopping ? 0 : slots.free;
    const started = new Map<string, Promise<void>>();
    for (const task of tasks.slice(0, room)) {
      const give = slots.take();
      metrics.claimed.inc({ operator: task.job.operator });
      started.set(task.task_id, start(task, session, claimSentAtMs).finally(give));
    }
    const unstarted = tasks.slice(room);
    if (unstarted.length > 0) await this.#release(unstarted, session);
    this.#more = more || unstarted.length > 0;
    return { started, full: slots.free === 0, more: this.#more };
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
