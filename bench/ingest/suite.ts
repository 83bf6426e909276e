/** Which rounds make which measure, and what each says. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StateFolder } from "@trace/localcloud";
import { Child } from "../harness/child.ts";
import { quietMachine } from "../harness/gate.ts";
import { median, milliseconds, ratio } from "../harness/numbers.ts";
import type { BenchPostgres } from "../harness/postgres.ts";
import { type Measured, plain } from "../tasks/report.ts";
import { alternate, middle, noise, type Rounds } from "../tasks/rounds.ts";
import { type Cost, timed } from "../tasks/side.ts";
import { runsPerRound, wanted } from "./limits.ts";
import type { FromEngine, ToEngine } from "./messages.ts";
import type { IngestOptions, MeasureName } from "./options.ts";
import { OurSide } from "./ours.ts";
import { openSource, type Source } from "./source.ts";

const ours = "ours";
const peer = "DuckDB alone";

interface IngestRound {
  /** The middle of the runs of the round. */
  readonly ms: number;
  readonly runsMs: readonly number[];
  readonly rows: number;
  readonly cost: Cost;
}

export interface SuiteParts {
  readonly options: IngestOptions;
  readonly postgres: BenchPostgres;
  readonly folder: StateFolder;
  readonly tell: (text: string) => void;
}

export class Suite {
  readonly #parts: SuiteParts;
  #databases = 0;
  #engine: Child<ToEngine, FromEngine> | undefined;

  constructor(parts: SuiteParts) {
    this.#parts = parts;
  }

  async run(): Promise<Measured[]> {
    const all: Measured[] = [];
    for (const name of this.#parts.options.only) {
      this.#parts.tell(name);
      const measured = await this.#measure(name);
      all.push(measured);
      this.#parts.tell(measured.headline);
    }
    return all;
  }

  async stop(): Promise<void> {
    await this.#engine?.stop();
  }

  async #measure(name: MeasureName): Promise<Measured> {
    const { options, tell } = this.#parts;
    const source = await openSource(name, await this.#startEngine(), options.copies);
    const runs = name === "large" ? 1 : runsPerRound;
    const rounds = await alternate(
      [
        { name: ours, run: () => this.#ours(source, runs) },
        { name: peer, run: () => this.#alone(source, runs) },
      ],
      options.rounds,
      tell,
      (round) => milliseconds(round.ms),
    );
    return name === "large" ? compared(source, rounds) : overhead(source, rounds);
  }

  async #ours(source: Source, runs: number): Promise<IngestRound> {
    const { options, postgres, folder } = this.#parts;
    this.#databases += 1;
    const side = await OurSide.start(postgres, folder, `ingest_${this.#databases}`, source);
    try {
      // The first task meets cold code and a cold child, as the engine's first run does.
      if (runs > 1) await side.split();
      await quietMachine(options.patienceMs);
      const cost = await timed({ parts: () => side.parts, wakeupsSent: () => Promise.resolve(undefined) }, postgres);
      const runsMs: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        await side.rest();
        runsMs.push(await side.split());
      }
      return { ms: median(runsMs), runsMs, rows: source.rows, cost: await cost.end() };
    } finally {
      await side.stop();
    }
  }

  async #alone(source: Source, runs: number): Promise<IngestRound> {
    const { options, postgres, folder } = this.#parts;
    const engine = await this.#startEngine();
    const work = mkdtempSync(join(folder.dir, "engine-"));
    try {
      const split = async () => {
        const done = await engine.ask({ kind: "split", source: source.path, folder: join(work, "out") }, "split");
        if (done.rows !== source.rows) throw new Error(`the engine wrote ${done.rows} of ${source.rows} rows`);
        return done.ms;
      };
      if (runs > 1) await split();
      await quietMachine(options.patienceMs);
      const parts = () => ({ engine: engine.pid });
      const cost = await timed({ parts, wakeupsSent: () => Promise.resolve(undefined) }, postgres);
      const runsMs: number[] = [];
      for (let run = 0; run < runs; run += 1) runsMs.push(await split());
      return { ms: median(runsMs), runsMs, rows: source.rows, cost: await cost.end() };
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }

  async #startEngine(): Promise<Child<ToEngine, FromEngine>> {
    if (this.#engine === undefined) {
      this.#engine = new Child("engine", join(import.meta.dirname, "engine.ts"), {});
      await this.#engine.next("ready");
    }
    return this.#engine;
  }
}

function seconds(ms: number): string {
  return ms < 1_000 ? milliseconds(ms) : `${(ms / 1_000).toFixed(2)} s`;
}

function sides(rounds: Rounds<IngestRound>): [number, number] {
  return [middle(rounds.get(ours), (round) => round.ms), middle(rounds.get(peer), (round) => round.ms)];
}

function compared(source: Source, rounds: Rounds<IngestRound>): Measured {
  const [mine, theirs] = sides(rounds);
  const rows = source.rows.toLocaleString("en-US");
  return {
    name: "large",
    headline: `${rows} rows into monthly partitions: ${ours} ${seconds(mine)}, ${peer} ${seconds(theirs)}, ratio ${ratio(mine / theirs)} (wanted at most ${wanted.ratioMax})`,
    details: [...cpu("large", rounds), ...noise(rounds).map((text) => `large: ${text}`)],
    rounds: plain(rounds),
  };
}

function overhead(source: Source, rounds: Rounds<IngestRound>): Measured {
  const [mine, theirs] = sides(rounds);
  const rows = source.rows.toLocaleString("en-US");
  return {
    name: source.name,
    headline: `a task of ${rows} rows: ${ours} ${seconds(mine)}, ${peer} ${seconds(theirs)}, ${milliseconds(mine - theirs)} more (wanted at most ${wanted.overheadMsMax} ms)`,
    details: [...cpu(source.name, rounds), ...noise(rounds).map((text) => `${source.name}: ${text}`)],
    rounds: plain(rounds),
  };
}

/** Which process used how many cores. The child of a query counts to the worker that started it. */
function cpu(name: string, rounds: Rounds<IngestRound>): string[] {
  return [ours, peer].map((side) => {
    const done = rounds.get(side);
    const parts = Object.keys(done?.[0]?.figures.cost.cpuSeconds ?? {});
    const used = parts.map((part) => `${part} ${middle(done, ({ cost }) => cost.cpuSeconds[part] ?? 0).toFixed(2)} s`);
    return `${name} CPU of ${side}: ${used.join(", ")}`;
  });
}
