/** What the suite says: the lines of each measure, and all of it as one document. */
import { cpus, totalmem } from "node:os";
import { mebibytes, milliseconds, perSecond, ratio } from "../harness/numbers.ts";
import type { LatencyRound } from "./measures/latency.ts";
import { counting, middle, noise, type Rounds } from "./rounds.ts";
import type { Cost } from "./side.ts";

export interface Measured {
  readonly name: string;
  /** The figure that counts, in one line. */
  readonly headline: string;
  /** What stands behind it. */
  readonly details: readonly string[];
  readonly rounds: unknown;
}

export const ours = "ours";
export const peer = "graphile-worker";

interface Throughput {
  readonly perSecond: number;
  readonly tasks: number;
  readonly cost: Cost;
  readonly wakeupsReceived: number;
  readonly claims: number;
  /** Creating the tasks beforehand, in thousands. */
  readonly fillPerSecond?: number;
  readonly fillCost?: Cost;
}

/** `drain: ours 51,000/s, graphile-worker 47,000/s, ratio 1.09x`, and what a task costs on either side. */
export function throughput(name: string, rounds: Rounds<Throughput>): Measured {
  const mine = rounds.get(ours);
  const theirs = rounds.get(peer);
  const compare = (what: string, figure: (round: Throughput) => number, show: (value: number) => string) => {
    const [a, b] = [middle(mine, figure), middle(theirs, figure)];
    return `${name}${what}: ${ours} ${show(a)}, ${peer} ${show(b)}, ratio ${ratio(a / b)}`;
  };
  const whole = (figure: (round: Throughput) => number) => Math.round(middle(mine, figure));
  const perTask = (unit: string) => (value: number) => `${value.toFixed(1)} ${unit}/task`;
  return {
    name,
    headline: compare("", (round) => round.perSecond, perSecond),
    details: [
      compare(" Postgres CPU", (round) => (round.cost.postgresCpuSeconds / round.tasks) * 1e6, perTask("us")),
      ...(counting(mine ?? []).some((round) => round.fillPerSecond !== undefined)
        ? [
            compare(" filling", (round) => round.fillPerSecond ?? 0, perSecond),
            compare(
              " Postgres CPU with filling",
              (round) => (postgresWithFilling(round) / round.tasks) * 1e6,
              perTask("us"),
            ),
          ]
        : []),
      compare(" WAL", (round) => round.cost.walBytes / round.tasks, perTask("B")),
      ...[ours, peer].map((side) => `${name} CPU of ${side}: ${processes(rounds, side)}`),
      `${name} calls of ${ours}: ${whole((round) => round.claims)} claims, ${whole((round) => round.cost.wakeupsSent ?? 0)} wake-ups sent, ${whole((round) => round.wakeupsReceived)} received, for ${whole((round) => round.tasks)} tasks`,
      ...noise(rounds).map((text) => `${name}: ${text}`),
    ],
    rounds: plain(rounds),
  };
}

function postgresWithFilling({ cost, fillCost }: Throughput): number {
  return cost.postgresCpuSeconds + (fillCost?.postgresCpuSeconds ?? 0);
}

/** What each process used, for a task and of the machine. */
function processes(rounds: Rounds<Throughput>, side: string): string {
  const done = rounds.get(side);
  const parts = ["Postgres", ...Object.keys(done?.[0]?.figures.cost.cpuSeconds ?? {})];
  const used = (cost: Cost, part: string) =>
    part === "Postgres" ? cost.postgresCpuSeconds : (cost.cpuSeconds[part] ?? 0);
  return parts
    .map((part) => {
      const task = middle(done, ({ cost, tasks }) => (used(cost, part) / tasks) * 1e6);
      const cores = middle(done, ({ cost }) => used(cost, part) / cost.seconds);
      return `${part} ${task.toFixed(1)} us/task (${cores.toFixed(2)} cores)`;
    })
    .join(", ");
}

/** `latency: ours p50 3.10 ms p99 9.00 ms, graphile-worker p50 3.90 ms p99 9.70 ms`. */
export function latency(rounds: Rounds<LatencyRound>): Measured {
  const show = (side: string) => {
    const of = (figure: (round: LatencyRound) => number) => milliseconds(middle(rounds.get(side), figure));
    return `p50 ${of((round) => round.p50)} p99 ${of((round) => round.p99)}`;
  };
  const [lean, role, other] = [ours, "worker role", peer];
  const wakeups = middle(rounds.get(lean), (round) => round.cost.wakeupsSent ?? 0);
  const received = middle(rounds.get(lean), (round) => round.wakeupsReceived);
  return {
    name: "latency",
    headline: `latency: ${ours} ${show(lean)}, ${peer} ${show(other)}, ours with the real worker role ${show(role)}`,
    details: [
      `latency wake-ups of ${ours}: ${Math.round(wakeups)} sent, ${Math.round(received)} received, for ${Math.round(middle(rounds.get(lean), (round) => round.tasks))} tasks`,
      ...noise(rounds).map((text) => `latency: ${text}`),
    ],
    rounds: plain(rounds),
  };
}

/** What a burden costs: `pinned drain: ours 50,000/s without, 49,000/s with ..., loss 2.0 %`. */
export function loss(name: string, burden: string, rounds: Rounds<Throughput>): Measured {
  const [free, burdened] = ["without", "with"].map((side) => middle(rounds.get(side), (round) => round.perSecond));
  if (free === undefined || burdened === undefined) throw new Error("a comparison has two sides");
  const lost = ((free - burdened) / free) * 100;
  return {
    name,
    headline: `${name}: ${ours} ${perSecond(free)} without, ${perSecond(burdened)} with ${burden}, loss ${lost.toFixed(1)} %`,
    details: noise(rounds).map((text) => `${name}: ${text}`),
    rounds: plain(rounds),
  };
}

export function plain(rounds: Rounds<unknown>): unknown {
  return Object.fromEntries(rounds);
}

export function machine(): Record<string, unknown> {
  const [first] = cpus();
  return {
    cpus: cpus().length,
    model: first?.model.trim() ?? "unknown",
    memory: mebibytes(totalmem()),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}
