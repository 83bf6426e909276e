/** What the tasks of a run do: the DAGs, and the plan that each task carries in its payload. */
import type { SeededRandom } from "../../faults/random.ts";
import { datasetJobs } from "./limits.ts";

/**
 * What an attempt does. `flaky` fails once and then works, `broken` fails always, `terminal` fails for good, `slow` takes a
 * moment, `long` takes longer than most workers live, `hang` does not end by itself.
 */
export type Plan = "ok" | "slow" | "long" | "flaky" | "broken" | "terminal" | "hang";

export interface Payload {
  readonly plan: Plan;
  /** Milliseconds, where the plan takes a time. */
  readonly ms: number;
}

export const plainDag = "plain";
export const datasetDag = "sets";

/** Jobs that write nothing, by name: their time limit, and how many tasks of them may run at once. */
export const plainJobs = {
  work: { timeout: "6s", limit: undefined },
  /** Held by puppets past its deadline. */
  brief: { timeout: "1s", limit: undefined },
  limited: { timeout: "6s", limit: 16 },
} as const;
export type PlainJob = keyof typeof plainJobs;

export function plainSource(): string {
  const jobs = Object.entries(plainJobs).map(([name, { timeout, limit }]) => {
    const limited = limit === undefined ? "" : `    max_concurrency: ${limit}\n`;
    return `  ${name}:\n    operator: noop\n    duration: 0ms\n    timeout: ${timeout}\n${limited}`;
  });
  return `dag: ${plainDag}\njobs:\n${jobs.join("")}`;
}

export function datasetJob(index: number): string {
  return `make_${index}`;
}

export function datasetSource(): string {
  const jobs = Array.from({ length: datasetJobs }, (_, index) =>
    [
      `  ${datasetJob(index)}:`,
      "    operator: ingest",
      "    source: { file: /nowhere, format: json }",
      `    outputs: [set_${index}]`,
      "    timeout: 30s",
      "",
    ].join("\n"),
  );
  return `dag: ${datasetDag}\njobs:\n${jobs.join("")}`;
}

/** Of 1,000 tasks, how many have each plan; the rest is `ok`. */
const plainShares: readonly (readonly [Plan, number])[] = [
  ["slow", 60],
  ["long", 12],
  ["flaky", 20],
  ["broken", 3],
  ["terminal", 5],
  ["hang", 2],
];
const datasetShares: readonly (readonly [Plan, number])[] = [
  ["slow", 30],
  ["flaky", 5],
  ["terminal", 5],
];

function planOf(random: SeededRandom, shares: readonly (readonly [Plan, number])[]): Payload {
  let draw = random.integer(0, 999);
  for (const [plan, share] of shares) {
    if (draw < share) return { plan, ms: plan === "long" ? random.integer(3_000, 5_000) : random.integer(50, 1_500) };
    draw -= share;
  }
  return { plan: "ok", ms: 0 };
}

/** What a task does that is there to keep a worker busy for a moment. */
export function calmPayload(random: SeededRandom): Payload {
  return planOf(random, [["slow", 300]]);
}

export function plainPayload(random: SeededRandom): Payload {
  return planOf(random, plainShares);
}

export function datasetPayload(random: SeededRandom): Payload {
  return planOf(random, datasetShares);
}
