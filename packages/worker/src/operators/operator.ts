/** What an operator is and what it is given. It is trusted code of ours; the SQL and the files it handles are not. */
import type { AttemptOutput, ClaimedTask, Progress, ResolvedDataset } from "@trace/contracts";
import type { DuckResult, DuckRun } from "@trace/duck";
import type { GuardedReply, GuardedRequest, ObjectStore, Random } from "@trace/kit";
import type { TaskLog } from "../attempt-log.ts";
import type { StoreWriter } from "../staging/writer.ts";
import type { Timers } from "../timers.ts";

/** What all attempts of a worker share. */
export interface OperatorServices {
  /** With the worker's own keys: what an attempt writes goes through its `writer`. */
  readonly objectStore: Pick<ObjectStore, "head" | "stream">;
  readonly duck: { run(run: DuckRun): Promise<DuckResult> };
  /** GET through the guard: kit's `guardedGet`. */
  readonly get: (request: GuardedRequest) => Promise<GuardedReply>;
  readonly guardAllow: readonly string[];
  readonly fileRoots: readonly string[];
  readonly sourceBytesMax: number;
  readonly inputsBytesMax: number;
  readonly timers: Timers;
  readonly random: Random;
}

export interface OperatorContext {
  readonly task: Omit<ClaimedTask, "lease_token">;
  /** Asks the task API for the files of the pinned inputs. */
  inputs(): Promise<readonly ResolvedDataset[]>;
  /** A folder of this attempt alone: made when first asked for, the same each time, removed after the attempt. */
  workDir(): Promise<string>;
  /** The store to stage with, opened with keys of this attempt. */
  readonly writer: Pick<StoreWriter, "ready" | "store" | "renew">;
  /** Read by people who look at the task. */
  readonly log: TaskLog;
  progress(progress: Progress): void;
  /** Aborted when the lease is lost, the attempt ran past its timeout or the worker ends. Whoever waits watches it. */
  readonly signal: AbortSignal;
  /** Milliseconds until the attempt runs past its timeout. */
  leftMs(): number;
  readonly services: OperatorServices;
}

export interface Operator {
  /** Resolves with what was staged, or is unchanged. Throws a TraceError; anything else is reported as TR-3007. */
  run(context: OperatorContext): Promise<readonly AttemptOutput[]>;
}

type Job = ClaimedTask["job"];
/** The configuration of one operator's jobs. */
export type ConfigOf<N extends Job["operator"]> = Extract<Job, { operator: N }>["config"];

/** The job's configuration. Throws when the job is another operator's: the registry would be wrong. */
export function configOf<N extends Job["operator"]>(context: OperatorContext, operator: N): ConfigOf<N> {
  const { job } = context.task;
  if (job.operator !== operator) throw new Error(`a job of operator '${job.operator}' came to '${operator}'`);
  return job.config as ConfigOf<N>;
}
