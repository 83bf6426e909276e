/** All that the benchmark knows of graphile-worker's tables. */
import type { Database } from "@trace/kit";

const jobs = "graphile_worker._private_jobs";

export async function emptyJobs(db: Database): Promise<void> {
  await db.raw(`truncate ${jobs}`);
}

export async function vacuumJobs(db: Database): Promise<void> {
  await db.raw(`vacuum (analyze) ${jobs}`);
}

/** Jobs queued, running or failed: it deletes what has succeeded. */
export async function openJobs(db: Database): Promise<number> {
  const [row] = await db.raw<{ n: number }>(`select count(*) as n from ${jobs}`);
  return row?.n ?? 0;
}
