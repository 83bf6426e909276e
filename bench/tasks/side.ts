/** A side of the comparison: its processes, its database, and how it is known that its work is done. */
import type { Database } from "@trace/kit";
import type { Child } from "../harness/child.ts";
import { cpuSeconds, foreignCores, sampleCpu } from "../harness/cpu.ts";
import type { BenchPostgres } from "../harness/postgres.ts";
import { until } from "../harness/until.ts";
import { drainMaxMs, filling, stepMaxMs } from "./limits.ts";
import type { FromProducer, FromWorker, Produce, ProduceCounts, ToProducer, ToWorker, WorkCounts } from "./messages.ts";

export type WorkerChild = Child<ToWorker, FromWorker>;
export type ProducerChild = Child<ToProducer, FromProducer>;
export type SideName = "ours" | "graphile-worker";

/** What a measure needs of a side. Everything about tables and processes is behind it. */
export interface Side {
  readonly name: SideName;
  readonly db: Database;
  readonly worker: WorkerChild;
  readonly producer: ProducerChild;
  /** Starts its services, its worker and its producer. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Takes all tasks away. */
  empty(): Promise<void>;
  /** Resolves when nothing goes on in the background, and its tables are as vacuum leaves them. */
  settle(): Promise<void>;
  /** Tasks queued or running. */
  open(): Promise<number>;
  /** Throws unless each of `created` tasks was done exactly once, as far as the side keeps it. */
  verify(created: number): Promise<void>;
  /** Its processes by what they do, beside Postgres. */
  parts(): Readonly<Record<string, number>>;
  /** Wake-up messages sent so far; undefined where there are none. */
  wakeupsSent(): Promise<number | undefined>;
}

const fill: Omit<Produce, "tasks"> = { kind: "produce", ...filling, outstandingMax: null, rate: null };

/** Creates tasks with nobody working. */
export async function fillQueue(side: Side, tasks: number): Promise<ProduceCounts> {
  return (await side.producer.ask({ ...fill, tasks }, "produced")).counts;
}

export function startWork(side: Side, reach: number, latencies = false): Promise<unknown> {
  return side.worker.ask({ kind: "start", reach, latencies }, "started");
}

export function stopWork(side: Side): Promise<unknown> {
  return side.worker.ask({ kind: "stop" }, "stopped");
}

export async function workCounts(side: Side): Promise<WorkCounts> {
  return (await side.worker.ask({ kind: "count" }, "counts")).counts;
}

/** Resolves when nothing is queued or running: for graphile-worker, when its table is empty. */
export function untilNothingOpen(side: Side): Promise<void> {
  return until(`${side.name} has nothing left to do`, async () => (await side.open()) === 0, drainMaxMs);
}

/** Runs tasks so that both sides are measured with warm code and warm caches, and empties the tables again. */
export async function warmUp(side: Side, tasks: number): Promise<void> {
  await side.empty();
  await fillQueue(side, tasks);
  const reached = side.worker.next("reached");
  await startWork(side, tasks);
  await reached;
  await untilNothingOpen(side);
  await stopWork(side);
  await side.settle();
  await side.verify(tasks);
}

/** What a stretch of time cost. */
export interface Cost {
  readonly seconds: number;
  readonly postgresCpuSeconds: number;
  readonly walBytes: number;
  /** Of the side's other processes, by what they do. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
  /** Cores used by what is neither side nor benchmark. */
  readonly foreign: number;
  readonly wakeupsSent: number | undefined;
}

/** Begins a timed part; `end` answers with what it cost. Looking at the processors is the last and the first thing done. */
export async function timed(
  side: Pick<Side, "parts" | "wakeupsSent">,
  postgres: BenchPostgres,
): Promise<{ end(): Promise<Cost> }> {
  const walBytes = await postgres.walBytes();
  const wakeupsSent = await side.wakeupsSent();
  const before = sampleCpu();
  return {
    end: async () => {
      const after = sampleCpu();
      const used = (pid: number) => cpuSeconds(before, after, pid);
      const sent = await side.wakeupsSent();
      return {
        seconds: (after.atMs - before.atMs) / 1_000,
        postgresCpuSeconds: used(postgres.pid),
        walBytes: (await postgres.walBytes()) - walBytes,
        cpuSeconds: Object.fromEntries(Object.entries(side.parts()).map(([part, pid]) => [part, used(pid)])),
        foreign: foreignCores(before, after, process.pid),
        wakeupsSent: sent === undefined || wakeupsSent === undefined ? undefined : sent - wakeupsSent,
      };
    },
  };
}

/** Resolves when a child is there. */
export function ready(child: WorkerChild | ProducerChild): Promise<unknown> {
  const timeout = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`${child.name} is not ready`)), stepMaxMs).unref();
  });
  return Promise.race([(child as WorkerChild).next("ready"), timeout]);
}
