/** Wake-ups that a transaction wrote to the outbox and whose writer sends them at once, before the outbox loop would. */

export interface WakeupRow {
  readonly outbox_id: number;
  readonly queue_id: number;
  readonly task_ids: readonly string[];
}

/** JSON that Postgres built for us: the rows of the outbox that a statement wrote and that are due at once. */
export function wakeupRows(json: unknown): WakeupRow[] {
  return json as WakeupRow[];
}
