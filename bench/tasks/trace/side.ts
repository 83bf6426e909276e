/** Our side: S3, SQS and the dispatcher as processes, a worker, a producer, and the state database. */
import { join } from "node:path";
import type { Database } from "@trace/kit";
import type { StateFolder } from "@trace/localcloud";
import { Child } from "../../harness/child.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import { until } from "../../harness/until.ts";
import { stepMaxMs } from "../limits.ts";
import { type ProducerChild, ready, type Side, type WorkerChild } from "../side.ts";
import { variablesOf } from "./environment.ts";
import { TraceStack } from "./stack.ts";
import { emptyState, openTasks, unsentWakeups, vacuumState, verifyState } from "./state.ts";

export interface TraceSideOptions {
  readonly postgres: BenchPostgres;
  readonly folder: StateFolder;
  /** The client that measures the dispatcher, or the real role. */
  readonly worker: "lean" | "role";
}

const here = import.meta.dirname;

export class TraceSide implements Side {
  readonly name = "ours";
  readonly db: Database;
  /** Finished tasks that were put there by hand, and stay. */
  finished = 0;
  readonly #options: TraceSideOptions;
  #stack: TraceStack | undefined;
  #worker: WorkerChild | undefined;
  #producer: ProducerChild | undefined;

  constructor(options: TraceSideOptions) {
    this.#options = options;
    this.db = options.postgres.database(options.postgres.ownDatabase);
  }

  get worker(): WorkerChild {
    return started(this.#worker);
  }

  get producer(): ProducerChild {
    return started(this.#producer);
  }

  async start(): Promise<void> {
    const { postgres, folder } = this.#options;
    this.#stack = await TraceStack.create(folder, postgres.address(postgres.ownDatabase));
    await this.#stack.start();
    const variables = variablesOf(this.#stack.environment);
    this.#producer = new Child("producer", join(here, "producer.ts"), variables);
    this.#worker =
      this.#options.worker === "lean"
        ? new Child("worker", join(here, "lean-worker.ts"), variables)
        : new Child("worker", join(here, "role-worker.ts"), { ...this.#stack.workerVariables });
    await Promise.all([ready(this.#producer), ready(this.#worker)]);
  }

  async stop(): Promise<void> {
    await this.#producer?.stop();
    await this.#worker?.stop();
    await this.#stack?.stop();
    this.#stack = undefined;
  }

  /** Finished tasks that were put there stay, and what ran beside them. */
  async empty(): Promise<void> {
    if (this.finished === 0) await emptyState(this.db);
  }

  async settle(): Promise<void> {
    await until("every wake-up is sent", async () => (await unsentWakeups(this.db)) === 0, stepMaxMs);
    await vacuumState(this.db);
  }

  open(): Promise<number> {
    return openTasks(this.db);
  }

  async verify(created: number): Promise<void> {
    await verifyState(this.db, created, this.finished);
    if (this.finished > 0) this.finished += created;
  }

  parts(): Record<string, number> {
    const { dispatcher, localcloud } = started(this.#stack);
    return {
      dispatcher: started(dispatcher.pid),
      "S3 and SQS": started(localcloud.pid),
      worker: this.worker.pid,
      producer: this.producer.pid,
    };
  }

  wakeupsSent(): Promise<number> {
    return started(this.#stack).wakeupsSent();
  }
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("our side is not started");
  return part;
}
