/** A run: a system, its writers, readers and people, what is done to it, its end, and the judgement. */
import { setTimeout as pause } from "node:timers/promises";
import { SeededRandom } from "../../../faults/random.ts";
import { buckets, RunFolder } from "../../run/folder.ts";
import { ChaosStack } from "../../run/stack.ts";
import { Tally } from "../../run/tally.ts";
import { check } from "../check/check.ts";
import type { History } from "../check/facts.ts";
import { checkObjects } from "../check/objects.ts";
import { checkPurged } from "../check/purged.ts";
import { Verdict } from "../check/verdict.ts";
import type { World } from "../check/world.ts";
import { collect, drain, postgresAnswers, purgeOld, readAll, readHistory } from "./ending.ts";
import { hurt } from "./faults.ts";
import * as limits from "./limits.ts";
import { Objects } from "./objects.ts";
import { hurryTasks, makeTasks, purgeSome, revert } from "./people.ts";
import { datasetSet, setSize } from "./plan.ts";
import { Reader } from "./reader.ts";
import { every, Facts, type Scene } from "./scene.ts";
import { Wire } from "./wire.ts";
import { Writer } from "./writer.ts";

export interface DatasetsOptions {
  readonly minutes: number;
  readonly writers: number;
  readonly datasets: number;
  readonly seed: string;
  readonly keep: boolean;
  say(line: string): void;
  /** Whether all happened that was to; a run goes on for a while where it did not. */
  had?(tally: Tally): boolean;
  /** A program of the dispatchers in which something is broken; the run ends when `seen` says so, and no faults are had. */
  readonly broken?: { readonly dispatcherFile: string; seen(verdict: Verdict): boolean };
}

export interface DatasetsResult {
  readonly verdict: Verdict;
  readonly tally: Tally;
  readonly calls: number;
  readonly tasksLeft: number;
  readonly garbageLeft: number;
  readonly seconds: number;
  readonly endSeconds: number;
  readonly folder: string;
}

export async function runDatasets(options: DatasetsOptions): Promise<DatasetsResult> {
  if (options.datasets % setSize !== 0) throw new RangeError(`--datasets is a multiple of ${setSize}`);
  RunFolder.removeLeftovers();
  const folder = new RunFolder();
  const random = new SeededRandom(options.seed).fork("datasets");
  const { broken } = options;
  const stack = await ChaosStack.create({
    folder,
    random,
    dispatchers: broken === undefined ? limits.dispatchersCount : 1,
    workers: 0,
    workerSlots: 1,
    sessionTtlMs: limits.ttlMs,
    ...(broken === undefined ? {} : { dispatcherFile: broken.dispatcherFile }),
  });
  try {
    await stack.start();
    const result = await new Run(options, stack, folder, random).run();
    await stack.stop();
    if (!options.keep && (result.verdict.total === 0 || broken !== undefined)) folder.remove();
    return result;
  } catch (error) {
    await stack.abandon();
    options.say(`the run broke off; its folder is kept: ${folder.dir}`);
    throw error;
  } finally {
    folder.removePostgres();
  }
}

class Run {
  readonly #options: DatasetsOptions;
  readonly #stack: ChaosStack;
  readonly #folder: RunFolder;
  readonly #random: SeededRandom;
  /** For those who make new work, and for those who do it. */
  readonly #enough = new AbortController();
  readonly #over = new AbortController();
  readonly #scene: Scene;
  readonly #beganMs = performance.now();

  constructor(options: DatasetsOptions, stack: ChaosStack, folder: RunFolder, random: SeededRandom) {
    this.#options = options;
    this.#stack = stack;
    this.#folder = folder;
    this.#random = random;
    const indexes = [...stack.dispatcherIndexes];
    const urls = (via: "user" | "worker" | "task") => indexes.map((index) => stack.dispatcherUrl(index, via));
    const tokens = { user: folder.ownerToken, worker: folder.workerToken };
    const sets = Array.from({ length: options.datasets / setSize }, (_, index) => datasetSet(index));
    this.#scene = {
      wire: new Wire({
        urls: { user: urls("user"), worker: urls("worker"), task: urls("task") },
        tokens,
        random: random.fork("wire"),
      }),
      objects: new Objects({ endpoint: stack.objectsUrl, bucket: buckets.datasets, key: folder.workerKey }),
      facts: new Facts(),
      tally: new Tally(),
      verdict: new Verdict(),
      random,
      sets,
      datasets: sets.flatMap(({ shapes }) => shapes.map(([name]) => name)),
      enough: this.#enough.signal,
      calm: this.#enough.signal,
    };
  }

  get #seconds(): number {
    return (performance.now() - this.#beganMs) / 1_000;
  }

  #say(line: string): void {
    this.#options.say(`${this.#seconds.toFixed(0).padStart(4)} s  ${line}`);
  }

  async run(): Promise<DatasetsResult> {
    const { wire, objects, tally, verdict, facts } = this.#scene;
    for (const { source } of this.#scene.sets) {
      const body = { file_name: "datasets.yaml", source };
      const { status, body: answer } = await wire.send({ via: "user", method: "POST", path: "/v1/dags", body });
      if (status !== 200) throw new Error(`the deploy was refused: ${JSON.stringify(answer)}`);
    }
    const writers = this.#writers();
    await this.#busy();
    const seconds = this.#seconds;
    this.#say("no more faults: what is live comes to its end");
    await postgresAnswers(this.#stack.db);
    const tasksLeft = await drain(this.#scene, this.#stack.db);
    this.#over.abort();
    await writers;
    await purgeOld(this.#scene);
    await readAll(this.#scene, await readHistory(this.#scene));
    this.#say(`${facts.claims.length} attempts, ${facts.reads.length} reads; the history is judged`);
    const world = await this.#judge();
    const left = this.#options.broken === undefined ? await this.#clear(world) : { places: 0, files: 0 };
    objects.stop();
    const endSeconds = this.#seconds - seconds;
    return {
      verdict,
      tally,
      calls: wire.calls,
      tasksLeft,
      garbageLeft: left.places + left.files,
      seconds,
      endSeconds,
      folder: this.#folder.dir,
    };
  }

  /** They end when nothing is live any more, later than all others. */
  #writers(): Promise<unknown> {
    const scene = { ...this.#scene, enough: this.#over.signal };
    const names = Array.from({ length: this.#options.writers }, (_, index) => `writer-${index}`);
    const running = names.map((name) => new Writer(scene, name, this.#random.fork(name)).run());
    return this.#failing(Promise.all(running));
  }

  /** Whoever breaks off ends the run. */
  #failing<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {
      this.#enough.abort();
      this.#over.abort();
    });
    return work;
  }

  async #busy(): Promise<void> {
    const { broken, minutes } = this.#options;
    const scene = this.#scene;
    const fork = (name: string) => this.#random.fork(name);
    const by = (name: string, ms: number, act: (random: SeededRandom) => Promise<void>) => {
      const random = fork(name);
      return every(scene, ms, random, () => act(random));
    };
    const working = [
      ...Array.from({ length: limits.readersCount }, (_, index) => new Reader(scene, fork(`reader-${index}`)).run()),
      by("producer", limits.produceEveryMs, (random) => makeTasks(scene, random)),
      by("hurry", limits.hurryEveryMs, () => hurryTasks(scene, true)),
      by("reverts", limits.revertEveryMs, (random) => revert(scene, random)),
      by("purges", limits.purgeEveryMs, (random) => purgeSome(scene, random)),
      ...(broken === undefined ? [hurt(scene, this.#stack, fork("faults"))] : []),
    ];
    const done = this.#failing(Promise.all(working));
    const untilMs = broken === undefined ? minutes * 60_000 : limits.brokenMsMax;
    const short = () => broken === undefined && this.#options.had?.(scene.tally) === false;
    const over = () => this.#seconds * 1_000 > untilMs * (short() ? limits.longerMax : 1);
    let toldMs = 0;
    while (!this.#enough.signal.aborted && !over()) {
      await pause(limits.lookEveryMs);
      if (this.#seconds * 1_000 - toldMs < limits.tellEveryMs) continue;
      toldMs = this.#seconds * 1_000;
      const { facts, tally } = scene;
      this.#say(
        `${facts.claims.length} attempts, ${facts.reads.length} reads, ${tally.get("reverts")} reverts, ${tally.get("purges")} purges`,
      );
      if (broken !== undefined && toldMs > limits.brokenMsMin && (await this.#sees(broken))) break;
    }
    this.#enough.abort();
    await done;
  }

  /** Judges what there is so far, with a verdict of its own. */
  async #sees(broken: NonNullable<DatasetsOptions["broken"]>): Promise<boolean> {
    const verdict = new Verdict();
    for (const { rule, where, what, why } of this.#scene.verdict.violations) verdict.add(rule, where, what, why);
    check(await this.#history(), this.#scene.facts.lists, verdict);
    return broken.seen(verdict);
  }

  async #history(): Promise<History> {
    const { facts, sets } = this.#scene;
    const { claims, ends, others, reverts, purges, pins, replays, reads } = facts;
    return {
      shapes: new Map(sets.flatMap(({ shapes }) => shapes)),
      together: sets.map(({ together }) => together),
      rows: await readHistory(this.#scene),
      claims,
      ends,
      others,
      reverts,
      purges,
      pins,
      replays,
      reads,
    };
  }

  async #judge(): Promise<World> {
    const { facts, verdict } = this.#scene;
    return check(await this.#history(), facts.lists, verdict);
  }

  async #clear(world: World): Promise<{ places: number; files: number }> {
    this.#say("the time passes, and garbage is collected");
    const left = await collect(this.#stack);
    const objects = new Objects({
      endpoint: this.#stack.objectsUrl,
      bucket: buckets.datasets,
      key: this.#folder.dispatcherKey,
    });
    checkPurged(world, this.#scene.verdict);
    await checkObjects(world, objects, this.#scene.facts.stored, this.#scene.verdict);
    objects.stop();
    return left;
  }
}
