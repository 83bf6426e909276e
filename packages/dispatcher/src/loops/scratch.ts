/**
 * Retention of scratch: logs are kept for a week, and for as long as their task has not ended. Of a bucket in AWS the lifecycle does
 * the same; this is for stores without one. A page of a pass, from where the last one ended.
 */
import type { Database, ObjectStore } from "@trace/kit";
import { scratchKeptMs, scratchObjectsMax, scratchRestMs } from "../limits.ts";
import { unsettledTasks } from "../sql/statements.gen.ts";
import type { Emptied } from "./garbage-places.ts";

/** `logs/<task>/<lease>.jsonl`, as workers write them. */
const prefix = "logs/";
const logKey = /^logs\/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\/[0-9]+\.jsonl$/;

export interface ScratchOptions {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly scratchBucket: string;
  readonly nowMs: () => number;
}

export class ScratchRetention {
  readonly #options: ScratchOptions;
  /** The last key that was looked at; undefined: from the front. */
  #after: string | undefined;
  #restsUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: ScratchOptions) {
    this.#options = options;
  }

  async pass(): Promise<Emptied> {
    const { db, store, scratchBucket: bucket, nowMs } = this.#options;
    const now = nowMs();
    if (now < this.#restsUntilMs) return { objects: 0, bytes: 0 };
    const page = await store.list({ bucket, prefix, after: this.#after, max: scratchObjectsMax });
    const old = page.objects.filter(({ modifiedAt }) => now - modifiedAt.getTime() > scratchKeptMs);
    // What has another name is of somebody else, and none of ours to judge.
    const tasks = new Map<string, string>();
    for (const { key } of old) {
      const task = logKey.exec(key)?.[1];
      if (task !== undefined) tasks.set(key, task);
    }
    const open = await db.query(unsettledTasks, { public_ids: [...new Set(tasks.values())] });
    const unsettled = new Set(open.map((row) => row.public_id));
    const gone = old.filter(({ key }) => tasks.has(key) && !unsettled.has(tasks.get(key) ?? ""));
    await store.deleteMany(
      bucket,
      gone.map(({ key }) => key),
    );
    // Only now: what failed is looked at again.
    this.#after = page.more ? page.objects.at(-1)?.key : undefined;
    if (!page.more) this.#restsUntilMs = now + scratchRestMs;
    return { objects: gone.length, bytes: gone.reduce((sum, object) => sum + object.bytes, 0) };
  }
}
