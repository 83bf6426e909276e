/** A worker on a bench: fake dispatcher, queue and store, manual time, an operator that ends when the test says so. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClaimedTask, StagedOutput } from "@trace/contracts";
import { silentLog } from "@trace/kit";
import { type WorkerConfig, workerConfig } from "../config.ts";
import type { Operator, OperatorContext } from "../operators/operator.ts";
import { Worker, type WorkerDeps } from "../worker.ts";
import { FakeDispatcher, workerToken } from "./fake-dispatcher.ts";
import { FakeQueue } from "./fake-queue.ts";
import { Journal } from "./journal.ts";
import { ManualTimers } from "./manual-timers.ts";
import { MemoryStore } from "./memory-store.ts";

export function noopJob(parts: { durationMs?: number; timeoutMs?: number } = {}): ClaimedTask["job"] {
  return {
    name: "wait",
    operator: "noop",
    inputs: [],
    outputs: [],
    execution: "whole",
    retries: 2,
    timeout_ms: parts.timeoutMs ?? 600_000,
    config: { duration_ms: parts.durationMs ?? 0 },
  };
}

interface Running {
  readonly context: OperatorContext;
  end(outputs?: StagedOutput[]): void;
  fail(error: unknown): void;
}

/** Takes the place of `noop`: each run ends when the test ends it, or when its signal aborts. */
export class HeldOperator implements Operator {
  readonly journal = new Journal();
  readonly started: Running[] = [];
  readonly aborted: unknown[] = [];
  active = 0;
  mostActive = 0;

  async run(context: OperatorContext): Promise<readonly StagedOutput[]> {
    this.active += 1;
    this.mostActive = Math.max(this.mostActive, this.active);
    try {
      return await new Promise<readonly StagedOutput[]>((resolve, reject) => {
        this.started.push({ context, end: (outputs = []) => resolve(outputs), fail: reject });
        context.signal.addEventListener("abort", () => {
          this.aborted.push(context.signal.reason);
          reject(context.signal.reason);
        });
        this.journal.note();
      });
    } finally {
      this.active -= 1;
      this.journal.note();
    }
  }

  /** The nth run, counted from 0, once it has begun. */
  async nth(index: number): Promise<Running> {
    await this.journal.until(`run ${index}`, () => this.started.length > index);
    const running = this.started[index];
    if (running === undefined) throw new Error("unreachable: just awaited");
    return running;
  }
}

export interface BenchOptions {
  readonly slots?: number;
  readonly drainMs?: number;
  readonly fileRoots?: readonly string[];
  readonly guardAllow?: readonly string[];
  readonly deps?: Partial<WorkerDeps>;
  /** The worker is not started; the test does so. */
  readonly idle?: boolean;
}

export class Bench {
  readonly queue = new FakeQueue();
  readonly store = new MemoryStore();
  readonly timers = new ManualTimers();
  readonly dispatcher = new FakeDispatcher(this.timers);
  readonly operator = new HeldOperator();
  readonly folder: string;
  #worker: Worker | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async start(options: BenchOptions = {}): Promise<Bench> {
    const bench = new Bench(await mkdtemp(join(tmpdir(), "trace-worker-test-")));
    await writeFile(join(bench.folder, "token"), `${workerToken}\n`);
    await bench.dispatcher.start();
    bench.#worker = new Worker(bench.#config(options), {
      log: silentLog(),
      timers: bench.timers,
      random: () => 0.5,
      queue: bench.queue,
      objectStore: bench.store,
      operators: { noop: bench.operator },
      ...options.deps,
    });
    if (options.idle !== true) {
      await bench.worker.start();
      await bench.waiting();
      await bench.queue.journal.until("a long poll", () => bench.queue.polling > 0);
    }
    return bench;
  }

  get worker(): Worker {
    if (this.#worker === undefined) throw new Error("the bench is not started");
    return this.#worker;
  }

  /** Resolves when a claim waits at the dispatcher, as one does wherever slots are free. */
  waiting(): Promise<void> {
    return this.dispatcher.until("a claim that waits", () => this.dispatcher.waitingClaims.length > 0);
  }

  /** Queues tasks and sends one wake-up that names them; answers the ids and the message's receipt. */
  wake(jobs: readonly ClaimedTask["job"][], parts: Partial<ClaimedTask> = {}): { ids: string[]; receipt: string } {
    const ids = jobs.map((job) => this.dispatcher.add(job, parts));
    return { ids, receipt: this.queue.send({ queue: "default", task_ids: ids }) };
  }

  /**
   * Lets time pass beat by beat, so that the session lives on: the calls of a beat take real time, and so does opening a
   * session, which is waited for.
   */
  async pass(beats: number): Promise<void> {
    const { sessions } = this.worker;
    for (let beat = 0; beat < beats; beat += 1) {
      const session = sessions.current ?? (await sessions.opened.next(10_000));
      const beaten = session.beaten.next(10_000);
      await this.timers.advance(this.dispatcher.beatMs);
      await beaten;
    }
  }

  /** Beat by beat until the condition holds. */
  async passUntil(what: string, holds: () => boolean): Promise<void> {
    for (let beats = 0; !holds(); beats += 1) {
      if (beats === 50) throw new Error(`did not come within ${beats} beats: ${what}`);
      await this.pass(1);
    }
  }

  async metrics(): Promise<string> {
    return this.worker.metrics.text();
  }

  /** With manual time nothing waits for a grace: attempts that a test left running are let go. */
  async stop(): Promise<void> {
    await this.timers.advanceUntil(this.worker.stop());
    await this.dispatcher.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  #config(options: BenchOptions): WorkerConfig {
    return workerConfig({
      TRACE_WORKER_NAME: "bench",
      TRACE_WORKER_API: this.dispatcher.workerApi,
      TRACE_TASK_API: this.dispatcher.taskApi,
      TRACE_WORKER_TOKEN_FILE: join(this.folder, "token"),
      TRACE_WORK_DIR: join(this.folder, "work"),
      TRACE_SLOTS: String(options.slots ?? 4),
      TRACE_DRAIN_MS: String(options.drainMs ?? 25_000),
      TRACE_FILE_ROOTS: JSON.stringify(options.fileRoots ?? []),
      TRACE_GUARD_ALLOW: (options.guardAllow ?? []).join(","),
      AWS_ACCESS_KEY_ID: "worker",
      AWS_SECRET_ACCESS_KEY: "secret",
    });
  }
}
