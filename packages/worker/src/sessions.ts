/**
 * Keeps one session open to claim with: opens it at start, again when it is over, and beside an old one that was retired.
 * While the dispatcher is away it tries again for as long as the worker runs.
 */
import { TraceError } from "@trace/contracts";
import { backoffMs, type Service, TestSignal } from "@trace/kit";
import { Change } from "./change.ts";
import { retryBaseMs, retryMaxMs } from "./limits.ts";
import { LiveSession, type SessionParts } from "./session.ts";
import type { SessionFile } from "./session-file.ts";
import { wait } from "./timers.ts";

export interface WorkerIdentity {
  readonly worker: string;
  readonly host: string;
  readonly pid: number;
  /** Tasks it runs at once: the dispatcher sends no more wake-ups than workers have slots. */
  readonly slots: number;
}

/** Where sessions are kept that may hold leases, for whoever comes after this process. */
export type KeptSessions = Pick<SessionFile, "add" | "remove">;

export class SessionKeeper implements Service {
  readonly opened = new TestSignal<LiveSession>("session opened");
  readonly #parts: SessionParts;
  readonly #identity: WorkerIdentity;
  readonly #kept: KeptSessions;
  readonly #onOpened: () => void;
  readonly #stop = new AbortController();
  /** The current one, and retired ones whose attempts still run. */
  readonly #open = new Set<LiveSession>();
  #current: LiveSession | undefined;
  readonly #changed = new Change();
  readonly #stopped = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #failure: unknown;

  /** `onOpened` is called each time a session to claim with is there. */
  constructor(parts: SessionParts, identity: WorkerIdentity, kept: KeptSessions, onOpened: () => void) {
    this.#parts = parts;
    this.#identity = identity;
    this.#kept = kept;
    this.#onOpened = onOpened;
  }

  /** The session to claim with, if there is one now. */
  get current(): LiveSession | undefined {
    return this.#current?.usable === true ? this.#current : undefined;
  }

  /** Does not wait for the dispatcher: a worker that cannot reach it is running and not ready. */
  start(): Promise<void> {
    this.#running ??= this.#keep();
    return Promise.resolve();
  }

  /** Closes every session; what they still hold is requeued at once. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#stopped.resolve();
    await this.#running;
    await Promise.all([...this.#open].map((session) => this.#close(session)));
  }

  /** Resolves with a usable session, or with nothing when `signal` aborts. */
  async whenOpen(signal: AbortSignal): Promise<LiveSession | undefined> {
    while (!signal.aborted) {
      if (this.current !== undefined) return this.current;
      await this.#changed.next(signal);
    }
    return undefined;
  }

  /** Throws saying what is missing for this worker to get work. */
  ready(): void {
    const session = this.current;
    if (session === undefined) {
      const reason = this.#failure instanceof Error ? `: ${this.#failure.message}` : "";
      throw new TraceError("TR-1008", { detail: `no session with the dispatcher is open${reason}` });
    }
    if (session.failedBeats > 0) {
      throw new TraceError("TR-1008", {
        detail: `the last ${session.failedBeats} heartbeats to the dispatcher failed`,
      });
    }
  }

  async #keep(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const session = await this.#openOne();
      if (session === undefined) return;
      this.#watch(session);
      this.#current = session;
      this.#changed.report();
      this.#onOpened();
      this.opened.emit(session);
      await Promise.race([session.unusable, this.#stopped.promise]);
      this.#current = undefined;
    }
  }

  #watch(session: LiveSession): void {
    const { log, metrics } = this.#parts;
    this.#open.add(session);
    metrics.sessions.inc({ event: "opened" });
    session.signal.addEventListener("abort", () => {
      if (this.#stop.signal.aborted) return;
      metrics.sessions.inc({ event: session.retired ? "retired" : "over" });
      if (!session.retired) log.warn({ error: session.signal.reason, sessionId: session.id }, "session is over");
      // Whatever ended it, the dispatcher may still think it lives: closing it requeues its tasks without a wait.
      void this.#close(session);
    });
    session.start();
    log.info({ sessionId: session.id }, "session opened");
  }

  /** What the dispatcher did not hear of is over within its time to live, unless this process ends and another tells it. */
  async #close(session: LiveSession): Promise<void> {
    const heard = await session.close();
    this.#open.delete(session);
    if (heard || !this.#stop.signal.aborted) await this.#kept.remove(session.id);
  }

  async #openOne(): Promise<LiveSession | undefined> {
    const { api, log, random, timers } = this.#parts;
    for (let tries = 0; !this.#stop.signal.aborted; tries += 1) {
      const sentAtMs = timers.monotonicMs();
      try {
        const answer = await api.openSession({ body: this.#identity }, { signal: this.#stop.signal });
        this.#failure = undefined;
        // Before anything is claimed with it.
        await this.#kept.add(answer.session_id);
        return new LiveSession(this.#parts, answer, sentAtMs);
      } catch (error) {
        if (this.#stop.signal.aborted) return undefined;
        if (tries === 0) log.warn({ error }, "cannot open a session; trying again until the dispatcher answers");
        this.#failure = error;
      }
      const retryMs = backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, tries, random);
      await wait(timers, retryMs, this.#stop.signal);
    }
    return undefined;
  }
}
