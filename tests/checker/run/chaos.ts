/**
 * What is done to the system while it works, each kind again and again at times that chance picks, until each has been had
 * often enough. A kind says how often it was really had; what is asked for and does not happen is not counted.
 */
import { setTimeout as pause } from "node:timers/promises";
import { TraceError } from "@trace/contracts";
import type { SeededRandom } from "../../faults/random.ts";
import type { Stage } from "./puppets.ts";
import * as puppets from "./puppets.ts";
import type { ChaosStack } from "./stack.ts";
import type { Tally } from "./tally.ts";

export interface ChaosOptions {
  readonly stack: ChaosStack;
  readonly stage: Stage;
  readonly random: SeededRandom;
  readonly tally: Tally;
  /** These stories alone, and no faults of the network. */
  readonly only?: readonly string[];
  /** Stories come this many times as often. */
  readonly haste?: number;
}

interface Story {
  readonly name: string;
  /** On average; chance makes it half as much or half as much again. */
  readonly everyMs: number;
  run(): Promise<void>;
}

/** Connections that a terminated backend leaves behind are replaced: a few at a time. */
const backendsAtOnce = 4;
const puppetTasks = 100;

const callFaults = {
  loseAnswer: 0.004,
  delay: 0.02,
  delayMsMax: 700,
  repeat: 0.05,
  repeatMsMax: 4_000,
  contradict: 0.02,
};
const sqsFaults = { duplicate: 0.1, delay: 0.1, reorder: 0.1, drop: 0.05, loseReceived: 0.01, loseAnswer: 0.01 };
const postgresFaults = {
  cutAfterCommit: 0.004,
  cutBeforeCommit: 0.001,
  cutDuringCommit: 0.001,
  cutAfterStatement: 0.0005,
};

export class Chaos {
  readonly #options: ChaosOptions;
  readonly #stop = new AbortController();
  readonly #stories: Story[];
  /** Workers that something is being done to. */
  readonly #busy = new Set<number>();
  #running: Promise<void>[] = [];
  /** What a story threw that no fault explains. */
  readonly failures: unknown[] = [];

  constructor(options: ChaosOptions) {
    this.#options = options;
    const { only } = options;
    const all = [...this.#faults(), ...this.#puppets()];
    this.#stories = only === undefined ? all : all.filter(({ name }) => only.includes(name));
    if (only !== undefined && this.#stories.length !== only.length) throw new RangeError("a story is not known");
  }

  /** `refuseSqsMs`: SQS refuses everything for this long, once, from now on. */
  start({ refuseSqsMs = 0 }: { refuseSqsMs?: number }): void {
    const { only, random, stack } = this.#options;
    if (only === undefined) {
      stack.recorder.set(callFaults);
      stack.sqs.set(sqsFaults);
      stack.cutter.set(postgresFaults);
    }
    this.#running = this.#stories.map((story) => this.#tell(story, random.fork(story.name)));
    if (refuseSqsMs > 0) this.#running.push(this.#refuseOnce(refuseSqsMs));
  }

  /** No new fault; resolves when the last ones are over and everything is calm. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    this.#options.stack.recorder.calm();
    this.#options.stack.sqs.calm();
    this.#options.stack.cutter.calm();
  }

  /** True when SQS has been refusing for as long as it was to. */
  refused = false;

  #faults(): Story[] {
    const { stack, random, tally } = this.#options;
    const kinds = random.fork("kinds");
    return [
      {
        name: "workers killed",
        everyMs: 7_000,
        run: () => this.#withWorker("workers killed", (index) => stack.killWorker(index)),
      },
      {
        name: "workers stopped past their lease",
        everyMs: 7_000,
        run: () => this.#withWorker("workers stopped past their lease", (index) => this.#stopWorker(index, kinds)),
      },
      {
        name: "clocks of workers set wrong",
        everyMs: 6_000,
        run: () => this.#withWorker("clocks of workers set wrong", (index) => Promise.resolve(stack.skewWorker(index))),
      },
      {
        name: "dispatchers killed",
        everyMs: 7_000,
        run: async () => {
          await stack.killDispatcher(kinds.integer(0, stack.dispatchers.length - 1));
          tally.add("dispatchers killed");
        },
      },
      {
        name: "Postgres ended and restarted",
        everyMs: 8_000,
        run: async () => {
          await stack.restartPostgres(kinds.chance(0.5) ? "SIGKILL" : "SIGQUIT");
          tally.add("Postgres ended and restarted");
        },
      },
      {
        name: "backends of Postgres terminated",
        everyMs: 4_000,
        run: async () => tally.add("backends of Postgres terminated", await stack.terminateBackends(backendsAtOnce)),
      },
      {
        name: "queues purged",
        everyMs: 6_000,
        run: async () => {
          await stack.sqs.purge("trace-default");
          stack.recorder.note("purged the queue");
        },
      },
    ];
  }

  #puppets(): Story[] {
    const { stage } = this.#options;
    return [
      { name: "late", everyMs: 3_000, run: () => puppets.comeBackLate(stage, puppetTasks) },
      { name: "back", everyMs: 4_000, run: () => puppets.handBack(stage, puppetTasks) },
      { name: "close", everyMs: 8_000, run: () => puppets.closeEarly(stage, puppetTasks) },
      { name: "twice", everyMs: 5_000, run: () => puppets.endTwice(stage, puppetTasks) },
      { name: "start", everyMs: 6_000, run: () => puppets.startTwice(stage, 30) },
      { name: "overdue", everyMs: 5_000, run: () => puppets.holdTooLong(stage, 20) },
      { name: "forge", everyMs: 10_000, run: () => puppets.forge(stage) },
      { name: "ask", everyMs: 5_000, run: () => puppets.askOwnTask(stage) },
      { name: "cancel", everyMs: 5_000, run: () => puppets.cancelUnder(stage, 40) },
      { name: "people", everyMs: 2_000, run: () => puppets.actByHand(stage) },
    ];
  }

  async #tell(story: Story, random: SeededRandom): Promise<void> {
    const { signal } = this.#stop;
    const { haste = 1 } = this.#options;
    while (!signal.aborted) {
      await pause((story.everyMs / haste) * (0.5 + random.next()), undefined, { signal }).catch(() => undefined); // told to stop
      if (signal.aborted) return;
      try {
        await story.run();
      } catch (error) {
        // A call that met another fault: what it wanted did not happen, and is not counted.
        if (!(error instanceof TraceError))
          this.failures.push(new Error(`the story '${story.name}' broke off`, { cause: error }));
      }
    }
  }

  async #withWorker(name: string, act: (index: number) => Promise<void>): Promise<void> {
    const { stack, random, tally } = this.#options;
    const free = stack.workers.flatMap((_, index) => (this.#busy.has(index) ? [] : [index]));
    if (free.length === 0) return;
    const index = random.pick(free);
    this.#busy.add(index);
    try {
      await act(index);
      tally.add(name);
    } finally {
      this.#busy.delete(index);
    }
  }

  async #stopWorker(index: number, random: SeededRandom): Promise<void> {
    const { stack } = this.#options;
    const child = stack.workers[index]?.child;
    stack.recorder.note(`stopped worker-${index}`);
    child?.signal("SIGSTOP");
    await pause(stack.sessionTtlMs + random.integer(50, 1_500));
    child?.signal("SIGCONT");
    stack.recorder.note(`continued worker-${index}`);
  }

  async #refuseOnce(ms: number): Promise<void> {
    const { stack } = this.#options;
    const { signal } = this.#stop;
    stack.recorder.note(`SQS refuses for ${ms} ms`);
    stack.sqs.refuseUntil(Date.now() + ms);
    await pause(ms, undefined, { signal }).catch(() => undefined); // told to stop
    this.refused = !signal.aborted;
  }
}
