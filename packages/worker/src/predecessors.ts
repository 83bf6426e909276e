/**
 * Closes the sessions of workers that were killed on this machine, so that their tasks are queued again at once and not only
 * when their leases end.
 */
import { backoffMs, type Log, type Random, type Service, TestSignal } from "@trace/kit";
import type { WorkerApi } from "./api.ts";
import { predecessorMsMax, retryBaseMs, retryMaxMs } from "./limits.ts";
import type { SessionFile } from "./session-file.ts";
import { type Timers, wait } from "./timers.ts";

export interface PredecessorsParts {
  readonly api: Pick<WorkerApi, "closeSession">;
  /** Theirs are kept with this worker's own until they are closed: it may be killed before. */
  readonly kept: SessionFile;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** Asked at the start: the sessions of processes that are gone for certain. */
  left(): readonly string[];
}

export class Predecessors implements Service {
  /** Emitted with each session that was closed. */
  readonly closed = new TestSignal<string>("session of a predecessor closed");
  readonly #parts: PredecessorsParts;
  readonly #stop = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(parts: PredecessorsParts) {
    this.#parts = parts;
  }

  /** Does not wait for the dispatcher. */
  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { kept, left } = this.#parts;
    const sessionIds = left();
    if (sessionIds.length === 0) return;
    await kept.add(...sessionIds);
    await Promise.all(sessionIds.map((sessionId) => this.#close(sessionId)));
  }

  /** Asks until it is answered, or until the session has ended by itself. */
  async #close(sessionId: string): Promise<void> {
    const { api, kept, log, random, timers } = this.#parts;
    const { signal } = this.#stop;
    const giveUpMs = timers.monotonicMs() + predecessorMsMax;
    for (let tries = 0; !signal.aborted; tries += 1) {
      try {
        await api.closeSession({ params: { session_id: sessionId } }, { signal });
        log.info({ sessionId }, "closed the session of a worker that was killed; its tasks are queued again");
        await kept.remove(sessionId);
        this.closed.emit(sessionId);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (timers.monotonicMs() >= giveUpMs) {
          log.warn(
            { error, sessionId },
            "could not close the session of a worker that was killed; it has ended by itself",
          );
          return kept.remove(sessionId);
        }
        if (tries === 0)
          log.warn({ error, sessionId }, "cannot close the session of a worker that was killed; trying again");
      }
      await wait(timers, backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, tries, random), signal);
    }
  }
}
