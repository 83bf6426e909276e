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
export const puppetDag = "puppets";
/** Puppets have a queue of their own: what they claim nobody else does, so that a few tasks serve them for many attempts. */
export const puppetQueue = "puppets";

interface PlainJob {
  readonly timeout: string;
  /** How many tasks may run at once. */
  readonly limit?: number;
}

/** Jobs that write nothing, by name. */
const plainJobs: Readonly<Record<string, PlainJob>> = {
  work: { timeout: "6s" },
  limited: { timeout: "6s", limit: 16 },
};
/** `brief` is held past its deadline. */
const puppetJobs: Readonly<Record<string, PlainJob>> = { pool: { timeout: "60s" }, brief: { timeout: "1s" } };

function source(dag: string, jobs: Readonly<Record<string, PlainJob>>): string {
  const texts = Object.entries(jobs).map(([name, { timeout, limit }]) => {
    const limited = limit === undefined ? "" : `    max_concurrency: ${limit}\n`;
    return `  ${name}:\n    operator: noop\n    duration: 0ms\n    timeout: ${timeout}\n${limited}`;
  });
  return `dag: ${dag}\njobs:\n${texts.join("")}`;
}

export function plainSource(): string {
  return source(plainDag, plainJobs);
}

export function puppetSource(): string {
  return source(puppetDag, puppetJobs);
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
