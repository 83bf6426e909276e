/** A writer: a worker that mostly does what it should, and otherwise all that one can do wrong. */
import type { SeededRandom } from "../../../faults/random.ts";
import { Attempt, type ClaimedTask, lies } from "./attempt.ts";
import { claimWaitMs, ttlMs } from "./limits.ts";
import { type Scene, wait } from "./scene.ts";

interface Session {
  readonly session_id: string;
  readonly beat_ms: number;
}

/** What a writer does with an attempt, of 100. */
const ways: readonly (readonly [Way, number])[] = [
  ["killed", 8],
  ["stopped", 8],
  ["liar", 9],
  ["twice", 10],
  ["elsewhere", 7],
  ["contradict", 4],
  ["cut", 10],
  ["more", 4],
  ["overwrite", 4],
  ["release", 3],
  ["fail", 4],
  ["fail for good", 2],
  ["slow", 7],
];
type Way =
  | "killed"
  | "stopped"
  | "liar"
  | "twice"
  | "elsewhere"
  | "contradict"
  | "cut"
  | "more"
  | "overwrite"
  | "release"
  | "fail"
  | "fail for good"
  | "slow"
  | "good";

export class Writer {
  readonly #scene: Scene;
  readonly #random: SeededRandom;
  readonly #name: string;
  #session: Session | undefined;
  #beating: NodeJS.Timeout | undefined;
  #leases: number[] = [];

  constructor(scene: Scene, name: string, random: SeededRandom) {
    this.#scene = scene;
    this.#name = name;
    this.#random = random;
  }

  async run(): Promise<void> {
    try {
      while (!this.#scene.enough.aborted) await this.#turn();
    } finally {
      clearInterval(this.#beating);
    }
  }

  async #turn(): Promise<void> {
    const session = this.#session ?? (await this.#open());
    if (session === undefined) return wait(this.#scene, 100);
    const body = { session_id: session.session_id, queue: "default", task_ids: [], max: 1, wait_ms: claimWaitMs };
    const answer = await this.#scene.wire.send({ via: "worker", method: "POST", path: "/v1/claims", body });
    if (answer.status !== 200) {
      if (answer.status !== 0) this.#vanish(); // It may be that its session is over.
      return wait(this.#scene, 50);
    }
    const [task] = (answer.body as { tasks: readonly ClaimedTask[] }).tasks;
    if (task === undefined) return;
    this.#leases = [task.lease_no];
    await this.#work(new Attempt(this.#scene, task, answer, this.#random));
    this.#leases = [];
  }

  async #open(): Promise<Session | undefined> {
    const body = { worker: this.#name, host: "here", pid: process.pid, slots: 1 };
    const answer = await this.#scene.wire.send({ via: "worker", method: "POST", path: "/v1/sessions", body });
    if (answer.status !== 200) return undefined;
    const session = answer.body as Session;
    this.#session = session;
    this.#beating = setInterval(() => this.#beat(session), session.beat_ms);
    return session;
  }

  #beat(session: Session): void {
    const path = `/v1/sessions/${session.session_id}/heartbeat`;
    const body = { leases: this.#leases, progress: [] };
    // What is said of it nobody heeds: a writer that goes on with a lease that is lost is what is wanted.
    void this.#scene.wire.send({ via: "worker", method: "POST", path, body });
  }

  /** As one that was killed: no word more of its session. */
  #vanish(): void {
    clearInterval(this.#beating);
    this.#session = undefined;
  }

  #way(): Way {
    if (this.#scene.calm.aborted) return "good";
    let draw = this.#random.integer(0, 99);
    for (const [way, share] of ways) {
      if (draw < share) return way;
      draw -= share;
    }
    return "good";
  }

  async #work(attempt: Attempt): Promise<void> {
    const { tally } = this.#scene;
    const way = this.#way();
    if (this.#random.chance(0.25)) await attempt.readInputs();
    if (way === "release") return attempt.release();
    if (way === "killed") {
      await attempt.stage({ half: this.#random.chance(0.7) });
      tally.add("writers killed");
      return this.#vanish();
    }
    if (way === "fail" || way === "fail for good") {
      await attempt.stage({ half: true });
      tally.add(way === "fail" ? "attempts failed" : "attempts failed for good");
      return attempt.fail(way === "fail" ? "TR-3007" : "TR-5009");
    }
    if (way === "slow") await wait(this.#scene, this.#random.integer(200, 2_500));
    if (way === "liar") {
      const said = await attempt.stage({ lie: this.#random.pick(lies) });
      if (said !== undefined) await attempt.complete(said);
      tally.add("manifests that lie");
      if (this.#random.chance(0.3)) return this.#vanish();
    }
    const said = await attempt.stage();
    if (said === undefined) return;
    if (way === "stopped") {
      this.#vanish();
      await wait(this.#scene, ttlMs + this.#random.integer(50, 1_500));
      tally.add("writers stopped past their lease");
      if (this.#random.chance(0.3)) await attempt.stageMore();
      await attempt.complete(said);
      return;
    }
    if (way === "elsewhere") {
      tally.add("completions made twice at once");
      await Promise.all([attempt.complete(said), attempt.complete(said)]);
      return;
    }
    const accepted = await attempt.complete(said, way === "cut" ? this.#random.integer(1, 40) : undefined);
    await this.#after(attempt, said, way, accepted);
  }

  async #after(
    attempt: Attempt,
    said: NonNullable<Awaited<ReturnType<Attempt["stage"]>>>,
    way: Way,
    accepted: boolean | undefined,
  ): Promise<void> {
    const { tally } = this.#scene;
    // Whoever hears nothing says it again, with the same words.
    for (let tries = 0; accepted === undefined && tries < 5; tries += 1) {
      await wait(this.#scene, 100);
      accepted = await attempt.complete(said);
      tally.add("completions repeated, as no answer came");
    }
    // As a worker does that is refused; others hold on to their lease until its deadline.
    if (accepted === false && (this.#scene.calm.aborted || this.#random.chance(0.7))) await attempt.fail("TR-3007");
    if (way === "twice") {
      for (let again = this.#random.integer(1, 2); again > 0; again -= 1) await attempt.complete(said);
      tally.add("completions made twice");
    }
    // Only when it is known what became of the first: then the second is to have no effect.
    if (way === "contradict" && accepted === true) {
      const other = await attempt.stage();
      if (other !== undefined) await attempt.complete(other);
      tally.add("completions contradicted");
    }
    if (way === "more") {
      await attempt.stageMore();
      tally.add("staged more after its end");
    }
    if (way === "overwrite") await attempt.overwrite();
  }
}
