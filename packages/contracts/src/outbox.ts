/** Outbox rows that were refused too often, as people see them and give them back. */
import { z } from "zod";
import { errorRecordSchema } from "./errors/index.ts";
import { failedOutboxMax } from "./limits.ts";
import { nameSchema, timeSchema } from "./names.ts";

const outboxIdSchema = z.int().positive();

export const failedOutboxSchema = z
  .object({
    outbox_id: outboxIdSchema,
    /** Where it goes: wake-ups to SQS, or events to the event bus. */
    lane: z.enum(["sqs", "events"]),
    /** Whose workers it wakes; null in lane `events`. */
    queue: nameSchema.nullable(),
    /** Tasks that it names, or events in it. */
    entries: z.int(),
    /** Each once; none in lane `sqs`. */
    event_types: z.array(z.string()),
    /** Answers that blamed it before it was given up. */
    tries: z.int(),
    /** The last of them. */
    last_error: z.string(),
    last_tried_at: timeSchema,
  })
  .meta({ id: "FailedOutbox" });
export type FailedOutbox = z.infer<typeof failedOutboxSchema>;

export const failedOutboxAnswerSchema = z.object({
  messages: z.array(failedOutboxSchema),
  /** There are more than the limit. */
  more: z.boolean(),
});
export type FailedOutboxAnswer = z.infer<typeof failedOutboxAnswerSchema>;

export const outboxIdsSchema = z.object({ outbox_ids: z.array(outboxIdSchema).min(1).max(failedOutboxMax) });

export const requeueOutboxAnswerSchema = z
  .object({
    outbox_id: outboxIdSchema,
    /** False when nothing was changed; `error` says why. */
    accepted: z.boolean(),
    error: errorRecordSchema.optional(),
  })
  .meta({ id: "RequeueOutboxAnswer" });
export type RequeueOutboxAnswer = z.infer<typeof requeueOutboxAnswerSchema>;
