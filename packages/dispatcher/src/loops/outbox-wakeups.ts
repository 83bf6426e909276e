/**
 * Wake-ups as SQS takes them: the ids of whole rows, merged into messages of 100 ids and calls of ten messages. A burst of
 * single creates so costs few messages, and what of a call was not taken can be told by row.
 */
import { type Wakeup, wakeupTaskIdsMax } from "@trace/contracts";
import { type EntryFault, type MessageQueue, sqsBatchMax } from "@trace/kit";
import type { WakeupRow } from "../wakeups.ts";
import type { Unsent } from "./outbox-unsent.ts";

/** Ids that fit in one call. */
export const callIdsMax = wakeupTaskIdsMax * sqsBatchMax;

/** Rows of one queue that go in one call. */
export type WakeupCall<R extends WakeupRow = WakeupRow> = readonly [R, ...R[]];

export interface WakeupCounts {
  readonly messages: number;
  readonly ids: number;
}

/** Rows by queue and in order, as many together as fit in a call. */
export function callsOf<R extends WakeupRow>(rows: readonly R[]): WakeupCall<R>[] {
  const calls: [R, ...R[]][] = [];
  const last = new Map<number, { call: [R, ...R[]]; ids: number }>();
  for (const row of rows) {
    const open = last.get(row.queue_id);
    if (open !== undefined && open.ids + row.task_ids.length <= callIdsMax) {
      open.call.push(row);
      open.ids += row.task_ids.length;
      continue;
    }
    const call: [R, ...R[]] = [row];
    calls.push(call);
    last.set(row.queue_id, { call, ids: row.task_ids.length });
  }
  return calls;
}

/** Says what the rows say. Throws when SQS did not take the call, and also when it took none of its entries and blamed none. */
export async function sendCall(
  queue: MessageQueue,
  name: string,
  rows: WakeupCall,
  unsent: Unsent<string>,
): Promise<WakeupCounts> {
  const ids = rows.length === 1 ? rows[0].task_ids : rows.flatMap((row) => row.task_ids);
  const bodies: string[] = [];
  for (let from = 0; from < ids.length; from += wakeupTaskIdsMax) {
    const message: Wakeup = { queue: name, task_ids: ids.slice(from, from + wakeupTaskIdsMax) };
    bodies.push(JSON.stringify(message));
  }
  if (bodies.length === 0) return { messages: 0, ids: 0 };
  const faults = await queue.send(`trace-${name}`, bodies);
  const [first] = faults;
  if (first !== undefined && faults.every((fault) => fault?.blamed === false)) throw new Error(first.reason);
  unsent.heard = true;
  const failed = tellRows(rows, faults, unsent);
  return { messages: bodies.length - faults.filter((fault) => fault !== undefined).length, ids: ids.length - failed };
}

/** Finds the rows behind the messages that were not taken. Returns how many ids those held. */
function tellRows(rows: WakeupCall, faults: readonly (EntryFault | undefined)[], unsent: Unsent<string>): number {
  if (faults.every((fault) => fault === undefined)) return 0;
  let failed = 0;
  let place = 0;
  for (const row of rows) {
    for (const [index, fault] of faults.entries()) {
      if (fault === undefined) continue;
      const from = Math.max(0, index * wakeupTaskIdsMax - place);
      const ids = row.task_ids.slice(from, Math.max(from, (index + 1) * wakeupTaskIdsMax - place));
      if (ids.length > 0) unsent.add(row.outbox_id, ids, fault);
      failed += ids.length;
    }
    place += row.task_ids.length;
  }
  return failed;
}
