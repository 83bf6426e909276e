/** graphile-worker's side: a worker and a producer, and a database of its own on the same server. */
import { join } from "node:path";
import type { Database } from "@trace/kit";
import { Child } from "../../harness/child.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import { graphileSettings } from "../limits.ts";
import { type ProducerChild, ready, type Side, type WorkerChild } from "../side.ts";
import { settingsVariable, urlVariable } from "./environment.ts";
import { emptyJobs, openJobs, vacuumJobs } from "./queue.ts";
import type { GraphileSettings } from "./worker.ts";

const databaseName = "graphile";
const here = import.meta.dirname;

export class GraphileSide implements Side {
  readonly name = "graphile-worker";
  readonly db: Database;
  readonly #postgres: BenchPostgres;
  #settings: GraphileSettings = graphileSettings.drain;
  #worker: WorkerChild | undefined;
  #producer: ProducerChild | undefined;

  private constructor(postgres: BenchPostgres) {
    this.#postgres = postgres;
    this.db = postgres.database(databaseName);
  }

  static async create(postgres: BenchPostgres): Promise<GraphileSide> {
    await postgres.createDatabase(databaseName);
    return new GraphileSide(postgres);
  }

  /** From the next start on. */
  use(settings: GraphileSettings): void {
    this.#settings = settings;
  }

  get worker(): WorkerChild {
    return started(this.#worker);
  }

  get producer(): ProducerChild {
    return started(this.#producer);
  }

  async start(): Promise<void> {
    const env = {
      [urlVariable]: this.#postgres.address(databaseName).urlWithPassword,
      [settingsVariable]: JSON.stringify(this.#settings),
    };
    // The producer makes the schema; the worker would do so at its start.
    this.#producer = new Child("producer", join(here, "producer.ts"), env);
    await ready(this.#producer);
    this.#worker = new Child("worker", join(here, "worker.ts"), env);
    await ready(this.#worker);
  }

  async stop(): Promise<void> {
    await this.#producer?.stop();
    await this.#worker?.stop();
  }

  empty(): Promise<void> {
    return emptyJobs(this.db);
  }

  settle(): Promise<void> {
    return vacuumJobs(this.db);
  }

  open(): Promise<number> {
    return openJobs(this.db);
  }

  /** It deletes what has run, so "nothing is left" is all that it can be asked; how often each ran it does not keep. */
  async verify(created: number): Promise<void> {
    const open = await this.open();
    if (open > 0) throw new Error(`of ${created} jobs of graphile-worker ${open} are left`);
  }

  parts(): Record<string, number> {
    return { worker: this.worker.pid, producer: this.producer.pid };
  }

  wakeupsSent(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("graphile-worker's side is not started");
  return part;
}
