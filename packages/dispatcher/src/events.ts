/**
 * Events for the outside, written to the outbox by the transaction that decides what they tell (invariant 2): whoever hears
 * one may rely on it, and may hear it twice. Without a bus nothing is written.
 */
import type { Queryable } from "@trace/kit";
import { addCompletedEvents, addEvents } from "./sql/statements.gen.ts";

interface OfTask {
  readonly org_id: number;
  readonly job_id: number;
  /** The task's id of the API. */
  readonly task_id: string;
  /** 0: it was never begun. */
  readonly attempt: number;
}

/** What is told as detail: `org`, `dag`, `job` by name, and `task_id`, `attempt`, `dataset`, `generation`, `commit` as in the API. */
export type TaskEvent =
  | (OfTask & { readonly type: "task.completed" | "task.dead" | "task.canceled" })
  | (OfTask & {
      readonly type: "dataset.committed";
      readonly dataset: string;
      readonly generation: number;
      readonly commit: number;
    });

export class Events {
  readonly enabled: boolean;

  constructor(options: { readonly enabled: boolean }) {
    this.enabled = options.enabled;
  }

  async write(tx: Queryable, events: readonly TaskEvent[]): Promise<void> {
    if (!this.enabled || events.length === 0) return;
    await tx.query(addEvents, { events: JSON.stringify(events) });
  }

  /** `task.completed` of tasks that completed in this transaction, of which only the numbers are known. */
  async writeCompleted(tx: Queryable, taskIds: readonly number[]): Promise<void> {
    if (!this.enabled || taskIds.length === 0) return;
    await tx.query(addCompletedEvents, { task_ids: taskIds });
  }
}
