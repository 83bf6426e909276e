/** What a refusal must leave behind: nothing. Rows are counted in Postgres state, files where they lie. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { ErrorRecord } from "@trace/contracts";
import { expect } from "vitest";
import type { Access } from "./harness/access.ts";
import { until } from "./harness/until.ts";

/** Every table in which a deploy, a task or a commit leaves a row that stays. */
const lastingTables = [
  "dags",
  "dag_versions",
  "jobs",
  "job_versions",
  "datasets",
  "generations",
  "runs",
  "tasks",
  "task_keys",
  "partitions",
  "commits",
  "commit_files",
] as const;

export type RowCounts = Readonly<Record<(typeof lastingTables)[number], number>>;

export async function rowCounts(access: Access): Promise<RowCounts> {
  const counts = lastingTables.map((table) => `(select count(*)::int from ${table}) as ${table}`).join(", ");
  const [row] = await access.sql<RowCounts>(`select ${counts}`);
  if (row === undefined) throw new Error("no counts");
  return row;
}

/** Files below a folder, relative to it, links not followed. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

export interface ObjectFiles {
  /** Objects of the datasets bucket, committed or staged. */
  readonly datasets: readonly string[];
  /** Uploads in flight, or left over. */
  readonly temporary: readonly string[];
  /** Private folders of attempts. */
  readonly work: readonly string[];
}

/** What a worker keeps of itself beside the folders of its attempts: its session, for who starts after it. */
export function isWorkersOwn(name: string): boolean {
  return /(^|\/)sessions\.json(\.\w+)?$/.test(name);
}

export function objectFiles(stateDir: string): ObjectFiles {
  const work = join(stateDir, "work");
  return {
    datasets: filesBelow(join(stateDir, "objects", "b", "trace-datasets")),
    temporary: filesBelow(join(stateDir, "objects", "tmp")),
    work: existsSync(work)
      ? filesBelow(work).filter((name) => !isWorkersOwn(name) && statSync(join(work, name)).isFile())
      : [],
  };
}

/** Nothing holds work: no task waits or runs, no lease, no output is taken. */
export async function expectNothingLive(access: Access): Promise<void> {
  const [live] = await access.sql(
    `select (select count(*)::int from ready) as ready, (select count(*)::int from leases) as leases,
            (select count(*)::int from live_outputs) as live_outputs`,
  );
  expect(live).toEqual({ ready: 0, leases: 0, live_outputs: 0 });
}

/** The object folder is back to `before`: no file became visible, none is left half-written, no work folder stayed. */
export async function expectNoNewFiles(stateDir: string, before: ObjectFiles): Promise<void> {
  await until(
    "uploads and work folders are gone",
    () => {
      const { temporary, work } = objectFiles(stateDir);
      return temporary.length === 0 && work.length === 0;
    },
    10_000,
  );
  expect(objectFiles(stateDir).datasets).toEqual(before.datasets);
}

/** An error that a person can act on: catalogued, with what, where or why, and (`fix`) what mends it. */
export function expectTold(error: ErrorRecord | null | undefined, code: string | RegExp): void {
  expect(error?.code).toMatch(code);
  expect(error?.detail.length).toBeGreaterThan(10);
  expect(`${error?.where ?? ""}${error?.why ?? ""}`, `${error?.code} says neither where nor why`).not.toBe("");
  expect(error?.fix ?? "", `${error?.code} says no fix`).not.toBe("");
}

/** The TraceError that a call of the typed client ends with, as a record. */
export async function refusalOf(call: Promise<unknown>): Promise<ErrorRecord & { errors?: readonly ErrorRecord[] }> {
  try {
    await call;
  } catch (error) {
    const {
      code,
      message: detail,
      where,
      why,
      fix,
      errors,
    } = error as Error & ErrorRecord & { errors?: ErrorRecord[] };
    if (typeof code !== "string") throw error;
    return {
      code,
      detail,
      ...Object.fromEntries(Object.entries({ where, why, fix, errors }).filter(([, v]) => v !== undefined)),
    };
  }
  throw new Error("the call was not refused");
}
