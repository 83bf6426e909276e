/** Creating tasks, and showing them to people. */
import {
  type Attempt,
  attemptSchema,
  type CreateTask,
  type ErrorRecord,
  type Task,
  TraceError,
  taskSchema,
  toErrorRecord,
} from "@trace/contracts";
import { type Database, newId, type Queryable } from "@trace/kit";
import { leaseLossesMax } from "./limits.ts";
import {
  addTaskKeys,
  attemptsOfTask,
  createTasks,
  type FindJobsRow,
  type FindTaskRow,
  findJobs,
  findTask,
  findTaskKeys,
  listTasks,
  liveTasksOfJobs,
  lockJobs,
} from "./sql/statements.gen.ts";
import { wholePartition } from "./triggers.ts";

export interface CreateAnswer {
  task_id?: string;
  created: boolean;
  error?: ErrorRecord;
}

type Wanted = Omit<CreateTask, "priority" | "payload"> & { priority: number; payload: Record<string, unknown> };

interface Placed {
  readonly index: number;
  readonly item: Wanted;
  readonly job: FindJobsRow;
  readonly id: string;
}

export class Tasks {
  readonly #db: Database;
  readonly #onReady: () => void;

  constructor(db: Database, onReady: () => void) {
    this.#db = db;
    this.#onReady = onReady;
  }

  /** One answer per item, in order; a bad item does not stop the good ones. */
  async create(orgId: number, items: readonly Wanted[], runId: number | null = null): Promise<CreateAnswer[]> {
    const answers = await this.#db.transaction((tx) => this.createIn(tx, orgId, items, runId));
    if (answers.some((answer) => answer.created)) this.#onReady();
    return answers;
  }

  async createIn(
    tx: Queryable,
    orgId: number,
    items: readonly Wanted[],
    runId: number | null,
  ): Promise<CreateAnswer[]> {
    const jobs = await tx.query(findJobs, {
      org_id: orgId,
      dags: items.map((item) => item.dag),
      jobs: items.map((item) => item.job),
    });
    const byName = new Map(jobs.map((job) => [`${job.dag}.${job.job}`, job]));
    const answers: CreateAnswer[] = items.map(() => ({ created: false }));
    const placed: Placed[] = [];
    for (const [index, item] of items.entries()) {
      const job = byName.get(`${item.dag}.${item.job}`);
      if (job === undefined) answers[index] = { created: false, error: toErrorRecord(noSuchJob(item)) };
      else placed.push({ index, item, job, id: newId() });
    }
    const keyed = await this.#takeKeys(tx, placed, answers);
    const free = await this.#takeOutputs(tx, keyed, answers);
    if (free.length > 0)
      await tx.query(createTasks, { tasks: JSON.stringify(free.map((p) => rowOf(p, orgId, runId))) });
    for (const { index, id } of free) answers[index] = { task_id: id, created: true };
    return answers;
  }

  async list(orgId: number, query: ListQuery): Promise<{ tasks: Task[]; next: string | null }> {
    const rows = await this.#db.query(listTasks, {
      org_id: orgId,
      state: query.state ?? null,
      dag: query.dag ?? null,
      job: query.job ?? null,
      before_task_id: query.cursor === undefined ? null : decodeCursor(query.cursor),
      limit: query.limit + 1,
    });
    const page = rows.slice(0, query.limit);
    const last = page.at(-1);
    return {
      tasks: page.map(taskOf),
      next:
        rows.length > query.limit && last !== undefined
          ? Buffer.from(String(last.task_id)).toString("base64url")
          : null,
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

  /** The first create with a key owns it; the others are answered with its task. */
  async #takeKeys(tx: Queryable, placed: readonly Placed[], answers: CreateAnswer[]): Promise<Placed[]> {
    const withKey = placed.filter(({ item }) => item.dedupe_key !== undefined);
    if (withKey.length === 0) return [...placed];
    const firsts = new Map<string, Placed>();
    for (const one of withKey) {
      const key = keyOf(one.job.job_id, one.item.dedupe_key ?? "");
      if (!firsts.has(key)) firsts.set(key, one);
    }
    const rows = [...firsts.values()].map(({ job, item, id }) => ({
      job_id: job.job_id,
      dedupe_key: item.dedupe_key,
      task_public_id: id,
    }));
    const won = new Set((await tx.query(addTaskKeys, { keys: JSON.stringify(rows) })).map((row) => row.task_public_id));
    const owners = await tx.query(findTaskKeys, {
      job_ids: rows.map((row) => row.job_id),
      dedupe_keys: rows.map((row) => row.dedupe_key ?? ""),
    });
    const ownerOf = new Map(owners.map((row) => [keyOf(row.job_id, row.dedupe_key), row.task_public_id]));
    const mine: Placed[] = [];
    for (const one of placed) {
      if (one.item.dedupe_key === undefined || won.has(one.id)) {
        mine.push(one);
        continue;
      }
      const owner = ownerOf.get(keyOf(one.job.job_id, one.item.dedupe_key));
      answers[one.index] = owner === undefined ? { created: false } : { task_id: owner, created: false };
    }
    return mine;
  }

  /** One task per (job, output partition) is live; a second create is told which one. */
  async #takeOutputs(tx: Queryable, placed: readonly Placed[], answers: CreateAnswer[]): Promise<Placed[]> {
    const jobIds = [...new Set(placed.filter(({ job }) => job.tracked).map(({ job }) => job.job_id))].sort(
      (a, b) => a - b,
    );
    if (jobIds.length === 0) return [...placed];
    await tx.query(lockJobs, { job_ids: jobIds });
    const live = new Map(
      (await tx.query(liveTasksOfJobs, { job_ids: jobIds })).map((row) => [row.job_id, row.public_id]),
    );
    const free: Placed[] = [];
    for (const one of placed) {
      const holder = one.job.tracked ? live.get(one.job.job_id) : undefined;
      if (holder === undefined) {
        free.push(one);
        if (one.job.tracked) live.set(one.job.job_id, one.id);
      } else {
        answers[one.index] = { task_id: holder, created: false, error: toErrorRecord(outputBusy(one.item, holder)) };
      }
    }
    return free;
  }
}

export interface ListQuery {
  readonly state?: string | undefined;
  readonly dag?: string | undefined;
  readonly job?: string | undefined;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

function keyOf(jobId: number, dedupeKey: string): string {
  return `${jobId}:${dedupeKey}`;
}

function rowOf({ item, job, id }: Placed, orgId: number, runId: number | null) {
  return {
    public_id: id,
    org_id: orgId,
    run_id: runId,
    job_id: job.job_id,
    dag_version_id: job.dag_version_id,
    queue_id: job.queue_id,
    priority: item.priority,
    failures_max: job.failures_max,
    lease_losses_max: leaseLossesMax,
    timeout_ms: job.timeout_ms,
    run_at: item.run_at ?? null,
    output_partition: job.tracked ? wholePartition : null,
    payload: item.payload,
  };
}

function noSuchJob(item: Wanted): TraceError {
  return new TraceError("TR-3010", {
    detail: `there is no job '${item.job}' in DAG '${item.dag}'`,
    fix: "deploy the DAG file first: 'trace deploy FILE'",
  });
}

export function outputBusy(item: { dag: string; job: string }, taskId: string): TraceError {
  return new TraceError("TR-3011", {
    detail: `task ${taskId} of ${item.dag}.${item.job} is live and writes the same output`,
    why: "two tasks of one output would race for the same commit",
    fix: `wait for it: 'trace task show ${taskId}'`,
  });
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
    created_at: row.created_at.toISOString(),
    started_at: (row.claimed_at ?? row.last_started_at)?.toISOString() ?? null,
    ended_at: row.ended_at?.toISOString() ?? null,
    worker: row.worker,
    progress: row.progress ?? null,
    error: row.error ?? null,
    commits: row.commits,
  });
}
