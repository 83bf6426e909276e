/** What every run is made of: a system at work, what is known of it, and how it is brought to its end and judged. */
import { statSync } from "node:fs";
import { type Client, createClient, taskRoutes, type userRoutes } from "@trace/contracts";
import { HttpTransport } from "@trace/kit";
import { SeededRandom } from "../../faults/random.ts";
import { until } from "../../system/harness/until.ts";
import { checkFiles } from "../check/check.ts";
import type { Verdict } from "../check/verdict.ts";
import { drain } from "./drain.ts";
import { writeDump } from "./dump.ts";
import { RunFolder } from "./folder.ts";
import { Gauge } from "./gauge.ts";
import { Ledger } from "./ledger.ts";
import { readyMsMax, tellEveryMs } from "./limits.ts";
import { datasetSource, plainSource, puppetDag, puppetQueue, puppetSource } from "./plan.ts";
import { Producer } from "./producer.ts";
import type { Stage } from "./puppets.ts";
import { ChaosStack, type StackOptions } from "./stack.ts";
import { Tally } from "./tally.ts";

export type Say = (line: string) => void;

export interface WorkOptions extends Omit<StackOptions, "folder" | "random"> {
  readonly seed: string;
  readonly say: Say;
  /** Every attempt works by itself: nothing but what the run does to it goes wrong. */
  readonly calm?: boolean;
}

export interface Judged {
  readonly verdict: Verdict;
  /** Tasks that were not over when nothing moved any more. */
  readonly left: number;
  readonly drainSeconds: number;
  readonly checkSeconds: number;
  readonly historyBytes: number;
}

export class Work {
  readonly folder: RunFolder;
  readonly random: SeededRandom;
  readonly stack: ChaosStack;
  readonly ledger = new Ledger();
  readonly tally = new Tally();
  readonly gauge: Gauge;
  readonly producer: Producer;
  readonly stage: Stage;
  readonly #say: Say;
  readonly #user: Client<typeof userRoutes>;
  readonly #taskTransport: HttpTransport;
  readonly #enough = new AbortController();
  readonly #beganMs = performance.now();

  private constructor(folder: RunFolder, random: SeededRandom, stack: ChaosStack, { say, calm = false }: WorkOptions) {
    this.folder = folder;
    this.random = random;
    this.stack = stack;
    this.#say = say;
    stack.recorder.onAnswer((recorded) => this.ledger.read(recorded));
    const user = stack.userClient();
    this.#user = user;
    // Every call carries the lease token of an attempt; there is none to fall back to.
    const noToken = () => Promise.reject(new Error("a call of the task API has no lease token"));
    this.#taskTransport = new HttpTransport({ baseUrl: stack.recorder.url("task"), token: noToken });
    const task = createClient(taskRoutes, this.#taskTransport.send);
    this.gauge = new Gauge(stack.db);
    this.producer = new Producer({ api: user, ledger: this.ledger, gauge: this.gauge, random, calm });
    const { ledger, tally } = this;
    this.stage = {
      worker: stack.workerClient(),
      user,
      task,
      ledger,
      random: random.fork("puppets"),
      tally,
      enough: this.#enough.signal,
    };
  }

  /** Starts a system, does `work` with it and answers with what that did; nothing is left of it when it throws. */
  static async with<T>(options: WorkOptions, work: (work: Work) => Promise<T>): Promise<T> {
    RunFolder.removeLeftovers();
    const folder = new RunFolder();
    const random = new SeededRandom(options.seed);
    const stack = await ChaosStack.create({ ...options, folder, random });
    try {
      await stack.start();
      const made = new Work(folder, random, stack, options);
      await made.#deploy();
      return await work(made);
    } catch (error) {
      await stack.abandon();
      options.say(`the run broke off; its folder is kept: ${folder.dir}`);
      throw error;
    } finally {
      folder.removePostgres();
    }
  }

  /** Since the work began. */
  get seconds(): number {
    return (performance.now() - this.#beganMs) / 1_000;
  }

  /** Stories that wait are cut short. */
  enough(): void {
    this.#enough.abort();
  }

  say(line: string): void {
    this.#say(`${this.seconds.toFixed(0).padStart(4)} s  ${line}`);
  }

  async #deploy(): Promise<void> {
    for (const source of [plainSource(), datasetSource(), puppetSource()]) {
      await this.#user.deploy({ body: { file_name: "checker.yaml", source } });
    }
    // Before there is a task of them: jobs of puppets go to the puppets' queue, which a DAG file cannot say yet.
    await this.stack.db.raw(
      `update job_versions jv set queue_id = q.queue_id from jobs j join dags d on d.dag_id = j.dag_id, queues q
        where jv.job_id = j.job_id and d.name = $1 and q.name = $2`,
      [puppetDag, puppetQueue],
    );
    await this.gauge.start();
    await this.producer.start();
  }

  /** Nothing more is created; what there is comes to its end. The system is stopped, and its history and rows are judged. */
  async finish(): Promise<Judged> {
    const { db } = this.stack;
    const drainMs = performance.now();
    await this.producer.stop();
    await this.gauge.stop();
    await until("Postgres answers", async () => (await db.raw("select 1")).length === 1, readyMsMax);
    await this.stack.workOffPuppets();
    let toldMs = performance.now();
    const left = await drain(db, this.#user, (count) => {
      if (performance.now() - toldMs < tellEveryMs) return;
      toldMs = performance.now();
      this.say(`${count} tasks are not over`);
    });
    await this.#taskTransport.stop();
    await this.stack.stopWorkers();
    await writeDump(db, this.folder.dump);
    await this.stack.stop();
    const checkMs = performance.now();
    const verdict = await checkFiles(this.folder.history, this.folder.dump);
    return {
      verdict,
      left,
      drainSeconds: (checkMs - drainMs) / 1_000,
      checkSeconds: (performance.now() - checkMs) / 1_000,
      historyBytes: statSync(this.folder.history).size,
    };
  }
}
