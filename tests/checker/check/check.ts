/** The whole check: a history, and the dump of the database when it was over. */
import { readLines } from "../history/file.ts";
import { FinalCheck } from "./final.ts";
import { HistoryCheck } from "./history.ts";
import { Verdict } from "./verdict.ts";
import { type CheckOptions, checkDefaults, World } from "./world.ts";

/** Reads both files once, line by line. Throws when one of them is not what it should be; what is wrong inside is found. */
export async function checkFiles(
  history: string,
  dump: string | undefined,
  options: Partial<CheckOptions> = {},
): Promise<Verdict> {
  return check(readLines(history), dump === undefined ? undefined : readLines(dump), options);
}

type Lines = AsyncIterable<{ line: number; value: unknown }> | Iterable<{ line: number; value: unknown }>;

export async function check(
  history: Lines,
  dump: Lines | undefined,
  options: Partial<CheckOptions> = {},
): Promise<Verdict> {
  const verdict = new Verdict();
  const world = new World(verdict, { ...checkDefaults, ...options });
  const calls = new HistoryCheck(world);
  for await (const { line, value } of history) calls.read(line, value);
  calls.end();
  if (dump !== undefined) {
    const final = new FinalCheck(world);
    for await (const { value } of dump) final.read(value);
    final.end();
  }
  verdict.settleClock(calls.clockStepNs);
  return verdict;
}
