/** Rounds of several sides in turn, until each has as many quiet ones as it needs. */
import { foreignCoresMax } from "../harness/limits.ts";
import { median } from "../harness/numbers.ts";
import { triesPerRound } from "./limits.ts";
import type { Cost } from "./side.ts";

export interface Round<R> {
  readonly figures: R;
  /** Others used too much of the machine for the figures to count. */
  readonly noisy: boolean;
}

export interface Contender<R> {
  readonly name: string;
  /** One round, processes started and stopped. */
  run(): Promise<R>;
}

export type Rounds<R> = ReadonlyMap<string, readonly Round<R>[]>;

/** Each contender in turn, `rounds` quiet rounds each; noisy ones are done again, within bounds. */
export async function alternate<R extends { readonly cost: Cost }>(
  contenders: readonly Contender<R>[],
  rounds: number,
  tell: (text: string) => void,
  describe: (figures: R) => string,
): Promise<Rounds<R>> {
  const all = new Map<string, Round<R>[]>(contenders.map(({ name }) => [name, []]));
  for (let turn = 1; turn <= rounds * triesPerRound; turn += 1) {
    for (const { name, run } of contenders) {
      const done = all.get(name) ?? [];
      if (done.filter(({ noisy }) => !noisy).length >= rounds) continue;
      const figures = await run();
      const noisy = figures.cost.foreign > foreignCoresMax;
      done.push({ figures, noisy });
      const foreign = `foreign ${figures.cost.foreign.toFixed(2)} cores${noisy ? ", noisy" : ""}`;
      tell(`  round ${turn}, ${name}: ${describe(figures)} (${foreign})`);
    }
  }
  return all;
}

/** Those that count: the quiet ones; all of them where the machine never was quiet. */
export function counting<R>(rounds: readonly Round<R>[]): R[] {
  const quiet = rounds.filter(({ noisy }) => !noisy);
  return (quiet.length > 0 ? quiet : rounds).map(({ figures }) => figures);
}

export function middle<R>(rounds: readonly Round<R>[] | undefined, figure: (figures: R) => number): number {
  return median(counting(rounds ?? []).map(figure));
}

/** What a reader must know of the rounds behind a figure; empty when all were quiet. */
export function noise(rounds: Rounds<unknown>): string[] {
  return [...rounds].flatMap(([name, done]) => {
    const noisy = done.filter((round) => round.noisy).length;
    if (noisy === 0) return [];
    return [
      noisy === done.length
        ? `all ${noisy} rounds of ${name} were noisy: its figure is not to be trusted`
        : `${noisy} of ${done.length} rounds of ${name} were noisy and are left out`,
    ];
  });
}
