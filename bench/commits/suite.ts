/** Which rounds make which measure, and what each says. */
import { milliseconds, percentile, perSecond, ratio } from "../harness/numbers.ts";
import { type Measured, plain } from "../tasks/report.ts";
import { alternate, type Contender, counting, middle, noise, type Rounds } from "../tasks/rounds.ts";
import { floorRound } from "./floor.ts";
import { batchItems, clients, countedCommits, datasets, resolveCalls, resolvedPartitions, wanted } from "./limits.ts";
import type { CommitsOptions, MeasureName } from "./options.ts";
import { type CommitsRound, commitsRound, type RoundHow, type RoundParts } from "./rounds.ts";

const ours = "ours";
const floor = "floor";

export interface SuiteParts extends RoundParts {
  readonly options: CommitsOptions;
  readonly tell: (text: string) => void;
}

export class Suite {
  readonly #parts: SuiteParts;
  #databases = 0;

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

  #measure(name: MeasureName): Promise<Measured> {
    switch (name) {
      case "spread":
        return this.#beside(`spread over ${datasets} datasets`, datasets);
      case "hot":
        return this.#beside("one hot dataset", 1);
      case "crowded":
        return this.#crowded();
      case "batched":
        return this.#batched();
      case "requests":
        return this.#requests();
    }
  }

  /** Ours and the floor in turn. */
  async #beside(what: string, count: number): Promise<Measured> {
    const rounds = await this.#rounds([
      this.#ours(ours, { datasets: count }),
      { name: floor, run: () => floorRound(this.#parts.postgres, this.#name(), { ...this.#how(), datasets: count }) },
    ]);
    const [mine, least] = [ours, floor].map((side) => middle(rounds.get(side), (round) => round.perSecond));
    const share = (mine ?? 0) / (least ?? 1);
    return {
      name: what,
      headline: `${what}: ${ours} ${perSecond(mine ?? 0)} (wanted ${wanted.commitsPerSecond}/s), plain SQL on this server ${perSecond(least ?? 0)}, ratio ${ratio(share)}`,
      details: [
        ...[ours, floor].map((side) => `${what}: ${side} ${calls(rounds, side)}`),
        cpu(what, rounds),
        ...said(what, rounds),
      ],
      rounds: slim(rounds),
    };
  }

  async #crowded(): Promise<Measured> {
    const { partitions } = this.#parts.options;
    const resolve = { calls: resolveCalls, partitions: Math.min(resolvedPartitions, partitions) };
    const rounds = await this.#rounds([
      this.#ours("without", { datasets: 1 }),
      this.#ours("with", { datasets: 1, partitions, resolve }),
    ]);
    const [free, crowded] = ["without", "with"].map((side) => middle(rounds.get(side), (round) => round.perSecond));
    const lost = (((free ?? 0) - (crowded ?? 0)) / (free ?? 1)) * 100;
    const resolved = (of: (round: CommitsRound) => readonly number[] | undefined, share: number) =>
      milliseconds(middle(rounds.get("with"), (round) => percentile(of(round) ?? [], share)));
    const plainMs = `p50 ${resolved((round) => round.resolveMs, 0.5)} p99 ${resolved((round) => round.resolveMs, 0.99)}`;
    const linkedMs = `p50 ${resolved((round) => round.linkedMs, 0.5)} p99 ${resolved((round) => round.linkedMs, 0.99)}`;
    const many = partitions.toLocaleString("en-US");
    return {
      name: "crowded",
      headline: `one hot dataset with ${many} partitions in it: ${perSecond(crowded ?? 0)}, without ${perSecond(free ?? 0)}, loss ${lost.toFixed(1)} % (wanted at most ${wanted.lossMax * 100} %); resolve of ${resolve.partitions} of them ${plainMs} (wanted ${wanted.resolveMsMax} ms)`,
      details: [
        `resolve with presigned links: ${linkedMs}`,
        ...["without", "with"].map((side) => `crowded ${side}: ${calls(rounds, side)}`),
        ...said("crowded", rounds),
      ],
      rounds: slim(rounds),
    };
  }

  async #batched(): Promise<Measured> {
    const rounds = await this.#rounds([this.#ours(ours, { datasets, batch: batchItems })]);
    const rate = middle(rounds.get(ours), (round) => round.perSecond);
    return {
      name: "batched",
      headline: `${batchItems} commits in a request, over ${datasets} datasets: ${perSecond(rate)}`,
      details: [`batched: ${calls(rounds, ours)}`, ...said("batched", rounds)],
      rounds: slim(rounds),
    };
  }

  /** Not timed: through a door that counts. */
  async #requests(): Promise<Measured> {
    const how = { ...this.#how(), datasets: 1, batch: 1, commits: countedCommits, countRequests: true };
    const { requests = {} } = await commitsRound(this.#parts, this.#name(), how);
    const each = Object.entries(requests).map(([method, count]) => `${method} ${(count / countedCommits).toFixed(2)}`);
    return {
      name: "requests",
      headline: `requests to the store for each commit of one file: ${each.join(", ") || "none"}`,
      details: [],
      rounds: requests,
    };
  }

  #rounds(contenders: Contender<CommitsRound>[]): Promise<Rounds<CommitsRound>> {
    const { options, tell } = this.#parts;
    return alternate(contenders, options.rounds, tell, (round) => perSecond(round.perSecond));
  }

  #ours(name: string, more: Partial<RoundHow> & { datasets: number }): Contender<CommitsRound> {
    return { name, run: () => commitsRound(this.#parts, this.#name(), { ...this.#how(), batch: 1, ...more }) };
  }

  #how() {
    const { options, tell } = this.#parts;
    return { commits: options.commits, clients, patienceMs: options.patienceMs, tell };
  }

  #name(): string {
    this.#databases += 1;
    return `commits_${this.#databases}`;
  }
}

function calls(rounds: Rounds<CommitsRound>, side: string): string {
  const of = (share: number) => milliseconds(middle(rounds.get(side), (round) => percentile(round.callMs, share)));
  return `a request takes p50 ${of(0.5)} p99 ${of(0.99)} with ${clients} clients`;
}

/** What a commit of ours costs in processor time. */
function cpu(what: string, rounds: Rounds<CommitsRound>): string {
  const done = rounds.get(ours);
  const each = (used: (round: CommitsRound) => number) =>
    `${Math.round(middle(done, (round) => (used(round) / round.commits) * 1e6))} us`;
  const parts = Object.keys(counting(done ?? [])[0]?.cost.cpuSeconds ?? {});
  const shown = parts.map((part) => `${part} ${each((round) => round.cost.cpuSeconds[part] ?? 0)}`);
  return `${what}: CPU of a commit: Postgres ${each((round) => round.cost.postgresCpuSeconds)}, ${shown.join(", ")}`;
}

function said(what: string, rounds: Rounds<CommitsRound>): string[] {
  return noise(rounds).map((text) => `${what}: ${text}`);
}

/** Without the length of each single call. */
function slim(rounds: Rounds<CommitsRound>): unknown {
  const whole = plain(rounds) as Record<string, { figures: CommitsRound; noisy: boolean }[]>;
  return Object.fromEntries(
    Object.entries(whole).map(([side, done]) => [
      side,
      done.map(({ figures: { callMs, resolveMs, linkedMs, ...figures }, noisy }) => ({ figures, noisy })),
    ]),
  );
}
