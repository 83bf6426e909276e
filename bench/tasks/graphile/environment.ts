/** What the processes of graphile-worker are told, and what they share. */
import { Logger } from "graphile-worker";

export const taskName = "bench";
/** Set by the benchmark; it holds the password. */
export const urlVariable = "BENCH_DATABASE_URL";
export const settingsVariable = "BENCH_WORKER_SETTINGS";

export function connectionString(): string {
  const url = process.env[urlVariable];
  if (url === undefined) throw new Error(`${urlVariable} is not set`);
  return url;
}

/** By default it writes several lines a job, which would be measured, too. */
export const silentLogger = new Logger(() => () => undefined);
