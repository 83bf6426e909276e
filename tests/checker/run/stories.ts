/**
 * What happens to a run, each a short story that is told again and again: faults of processes and machines, and puppets. A
 * story says in how many attempts it comes once, so that a slow machine is hurt as often for what it does as a fast one.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { SeededRandom } from "../../faults/random.ts";
import type { Stage } from "./puppets.ts";
import * as puppets from "./puppets.ts";
import type { ChaosStack } from "./stack.ts";
import type { Tally } from "./tally.ts";

export interface Story {
  readonly name: string;
  /** Attempts between one time and the next, on average. */
  readonly every: number;
  /** How many may tell it at once: for stories that take longer than the time between two of them. Default 1. */
  readonly tellers?: number;
  run(): Promise<void>;
}

/** A kind that is wanted 20 times in 100,000 attempts comes 28 times, as not every time succeeds. */
const often = 3_500;
const puppetTasks = 100;
/** Connections that a terminated backend leaves behind are replaced: a few at a time. */
const backendsAtOnce = 4;
/** A worker is stopped for its time to live and up to this, milliseconds: until its leases are taken away, or not quite. */
const stoppedMsMax = 1_500;

export class Faults {
  readonly #stack: ChaosStack;
  readonly #random: SeededRandom;
  readonly #tally: Tally;
  /** Workers that something is being done to. */
  readonly #busy = new Set<number>();

  constructor(stack: ChaosStack, random: SeededRandom, tally: Tally) {
    this.#stack = stack;
    this.#random = random;
    this.#tally = tally;
  }

  stories(): Story[] {
    const stack = this.#stack;
    const random = this.#random;
    const story = (name: string, every: number, act: () => Promise<number | undefined>): Story => ({
      name,
      every,
      run: async () => this.#tally.add(name, (await act()) ?? 0),
    });
    const worker = (name: string, act: (index: number) => Promise<void>) =>
      story(name, often, () => this.#withWorker(act));
    return [
      worker("workers killed", (index) => stack.killWorker(index)),
      worker("workers stopped past their lease", (index) => this.#stopWorker(index)),
      worker("clocks of workers set wrong", (index) => Promise.resolve(stack.skewWorker(index))),
      story("dispatchers killed", often, async () => {
        await stack.killDispatcher(random.integer(0, stack.dispatchers.length - 1));
        return 1;
      }),
      story("Postgres ended and restarted", often, async () => {
        await stack.restartPostgres(random.chance(0.5) ? "SIGKILL" : "SIGQUIT");
        return 1;
      }),
      story("backends of Postgres terminated", often, () => stack.terminateBackends(backendsAtOnce)),
      story("queues purged", often, async () => {
        await stack.sqs.purge();
        stack.recorder.note("purged the queue");
        return 1;
      }),
    ];
  }

  /** Undefined when something is being done to every worker already. */
  async #withWorker(act: (index: number) => Promise<void>): Promise<number | undefined> {
    const free = this.#stack.workers.flatMap((_, index) => (this.#busy.has(index) ? [] : [index]));
    if (free.length === 0) return undefined;
    const index = this.#random.pick(free);
    this.#busy.add(index);
    try {
      await act(index);
      return 1;
    } finally {
      this.#busy.delete(index);
    }
  }

  async #stopWorker(index: number): Promise<void> {
    const { recorder, sessionTtlMs, workers } = this.#stack;
    const child = workers[index]?.child;
    recorder.note(`stopped worker-${index}`);
    child?.signal("SIGSTOP");
    await pause(sessionTtlMs + this.#random.integer(50, stoppedMsMax));
    child?.signal("SIGCONT");
    recorder.note(`continued worker-${index}`);
  }
}

export function puppetStories(stage: Stage): Story[] {
  return [
    { name: "late", every: 800, tellers: 4, run: () => puppets.comeBackLate(stage, puppetTasks) },
    { name: "speak", every: 1_500, tellers: 2, run: () => puppets.speakLate(stage, 10) },
    { name: "back", every: 1_200, run: () => puppets.handBack(stage, puppetTasks) },
    { name: "close", every: 3_000, run: () => puppets.closeEarly(stage, puppetTasks) },
    { name: "twice", every: 3_000, run: () => puppets.endTwice(stage, puppetTasks) },
    { name: "start", every: 3_000, run: () => puppets.startTwice(stage, 30) },
    { name: "overdue", every: 4_000, tellers: 3, run: () => puppets.holdTooLong(stage, 20) },
    { name: "forge", every: 5_000, run: () => puppets.forge(stage) },
    { name: "ask", every: 4_000, run: () => puppets.askOwnTask(stage) },
    { name: "cancel", every: 3_000, run: () => puppets.cancelUnder(stage, 40) },
    { name: "people", every: 1_000, run: () => puppets.actByHand(stage) },
  ];
}
