/** `drain`: how fast tasks that are all queued already are done by one worker process. */

import { machineMs } from "../../harness/clock.ts";
import { quietMachine } from "../../harness/gate.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import {
  type Cost,
  fillQueue,
  type Side,
  startWork,
  stopWork,
  timed,
  untilNothingOpen,
  warmUp,
  workCounts,
} from "../side.ts";

export interface DrainRound {
  readonly tasks: number;
  readonly perSecond: number;
  /** Creating them, in thousands. */
  readonly fillPerSecond: number;
  /** What creating them cost. */
  readonly fillCost: Cost;
  readonly cost: Cost;
  readonly wakeupsReceived: number;
  readonly claims: number;
}

export interface DrainHow {
  readonly tasks: number;
  readonly warmupTasks: number;
  readonly patienceMs: number;
  /** Begun when the queue is full, and ended when it is empty. */
  readonly during?: () => Promise<() => Promise<void>>;
}

/** One round of a side whose processes run. */
export async function drainRound(side: Side, postgres: BenchPostgres, how: DrainHow): Promise<DrainRound> {
  const { tasks } = how;
  await warmUp(side, how.warmupTasks);
  await side.empty();
  const filling = await timed(side, postgres);
  const fillingMs = machineMs();
  await fillQueue(side, tasks);
  const fillPerSecond = tasks / ((machineMs() - fillingMs) / 1_000);
  const fillCost = await filling.end();
  await side.settle();
  await postgres.checkpoint();
  await quietMachine(how.patienceMs);
  const end = await how.during?.();
  const clock = await timed(side, postgres);
  const reached = side.worker.next("reached");
  await startWork(side, tasks);
  await reached;
  // Ours is over with the last accepted completion; graphile-worker's handlers end before it has deleted their jobs.
  if (side.name !== "ours") await untilNothingOpen(side);
  const emptyMs = machineMs();
  const cost = await clock.end();
  const counts = await workCounts(side);
  await stopWork(side);
  await end?.();
  await side.settle();
  await side.verify(tasks);
  const seconds = ((side.name === "ours" ? counts.lastMs : emptyMs) - counts.firstMs) / 1_000;
  return {
    tasks,
    perSecond: tasks / seconds,
    fillPerSecond,
    fillCost,
    cost,
    wakeupsReceived: counts.wakeups,
    claims: counts.claims,
  };
}
