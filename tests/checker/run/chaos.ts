/**
 * Hurts the system while it works, each kind of fault again and again when chance says so, until it is told to stop. What
 * is asked for and does not happen is not counted.
 */
import { setTimeout as pause } from "node:timers/promises";
import { TraceError } from "@trace/contracts";
import type { SeededRandom } from "../../faults/random.ts";
import type { Stage } from "./puppets.ts";
import type { ChaosStack } from "./stack.ts";
import { Faults, puppetStories, type Story } from "./stories.ts";
import type { Tally } from "./tally.ts";

export interface ChaosOptions {
  readonly stack: ChaosStack;
  readonly stage: Stage;
  readonly random: SeededRandom;
  readonly tally: Tally;
  /** When there were that many attempts, what is still missing comes by time. */
  readonly attempts: number;
  /** These stories alone, and no faults of the network. */
  readonly only?: readonly string[];
  /** Stories come this many times as often. */
  readonly haste?: number;
}

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

/** The number of attempts is looked at this often, milliseconds. */
const lookEveryMs = 50;
/** When there were enough attempts: a story comes again after this, milliseconds. */
const thenEveryMs = 2_000;

export class Chaos {
  readonly #options: ChaosOptions;
  readonly #stop = new AbortController();
  readonly #stories: readonly Story[];
  #running: Promise<void>[] = [];
  /** What a story threw that no fault explains. */
  readonly failures: unknown[] = [];
  /** SQS has been refusing for as long as it was to. */
  refused = false;

  constructor(options: ChaosOptions) {
    this.#options = options;
    const { only, random, stack, stage, tally } = options;
    const all = [...new Faults(stack, random.fork("faults"), tally).stories(), ...puppetStories(stage)];
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
    this.#running = this.#stories.flatMap((story) =>
      Array.from({ length: story.tellers ?? 1 }, (_, teller) =>
        this.#tell(story, random.fork(`${story.name}/${teller}`)),
      ),
    );
    if (refuseSqsMs > 0) this.#running.push(this.#refuseOnce(refuseSqsMs));
  }

  /** No new fault; resolves when the last ones are over and everything is calm. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    const { cutter, recorder, sqs } = this.#options.stack;
    recorder.calm();
    sqs.calm();
    cutter.calm();
  }

  async #tell(story: Story, random: SeededRandom): Promise<void> {
    const { signal } = this.#stop;
    const every = (story.every * (story.tellers ?? 1)) / (this.#options.haste ?? 1);
    let next = every * random.next();
    while (!signal.aborted) {
      await this.#untilAttempts(next, random);
      if (signal.aborted) return;
      next = this.#options.stage.ledger.leases + every * (0.5 + random.next());
      try {
        await story.run();
      } catch (error) {
        // A call that met another fault: what it wanted did not happen, and is not counted.
        if (!(error instanceof TraceError)) {
          this.failures.push(new Error(`the story '${story.name}' broke off`, { cause: error }));
        }
      }
    }
  }

  /** Resolves when there were that many attempts; when there were all of the run, after a while. */
  async #untilAttempts(attempts: number, random: SeededRandom): Promise<void> {
    const { signal } = this.#stop;
    const { ledger } = this.#options.stage;
    const wait = (ms: number) => pause(ms, undefined, { signal }).catch(() => undefined); // told to stop
    while (!signal.aborted && ledger.leases < Math.min(attempts, this.#options.attempts)) await wait(lookEveryMs);
    if (ledger.leases >= this.#options.attempts) await wait(thenEveryMs * (0.5 + random.next()));
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
