/** Tasks by the filters of `trace task list`, all of them up to a bound, and what can be said of them before they are changed. */
import { pageRowsMax, type Task } from "@trace/contracts";
import type { UserClient } from "../cli.ts";
import { jobsNamedMax } from "../limits.ts";
import type { Palette } from "../terminal/ansi.ts";
import { count, plural } from "../terminal/format.ts";

export interface Filter {
  readonly states: readonly Task["state"][];
  readonly dag: string | undefined;
  readonly job: string | undefined;
  readonly limit: number;
}

export interface Found {
  readonly tasks: readonly Task[];
  /** There are more than the limit. */
  readonly more: boolean;
}

/** State by state, newest first. A task that changes its state meanwhile is found once or not at all. */
export async function findTasks(client: UserClient, { states, dag, job, limit }: Filter): Promise<Found> {
  const tasks = new Map<string, Task>();
  for (const state of states) {
    let cursor: string | undefined;
    do {
      const page = await client.listTasks({ query: { state, dag, job, limit: pageRowsMax, cursor } });
      for (const task of page.tasks) {
        if (tasks.size >= limit && !tasks.has(task.task_id)) return { tasks: [...tasks.values()], more: true };
        tasks.set(task.task_id, task);
      }
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
  }
  return { tasks: [...tasks.values()], more: false };
}

/** `quakes.ingest_quakes  30 dead`: what a person is asked about. */
export function jobLines(tasks: readonly Task[], palette: Palette): string[] {
  const counts = new Map<string, number>();
  for (const { dag, job, state } of tasks) {
    const name = `${dag}.${job} ${state}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const rows = [...counts].sort(([, a], [, b]) => b - a);
  const shown = rows.slice(0, jobsNamedMax);
  const width = Math.max(...shown.map(([, number]) => count(number).length));
  const lines = shown.map(([name, number]) => {
    const [job = "", state = ""] = name.split(" ");
    return `  ${count(number).padStart(width)} ${state}  ${palette.bold(job)}`;
  });
  if (rows.length > shown.length) lines.push(palette.dim(`  and of ${plural(rows.length - shown.length, "job")} more`));
  return lines;
}
