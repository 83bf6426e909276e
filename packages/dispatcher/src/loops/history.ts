/** Keeps partitions of history ahead of the numbers in use: an attempt that ends must always find its place. */
import { type Database, type Log, Loop } from "@trace/kit";
import { historyEveryMs, historyPartitionsAhead } from "../limits.ts";
import { addHistoryPartitions } from "../sql/statements.gen.ts";

export async function addPartitions(db: Database, log: Log): Promise<void> {
  const [row] = await db.query(addHistoryPartitions, { ahead: historyPartitionsAhead });
  if ((row?.made ?? 0) > 0) log.info({ partitions: row?.made }, "added partitions of history");
}

export function createHistory(options: { readonly db: Database; readonly log: Log }): Loop {
  return new Loop({
    name: "history",
    everyMs: historyEveryMs,
    log: options.log,
    async pass() {
      await addPartitions(options.db, options.log);
      return "idle";
    },
  });
}
