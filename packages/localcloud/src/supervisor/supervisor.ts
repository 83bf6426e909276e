/**
 * The supervisor of `trace up`: starts units in the order of what they wait for, starts again what ends by itself, with
 * growing pauses, and stops everything in the reverse order.
 *
 *   waiting -> starting -> ready -> backoff -> starting ...      any -> stopping -> stopped
 *                                \-> exited (restart: false)
 *
 * Units that wait for one that is restarted are left running: every role of Trace reconnects by itself.
 */
import { EventEmitter } from "node:events";
import { backoffMs, type Clock, type Log, type Random, type Service, systemClock, systemRandom } from "@trace/kit";
import { supervisorLimits } from "./limits.ts";
import { startOrder } from "./order.ts";
import type { Unit, UnitExit } from "./unit.ts";

export type UnitState = "waiting" | "starting" | "ready" | "backoff" | "exited" | "stopping" | "stopped";

export interface UnitStatus {
  readonly name: string;
  readonly pid: number | undefined;
  readonly state: UnitState;
  /** How often it was started again since `start`. */
  readonly restarts: number;
  /** When it came to its present state, ISO 8601. */
  readonly since: string;
  /** Why it ended the last time, for a process in a crash loop. */
  readonly lastFailure: string | undefined;
}

/** Time, and a way to be called later: tests bring their own. */
export interface Timers extends Clock {
  /** Calls `run` after `ms`; the answer cancels it. */
  after(ms: number, run: () => void): () => void;
}

export const systemTimers: Timers = {
  nowMs: () => systemClock.nowMs(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

export interface SupervisorOptions {
  readonly units: readonly Unit[];
  readonly log: Log;
  readonly timers?: Timers | undefined;
  readonly random?: Random | undefined;
}

interface SupervisorEvents {
  /** A unit ended without having been asked to. */
  exit: [name: string, exit: UnitExit];
  /** A unit came to a state. */
  state: [status: UnitStatus];
}

interface Entry {
  readonly unit: Unit;
  state: UnitState;
  sinceMs: number;
  restarts: number;
  /** Failures in a row, which decide the pause. */
  failures: number;
  lastFailure: string | undefined;
  cancelTimer: (() => void) | undefined;
  /** The start or restart that is under way: a stop waits for it. */
  inFlight: Promise<void> | undefined;
}

export class Supervisor extends EventEmitter<SupervisorEvents> implements Service {
  readonly #entries: readonly Entry[];
  readonly #log: Log;
  readonly #timers: Timers;
  readonly #random: Random;
  #stopping = false;
  #stopped: Promise<void> | undefined;

  /** Throws TR-6021 when the units cannot be ordered. */
  constructor(options: SupervisorOptions) {
    super();
    this.#log = options.log;
    this.#timers = options.timers ?? systemTimers;
    this.#random = options.random ?? systemRandom;
    this.#entries = startOrder(options.units).map((unit) => ({
      unit,
      state: "waiting",
      sinceMs: this.#timers.nowMs(),
      restarts: 0,
      failures: 0,
      lastFailure: undefined,
      cancelTimer: undefined,
      inFlight: undefined,
    }));
    for (const entry of this.#entries) entry.unit.onExit((exit) => this.#onExit(entry, exit));
  }

  status(): UnitStatus[] {
    return this.#entries.map(statusOf);
  }

  /**
   * Starts each unit as soon as all it waits for are ready. When one fails, all are stopped and its error is thrown: a
   * stack that never came up is not left half running. (Later failures are met with restarts.)
   */
  async start(): Promise<void> {
    this.#stopping = false;
    this.#stopped = undefined;
    const started = new Map<string, Promise<void>>();
    for (const entry of this.#entries) {
      const waitFor = entry.unit.after.map((name) => started.get(name));
      started.set(
        entry.unit.name,
        Promise.all(waitFor).then(() => this.#startFirst(entry)),
      );
    }
    try {
      await Promise.all(started.values());
    } catch (error) {
      await this.stop().catch((stopError: unknown) => {
        this.#log.warn({ error: stopError }, "stopping what had started failed"); // the first error is the one to throw
      });
      throw error;
    }
  }

  /** Stops each unit when all that wait for it have stopped. Safe to call twice, and while a restart is under way. */
  stop(): Promise<void> {
    this.#stopping = true;
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    const stopped = new Map<string, Promise<void>>();
    for (const entry of this.#entries.toReversed()) {
      const users = this.#entries.filter(({ unit }) => unit.after.includes(entry.unit.name));
      const usersStopped = Promise.allSettled(users.map(({ unit }) => stopped.get(unit.name)));
      stopped.set(
        entry.unit.name,
        usersStopped.then(() => this.#stopOne(entry)),
      );
    }
    const results = await Promise.allSettled(stopped.values());
    const failures = results.filter((result) => result.status === "rejected").map(({ reason }) => reason as unknown);
    if (failures.length > 0) throw new AggregateError(failures, "not everything stopped cleanly");
  }

  async #stopOne(entry: Entry): Promise<void> {
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    this.#enter(entry, "stopping");
    await entry.unit.stop();
    if (entry.inFlight !== undefined) {
      await Promise.allSettled([entry.inFlight]); // whoever started it has its error
      await entry.unit.stop(); // it may have come up all the same
    }
    this.#enter(entry, "stopped");
  }

  async #startFirst(entry: Entry): Promise<void> {
    if (this.#stopping) return;
    this.#enter(entry, "starting");
    entry.inFlight = entry.unit.start();
    await entry.inFlight;
    entry.inFlight = undefined;
    if (!this.#stopping) this.#enter(entry, "ready");
  }

  #enter(entry: Entry, state: UnitState): void {
    entry.state = state;
    entry.sinceMs = this.#timers.nowMs();
    this.emit("state", statusOf(entry));
  }

  #onExit(entry: Entry, exit: UnitExit): void {
    const { name } = entry.unit;
    const how = exit.signal ?? `code ${exit.code}`;
    const healthy = this.#timers.nowMs() - entry.sinceMs >= supervisorLimits.healthyMs;
    if (healthy) entry.failures = 0;
    this.emit("exit", name, exit);
    if (this.#stopping) return;
    if (!entry.unit.restart) {
      this.#log.info({ process: name, how }, "process ended");
      this.#enter(entry, "exited");
      return;
    }
    this.#failed(entry, `ended with ${how}${exit.tail ? `: ${exit.tail}` : ""}`);
  }

  #failed(entry: Entry, why: string): void {
    const rule = { baseMs: supervisorLimits.restartBaseMs, maxMs: supervisorLimits.restartMaxMs };
    const pauseMs = backoffMs(rule, entry.failures, this.#random);
    entry.failures += 1;
    entry.lastFailure = why;
    const fields = { process: entry.unit.name, why, restarts: entry.restarts, retryInMs: Math.round(pauseMs) };
    if (entry.failures > supervisorLimits.loudAfterRestarts) this.#log.error(fields, "process keeps failing");
    else this.#log.warn(fields, "process ended, starting it again");
    entry.cancelTimer = this.#timers.after(pauseMs, () => {
      entry.cancelTimer = undefined;
      entry.inFlight = this.#restart(entry);
    });
    this.#enter(entry, "backoff");
  }

  /** Never rejects: a restart that fails is the next failure. */
  async #restart(entry: Entry): Promise<void> {
    if (this.#stopping) return;
    entry.restarts += 1;
    this.#enter(entry, "starting");
    try {
      await entry.unit.start();
    } catch (error) {
      entry.inFlight = undefined;
      if (!this.#stopping) this.#failed(entry, error instanceof Error ? error.message : String(error));
      return;
    }
    entry.inFlight = undefined;
    if (!this.#stopping) this.#enter(entry, "ready");
  }
}

function statusOf(entry: Entry): UnitStatus {
  return {
    name: entry.unit.name,
    pid: entry.unit.pid,
    state: entry.state,
    restarts: entry.restarts,
    since: new Date(entry.sinceMs).toISOString(),
    lastFailure: entry.lastFailure,
  };
}
