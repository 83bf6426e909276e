/**
 * The worker role put together: what receives, what claims, what runs and what completes. It reaches the dispatcher, SQS
 * and the object store, and never a database.
 */
import { join } from "node:path";
import { createClient, TraceError, taskRoutes, workerRoutes } from "@trace/contracts";
import { DuckRunner } from "@trace/duck";
import {
  type Clock,
  guardedGet,
  HttpTransport,
  type Log,
  MessageQueue,
  Metrics,
  noRace,
  ObjectStore,
  OpsServer,
  type RacePoints,
  type Random,
  SecretFile,
  type Service,
  startAll,
  stopAll,
  systemClock,
  systemRandom,
} from "@trace/kit";
import { Attempt, type AttemptParts } from "./attempt.ts";
import { Claimer, type StartTask } from "./claimer.ts";
import { Completer } from "./completer.ts";
import type { WorkerConfig } from "./config.ts";
import { HeldMessages, type WakeupQueue } from "./held.ts";
import { handBackMs, queryMsMax, queryProcessesReady, settleMs } from "./limits.ts";
import { type WorkerMetrics, workerMetrics } from "./metrics.ts";
import { operators } from "./operators/index.ts";
import type { OperatorServices } from "./operators/operator.ts";
import { Poller } from "./poller.ts";
import { Predecessors } from "./predecessors.ts";
import { Receiver } from "./receiver.ts";
import { SessionKeeper } from "./sessions.ts";
import { Slots } from "./slots.ts";
import type { WriteStore } from "./staging/writer.ts";
import { abortOf, systemTimers, type Timers } from "./timers.ts";
import { Workplace } from "./workplace.ts";

/** What a test puts in place of the real thing. */
export interface WorkerDeps {
  readonly log: Log;
  readonly metrics?: Metrics | undefined;
  readonly clock?: Clock | undefined;
  readonly timers?: Timers | undefined;
  readonly random?: Random | undefined;
  readonly queue?: (WakeupQueue & Service) | undefined;
  readonly objectStore?: (OperatorServices["objectStore"] & WriteStore & Service) | undefined;
  readonly openStore?: AttemptParts["openStore"] | undefined;
  readonly duck?: (OperatorServices["duck"] & Service) | undefined;
  readonly get?: OperatorServices["get"] | undefined;
  readonly operators?: AttemptParts["operators"] | undefined;
  /** `claim:answered`: before what a claim brought is started. `attempt:ended`: before the end of an attempt is told. */
  readonly race?: RacePoints | undefined;
}

/** The token of the file's first line; after a refusal, the first line that was not the one refused. */
function tokenSource(path: string): (again: boolean) => Promise<string> {
  const file = new SecretFile(path);
  let last: string | undefined;
  return async (again) => {
    const lines = await file.lines();
    const token = (again ? lines.find((line) => line !== last) : undefined) ?? lines[0];
    if (token === undefined) {
      throw new TraceError("TR-1003", {
        detail: "the file of worker tokens is empty",
        where: path,
        fix: "write the token that the dispatcher knows into it; 'trace up' does so for the local stack",
      });
    }
    last = token;
    return token;
  };
}

function transportsOf(config: WorkerConfig) {
  const workerTransport = new HttpTransport({ baseUrl: config.workerApi, token: tokenSource(config.tokenFile) });
  // Every call of the task API carries its attempt's lease token; there is none to fall back to.
  const token = () => Promise.reject(new Error("a call of the task API has no lease token"));
  return { workerTransport, taskTransport: new HttpTransport({ baseUrl: config.taskApi, token }) };
}

export class Worker implements Service {
  readonly sessions: SessionKeeper;
  readonly predecessors: Predecessors;
  readonly claimer: Claimer;
  readonly receiver: Receiver;
  readonly poller: Poller;
  readonly held: HeldMessages;
  readonly completer: Completer;
  readonly slots: Slots;
  readonly metrics: Metrics;
  readonly #config: WorkerConfig;
  readonly #log: Log;
  readonly #timers: Timers;
  readonly #attempts = new Set<Attempt>();
  readonly #ops: OpsServer;
  /** Started before the work begins and stopped after it has ended, in this order and back. */
  readonly #below: readonly Service[];
  #stopped: Promise<void> | undefined;

  constructor(config: WorkerConfig, deps: WorkerDeps) {
    const log = deps.log;
    const timers = deps.timers ?? systemTimers;
    const race = deps.race ?? noRace;
    const random = deps.random ?? systemRandom;
    this.#config = config;
    this.#log = log;
    this.#timers = timers;
    this.metrics = deps.metrics ?? new Metrics({ role: "worker" });
    const metrics = this.#counts();

    const { workerTransport, taskTransport } = transportsOf(config);
    const api = createClient(workerRoutes, workerTransport.send);
    const taskApi = createClient(taskRoutes, taskTransport.send);
    const objectStore = deps.objectStore ?? new ObjectStore(config.s3);
    const queue = deps.queue ?? new MessageQueue(config.sqs);
    const workFolder = join(config.workDir, "duck");
    const duck =
      deps.duck ??
      new DuckRunner({
        log,
        workFolder,
        concurrencyMax: config.slots,
        poolSize: queryProcessesReady,
        // Those that are ready serve any deadline that a task may have.
        limits: { deadlineMs: queryMsMax },
      });
    const workplace = new Workplace(config.workDir, log);

    this.slots = new Slots(config.slots, () => this.poller.slotFreed());
    const identity = { worker: config.worker, host: config.host, pid: process.pid, slots: config.slots };
    const common = { api, timers, random, log };
    const kept = workplace.sessions;
    this.sessions = new SessionKeeper({ ...common, metrics }, identity, kept, () => this.poller.nudge());
    this.predecessors = new Predecessors({ ...common, kept, left: () => workplace.leftSessions });
    this.completer = new Completer(common);
    const { fileRoots, guardAllow, inputsBytesMax, sourceBytesMax } = config;
    const bounds = { fileRoots, guardAllow, inputsBytesMax, sourceBytesMax };
    const attemptParts: AttemptParts = {
      operators: deps.operators ?? operators,
      services: { ...bounds, objectStore, duck, get: deps.get ?? guardedGet, timers, random },
      taskApi,
      openStore: deps.openStore ?? ((credentials) => new ObjectStore({ ...config.s3, credentials })),
      ownStore: objectStore,
      completer: this.completer,
      workplace,
      logStore: objectStore,
      scratchBucket: config.scratchBucket,
      clock: deps.clock ?? systemClock,
      timers,
      log,
      metrics,
      race,
    };
    const { sessions, slots } = this;
    const start: StartTask = (...claim) => this.#run(new Attempt(attemptParts, ...claim));
    this.claimer = new Claimer({ ...common, sessions, slots, queue: config.queue, metrics, race, start });
    this.poller = new Poller({ claimer: this.claimer, sessions, slots, timers, random, log });
    const queueName = `trace-${config.queue}`;
    this.held = new HeldMessages({ queue, queueName, timers, log, metrics });
    const { claimer, held } = this;
    const nudge = () => this.poller.nudge();
    const wakeups = { queue, queueName, taskQueue: config.queue, onFailure: nudge, onLeftWork: nudge };
    this.receiver = new Receiver({ ...wakeups, claimer, held, sessions, slots, timers, random, log, metrics });
    this.#ops = new OpsServer({
      role: "worker",
      host: config.opsHost,
      port: config.opsPort,
      metrics: this.metrics,
      ready: async () => this.sessions.ready(),
    });
    this.#below = [this.#ops, workerTransport, taskTransport, objectStore, queue, workplace, duck];
  }

  #run(attempt: Attempt): Promise<void> {
    this.#attempts.add(attempt);
    return attempt.run().finally(() => this.#attempts.delete(attempt));
  }

  /** Port of /metrics, /healthz and /readyz; known after `start`. */
  get opsPort(): number {
    return this.#ops.port;
  }

  /** Does not wait for the dispatcher: /readyz tells when a session is open. Throws what hinders this machine. */
  async start(): Promise<void> {
    await startAll(this.#below);
    await startAll([this.completer, this.predecessors, this.sessions, this.poller, this.receiver]);
  }

  /**
   * Takes no more work, lets what runs end within `drainMs`, aborts the rest and hands it back, which costs no task an
   * attempt, and closes the session. Takes `workerStopMsMax` at most, whoever does not answer. Safe to call twice.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    // A claim that waits lasts until its session is closed, and is not waited for here: Claimer.stop says why.
    const polled = this.poller.stop();
    const quiet = Promise.all([this.claimer.stop(), this.receiver.stop()]);
    if (this.slots.used > 0) this.#log.info({ running: this.slots.used, drainMs: this.#config.drainMs }, "draining");
    await this.#idleWithin(this.#config.drainMs, quiet);
    for (const attempt of this.#attempts) attempt.letGo();
    await this.#idleWithin(handBackMs, quiet);
    if (this.slots.used > 0)
      this.#log.error({ running: this.slots.used }, "not handed back in time; closing the session");
    // Ends every session: a claim still on its way is given up, and what could not be handed back is requeued all the same.
    await Promise.all([this.sessions.stop(), this.predecessors.stop()]);
    await Promise.all([quiet, polled]);
    await this.#idleWithin(settleMs, Promise.all([this.completer.stop(), this.held.stop()]));
    if (this.slots.used > 0) this.#log.error({ running: this.slots.used }, "operators did not return after an abort");
    await stopAll(this.#below);
  }

  /** Resolves when no attempt is left and `quiet` has resolved, or after `ms`. */
  async #idleWithin(ms: number, quiet: Promise<unknown>): Promise<void> {
    const cut = new AbortController();
    const cancel = this.#timers.after(ms, () => cut.abort());
    await Promise.race([Promise.all([quiet, this.slots.whenIdle(cut.signal)]), abortOf(cut.signal)]);
    cancel();
  }

  #counts(): WorkerMetrics {
    return workerMetrics(this.metrics, {
      slots: () => this.#config.slots,
      running: () => this.slots.used,
      sessions: () => (this.sessions.current === undefined ? 0 : 1),
    });
  }
}
