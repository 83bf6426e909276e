/** Tasks, attempts, sessions and leases as they cross a process. Words and states: ARCHITECTURE.md. */
import { z } from "zod";
import { jobDefinitionSchema } from "./dag/definition.ts";
import {
  attemptOutputSchema,
  commitRefSchema,
  partitionKeySchema,
  publishedSchema,
  stagingPlaceSchema,
} from "./dataset.ts";
import { errorRecordSchema, TraceError } from "./errors/index.ts";
import {
  batchItemsMax,
  claimWaitMsMax,
  cursorNameCharsMax,
  cursorPositionCharsMax,
  cursorsMax,
  outputsMax,
  wakeupTaskIdsMax,
} from "./limits.ts";
import { leaseNoSchema, leaseTokenSchema, nameSchema, timeSchema, uuidSchema } from "./names.ts";

export const taskStates = ["queued", "running", "completed", "canceled", "dead"] as const;
export const taskStateSchema = z.enum(taskStates);
export type TaskState = z.infer<typeof taskStateSchema>;

export const attemptStates = ["running", "succeeded", "failed", "expired", "released", "snoozed", "canceled"] as const;
export const attemptStateSchema = z.enum(attemptStates);
export type AttemptState = z.infer<typeof attemptStateSchema>;

/** A pointer to rows of Postgres state; losing it loses nothing (invariant 1). */
export const wakeupSchema = z.object({ queue: nameSchema, task_ids: z.array(uuidSchema).min(1).max(wakeupTaskIdsMax) });
export type Wakeup = z.infer<typeof wakeupSchema>;

export const progressSchema = z
  .object({
    message: z.string().max(200),
    done: z.number().nonnegative().optional(),
    total: z.number().nonnegative().optional(),
    unit: z.enum(["rows", "bytes", "ms"]).optional(),
  })
  .meta({ id: "Progress" });
export type Progress = z.infer<typeof progressSchema>;

/**
 * Why a queued task is not running: its time has not come (`due`), its job runs as many tasks as `max_concurrency` lets it
 * (`slot`), or no worker has claimed it yet (`worker`).
 */
export const waitingForSchema = z.enum(["due", "slot", "worker"]);
export type WaitingFor = z.infer<typeof waitingForSchema>;

export const attemptSchema = z
  .object({
    attempt: z.int(),
    lease_no: leaseNoSchema,
    state: attemptStateSchema,
    worker: z.string(),
    started_at: timeSchema,
    ended_at: timeSchema.nullable(),
    error: errorRecordSchema.nullable(),
  })
  .meta({ id: "Attempt" });
export type Attempt = z.infer<typeof attemptSchema>;

export const taskSchema = z
  .object({
    task_id: uuidSchema,
    dag: nameSchema,
    job: nameSchema,
    operator: z.string(),
    /** The output partition that it makes; missing or null where its job has none. */
    partition: partitionKeySchema.nullable().optional(),
    queue: nameSchema,
    state: taskStateSchema,
    /** Attempts begun so far, the running one included. */
    attempt: z.int(),
    /** Attempts that failed; the task is dead when they reach `failures_max`. */
    failures: z.int(),
    failures_max: z.int(),
    lease_losses: z.int(),
    priority: z.int(),
    /** When it may run next; null unless queued. */
    run_at: timeSchema.nullable(),
    /** What a queued task waits for; null unless queued. */
    waiting_for: waitingForSchema.nullable(),
    created_at: timeSchema,
    started_at: timeSchema.nullable(),
    ended_at: timeSchema.nullable(),
    worker: z.string().nullable(),
    progress: progressSchema.nullable(),
    /** The last error of any attempt. */
    error: errorRecordSchema.nullable(),
    commits: z.array(commitRefSchema),
  })
  .meta({ id: "Task" });
export type Task = z.infer<typeof taskSchema>;

export const openSessionSchema = z.object({
  worker: z.string().min(1).max(128),
  host: z.string().max(255),
  pid: z.int().nonnegative(),
  /** Tasks it can run at once: how many wake-ups are worth sending while tasks wait. */
  slots: z.int().min(1).max(batchItemsMax).default(1),
});

export const sessionSchema = z.object({
  session_id: uuidSchema,
  /** Without a beat for this long the session is over and its leases are lost. */
  ttl_ms: z.int().positive(),
  beat_ms: z.int().positive(),
});
export type Session = z.infer<typeof sessionSchema>;

export const heartbeatSchema = z.object({
  leases: z.array(leaseNoSchema).max(batchItemsMax),
  progress: z
    .array(z.object({ lease_no: leaseNoSchema, progress: progressSchema }))
    .max(batchItemsMax)
    .default([]),
});
export const heartbeatAnswerSchema = z.object({
  /** Of the lease numbers sent, those that are no longer live, every time. The holder aborts them at once. */
  lost: z.array(leaseNoSchema),
});

export const claimSchema = z.object({
  session_id: uuidSchema,
  queue: nameSchema,
  /** Hints from a wake-up; those still ready are taken first. */
  task_ids: z.array(uuidSchema).max(batchItemsMax).default([]),
  /** How many tasks the worker can run now; filled up with the next ones of the queue. */
  max: z.int().min(1).max(batchItemsMax),
  /**
   * When nothing is ready, the call stays open for so long, milliseconds, and is answered as soon as something becomes ready in
   * this dispatcher. A later claim of the same session takes its place: the earlier one is answered with nothing.
   */
  wait_ms: z.int().min(0).max(claimWaitMsMax).default(0),
});

/** An input pinned for an attempt. */
export const inputPinSchema = commitRefSchema.extend({
  /** Only what was added after this commit is to be read; missing: all that the pinned commit has. */
  from: z.int().nonnegative().optional(),
});
export type InputPin = z.infer<typeof inputPinSchema>;

const claimedParts = {
  task_id: uuidSchema,
  lease_no: leaseNoSchema,
  lease_token: leaseTokenSchema,
  attempt: z.int(),
  payload: z.record(z.string(), z.unknown()),
};
const claimedRelations = {
  run_id: uuidSchema.nullable(),
  inputs: z.array(inputPinSchema),
  /** Where each output is to be staged. */
  staging: z.array(stagingPlaceSchema),
  /** The output partition that the task keeps live; null where it has none. */
  partition: partitionKeySchema.nullable(),
};
/** A job as one version of its DAG defines it. */
const claimedJobParts = { dag: nameSchema, job: jobDefinitionSchema };

/** An attempt with all it needs to know of itself. */
export const claimedTaskSchema = z.object({
  ...claimedParts,
  ...claimedRelations,
  ...claimedJobParts,
  /** After this the attempt is over, whatever it does. Milliseconds from the claim, so that clocks need not agree. */
  timeout_ms: z.int().positive(),
});
export type ClaimedTask = z.infer<typeof claimedTaskSchema>;

/**
 * Hundreds of tasks of one claim are mostly of a few jobs, so a task names its job by its place in `jobs`, and leaves out
 * what it has nothing of. `claimedTasks` puts them together again.
 */
export const claimAnswerSchema = z.object({
  tasks: z.array(
    z.object({
      ...claimedParts,
      job: z.int().nonnegative(),
      run_id: claimedRelations.run_id.optional(),
      inputs: claimedRelations.inputs.optional(),
      staging: claimedRelations.staging.optional(),
      partition: claimedRelations.partition.optional(),
    }),
  ),
  jobs: z.array(z.object({ ...claimedJobParts, timeout_ms: z.int().positive() })),
  /** As much was taken as one claim takes, so the queue may have more. */
  more: z.boolean(),
});
export type ClaimAnswer = z.infer<typeof claimAnswerSchema>;

/** The tasks of a claim, each with its job. Throws TR-1010 when one names a job that the answer does not have. */
export function claimedTasks(answer: ClaimAnswer): ClaimedTask[] {
  return answer.tasks.map(({ job: index, run_id = null, inputs = [], staging = [], partition = null, ...task }) => {
    const job = answer.jobs[index];
    if (job === undefined) {
      throw new TraceError("TR-1010", { detail: `task ${task.task_id} names job ${index} of ${answer.jobs.length}` });
    }
    return { ...task, ...job, run_id, inputs, staging, partition };
  });
}

export const startSchema = z.object({
  lease_token: leaseTokenSchema,
  /** Made by the invocation itself: the same invocation may ask again, another one of the same attempt is refused. */
  nonce: uuidSchema,
});

/** How far a source has been read: moved with the commit, and only from where the attempt began. */
export const cursorMoveSchema = z.object({
  name: z.string().min(1).max(cursorNameCharsMax),
  /** Null: there is none yet. */
  from: z.string().max(cursorPositionCharsMax).nullable(),
  to: z.string().max(cursorPositionCharsMax),
});
export type CursorMove = z.infer<typeof cursorMoveSchema>;

export const attemptResultSchema = z
  .discriminatedUnion("kind", [
    z.object({
      kind: z.literal("success"),
      outputs: z.array(attemptOutputSchema).max(outputsMax).default([]),
      cursors: z.array(cursorMoveSchema).max(cursorsMax).optional(),
    }),
    /** `retry` follows the family of the error: a terminal error ends the task, attempts left or not. */
    z.object({ kind: z.literal("failure"), error: errorRecordSchema }),
    z.object({ kind: z.literal("snooze"), delay_ms: z.int().min(0).max(86_400_000) }),
  ])
  .meta({ id: "AttemptResult" });
export type AttemptResult = z.infer<typeof attemptResultSchema>;

export const completionSchema = z.object({ lease_token: leaseTokenSchema, result: attemptResultSchema });
export type Completion = z.infer<typeof completionSchema>;

/** Exactly one of `task_state` (accepted) and `error` (refused; nothing changed) is there. */
export const completionAnswerSchema = z.object({
  accepted: z.boolean(),
  attempt_state: attemptStateSchema.optional(),
  task_state: taskStateSchema.optional(),
  commits: z.array(publishedSchema).optional(),
  error: errorRecordSchema.optional(),
});
export type CompletionAnswer = z.infer<typeof completionAnswerSchema>;

export const createTaskSchema = z.object({
  dag: nameSchema,
  job: nameSchema,
  /** A second create with the same key of the same job answers with the first task. */
  dedupe_key: z.string().min(1).max(256).optional(),
  /** Lower runs first. */
  priority: z.int().min(-100).max(100).default(0),
  run_at: timeSchema.optional(),
  payload: z.record(z.string(), z.unknown()).default({}),
  /** Of a job whose tasks are for partitions: the one to make. */
  partition: partitionKeySchema.optional(),
});
export type CreateTask = z.input<typeof createTaskSchema>;

export const createTaskAnswerSchema = z.object({
  task_id: uuidSchema.optional(),
  /** False when the dedupe key was known, or a task for the same output was already live. */
  created: z.boolean(),
  error: errorRecordSchema.optional(),
});

/** Tasks that a person acts on; one answer each. */
export const taskIdsSchema = z.object({ task_ids: z.array(uuidSchema).min(1).max(batchItemsMax) });

export const taskActionAnswerSchema = z
  .object({
    task_id: uuidSchema,
    /** False when nothing was changed; `error` says why. */
    accepted: z.boolean(),
    /** The state the task is in now; missing when there is no such task. */
    state: taskStateSchema.optional(),
    error: errorRecordSchema.optional(),
  })
  .meta({ id: "TaskActionAnswer" });
export type TaskActionAnswer = z.infer<typeof taskActionAnswerSchema>;
