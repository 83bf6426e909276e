/** The command line of the suite. */
import { parseArgs } from "node:util";
import { gateWaitMaxMs } from "../harness/limits.ts";
import { UsageError } from "../harness/usage.ts";
import {
  drainTasksDefault,
  finishedTasksDefault,
  latencyMs,
  pinnedMs,
  soakDefault,
  sustainedMs,
  warmupTasks,
} from "./limits.ts";

export const measures = ["drain", "hundreds", "singles", "latency", "pinned", "finished", "floor", "soak"] as const;
export type MeasureName = (typeof measures)[number];

export interface TasksOptions {
  readonly only: readonly MeasureName[];
  /** Undefined: each measure's own number. */
  readonly rounds: number | undefined;
  readonly tasks: number;
  readonly warmupTasks: number;
  readonly sustainedMs: number;
  readonly latencyMs: number;
  readonly pinnedMs: number;
  readonly finishedTasks: number;
  readonly soakMinutes: number;
  readonly soakRate: number;
  /** Waits at most this long for a quiet machine before a round. */
  readonly patienceMs: number;
  readonly json: boolean;
}

export const usage = `npm run bench -- tasks [options]
  --only drain,hundreds    some of: ${measures.join(", ")}; default: all but soak
  --rounds N               rounds of each side that count; default: as the measure has it
  --tasks N                tasks of a drain; default ${drainTasksDefault}
  --seconds N              length of a sustained round; default ${sustainedMs / 1_000}
  --finished N             finished tasks beside which 'finished' measures; default ${finishedTasksDefault}
  --minutes N, --rate N    of 'soak': how long, and tasks a second; default ${soakDefault.minutes} and ${soakDefault.rate}
  --patience N             seconds to wait for a quiet machine before each round; default ${gateWaitMaxMs / 1_000}
  --json                   one JSON document instead of lines (npm run --silent bench -- tasks --json)`;

/** Throws with the usage on anything that it does not know. */
export function readOptions(args: readonly string[]): TasksOptions {
  const text = { type: "string" } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        only: text,
        rounds: text,
        tasks: text,
        seconds: text,
        finished: text,
        minutes: text,
        rate: text,
        patience: text,
        json: { type: "boolean" },
      },
    }));
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
  const number = (name: string): number | undefined => {
    const value = values[name];
    if (value === undefined) return undefined;
    const parsed = Number(value);
    if (!(parsed > 0)) throw new UsageError(`--${name} is '${value}', which is no number above 0\n\n${usage}`);
    return parsed;
  };
  const names = typeof values.only === "string" ? values.only.split(",") : measures.filter((name) => name !== "soak");
  const only = names.map((name) => {
    const known = measures.find((measure) => measure === name);
    if (known === undefined) throw new UsageError(`there is no measure '${name}'\n\n${usage}`);
    return known;
  });
  const tasks = number("tasks") ?? drainTasksDefault;
  const seconds = number("seconds");
  return {
    only,
    rounds: number("rounds"),
    tasks,
    warmupTasks: Math.min(warmupTasks, tasks),
    sustainedMs: seconds === undefined ? sustainedMs : seconds * 1_000,
    latencyMs: seconds === undefined ? latencyMs : seconds * 1_000,
    pinnedMs: seconds === undefined ? pinnedMs : seconds * 1_000,
    finishedTasks: number("finished") ?? finishedTasksDefault,
    soakMinutes: number("minutes") ?? soakDefault.minutes,
    soakRate: number("rate") ?? soakDefault.rate,
    patienceMs: (number("patience") ?? gateWaitMaxMs / 1_000) * 1_000,
    json: values.json === true,
  };
}
