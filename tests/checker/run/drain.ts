/** The end of a run: nothing is created any more, and every task gets to its end by itself, hurried where it waits for a time. */
import { setTimeout as pause } from "node:timers/promises";
import { type Client, TraceError, type userRoutes } from "@trace/contracts";
import type { Database } from "@trace/kit";
import { drainMsMax, drainQuietMsMax } from "./limits.ts";

const lookEveryMs = 500;
/** Tasks hurried at once. */
const hurriedMax = 5_000;

const leftText = `select (select count(*)::int from ready) + (select count(*)::int from waiting) + (select count(*)::int from leases) as left`;
const laterText = `select t.public_id as id from tasks t
  where t.task_id in (select task_id from ready where run_at > now() union all select task_id from waiting where run_at > now()) limit ${hurriedMax}`;

/** Resolves with how many tasks are not over: 0, or what did not move any more. */
export async function drain(
  db: Database,
  user: Client<typeof userRoutes>,
  tell: (left: number) => void,
): Promise<number> {
  const beganMs = performance.now();
  let least = Number.POSITIVE_INFINITY;
  let movedMs = beganMs;
  for (;;) {
    const left = (await db.raw<{ left: number }>(leftText))[0]?.left ?? 0;
    tell(left);
    const nowMs = performance.now();
    if (left < least) {
      least = left;
      movedMs = nowMs;
    }
    if (left === 0 || nowMs - beganMs > drainMsMax || nowMs - movedMs > drainQuietMsMax) return left;
    const later = await db.raw<{ id: string }>(laterText);
    if (later.length > 0)
      await hurry(
        user,
        later.map(({ id }) => id),
      );
    await pause(lookEveryMs);
  }
}

async function hurry(user: Client<typeof userRoutes>, ids: string[]): Promise<void> {
  try {
    await user.retryTasks({ body: { task_ids: ids } });
  } catch (error) {
    // Asked again at the next look.
    if (!(error instanceof TraceError)) throw error;
  }
}
