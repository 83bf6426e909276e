/** `latency`: from just before a create call to the first line of its task's handler, at a low rate, with idle workers. */
import { setTimeout as pause } from "node:timers/promises";
import { quietMachine } from "../../harness/gate.ts";
import { percentile } from "../../harness/numbers.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import { until } from "../../harness/until.ts";
import { latencyRate, stepMaxMs } from "../limits.ts";
import { type Cost, type Side, startWork, stopWork, timed, untilNothingOpen, warmUp, workCounts } from "../side.ts";

/** No message for this long: none is left. */
const quietMs = 1_000;

export interface LatencyRound {
  readonly tasks: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly cost: Cost;
  readonly wakeupsReceived: number;
}

export interface LatencyHow {
  readonly ms: number;
  readonly warmupTasks: number;
  readonly patienceMs: number;
}

/** One round of a side whose processes run. */
export async function latencyRound(side: Side, postgres: BenchPostgres, how: LatencyHow): Promise<LatencyRound> {
  await warmUp(side, how.warmupTasks);
  await side.empty();
  await postgres.checkpoint();
  await quietMachine(how.patienceMs);
  const tasks = Math.round((latencyRate * how.ms) / 1_000);
  await startWork(side, tasks, true);
  const wakeupsBefore = await untilQuiet(side);
  const clock = await timed(side, postgres);
  const order = { kind: "produce", tasks, batch: 1, lanes: 1, outstandingMax: null, rate: latencyRate } as const;
  await side.producer.ask(order, "produced");
  const latencies: number[] = [];
  let wakeupsReceived = 0;
  await until(
    "every task has started",
    async () => {
      const counts = await workCounts(side);
      latencies.push(...counts.latenciesMs);
      wakeupsReceived = counts.wakeups - wakeupsBefore;
      return latencies.length >= tasks;
    },
    stepMaxMs,
    50,
  );
  const cost = await clock.end();
  await untilNothingOpen(side);
  await stopWork(side);
  await side.settle();
  await side.verify(tasks);
  return {
    tasks,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    max: percentile(latencies, 1),
    cost,
    wakeupsReceived,
  };
}

/** What the warming-up left in the queue of messages has been received: how many they were, in all. */
async function untilQuiet(side: Side): Promise<number> {
  for (let before = -1; ; ) {
    const { wakeups } = await workCounts(side);
    if (wakeups === before) return wakeups;
    before = wakeups;
    await pause(quietMs);
  }
}
