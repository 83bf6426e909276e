/**
 * The one way attempts end: a lease that the caller holds goes, history stays, and the task gets its outcome or is queued
 * again. Completion, release, expiry and cancel all come through here (invariant 3).
 */
import type { CompletionAnswer, ErrorRecord } from "@trace/contracts";
import type { Queryable, Random } from "@trace/kit";
import type { Events, TaskEvent } from "./events.ts";
import { outboxTaskIdsMax } from "./limits.ts";
import { type AttemptEnd, type AttemptEvent, endOfAttempt } from "./rules/attempt.ts";
import { admitWaiting, endAttempts, type LockLeasesRow, lockLeases } from "./sql/statements.gen.ts";
import { afterEnd } from "./triggers.ts";
import { type WakeupRow, wakeupRows } from "./wakeups.ts";

/** What the caller knows of a lease that it has locked. */
export type HeldLease = Omit<LockLeasesRow, "live">;

export interface Ending {
  readonly lease: HeldLease;
  readonly end: AttemptEnd;
  readonly error: ErrorRecord | null;
  /** The hash of the call that ends it, and what it is answered; null where no caller asks again. */
  readonly call: Buffer | null;
  readonly answer: CompletionAnswer | null;
}

/**
 * Locks leases by their tokens and answers with those that are live. A session is judged as the statement's snapshot has it;
 * where that says "over", a beat may have been committed while the lease was waited for. So what seems dead is looked at once
 * more, by a statement that begins after the leases are held.
 */
export async function lockLive(tx: Queryable, tokens: readonly Buffer[]): Promise<LockLeasesRow[]> {
  const first = await tx.query(lockLeases, { tokens });
  if (first.every((lease) => lease.live)) return first;
  return (await tx.query(lockLeases, { tokens: first.map((lease) => lease.token) })).filter((lease) => lease.live);
}

export function endingOf(
  lease: HeldLease,
  event: AttemptEvent,
  random: Random,
  parts: Partial<Pick<Ending, "error" | "call" | "answer">> = {},
): Ending {
  const counts = {
    attempt: lease.attempt,
    failures: lease.failures,
    failuresMax: lease.failures_max,
    leaseLosses: lease.lease_losses,
    leaseLossesMax: lease.lease_losses_max,
  };
  const end = endOfAttempt(counts, event, random);
  return { lease, end, error: null, call: null, answer: null, ...parts };
}

/**
 * The jobs whose rows must be locked, in id order, before these end: those that free an output, which may let a waiting job
 * start, and those that free a slot.
 */
export function jobsToLock(endings: readonly Pick<Ending, "lease" | "end">[]): {
  tracked: number[];
  limited: number[];
} {
  const over = endings.filter(({ lease, end }) => end.taskState !== "queued" && lease.output_partition !== null);
  return {
    tracked: [...new Set(over.map(({ lease }) => lease.job_id))],
    limited: [...new Set(endings.filter(({ lease }) => lease.limited).map(({ lease }) => lease.job_id))],
  };
}

/** Moves the rows, and tells of tasks that are over. The caller holds the leases, and the jobs that `jobsToLock` names. */
export async function end(tx: Queryable, endings: readonly Ending[], events: Events): Promise<WakeupRow[]> {
  if (endings.length === 0) return [];
  const queued = endings.filter((ending) => ending.end.taskState === "queued");
  const over = endings.filter((ending) => ending.end.taskState !== "queued");
  const [row] = await tx.query(endAttempts, {
    tokens: endings.map((ending) => ending.lease.token),
    history: JSON.stringify(endings.map(historyOf)),
    outcomes: JSON.stringify(over.map(outcomeOf)),
    again: JSON.stringify(queued.map(againOf)),
    freed_task_ids: over.map((ending) => ending.lease.task_id),
    freed_slot_task_ids: endings.filter(({ lease }) => lease.limited).map(({ lease }) => lease.task_id),
    wakeups: JSON.stringify(wakeupsFor(queued)),
  });
  if (row?.ended !== endings.length) throw new Error(`held ${endings.length} leases, ended ${row?.ended}`);
  await events.write(tx, over.flatMap(eventOf));
  return wakeupRows(row.wakeups);
}

/**
 * What follows when attempts have ended: jobs that waited for their tasks start, and slots go to the next. `locked` are the
 * jobs that the caller holds.
 */
export async function follow(
  tx: Queryable,
  endings: readonly Pick<Ending, "lease" | "end">[],
  locked: readonly number[],
): Promise<WakeupRow[]> {
  const { tracked, limited } = jobsToLock(endings);
  const wakeups: WakeupRow[] = [];
  if (tracked.length > 0) {
    const ended = endings.flatMap(
      ({ lease: { job_id, output_partition, lease_no, dag_version_id }, end: { taskState } }) =>
        taskState === "queued" || output_partition === null
          ? []
          : [{ job_id, output_partition, lease_no, dag_version_id }],
    );
    wakeups.push(...(await afterEnd(tx, locked, ended)));
  }
  if (limited.length > 0) wakeups.push(...(await admit(tx, limited)));
  return wakeups;
}

/** Gives the free slots of limited jobs to tasks that wait. The caller holds the job rows. */
export async function admit(tx: Queryable, jobIds: readonly number[]): Promise<WakeupRow[]> {
  const [row] = await tx.query(admitWaiting, { job_ids: jobIds });
  return wakeupRows(row?.wakeups ?? []);
}

function eventOf({ lease, end: ended }: Ending): TaskEvent[] {
  const { org_id, job_id, attempt, public_id: task_id } = lease;
  const { taskState } = ended;
  if (taskState === "queued" || taskState === "running") return [];
  return [{ type: `task.${taskState}`, org_id, job_id, task_id, attempt }];
}

function historyOf({ lease, end: ended, error, call, answer }: Ending) {
  return {
    lease_no: lease.lease_no,
    task_id: lease.task_id,
    attempt: lease.attempt,
    state: ended.attemptState,
    worker: lease.worker,
    token: lease.token.toString("hex"),
    call_sha256: call?.toString("hex") ?? null,
    answer,
    error,
    started_at: lease.claimed_at,
  };
}

function outcomeOf({ lease, end: ended, error }: Ending) {
  return {
    task_id: lease.task_id,
    state: ended.taskState,
    attempt: ended.attempt,
    failures: ended.failures,
    lease_losses: ended.leaseLosses,
    lease_no: lease.lease_no,
    error,
  };
}

function againOf({ lease, end: ended }: Ending) {
  return {
    task_id: lease.task_id,
    job_id: lease.job_id,
    queue_id: lease.queue_id,
    priority: lease.priority,
    delay_ms: ended.delayMs,
    attempt: ended.attempt,
    failures: ended.failures,
    lease_losses: ended.leaseLosses,
    limited: lease.limited,
  };
}

/** One outbox row per (queue, delay), at most 1,000 ids each. Tasks that go back to waiting are spoken for when they get a slot. */
function wakeupsFor(queued: readonly Ending[]): { queue_id: number; delay_ms: number; task_ids: string[] }[] {
  const groups = new Map<string, { queue_id: number; delay_ms: number; task_ids: string[] }[]>();
  for (const { lease, end: ended } of queued) {
    if (lease.limited) continue;
    const key = `${lease.queue_id}:${ended.delayMs}`;
    const rows = groups.get(key) ?? [];
    groups.set(key, rows);
    let last = rows.at(-1);
    if (last === undefined || last.task_ids.length >= outboxTaskIdsMax) {
      last = { queue_id: lease.queue_id, delay_ms: ended.delayMs, task_ids: [] };
      rows.push(last);
    }
    last.task_ids.push(lease.public_id);
  }
  return [...groups.values()].flat();
}
