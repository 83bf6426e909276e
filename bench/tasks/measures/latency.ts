/** `latency`: from just before a create call to the first line of its task's handler, at a low rate, with idle workers. */
import { quietMachine } from "../../harness/gate.ts";
import { percentile } from "../../harness/numbers.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import { until } from "../../harness/until.ts";
import { latencyRate, stepMaxMs } from "../limits.ts";
import {
  type Cost,
  costSince,
  mark,
  type Side,
  startWork,
  stopWork,
  untilNothingOpen,
  warmUp,
  workCounts,
} from "../side.ts";

export interface LatencyRound {
  readonly tasks: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly cost: Cost;
  readonly wakeupsReceived: number;
}

export async function latencyRound(
  side: Side,
  postgres: BenchPostgres,
  how: { readonly ms: number; readonly warmupTasks: number; readonly patienceMs: number },
): Promise<LatencyRound> {
  await warmUp(side, how.warmupTasks);
  await side.empty();
  await postgres.checkpoint();
  await quietMachine(how.patienceMs);
  const tasks = Math.round((latencyRate * how.ms) / 1_000);
  await startWork(side, tasks, true);
  const before = await mark(side, postgres);
  const order = { kind: "produce", tasks, batch: 1, lanes: 1, outstandingMax: null, rate: latencyRate } as const;
  await side.producer.ask(order, "produced");
  const latencies: number[] = [];
  let wakeupsReceived = 0;
  await until(
    "every task has started",
    async () => {
      const counts = await workCounts(side);
      latencies.push(...counts.latenciesMs);
      wakeupsReceived = counts.wakeups;
      return latencies.length >= tasks;
    },
    stepMaxMs,
    50,
  );
  const cost = await costSince(before, side, postgres);
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
