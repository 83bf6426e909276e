/** The command line of the suite. */
import { parseArgs } from "node:util";
import { gateWaitMaxMs } from "../harness/limits.ts";
import { UsageError } from "../harness/usage.ts";
import { commitsDefault, partitionsDefault, roundsDefault } from "./limits.ts";

export const measures = ["spread", "hot", "crowded", "batched", "requests"] as const;
export type MeasureName = (typeof measures)[number];

export interface CommitsOptions {
  readonly only: readonly MeasureName[];
  readonly rounds: number;
  readonly commits: number;
  readonly partitions: number;
  /** Waits at most this long for a quiet machine before a round. */
  readonly patienceMs: number;
  readonly json: boolean;
}

export const usage = `npm run bench -- commits [options]
  --only spread,hot     some of: ${measures.join(", ")}; default: all
  --rounds N            rounds of each side that count; default ${roundsDefault}
  --commits N           commits of a round; default ${commitsDefault}
  --partitions N        partitions that 'crowded' finds in the dataset; default ${partitionsDefault}
  --patience N          seconds to wait for a quiet machine before each round; default ${gateWaitMaxMs / 1_000}
  --json                one JSON document instead of lines (npm run --silent bench -- commits --json)`;

/** Throws with the usage on anything that it does not know. */
export function readOptions(args: readonly string[]): CommitsOptions {
  const text = { type: "string" } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    const options = { only: text, rounds: text, commits: text, partitions: text, patience: text };
    ({ values } = parseArgs({ args: [...args], options: { ...options, json: { type: "boolean" } } }));
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
  const number = (name: string, fallback: number): number => {
    const value = values[name];
    if (value === undefined) return fallback;
    const parsed = Number(value);
    if (!(parsed >= (name === "patience" ? 0 : 1)))
      throw new UsageError(`--${name} is '${value}', which is no number above 0\n\n${usage}`);
    return parsed;
  };
  const only = (typeof values.only === "string" ? values.only.split(",") : measures).map((name) => {
    const known = measures.find((measure) => measure === name);
    if (known === undefined) throw new UsageError(`there is no measure '${name}'\n\n${usage}`);
    return known;
  });
  return {
    only,
    rounds: number("rounds", roundsDefault),
    commits: number("commits", commitsDefault),
    partitions: number("partitions", partitionsDefault),
    patienceMs: number("patience", gateWaitMaxMs / 1_000) * 1_000,
    json: values.json === true,
  };
}
