/**
 * How workers end attempts: completion and release. All of it goes through one fence (lockLeases, or completePlain for the
 * many that succeed and have nothing to publish), so that an attempt has one end and a stale caller changes nothing
 * (invariant 3).
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
import { type Database, type Log, noRace, type ObjectStore, type RacePoints, type Random } from "@trace/kit";
import type { InputJson, OutputJson } from "./claims.ts";
import { Coalescer } from "./coalescer.ts";
import { admit, type Ending, end, endingOf, follow, type HeldLease, jobsToLock, lockLive } from "./endings.ts";
import type { Events } from "./events.ts";
import type { FooterReader } from "./footers/reader.ts";
import { checksFootersOf, type FooterChecks } from "./footers/whose.ts";
import {
  completeBatchMax,
  completesInFlightMax,
  completesWaitingMax,
  publishChecksInFlight,
  slowBatchMs,
} from "./limits.ts";
import { type CheckedOutput, checkOutputs } from "./manifests.ts";
import { type EndingAttempt, Publishing } from "./publishing.ts";
import type { AttemptEnd, AttemptEvent } from "./rules/attempt.ts";
import { storableRecord } from "./rules/text.ts";
import { decodeToken, leaseNoOf, sha256Of, taskNoOf, tokenBytes } from "./rules/token.ts";
import {
  completePlain,
  type DescribeLeasesRow,
  describeLeases,
  type FindAttemptsRow,
  findAttempts,
  lockJobs,
} from "./sql/statements.gen.ts";
import { lockTriggered, wholePartition } from "./triggers.ts";
import type { WakeupRow } from "./wakeups.ts";

export interface CompletionEvents {
  /** Something became ready: these wake-ups were written to the outbox. */
  onReady(wakeups: readonly WakeupRow[]): void;
  onEnded(state: AttemptEnd["attemptState"], task: TaskState, count: number): void;
  onRefused(code: string): void;
}

export interface CompletionsOptions {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly datasetsBucket: string;
  /** Reads what files say of themselves; `checks`: whose. Undefined: nobody's. */
  readonly footers?: { readonly reader: FooterReader; readonly checks: FooterChecks } | undefined;
  readonly random: Random;
  readonly log: Log;
  readonly events: CompletionEvents;
  /** What the world outside is told of, by the transactions that decide it. */
  readonly outgoing: Events;
  readonly race?: RacePoints;
}

/** TR-3001, for a token that is not the live one of its task. */
export function stale(): TraceError {
  return new TraceError("TR-3001", {
    detail: "this lease token is not the live one of its task",
    why: "the lease expired, its session ended, or the attempt has been ended; nothing was changed",
    fix: "drop the work: the task belongs to a later attempt or is over",
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

function endingAttempt(
  result: AttemptResult,
  token: Buffer,
  row: DescribeLeasesRow,
  outputs: readonly CheckedOutput[],
): EndingAttempt {
  return { token, jobId: row.job_id, partition: row.output_partition ?? wholePartition, result, outputs };
}

/** The hash of what the caller said, so that the same call again can be told from another one. */
function callHash(result: AttemptResult): Buffer {
  return sha256Of(JSON.stringify(result));
}

function isPlain(result: AttemptResult): boolean {
  return result.kind === "success" && result.outputs.length === 0 && (result.cursors?.length ?? 0) === 0;
}

/** What a success without outputs is answered; nothing of it has to be kept with the attempt. */
const plainAnswer: CompletionAnswer = {
  accepted: true,
  attempt_state: "succeeded",
  task_state: "completed",
  commits: [],
};

export class Completions {
  readonly #options: CompletionsOptions;
  readonly #race: RacePoints;
  readonly #plain: Coalescer<Buffer, boolean>;
  readonly #publishing: Publishing;

  constructor(options: CompletionsOptions) {
    this.#options = options;
    this.#race = options.race ?? noRace;
    this.#plain = new Coalescer({
      name: "completions",
      slowMs: slowBatchMs,
      batchMax: completeBatchMax,
      inFlightMax: completesInFlightMax,
      waitingMax: completesWaitingMax,
      run: (tokens) => this.#completePlain(tokens),
    });
    this.#publishing = new Publishing({
      db: options.db,
      outgoing: options.outgoing,
      race: this.#race,
      endingOf: (lease, result, { refs, again }) => this.#ending(lease, result, [...refs], again),
      told: (endings, wakeups) => this.#tell(endings, wakeups),
    });
  }

  /** One answer per item, in order. An item that is refused changes nothing and does not touch the others. */
  async complete(items: readonly Completion[]): Promise<CompletionAnswer[]> {
    const tokens = items.map((item) => decodeToken(item.lease_token));
    const answers: (CompletionAnswer | undefined)[] = items.map(() => undefined);
    const plain = [...items.keys()].filter((index) => isPlain((items[index] as Completion).result));
    const accepted = await this.#plain.call(plain.map((index) => tokens[index] as Buffer));
    for (const [at, index] of plain.entries()) if (accepted[at] === true) answers[index] = plainAnswer;
    const rest = [...items.keys()].filter((index) => answers[index] === undefined);
    for (const [index, answer] of await this.#completeRest(items, tokens, rest)) answers[index] = answer;
    return answers.map((answer) => answer ?? refusal(stale()));
  }

  /** Hands unstarted work back: the task is ready at once, with the attempt number it had. */
  async release(leaseTokens: readonly string[]): Promise<{ accepted: boolean; error?: ErrorRecord }[]> {
    const tokens = leaseTokens.map(decodeToken);
    const { released, wakeups } = await this.#options.db.transaction(async (tx) => {
      const live = await lockLive(tx, tokens);
      const endings = live.map((lease) => endingOf(lease, { kind: "release" }, this.#options.random));
      const { limited } = jobsToLock(endings);
      if (limited.length > 0) await tx.query(lockJobs, { job_ids: limited });
      const written = [
        ...(await end(tx, endings, this.#options.outgoing)),
        ...(limited.length > 0 ? await admit(tx, limited) : []),
      ];
      return { released: endings, wakeups: written };
    });
    this.#tell(released, wakeups);
    const accepted = new Set(released.map(({ lease }) => lease.token.toString("hex")));
    return tokens.map((token) =>
      accepted.has(token.toString("hex")) ? { accepted: true } : { accepted: false, error: toErrorRecord(stale()) },
    );
  }

  /** True for each token whose attempt this call ended. */
  async #completePlain(tokens: readonly Buffer[]): Promise<boolean[]> {
    const { db, events, outgoing } = this.#options;
    // One after another in one value: a token of another length would move all that follow it.
    const whole = tokens.filter((token) => token.length === tokenBytes);
    const params = { tokens: Buffer.concat(whole), tell: outgoing.enabled };
    const [row] = outgoing.enabled
      ? await db.transaction(async (tx) => {
          const rows = await tx.query(completePlain, params);
          await outgoing.writeCompleted(tx, rows[0]?.task_ids ?? []);
          return rows;
        })
      : await db.query(completePlain, params);
    if (row === undefined) throw new Error("a completion that was counted has no count");
    if (row.ended > 0) events.onEnded("succeeded", "completed", row.ended);
    const paused = this.#race.reach("complete:committed");
    if (paused) await paused;
    if (row.ended === tokens.length) return tokens.map(() => true);
    const ended = new Set(row.lease_nos);
    const numbers = tokens.map(leaseNoOf);
    const guessed = ambiguous(tokens, numbers);
    return numbers.map((leaseNo) => ended.has(leaseNo) && !guessed.has(leaseNo));
  }

  async #completeRest(
    items: readonly Completion[],
    tokens: readonly Buffer[],
    indexes: readonly number[],
  ): Promise<Map<number, CompletionAnswer>> {
    const answers = new Map<number, CompletionAnswer>();
    if (indexes.length === 0) return answers;
    const rows = await this.#options.db.query(describeLeases, {
      tokens: indexes.map((index) => tokens[index] as Buffer),
    });
    const known = new Map(rows.map((row) => [row.token.toString("hex"), row]));
    const together: number[] = [];
    const related: { index: number; item: Completion; token: Buffer; row: DescribeLeasesRow }[] = [];
    for (const index of indexes) {
      const item = items[index] as Completion;
      const row = known.get(tokens[index]?.toString("hex") ?? "");
      const relates =
        row !== undefined && ((row.outputs as OutputJson[]).length > 0 || (row.inputs as InputJson[]).length > 0);
      if (row === undefined || (!relates && (item.result.kind !== "success" || isPlain(item.result))))
        together.push(index);
      else related.push({ index, item, token: tokens[index] as Buffer, row });
    }
    for (let from = 0; from < related.length; from += publishChecksInFlight) {
      const some = related.slice(from, from + publishChecksInFlight);
      const made = await Promise.all(some.map(({ item, token, row }) => this.#completeOne(item, token, row)));
      for (const [at, answer] of made.entries()) answers.set(some[at]?.index ?? -1, answer);
    }
    for (const [index, answer] of await this.#completeTogether(items, tokens, together)) answers.set(index, answer);
    return answers;
  }

  /** Attempts that publish nothing: one transaction for all of them. */
  async #completeTogether(
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
    const { ended, wakeups } = await this.#options.db.transaction(async (tx) => {
      const held = await lockLive(
        tx,
        [...firstOf.values()].map((index) => tokens[index] as Buffer),
      );
      const paused = this.#race.reach("complete:locked");
      if (paused) await paused;
      const endings = held.flatMap((lease) => {
        const item = items[firstOf.get(lease.token.toString("hex")) ?? -1];
        return item === undefined ? [] : [this.#ending(lease, item.result, [])];
      });
      const { tracked, limited } = jobsToLock(endings);
      const locked = tracked.length + limited.length === 0 ? [] : await lockTriggered(tx, [...tracked, ...limited], []);
      return {
        ended: endings,
        wakeups: [...(await end(tx, endings, this.#options.outgoing)), ...(await follow(tx, endings, locked))],
      };
    });
    const byToken = new Map(ended.map((ending) => [ending.lease.token.toString("hex"), ending]));
    for (const [hex, index] of firstOf) {
      const ending = byToken.get(hex);
      if (ending?.answer) answers.set(index, ending.answer);
    }
    this.#tell(ended, wakeups);
    const rest = indexes.filter((index) => !answers.has(index));
    for (const [index, answer] of await this.#answerEnded(items, tokens, rest)) answers.set(index, answer);
    return answers;
  }

  /** An attempt of a job with inputs or outputs: its outputs are checked first, then it ends in one transaction with others. */
  async #completeOne(item: Completion, token: Buffer, row: DescribeLeasesRow): Promise<CompletionAnswer> {
    try {
      // Only lockLeases decides; what is stale already is not worth a look at the store.
      const outputs = row.live ? await this.#checkOutputs(item.result, token, row) : [];
      const checked = this.#race.reach("complete:checked");
      if (checked) await checked;
      const ended = row.live ? await this.#publishing.end(endingAttempt(item.result, token, row, outputs)) : undefined;
      const committed = this.#race.reach("complete:committed");
      if (committed) await committed;
      if (ended instanceof TraceError) throw ended;
      if (ended?.answer) return ended.answer;
      return (await this.#answerEnded([item], [token], [0])).get(0) ?? refusal(stale());
    } catch (error) {
      if (!(error instanceof TraceError) || error.code === "TR-1009") throw error;
      this.#options.events.onRefused(error.code);
      return refusal(error);
    }
  }

  #checkOutputs(result: AttemptResult, token: Buffer, row: DescribeLeasesRow): Promise<CheckedOutput[]> {
    if (result.kind !== "success") return Promise.resolve([]);
    const { store, datasetsBucket, footers } = this.#options;
    const attempt = {
      bucket: datasetsBucket,
      token,
      taskId: row.public_id,
      leaseNo: row.lease_no,
      partition: row.output_partition === wholePartition ? null : row.output_partition,
    };
    const reader = footers !== undefined && checksFootersOf(row.operator, footers.checks) ? footers.reader : undefined;
    return checkOutputs(store, result.outputs, row.outputs as OutputJson[], attempt, reader);
  }

  /** `again`: what the attempt wrote counts for nothing, and the task is queued at once to do it anew. */
  #ending(lease: HeldLease, result: AttemptResult, commits: CompletionAnswer["commits"], again = false): Ending {
    const event: AttemptEvent = again ? { kind: "snooze", delayMs: 0 } : eventOf(result);
    const ending = endingOf(lease, event, this.#options.random, {
      error: result.kind === "failure" ? storableRecord(result.error) : null,
      call: callHash(result),
    });
    const answer: CompletionAnswer = {
      accepted: true,
      attempt_state: ending.end.attemptState,
      task_state: ending.end.taskState,
      ...(commits === undefined ? {} : { commits }),
    };
    return { ...ending, answer };
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
    const taskIds = indexes.map((index) => taskNoOf(tokens[index] as Buffer));
    const rows = await this.#options.db.query(findAttempts, { lease_nos: leaseNos, task_ids: taskIds });
    const byLease = new Map(rows.map((row) => [row.lease_no, row]));
    for (const index of indexes) {
      const token = tokens[index] as Buffer;
      const answer = answerAgain(byLease.get(leaseNoOf(token)), token, (items[index] as Completion).result);
      if (answer.error !== undefined) this.#options.events.onRefused(answer.error.code);
      answers.set(index, answer);
    }
    return answers;
  }

  #tell(endings: readonly Ending[], wakeups: readonly WakeupRow[]): void {
    for (const { end: ended } of endings) this.#options.events.onEnded(ended.attemptState, ended.taskState, 1);
    if (wakeups.length > 0) this.#options.events.onReady(wakeups);
  }
}

/**
 * Lease numbers that came with several secrets, one of which may be the right one. Numbers can be guessed and calls of strangers
 * share a batch, so these are told apart by the token that is kept of the attempt.
 */
function ambiguous(tokens: readonly Buffer[], numbers: readonly number[]): Set<number> {
  const found = new Set<number>();
  const firsts = new Map<number, Buffer>();
  for (const [at, leaseNo] of numbers.entries()) {
    const token = tokens[at] as Buffer;
    const first = firsts.get(leaseNo);
    if (first === undefined) firsts.set(leaseNo, token);
    else if (!first.equals(token)) found.add(leaseNo);
  }
  return found;
}

/** What a call is told of an attempt that is over. */
function answerAgain(row: FindAttemptsRow | undefined, token: Buffer, result: AttemptResult): CompletionAnswer {
  if (row === undefined || !row.token.equals(token)) return refusal(stale());
  const plain = row.call_sha256 === null && row.state === "succeeded";
  const kept = plain ? { success: true as const, data: plainAnswer } : completionAnswerSchema.safeParse(row.answer);
  // Ended by no call of its holder: expired, canceled or released.
  if (!kept.success || (row.call_sha256 === null && !plain)) return refusal(stale());
  const same = plain ? isPlain(result) : row.call_sha256?.equals(callHash(result)) === true;
  if (same) return kept.data;
  const error = new TraceError("TR-3003", {
    detail: `this attempt has ended as '${row.state}' by another call`,
    why: "an attempt has one end; the first call that ended it stands",
    fix: "nothing is left to do for this attempt",
  });
  return { ...kept.data, accepted: false, error: toErrorRecord(error) };
}
