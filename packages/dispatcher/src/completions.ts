/**
 * How attempts end: completion, release and expiry. All of it goes through one fence (lockLeases) and one statement that
 * moves the rows (endAttempts), so that an attempt has one end and a stale caller changes nothing (invariant 3).
 */
import {
  type AttemptResult,
  type Completion,
  type CompletionAnswer,
  completionAnswerSchema,
  type ErrorRecord,
  errorCatalogue,
  type TaskState,
  TraceError,
  toErrorRecord,
} from "@trace/contracts";
import type { Database, Log, ObjectStore, Queryable, Random } from "@trace/kit";
import type { InputJson, OutputJson } from "./claims.ts";
import { publish } from "./commits.ts";
import { type CheckedOutput, checkStaged } from "./manifests.ts";
import { type AttemptEnd, type AttemptEvent, endOfAttempt } from "./rules/attempt.ts";
import { storableRecord } from "./rules/text.ts";
import { decodeToken, leaseNoOf, sha256Of, stagingPrefix } from "./rules/token.ts";
import {
  describeLeases,
  dropCoveredInvalidations,
  endAttempts,
  findAttempts,
  type LockLeasesRow,
  lockLeases,
} from "./sql/statements.gen.ts";
import { invalidate, lockTriggered, settle } from "./triggers.ts";

/** What the caller of endAttempts knows of a lease: lockLeases' row, or the reaper's. */
export type HeldLease = Omit<LockLeasesRow, "live">;

interface Ending {
  readonly lease: HeldLease;
  readonly end: AttemptEnd;
  readonly error: ErrorRecord | null;
  readonly call: Buffer | null;
  readonly answer: CompletionAnswer | null;
}

export interface CompletionEvents {
  /** Something became ready: the outbox holds wake-ups. */
  onReady(): void;
  onEnded(state: AttemptEnd["attemptState"], task: TaskState): void;
  onRefused(code: string): void;
}

export interface CompletionsOptions {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly datasetsBucket: string;
  readonly random: Random;
  readonly log: Log;
  readonly events: CompletionEvents;
}

/** TR-3001, for a token that is not the live one of its task. */
export function stale(): TraceError {
  return new TraceError("TR-3001", {
    detail: "this lease token is not the live one of its task",
    why: "the lease expired, its session ended, or the attempt has been ended; nothing was changed",
    fix: "drop the work: the task belongs to a later attempt or is over",
  });
}

function lostTooOften(losses: number, last: TraceError): TraceError {
  return new TraceError("TR-3006", {
    detail: `the task lost its lease ${losses} times and is given up`,
    why: last.message,
    fix: "look at the workers' logs and memory at these times; the task may be what kills them",
  });
}

function refusal(error: TraceError): CompletionAnswer {
  return { accepted: false, error: toErrorRecord(error) };
}

function eventOf(result: AttemptResult): AttemptEvent {
  if (result.kind === "success") return { kind: "success" };
  if (result.kind === "snooze") return { kind: "snooze", delayMs: result.delay_ms };
  return { kind: errorCatalogue[result.error.code].family };
}

function countsOf(lease: HeldLease) {
  return {
    attempt: lease.attempt,
    failures: lease.failures,
    failuresMax: lease.failures_max,
    leaseLosses: lease.lease_losses,
    leaseLossesMax: lease.lease_losses_max,
  };
}

/** The hash of what the caller said, so that the same call again can be told from another one. */
function callHash(result: AttemptResult): Buffer {
  return sha256Of(JSON.stringify(result));
}

export class Completions {
  readonly #options: CompletionsOptions;

  constructor(options: CompletionsOptions) {
    this.#options = options;
  }

  /** One answer per item, in order. An item that is refused changes nothing and does not touch the others. */
  async complete(items: readonly Completion[]): Promise<CompletionAnswer[]> {
    const tokens = items.map((item) => decodeToken(item.lease_token));
    const rows = await this.#options.db.query(describeLeases, { tokens });
    const known = new Map(rows.map((row) => [row.token.toString("hex"), row]));
    const answers = new Map<number, CompletionAnswer>();
    const plain: number[] = [];
    for (const [index, item] of items.entries()) {
      const row = known.get(tokens[index]?.toString("hex") ?? "");
      const outputs = (row?.outputs as OutputJson[] | undefined) ?? [];
      const tracked = outputs.length > 0 || ((row?.inputs as InputJson[] | undefined)?.length ?? 0) > 0;
      if (row === undefined || (!tracked && (item.result.kind !== "success" || item.result.outputs.length === 0))) {
        plain.push(index);
      } else {
        answers.set(index, await this.#completeOne(item, tokens[index] as Buffer, row));
      }
    }
    for (const [index, answer] of await this.#completePlain(items, tokens, plain)) answers.set(index, answer);
    return items.map((_, index) => answers.get(index) ?? refusal(stale()));
  }

  /** Hands unstarted work back: the task is ready at once, with the attempt number it had. */
  async release(leaseTokens: readonly string[]): Promise<{ accepted: boolean; error?: ErrorRecord }[]> {
    const tokens = leaseTokens.map(decodeToken);
    const accepted = await this.#options.db.transaction(async (tx) => {
      const live = (await tx.query(lockLeases, { tokens })).filter((lease) => lease.live);
      const endings = live.map((lease) => ({
        lease,
        end: endOfAttempt(countsOf(lease), { kind: "release" }, this.#options.random),
        error: null,
        call: null,
        answer: null,
      }));
      await this.#end(tx, endings);
      return new Set(live.map((lease) => lease.token.toString("hex")));
    });
    if (accepted.size > 0) this.#options.events.onReady();
    return tokens.map((token) =>
      accepted.has(token.toString("hex")) ? { accepted: true } : { accepted: false, error: toErrorRecord(stale()) },
    );
  }

  /** Ends leases that the caller has locked and found expired. Used by the reaper; runs in its transaction. */
  async expire(
    tx: Queryable,
    leases: readonly { lease: HeldLease; event: AttemptEvent; error: TraceError }[],
  ): Promise<void> {
    const endings = leases.map(({ lease, event, error }) => {
      const end = endOfAttempt(countsOf(lease), event, this.#options.random);
      const last = end.taskState === "dead" && event.kind === "lost" ? lostTooOften(end.leaseLosses, error) : error;
      return { lease, end, error: toErrorRecord(last), call: null, answer: null };
    });
    // Only a task that ends frees its output and may let a waiting job start; the others stay live.
    const over = endings.filter((ending) => ending.end.taskState === "dead" && ending.lease.output_partition !== null);
    const jobs = [...new Set(over.map((ending) => ending.lease.job_id))];
    const locked = jobs.length === 0 ? [] : await lockTriggered(tx, jobs, []);
    await this.#end(tx, endings);
    for (const { lease } of over) {
      await tx.query(dropCoveredInvalidations, { job_id: lease.job_id, lease_no: lease.lease_no });
    }
    if (locked.length > 0) await settle(tx, locked);
  }

  /** Attempts that read and write no dataset: one transaction for all of them. */
  async #completePlain(
    items: readonly Completion[],
    tokens: readonly Buffer[],
    indexes: readonly number[],
  ): Promise<Map<number, CompletionAnswer>> {
    const answers = new Map<number, CompletionAnswer>();
    if (indexes.length === 0) return answers;
    const firstOf = new Map<string, number>();
    for (const index of indexes) {
      const hex = tokens[index]?.toString("hex") ?? "";
      if (!firstOf.has(hex)) firstOf.set(hex, index);
    }
    const ended = await this.#options.db.transaction(async (tx) => {
      const held = await tx.query(lockLeases, {
        tokens: [...firstOf.values()].map((index) => tokens[index] as Buffer),
      });
      const endings: Ending[] = [];
      for (const lease of held) {
        const item = items[firstOf.get(lease.token.toString("hex")) ?? -1];
        if (!lease.live || item === undefined) continue;
        endings.push(this.#ending(lease, item.result, []));
      }
      await this.#end(tx, endings);
      return endings;
    });
    const byToken = new Map(ended.map((ending) => [ending.lease.token.toString("hex"), ending]));
    for (const [hex, index] of firstOf) {
      const ending = byToken.get(hex);
      if (ending?.answer) answers.set(index, ending.answer);
    }
    this.#tell(ended);
    const rest = indexes.filter((index) => !answers.has(index));
    for (const [index, answer] of await this.#answerEnded(items, tokens, rest)) answers.set(index, answer);
    return answers;
  }

  /** An attempt of a job with inputs or outputs: its outputs are checked first, then all of it is one transaction. */
  async #completeOne(
    item: Completion,
    token: Buffer,
    row: { outputs: unknown; public_id: string; lease_no: number; live: boolean },
  ): Promise<CompletionAnswer> {
    try {
      // Only lockLeases decides; what is stale already is not worth a look at the store.
      const outputs = row.live ? await this.#checkOutputs(item.result, token, row) : [];
      const ending = await this.#options.db.transaction(async (tx) => {
        const [lease] = await tx.query(lockLeases, { tokens: [token] });
        if (lease === undefined || !lease.live || !row.live) return undefined;
        const generationIds = outputs.map((output) => output.place.generationId);
        const locked = await lockTriggered(tx, [lease.job_id], generationIds);
        const published = outputs.length === 0 ? { refs: [], committed: [] } : await publish(tx, lease, outputs);
        const made = this.#ending(lease, item.result, published.refs);
        await this.#end(tx, [made]);
        await invalidate(tx, locked, published.committed, lease.run_id);
        if (made.end.taskState !== "queued") {
          await tx.query(dropCoveredInvalidations, { job_id: lease.job_id, lease_no: lease.lease_no });
          await settle(tx, locked);
        }
        return made;
      });
      if (ending?.answer) {
        this.#tell([ending]);
        return ending.answer;
      }
      return (await this.#answerEnded([item], [token], [0])).get(0) ?? refusal(stale());
    } catch (error) {
      if (!(error instanceof TraceError) || error.code === "TR-1009") throw error;
      this.#options.events.onRefused(error.code);
      return refusal(error);
    }
  }

  async #checkOutputs(
    result: AttemptResult,
    token: Buffer,
    row: { outputs: unknown; public_id: string; lease_no: number },
  ): Promise<CheckedOutput[]> {
    if (result.kind !== "success") return [];
    const declared = new Map((row.outputs as OutputJson[]).map((output) => [output.dataset, output]));
    const staged = new Set(result.outputs.map((output) => output.dataset));
    const faults = [
      ...[...declared.keys()].filter((name) => !staged.has(name)).map((name) => `'${name}' was not staged`),
      ...[...staged].filter((name) => !declared.has(name)).map((name) => `'${name}' is no output of this job`),
      ...(staged.size === result.outputs.length ? [] : ["an output is named twice"]),
    ];
    if (faults.length > 0) {
      throw new TraceError("TR-4005", {
        detail: `the outputs staged are not those of the job: ${faults.join("; ")}`,
        why: "an attempt publishes every output of its job and nothing else, so that readers never see half of it",
        fix: "stage each dataset in the claim's `staging` exactly once",
      });
    }
    return Promise.all(
      result.outputs.map((output) => {
        const { generation_id, storage_id } = declared.get(output.dataset) as OutputJson;
        return checkStaged(
          this.#options.store,
          {
            dataset: output.dataset,
            generationId: generation_id,
            bucket: this.#options.datasetsBucket,
            prefix: stagingPrefix(storage_id, token),
            taskId: row.public_id,
            leaseNo: row.lease_no,
          },
          output,
        );
      }),
    );
  }

  #ending(lease: HeldLease, result: AttemptResult, commits: CompletionAnswer["commits"]): Ending {
    const end = endOfAttempt(countsOf(lease), eventOf(result), this.#options.random);
    const answer: CompletionAnswer = { accepted: true, attempt_state: end.attemptState, task_state: end.taskState };
    if (commits !== undefined) answer.commits = commits;
    return {
      lease,
      end,
      error: result.kind === "failure" ? storableRecord(result.error) : null,
      call: callHash(result),
      answer,
    };
  }

  /** Moves the rows. The caller holds the leases. */
  async #end(tx: Queryable, endings: readonly Ending[]): Promise<void> {
    if (endings.length === 0) return;
    const queued = endings.filter((ending) => ending.end.taskState === "queued");
    const over = endings.filter((ending) => ending.end.taskState !== "queued");
    const [row] = await tx.query(endAttempts, {
      tokens: endings.map((ending) => ending.lease.token),
      history: JSON.stringify(
        endings.map(({ lease, end, error, call, answer }) => ({
          lease_no: lease.lease_no,
          task_id: lease.task_id,
          attempt: lease.attempt,
          state: end.attemptState,
          worker: lease.worker,
          token_sha256: sha256Of(lease.token).toString("hex"),
          call_sha256: call?.toString("hex") ?? null,
          answer,
          error,
          started_at: lease.claimed_at,
        })),
      ),
      outcomes: JSON.stringify(
        over.map(({ lease, end, error }) => ({
          task_id: lease.task_id,
          state: end.taskState,
          attempt: end.attempt,
          failures: end.failures,
          lease_losses: end.leaseLosses,
          error,
        })),
      ),
      again: JSON.stringify(
        queued.map(({ lease, end }) => ({
          task_id: lease.task_id,
          queue_id: lease.queue_id,
          priority: lease.priority,
          delay_ms: end.delayMs,
          attempt: end.attempt,
          failures: end.failures,
          lease_losses: end.leaseLosses,
        })),
      ),
      freed_task_ids: over.map((ending) => ending.lease.task_id),
      wakeups: JSON.stringify(wakeupsFor(queued)),
    });
    if (row?.ended !== endings.length) throw new Error(`held ${endings.length} leases, ended ${row?.ended}`);
  }

  /** Tokens without a live lease: the same call gets its first answer, another one is told so, the rest are stale. */
  async #answerEnded(
    items: readonly Completion[],
    tokens: readonly Buffer[],
    indexes: readonly number[],
  ): Promise<Map<number, CompletionAnswer>> {
    const answers = new Map<number, CompletionAnswer>();
    if (indexes.length === 0) return answers;
    const leaseNos = indexes.map((index) => leaseNoOf(tokens[index] as Buffer));
    const rows = await this.#options.db.query(findAttempts, { lease_nos: leaseNos });
    const byLease = new Map(rows.map((row) => [row.lease_no, row]));
    for (const index of indexes) {
      const token = tokens[index] as Buffer;
      const row = byLease.get(leaseNoOf(token));
      const item = items[index] as Completion;
      const answer = completionAnswerSchema.safeParse(row?.answer);
      if (
        row === undefined ||
        !row.token_sha256.equals(sha256Of(token)) ||
        row.call_sha256 === null ||
        !answer.success
      ) {
        this.#options.events.onRefused("TR-3001");
        answers.set(index, refusal(stale()));
      } else if (row.call_sha256.equals(callHash(item.result))) {
        answers.set(index, answer.data);
      } else {
        this.#options.events.onRefused("TR-3003");
        answers.set(index, {
          ...answer.data,
          accepted: false,
          error: toErrorRecord(
            new TraceError("TR-3003", {
              detail: `this attempt has ended as '${row.state}' by another call`,
              why: "an attempt has one end; the first call that ended it stands",
              fix: "nothing is left to do for this attempt",
            }),
          ),
        });
      }
    }
    return answers;
  }

  #tell(endings: readonly Ending[]): void {
    for (const { end } of endings) this.#options.events.onEnded(end.attemptState, end.taskState);
    // A commit may have started other jobs as well, so the outbox is looked at whatever the task's own end was.
    if (endings.length > 0) this.#options.events.onReady();
  }
}

/** One outbox row per (queue, delay), at most 1,000 ids each. */
function wakeupsFor(queued: readonly Ending[]): { queue_id: number; delay_ms: number; task_ids: string[] }[] {
  const groups = new Map<string, { queue_id: number; delay_ms: number; task_ids: string[] }[]>();
  for (const { lease, end } of queued) {
    const key = `${lease.queue_id}:${end.delayMs}`;
    const rows = groups.get(key) ?? [];
    groups.set(key, rows);
    let last = rows.at(-1);
    if (last === undefined || last.task_ids.length >= 1_000) {
      last = { queue_id: lease.queue_id, delay_ms: end.delayMs, task_ids: [] };
      rows.push(last);
    }
    last.task_ids.push(lease.public_id);
  }
  return [...groups.values()].flat();
}
