/**
 * One attempt of one task, from its claim to the dispatcher's answer. It ends in one of four ways: its result is accepted,
 * its result is refused, its worker ends and hands the task back, or its lease is gone, and then it aborts at once and says
 * nothing to anybody.
 */
import {
  type AttemptOutput,
  type AttemptResult,
  type ClaimedTask,
  type ErrorRecord,
  fromErrorRecord,
  type Progress,
  type ResolvedDataset,
  type StagingCredentials,
  TraceError,
  toErrorRecord,
} from "@trace/contracts";
import { backoffMs, type Clock, type Log, type ObjectStore, type RacePoints } from "@trace/kit";
import { isCode, type TaskApi } from "./api.ts";
import { AttemptLog } from "./attempt-log.ts";
import type { Completer } from "./completer.ts";
import { progressCharsMax, retryBaseMs, retryMaxMs } from "./limits.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { Operator, OperatorContext, OperatorServices } from "./operators/operator.ts";
import type { LeaseHolder, LiveSession } from "./session.ts";
import { StoreWriter, type StoreWriterParts, type WriteStore } from "./staging/writer.ts";
import { type Timers, wait } from "./timers.ts";
import type { AttemptFolder, Workplace } from "./workplace.ts";

/** What all attempts of a worker share. */
export interface AttemptParts {
  readonly operators: Readonly<Record<string, Operator>>;
  readonly services: OperatorServices;
  readonly taskApi: Pick<TaskApi, "createCredentials" | "resolveInputs">;
  /** A store that uses keys of one attempt. */
  readonly openStore: StoreWriterParts["open"];
  /** What attempts write with where the installation has no keys for them. */
  readonly ownStore: WriteStore;
  readonly completer: Completer;
  readonly workplace: Workplace;
  readonly logStore: Pick<ObjectStore, "put">;
  readonly scratchBucket: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
  readonly race: RacePoints;
}

export class Attempt implements LeaseHolder {
  readonly leaseNo: number;
  progress: Progress | undefined;
  readonly #parts: AttemptParts;
  readonly #task: ClaimedTask;
  readonly #session: LiveSession;
  readonly #log: Log;
  readonly #taskLog: AttemptLog;
  readonly #claimedAtMs: number;
  readonly #endsAtMs: number;
  /** What the operator watches. */
  readonly #work = new AbortController();
  /** The lease is gone: nothing more is said to the dispatcher. */
  readonly #gone = new AbortController();

  /** `claimedAtMs`: monotonic time from which its timeout counts (claimer.ts). */
  constructor(parts: AttemptParts, task: ClaimedTask, session: LiveSession, claimedAtMs: number) {
    const { clock, log, logStore: store, scratchBucket: bucket, timers } = parts;
    this.#parts = parts;
    this.#task = task;
    this.#session = session;
    this.leaseNo = task.lease_no;
    this.#log = log.child({ taskId: task.task_id, leaseNo: task.lease_no, job: `${task.dag}.${task.job.name}` });
    const key = `logs/${task.task_id}/${task.lease_no}.jsonl`;
    this.#taskLog = new AttemptLog({ store, bucket, key, clock, timers, log: this.#log });
    this.#claimedAtMs = claimedAtMs;
    // The dispatcher keeps the lease a little longer, so that an attempt that timed out can still say so.
    this.#endsAtMs = claimedAtMs + task.timeout_ms;
  }

  /** Resolves when nothing of it is left. Never rejects. */
  async run(): Promise<void> {
    const { metrics, timers } = this.#parts;
    const { attempt, job } = this.#task;
    const release = this.#session.hold(this);
    let working: Promise<unknown> = Promise.resolve();
    try {
      this.#taskLog.title(`attempt ${attempt} of job ${job.name} (${job.operator}), lease ${this.leaseNo}`);
      const operation = this.#operate();
      working = operation.catch(() => undefined); // Reported by #result, or of no interest after an abort.
      const result = await this.#result(operation);
      if (result?.kind === "failure") this.#taskLog.error(`${result.error.code}: ${result.error.detail}`);
      if (result === undefined) this.#taskLog.warn(`aborted: ${sayReason(this.#gone.signal)}`);
      if (result?.kind === "snooze") {
        this.#taskLog.warn(`handed back: ${sayReason(this.#work.signal)}`);
        // The worker has little time left, and the task matters more than its log.
        await Promise.all([this.#complete(result), this.#taskLog.close()]);
        return;
      }
      await this.#taskLog.close();
      // What the attempt staged is stored; nobody was told.
      const paused = this.#parts.race.reach("attempt:ended");
      if (paused) await paused;
      if (result === undefined) this.#abandoned();
      else await this.#complete(result);
    } catch (error) {
      // Nothing above should throw; the lease then ends with its deadline, and the task is tried again.
      this.#log.error({ error }, "an attempt broke off");
    } finally {
      await working;
      release();
      metrics.attemptSeconds.observe({ operator: job.operator }, (timers.monotonicMs() - this.#claimedAtMs) / 1_000);
    }
  }

  lose(reason: TraceError): void {
    this.#gone.abort(reason);
    this.#work.abort(reason);
  }

  /** The worker ends: aborts the operator, and hands the task back once it has stopped. A result that is there is kept. */
  letGo(): void {
    this.#work.abort(new TraceError("TR-3008", { detail: "the worker is stopping; the task is queued again" }));
  }

  async #operate(): Promise<readonly AttemptOutput[]> {
    const { operators, workplace } = this.#parts;
    const { job } = this.#task;
    const operator = Object.hasOwn(operators, job.operator) ? operators[job.operator] : undefined;
    if (operator === undefined) {
      throw new TraceError("TR-3012", {
        detail: `this worker knows no operator '${job.operator}'`,
        where: `job ${job.name}`,
        fix: `use one of ${Object.keys(operators).join(", ")}, or update the worker`,
      });
    }
    this.#work.signal.throwIfAborted();
    const folder = workplace.folderOf(this.leaseNo);
    const { clock, openStore: open, ownStore: own } = this.#parts;
    const writer = new StoreWriter({ ask: () => this.#credentials(), open, own, clock });
    try {
      return await operator.run(this.#context(folder, writer));
    } finally {
      await Promise.all([folder.remove(), writer.close()]);
    }
  }

  #context(folder: AttemptFolder, writer: StoreWriter): OperatorContext {
    const { services, timers } = this.#parts;
    const { lease_token: token, ...task } = this.#task;
    const { signal } = this.#work;
    return {
      task,
      workDir: () => folder.path(),
      writer,
      services,
      signal,
      log: this.#taskLog,
      inputs: () => this.#resolveInputs(token),
      progress: (progress) => {
        this.progress = { ...progress, message: progress.message.slice(0, progressCharsMax) };
        this.#session.progressed();
      },
      leftMs: () => Math.max(1, this.#endsAtMs - timers.monotonicMs()),
    };
  }

  async #resolveInputs(token: string): Promise<readonly ResolvedDataset[]> {
    const { taskApi } = this.#parts;
    const call = { token, signal: this.#work.signal };
    return (await this.#answerOf("name the inputs", () => taskApi.resolveInputs({}, call))).datasets;
  }

  /** A dispatcher that restarts must not cost an attempt: asks until it answers or the attempt ends. */
  async #answerOf<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const { services, timers } = this.#parts;
    const { signal } = this.#work;
    for (let tries = 0; ; tries += 1) {
      try {
        return await ask();
      } catch (error) {
        signal.throwIfAborted();
        if (!isCode(error, "TR-1007", "TR-1008", "TR-1009", "TR-4006")) throw error;
        if (tries === 0) this.#taskLog.warn(`the dispatcher does not answer; waiting for it to ${what}`);
      }
      await wait(timers, backoffMs({ baseMs: retryBaseMs, maxMs: retryMaxMs }, tries, services.random), signal);
    }
  }

  async #credentials(): Promise<StagingCredentials | undefined> {
    const { taskApi } = this.#parts;
    const call = { token: this.#task.lease_token, signal: this.#work.signal };
    try {
      return await this.#answerOf("hand out keys", () => taskApi.createCredentials({ body: {} }, call));
    } catch (error) {
      // As on AWS before there is a broker.
      if (isCode(error, "TR-4029")) return undefined;
      throw error;
    }
  }

  /** What to tell the dispatcher; undefined when there is nobody to tell any more. */
  async #result(operation: Promise<readonly AttemptOutput[]>): Promise<AttemptResult | undefined> {
    const { timers } = this.#parts;
    const { signal } = this.#work;
    const cancelTimeout = timers.after(this.#endsAtMs - timers.monotonicMs(), () => this.#work.abort(this.#timeout()));
    try {
      const outputs = await Promise.race([operation, rejectOnAbort(signal)]);
      return this.#gone.signal.aborted ? undefined : { kind: "success", outputs: [...outputs] };
    } catch (error) {
      if (this.#gone.signal.aborted) return undefined;
      if (isCode(signal.reason, "TR-3008")) return this.#handBack(operation);
      // After an abort, its reason is the cause and what the operator made of it is noise.
      return { kind: "failure", error: this.#recordOf(signal.aborted ? signal.reason : error) };
    } finally {
      cancelTimeout();
    }
  }

  /**
   * The task counts nothing of this attempt and is queued at once, so that it must have stopped here first. It may have
   * ended well in the same moment: then there is nothing to do again.
   */
  #handBack(operation: Promise<readonly AttemptOutput[]>): Promise<AttemptResult | undefined> {
    const ended = operation.then(
      (outputs): AttemptResult => ({ kind: "success", outputs: [...outputs] }),
      (): AttemptResult => ({ kind: "snooze", delay_ms: 0 }),
    );
    return Promise.race([ended, rejectOnAbort(this.#gone.signal).catch(() => undefined)]);
  }

  #timeout(): TraceError {
    return new TraceError("TR-3005", {
      detail: `the attempt did not end within its timeout of ${this.#task.timeout_ms} ms`,
      where: this.#where(),
      fix: "raise 'timeout' of the job in the DAG file, or give it less to do",
    });
  }

  #where(): string {
    return `job ${this.#task.job.name}, attempt ${this.#task.attempt}`;
  }

  #recordOf(error: unknown): ErrorRecord {
    if (error instanceof TraceError) return { where: this.#where(), ...toErrorRecord(error) };
    // The stack is for us, the message for the user.
    this.#log.error({ error }, "an operator failed without a code");
    return toErrorRecord(
      new TraceError("TR-3007", {
        detail: error instanceof Error ? error.message : String(error),
        where: this.#where(),
        fix: "look for this task in the log of the worker; if it fails again, report it as a bug",
      }),
    );
  }

  async #complete(result: AttemptResult): Promise<void> {
    const { completer, metrics } = this.#parts;
    const completion = { lease_token: this.#task.lease_token, result };
    const answer = await completer.complete(completion, this.#gone.signal);
    if (answer === undefined) return this.#abandoned();
    if (answer.accepted) {
      metrics.completions.inc({ result: result.kind });
      const { attempt_state, commits, task_state } = answer;
      const outcome = { result: result.kind, attempt_state, task_state, commits };
      if (result.kind === "success") this.#log.info(outcome, "attempt completed");
      else if (result.kind === "snooze") this.#log.info(outcome, "attempt handed back; its task is queued again");
      else this.#failed({ ...outcome, code: result.error.code, detail: result.error.detail });
      return;
    }
    metrics.completions.inc({ result: "refused" });
    const refusal = answer.error ?? {
      code: "TR-1010",
      detail: "the dispatcher refused the completion without a reason",
    };
    const stale = refusal.code === "TR-3001" || refusal.code === "TR-3003";
    this.#log.warn({ error: fromErrorRecord(refusal), result: result.kind }, "completion refused");
    // A stale attempt changes nothing, and neither does a failure or a handing back that cannot be said.
    if (stale || result.kind !== "success") return;
    this.#taskLog.error(`the result was refused: ${refusal.code}: ${refusal.detail}`);
    await this.#taskLog.close();
    await this.#complete({ kind: "failure", error: refusal });
  }

  /** A dead task waits for a person, so that it is an error; a task that is tried again is not. */
  #failed(outcome: { readonly task_state: string | undefined; readonly code: string; readonly detail: string }): void {
    if (outcome.task_state === "dead") this.#log.error(outcome, "attempt failed; its task is dead");
    else this.#log.warn(outcome, "attempt failed");
  }

  #abandoned(): void {
    const { completions, lostLeases } = this.#parts.metrics;
    const reason = this.#gone.signal.reason as TraceError | undefined;
    completions.inc({ result: "lost" });
    lostLeases.inc();
    this.#log.warn({ error: reason }, "lease lost; attempt aborted");
  }
}

function sayReason(signal: AbortSignal): string {
  const { code, message } = signal.reason as TraceError;
  return `${code}: ${message}`;
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
