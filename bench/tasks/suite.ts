/** Which rounds make which measure. */
import { milliseconds, perSecond } from "../harness/numbers.ts";
import { type BenchPostgres, holdSnapshot } from "../harness/postgres.ts";
import type { GraphileSide } from "./graphile/side.ts";
import type { GraphileSettings } from "./graphile/worker.ts";
import { graphileSettings, hundreds, roundsDefault, singles, sustainedWarmupMs } from "./limits.ts";
import { drainRound } from "./measures/drain.ts";
import { floor } from "./measures/floor.ts";
import { latencyRound } from "./measures/latency.ts";
import { soak } from "./measures/soak.ts";
import { sustainedRound } from "./measures/sustained.ts";
import type { MeasureName, TasksOptions } from "./options.ts";
import { latency, loss, type Measured, ours, peer, throughput } from "./report.ts";
import { alternate, type Contender, type Round, type Rounds } from "./rounds.ts";
import type { Cost, Side } from "./side.ts";
import type { TraceSide } from "./trace/side.ts";
import { addFinished, emptyState, vacuumState } from "./trace/state.ts";

export interface SuiteParts {
  readonly options: TasksOptions;
  readonly postgres: BenchPostgres;
  readonly ours: TraceSide;
  /** Ours, with the real worker role. */
  readonly role: TraceSide;
  readonly graphile: GraphileSide;
  readonly tell: (text: string) => void;
}

type During = () => Promise<() => Promise<void>>;
type Speed = {
  readonly perSecond: number;
  readonly tasks: number;
  readonly cost: Cost;
  readonly wakeupsReceived: number;
  readonly claims: number;
};

export class Suite {
  readonly #parts: SuiteParts;

  constructor(parts: SuiteParts) {
    this.#parts = parts;
  }

  async run(): Promise<Measured[]> {
    const measured: Measured[] = [];
    for (const name of this.#parts.options.only) {
      for (const one of await this.#measure(name)) {
        measured.push(one);
        this.#parts.tell(one.headline);
      }
    }
    return measured;
  }

  async stop(): Promise<void> {
    const { ours, role, graphile } = this.#parts;
    for (const side of [ours, role, graphile]) await side.stop();
  }

  #measure(name: MeasureName): Promise<Measured[]> {
    switch (name) {
      case "drain":
        return this.#drain();
      case "hundreds":
        return this.#sustained("sustained in hundreds", hundreds, graphileSettings.hundreds);
      case "singles":
        return this.#sustained("sustained by single calls", singles, graphileSettings.singles);
      case "latency":
        return this.#latency();
      case "pinned":
        return this.#pinned();
      case "finished":
        return this.#finished();
      case "floor":
        return floor(this.#parts.postgres).then((one) => [one]);
      case "soak":
        return this.#soak();
    }
  }

  async #drain(): Promise<Measured[]> {
    const { graphile, ours: mine } = this.#parts;
    graphile.use(graphileSettings.drain);
    const rounds = await this.#rounds("drain", [this.#draining(ours, mine), this.#draining(peer, graphile)]);
    return [throughput("drain", rounds)];
  }

  async #sustained(
    name: string,
    how: { readonly batch: number; readonly lanes: number },
    settings: GraphileSettings,
  ): Promise<Measured[]> {
    const { graphile, ours: mine, options } = this.#parts;
    graphile.use(settings);
    const both = { ...how, ms: options.sustainedMs };
    const rounds = await this.#rounds(
      "sustained",
      [this.#sustaining(ours, mine, both), this.#sustaining(peer, graphile, both)],
      name,
    );
    return [throughput(name, rounds)];
  }

  async #latency(): Promise<Measured[]> {
    const { graphile, ours: mine, role, options, postgres, tell } = this.#parts;
    graphile.use(graphileSettings.latency);
    // The real role runs a handful at once: warmed with as many tasks as the others, it would take minutes.
    const how = {
      ms: options.latencyMs,
      warmupTasks: options.warmupTasks,
      patienceMs: options.patienceMs,
    };
    const contender = (name: string, side: Side, warmupTasks: number) => ({
      name,
      run: () => running(side, () => latencyRound(side, postgres, { ...how, warmupTasks })),
    });
    tell("latency");
    const rounds = await alternate(
      [
        contender(ours, mine, how.warmupTasks),
        contender("worker role", role, Math.min(500, how.warmupTasks)),
        contender(peer, graphile, how.warmupTasks),
      ],
      options.rounds ?? roundsDefault.latency,
      tell,
      (round) => `p50 ${milliseconds(round.p50)} p99 ${milliseconds(round.p99)} max ${milliseconds(round.max)}`,
    );
    return [latency(rounds)];
  }

  /** With a snapshot held open in our database, and without. */
  async #pinned(): Promise<Measured[]> {
    const { ours: mine, options } = this.#parts;
    const pin = async () => {
      const snapshot = await holdSnapshot(mine.db);
      return () => snapshot.release();
    };
    const how = { ...hundreds, ms: options.pinnedMs };
    const sustained = await this.#rounds(
      "pinned",
      [this.#sustaining("without", mine, how), this.#sustaining("with", mine, how, pin)],
      "pinned sustained",
    );
    const drained = await this.#rounds(
      "pinned",
      [this.#draining("without", mine), this.#draining("with", mine, pin)],
      "pinned drain",
    );
    const burden = "a snapshot held open";
    return [loss("pinned sustained", burden, sustained), loss("pinned drain", burden, drained)];
  }

  /** Beside finished tasks, and without: before they are put there, and after they are gone again. */
  async #finished(): Promise<Measured[]> {
    const { ours: mine, options, tell } = this.#parts;
    const how = { ...hundreds, ms: options.sustainedMs };
    const contenders = (name: string) => ({
      drain: this.#draining(name, mine),
      sustained: this.#sustaining(name, mine, how),
    });
    const all = { drain: new Map<string, Round<Speed>[]>(), sustained: new Map<string, Round<Speed>[]>() };
    const measure = async (name: "with" | "without") => {
      for (const kind of ["drain", "sustained"] as const) {
        const rounds: Rounds<Speed> = await this.#rounds(
          "finished",
          [contenders(name)[kind]],
          `finished ${kind} ${name}`,
        );
        all[kind].set(name, [...(all[kind].get(name) ?? []), ...(rounds.get(name) ?? [])]);
      }
    };
    await measure("without");
    await running(mine, () => this.#load(options.finishedTasks));
    await measure("with");
    await emptyState(mine.db);
    mine.finished = 0;
    await measure("without");
    tell("finished tasks are gone again");
    const burden = `${options.finishedTasks.toLocaleString("en-US")} finished tasks`;
    return [loss("finished drain", burden, all.drain), loss("finished sustained", burden, all.sustained)];
  }

  /** The dispatcher must have made its tables and its job before. */
  async #load(count: number): Promise<void> {
    const { ours: mine, tell } = this.#parts;
    await emptyState(mine.db);
    await addFinished(mine.db, count, async (done) => {
      await vacuumState(mine.db);
      if (done % 1_000_000 === 0) tell(`  ${done.toLocaleString("en-US")} finished tasks are there`);
    });
    mine.finished = count;
  }

  async #soak(): Promise<Measured[]> {
    const { ours: mine, options, postgres, tell } = this.#parts;
    const how = { minutes: options.soakMinutes, rate: options.soakRate, warmupTasks: options.warmupTasks };
    tell("soak");
    return [await running(mine, () => soak(mine, postgres, how, tell))];
  }

  #rounds(
    name: keyof typeof roundsDefault,
    contenders: Contender<Speed>[],
    title: string = name,
  ): Promise<Rounds<Speed>> {
    const { options, tell } = this.#parts;
    tell(title);
    return alternate(contenders, options.rounds ?? roundsDefault[name], tell, (round) => perSecond(round.perSecond));
  }

  #draining(name: string, side: Side, during?: During): Contender<Speed> {
    const { options, postgres } = this.#parts;
    return {
      name,
      run: () =>
        running(side, () => drainRound(side, postgres, { ...options, ...(during === undefined ? {} : { during }) })),
    };
  }

  #sustaining(
    name: string,
    side: Side,
    how: { readonly batch: number; readonly lanes: number; readonly ms: number },
    during?: During,
  ): Contender<Speed> {
    const { options, postgres } = this.#parts;
    const { warmupTasks, patienceMs } = options;
    return {
      name,
      run: () =>
        running(side, () =>
          sustainedRound(side, postgres, {
            ...how,
            warmupMs: sustainedWarmupMs,
            warmupTasks,
            patienceMs,
            ...(during === undefined ? {} : { during }),
          }),
        ),
    };
  }
}

/** With the side's processes started before and stopped after. */
async function running<R>(side: Side, work: () => Promise<R>): Promise<R> {
  await side.start();
  try {
    return await work();
  } finally {
    await side.stop();
  }
}
