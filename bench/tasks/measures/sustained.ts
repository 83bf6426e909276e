/** `sustained`: how fast tasks are done while others are created, with a bound on those outstanding. */
import { setTimeout as pause } from "node:timers/promises";
import { quietMachine } from "../../harness/gate.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import { until } from "../../harness/until.ts";
import { drainMaxMs, outstandingMax } from "../limits.ts";
import { type Cost, type Side, startWork, stopWork, timed, untilNothingOpen, warmUp, workCounts } from "../side.ts";

export interface SustainedRound {
  readonly perSecond: number;
  readonly cost: Cost;
  /** Tasks done in the time of `cost`. */
  readonly tasks: number;
  readonly wakeupsReceived: number;
  /** Claim calls that were answered; 0 where there are none. */
  readonly claims: number;
}

export interface SustainedHow {
  /** Of the producer: tasks in a call, calls in flight. */
  readonly batch: number;
  readonly lanes: number;
  /** Both go on for this long before the clock starts, and are measured for that long. */
  readonly warmupMs: number;
  readonly ms: number;
  readonly warmupTasks: number;
  readonly patienceMs: number;
  /** Begun before the first task, and ended when all are done. */
  readonly during?: () => Promise<() => Promise<void>>;
}

/** One round of a side whose processes run. */
export async function sustainedRound(side: Side, postgres: BenchPostgres, how: SustainedHow): Promise<SustainedRound> {
  await warmUp(side, how.warmupTasks);
  await side.empty();
  await postgres.checkpoint();
  await quietMachine(how.patienceMs);
  const end = await how.during?.();
  side.worker.onMessage((message) => {
    if (message.kind === "progress") side.producer.tell({ kind: "done", done: message.done });
  });
  await startWork(side, Number.MAX_SAFE_INTEGER);
  const { batch, lanes, warmupMs, ms } = how;
  const produced = side.producer.ask(
    { kind: "produce", tasks: null, batch, lanes, outstandingMax, rate: null },
    "produced",
  );
  produced.catch(() => undefined); // Awaited below; what fails meanwhile is thrown there.
  await pause(warmupMs);
  const clock = await timed(side, postgres);
  const first = await workCounts(side);
  await pause(ms);
  const last = await workCounts(side);
  const cost = await clock.end();
  side.producer.tell({ kind: "stop" });
  const { created } = (await produced).counts;
  await untilDone(side, created);
  await stopWork(side);
  await end?.();
  await side.settle();
  await side.verify(created);
  const perSecond = (last.done - first.done) / ((last.atMs - first.atMs) / 1_000);
  return {
    perSecond,
    cost,
    tasks: perSecond * cost.seconds,
    wakeupsReceived: last.wakeups - first.wakeups,
    claims: last.claims - first.claims,
  };
}

async function untilDone(side: Side, created: number): Promise<void> {
  await until("what was created is done", async () => (await workCounts(side)).done >= created, drainMaxMs, 50);
  await untilNothingOpen(side);
}
