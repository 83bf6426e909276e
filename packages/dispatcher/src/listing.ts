/** Tasks as people see them: lists and single tasks, whichever table their state is in. */
import { type Attempt, attemptSchema, type Task, type TaskState, TraceError, taskSchema } from "@trace/contracts";
import type { Database } from "@trace/kit";
import {
  attemptsOfTask,
  type FindTaskRow,
  findTask,
  jobIdsByName,
  pageOfCompleted,
  pageOfJobs,
  pageOfQueued,
  pageOfRunning,
  pageOfTasks,
  pageOfUnfinished,
  tasksByIds,
} from "./sql/statements.gen.ts";

export interface ListQuery {
  readonly state?: TaskState | undefined;
  readonly dag?: string | undefined;
  readonly job?: string | undefined;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** What a page is taken from; ids below `before`. */
interface Page {
  readonly orgId: number;
  /** Null: whatever the job. */
  readonly jobIds: readonly number[] | null;
  readonly before: number;
  readonly limit: number;
}

export class Listing {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Newest first. Ids are found where the state is, each from an index that ends with the page; only then is the page itself
   * put together, so that a list costs the same whether a thousand or a hundred million tasks were ever run.
   */
  async list(orgId: number, query: ListQuery): Promise<{ tasks: Task[]; next: string | null }> {
    const named = query.dag !== undefined || query.job !== undefined;
    const jobs = named
      ? await this.#db.query(jobIdsByName, { org_id: orgId, dag: query.dag ?? null, job: query.job ?? null })
      : null;
    const page = {
      orgId,
      jobIds: jobs?.map((row) => row.job_id) ?? null,
      before: query.cursor === undefined ? Number.MAX_SAFE_INTEGER : decodeCursor(query.cursor),
      limit: query.limit + 1,
    };
    const ids = page.jobIds?.length === 0 ? [] : await this.#ids(query.state, page);
    const shown = ids.slice(0, query.limit);
    const last = shown.at(-1);
    const rows = shown.length === 0 ? [] : await this.#db.query(tasksByIds, { task_ids: shown });
    return {
      tasks: rows.map(taskOf),
      next: ids.length > shown.length && last !== undefined ? Buffer.from(String(last)).toString("base64url") : null,
    };
  }

  async get(orgId: number, taskId: string): Promise<Task & { attempts: Attempt[] }> {
    const row = await this.find(orgId, taskId);
    const attempts = await this.#db.query(attemptsOfTask, { task_id: row.task_id });
    return {
      ...taskOf(row),
      attempts: attempts.map((attempt) =>
        attemptSchema.parse({
          ...attempt,
          started_at: attempt.started_at.toISOString(),
          ended_at: attempt.ended_at?.toISOString() ?? null,
          error: attempt.error ?? null,
        }),
      ),
    };
  }

  async find(orgId: number, taskId: string): Promise<FindTaskRow> {
    const [row] = await this.#db.query(findTask, { org_id: orgId, public_id: taskId });
    if (row !== undefined) return row;
    throw new TraceError("TR-1006", {
      detail: `there is no task ${taskId}`,
      fix: "'trace task list' shows the tasks there are",
    });
  }

  async #ids(state: TaskState | undefined, page: Page): Promise<number[]> {
    const common = { org_id: page.orgId, before_task_id: page.before, limit: page.limit };
    const some = { ...common, job_ids: page.jobIds };
    if (state === "queued") return (await this.#db.query(pageOfQueued, some)).map((row) => row.task_id);
    if (state === "running") return (await this.#db.query(pageOfRunning, some)).map((row) => row.task_id);
    if (state === "completed") return (await this.#db.query(pageOfCompleted, some)).map((row) => row.task_id);
    if (state !== undefined) {
      return (await this.#db.query(pageOfUnfinished, { ...some, state })).map((row) => row.task_id);
    }
    if (page.jobIds === null) return (await this.#db.query(pageOfTasks, common)).map((row) => row.task_id);
    const jobs = { job_ids: page.jobIds, before_task_id: page.before, limit: page.limit };
    return (await this.#db.query(pageOfJobs, jobs)).map((row) => row.task_id);
  }
}

function decodeCursor(cursor: string): number {
  const value = Number(Buffer.from(cursor, "base64url").toString("utf8"));
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new TraceError("TR-1002", {
    detail: "the cursor is none of ours",
    where: "query",
    fix: "pass `next` of the page before, unchanged",
  });
}

/** A row of task_details as the API shows it. */
export function taskOf(row: Omit<FindTaskRow, "task_id">): Task {
  return taskSchema.parse({
    task_id: row.public_id,
    dag: row.dag,
    job: row.job,
    operator: row.operator,
    queue: row.queue,
    state: row.state,
    attempt: row.attempt,
    failures: row.failures,
    failures_max: row.failures_max,
    lease_losses: row.lease_losses,
    priority: row.priority,
    run_at: row.run_at?.toISOString() ?? null,
    waiting_for: row.waiting_for,
    created_at: row.created_at.toISOString(),
    started_at: (row.claimed_at ?? row.last_started_at)?.toISOString() ?? null,
    ended_at: row.ended_at?.toISOString() ?? null,
    worker: row.worker,
    progress: row.progress ?? null,
    error: row.error ?? null,
    commits: row.commits,
    partition: row.partition,
  });
}
