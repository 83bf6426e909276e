/** The command line of the suite. */
import { parseArgs } from "node:util";
import { gateWaitMaxMs } from "../harness/limits.ts";
import { UsageError } from "../harness/usage.ts";
import { copiesDefault, roundsDefault } from "./limits.ts";

export const measures = ["large", "single", "tiny"] as const;
export type MeasureName = (typeof measures)[number];

export interface IngestOptions {
  readonly only: readonly MeasureName[];
  readonly rounds: number;
  readonly copies: number;
  /** Waits at most this long for a quiet machine before a round. */
  readonly patienceMs: number;
  readonly json: boolean;
}

export const usage = `npm run bench -- ingest [options]
  --only large,single   some of: ${measures.join(", ")}; default: all
  --rounds N            rounds of each side that count; default ${roundsDefault}
  --copies N            the large file is the flights so many times; default ${copiesDefault}
  --patience N          seconds to wait for a quiet machine before each round; default ${gateWaitMaxMs / 1_000}
  --json                one JSON document instead of lines (npm run --silent bench -- ingest --json)`;

/** Throws with the usage on anything that it does not know. */
export function readOptions(args: readonly string[]): IngestOptions {
  const text = { type: "string" } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    const options = { only: text, rounds: text, copies: text, patience: text, json: { type: "boolean" } } as const;
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
  const number = (name: string, fallback: number, least = 1): number => {
    const value = values[name];
    if (value === undefined) return fallback;
    const parsed = Number(value);
    if (!(parsed >= least))
      throw new UsageError(`--${name} is '${value}', which is no number from ${least}\n\n${usage}`);
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
    copies: number("copies", copiesDefault),
    patienceMs: number("patience", gateWaitMaxMs / 1_000, 0) * 1_000,
    json: values.json === true,
  };
}
