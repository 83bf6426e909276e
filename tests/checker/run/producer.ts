/**
 * Creates the tasks of a run: as many plain ones as keep the workers busy, and for each dataset job the next task when the
 * one before is over. Calls that were not answered are made again, as a client would, with the same dedupe keys.
 */
import { type Client, type CreateTask, TraceError, type userRoutes } from "@trace/contracts";
import { Loop, type Service, silentLog } from "@trace/kit";
import type { SeededRandom } from "../../faults/random.ts";
import type { Gauge } from "./gauge.ts";
import type { Ledger } from "./ledger.ts";
import {
  backlogTasks,
  createItemsMax,
  datasetJobs,
  datasetSilenceMs,
  plainPerDataset,
  produceEveryMs,
} from "./limits.ts";
import { calmPayload, datasetDag, datasetJob, datasetPayload, plainDag, plainPayload } from "./plan.ts";

export interface ProducerOptions {
  readonly api: Client<typeof userRoutes>;
  readonly ledger: Ledger;
  readonly gauge: Gauge;
  readonly random: SeededRandom;
  /** Every attempt works: nothing fails, hangs or takes long. */
  readonly calm: boolean;
}

/** Of 100 tasks, how many carry a dedupe key, and how many of those are created once more. */
const keyedOf100 = 10;
const againOf100 = 20;
/** Of 100 plain tasks, how many are of the limited job, and how many are to start a moment later. */
const limitedOf100 = 2;
const laterOf100 = 3;
const laterMsMax = 1_500;
/** What a dataset waits for should not wait behind what nobody waits for. */
const datasetPriority = -10;

export class Producer implements Service {
  readonly #options: ProducerOptions;
  readonly #random: SeededRandom;
  readonly #loops: readonly Loop[];
  /** Dataset jobs without a task that is known to live, and when each was last asked for. */
  readonly #idle = new Set<string>();
  readonly #askedMs = new Map<string, number>();
  #keys = 0;
  #kept: CreateTask[] = [];

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#random = options.random.fork("producer");
    for (let index = 0; index < datasetJobs; index += 1) this.#idle.add(datasetJob(index));
    // Not created at once: those of a moment together cost one call, one wake-up and one claim.
    options.ledger.onDatasetOver = (job) => void this.#idle.add(job);
    const loop = (name: string, pass: () => Promise<void>) =>
      new Loop({
        name,
        everyMs: produceEveryMs,
        log: silentLog(),
        pass: async () => {
          await pass();
          return "idle";
        },
      });
    this.#loops = [loop("plain", () => this.#makePlain()), loop("datasets", () => this.#makeDatasets())];
  }

  async start(): Promise<void> {
    for (const loop of this.#loops) await loop.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  async #makePlain(): Promise<void> {
    const { gauge, ledger } = this.#options;
    const room = Math.min(
      backlogTasks - gauge.openPlain,
      Math.round(ledger.created.dataset * plainPerDataset) - ledger.created.plain,
    );
    const count = Math.min(createItemsMax, room);
    if (count < createItemsMax / 10) return;
    gauge.createdPlain(count);
    await this.#create(Array.from({ length: count }, () => this.#plain()));
  }

  #plain(): CreateTask {
    const random = this.#random;
    const again = this.#kept.length > 0 && random.chance((keyedOf100 * againOf100) / 10_000);
    if (again) return random.pick(this.#kept);
    const task: CreateTask = {
      dag: plainDag,
      job: random.integer(1, 100) <= limitedOf100 ? "limited" : "work",
      priority: random.integer(0, 3),
      payload: { ...(this.#options.calm ? calmPayload(random) : plainPayload(random)) },
    };
    if (random.integer(1, 100) <= laterOf100) {
      task.run_at = new Date(Date.now() + random.integer(1, laterMsMax)).toISOString();
    }
    if (random.integer(1, 100) > keyedOf100) return task;
    this.#keys += 1;
    task.dedupe_key = `key-${this.#keys}`;
    this.#kept = [...this.#kept.slice(-50), task];
    return task;
  }

  async #makeDatasets(): Promise<void> {
    const nowMs = performance.now();
    for (const [job, askedMs] of this.#askedMs) {
      // Its end may have been told to nobody: asking shows, as one task of a job is live at a time.
      if (nowMs - askedMs > datasetSilenceMs) this.#idle.add(job);
    }
    const jobs = [...this.#idle];
    if (jobs.length === 0) return;
    for (const job of jobs) {
      this.#idle.delete(job);
      this.#askedMs.set(job, nowMs);
    }
    const random = this.#random;
    const payload = () => ({ ...(this.#options.calm ? calmPayload(random) : datasetPayload(random)) });
    await this.#create(jobs.map((job) => ({ dag: datasetDag, job, priority: datasetPriority, payload: payload() })));
  }

  async #create(items: readonly CreateTask[]): Promise<void> {
    try {
      await this.#options.api.createTasks({ body: { items: [...items] } });
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      // Not answered. What carries a key is sent again by itself, the rest may be there or not: nobody will ever know.
      const keyed = items.filter((item) => item.dedupe_key !== undefined);
      if (keyed.length > 0) this.#kept = [...keyed];
    }
  }
}
