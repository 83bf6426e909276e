/** Creating tasks, and showing them to people. */
import {
  type Attempt,
  attemptSchema,
  type CreateTask,
  type ErrorRecord,
  payloadBytesMax,
  type Task,
  TraceError,
  taskSchema,
  toErrorRecord,
} from "@trace/contracts";
import { type Database, newId, type Queryable } from "@trace/kit";
import { leaseLossesMax } from "./limits.ts";
import { unstorable } from "./rules/text.ts";
import {
  addTaskKeys,
  attemptsOfTask,
  createTasks,
  dropTaskKeys,
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
      const fault = job === undefined ? noSuchJob(item) : faultOf(item);
      if (job === undefined || fault !== undefined) {
        answers[index] = { created: false, error: toErrorRecord(fault ?? noSuchJob(item)) };
      } else placed.push({ index, item, job, id: newId() });
    }
    const { mine, followers } = await this.#takeKeys(tx, placed, answers);
    const free = await this.#takeOutputs(tx, mine, answers);
    await this.#giveBackKeys(tx, mine, free);
    if (free.length > 0)
      await tx.query(createTasks, { tasks: JSON.stringify(free.map((p) => rowOf(p, orgId, runId))) });
    for (const { index, id } of free) answers[index] = { task_id: id, created: true };
    // The same key again in the same call: answered as the first one was.
    for (const { index, first } of followers) answers[index] = { ...answers[first.index], created: false };
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

  /** The first create with a key owns it; the others are answered with its task, at once or after the first of this call. */
  async #takeKeys(
    tx: Queryable,
    placed: readonly Placed[],
    answers: CreateAnswer[],
  ): Promise<{ mine: Placed[]; followers: { index: number; first: Placed }[] }> {
    const firsts = new Map<string, Placed>();
    for (const one of placed) {
      const key = keyOf(one);
      if (key !== undefined && !firsts.has(key)) firsts.set(key, one);
    }
    if (firsts.size === 0) return { mine: [...placed], followers: [] };
    const rows = [...firsts.values()].map(({ job, item, id }) => ({
      job_id: job.job_id,
      dedupe_key: item.dedupe_key ?? "",
      task_public_id: id,
    }));
    const won = new Set((await tx.query(addTaskKeys, { keys: JSON.stringify(rows) })).map((row) => row.task_public_id));
    const taken = rows.filter((row) => !won.has(row.task_public_id));
    const owners = await tx.query(findTaskKeys, {
      job_ids: taken.map((row) => row.job_id),
      dedupe_keys: taken.map((row) => row.dedupe_key),
    });
    const ownerOf = new Map(owners.map((row) => [`${row.job_id}:${row.dedupe_key}`, row.task_public_id]));
    const mine: Placed[] = [];
    const followers: { index: number; first: Placed }[] = [];
    for (const one of placed) {
      const key = keyOf(one);
      const first = key === undefined ? one : firsts.get(key);
      if (key === undefined || won.has(one.id)) mine.push(one);
      else if (first !== undefined && won.has(first.id)) followers.push({ index: one.index, first });
      else {
        const owner = ownerOf.get(key);
        if (owner === undefined) throw new Error("a dedupe key was refused and has no owner");
        answers[one.index] = { task_id: owner, created: false };
      }
    }
    return { mine, followers };
  }

  async #giveBackKeys(tx: Queryable, mine: readonly Placed[], free: readonly Placed[]): Promise<void> {
    const created = new Set(free.map((one) => one.id));
    const refused = mine.filter((one) => one.item.dedupe_key !== undefined && !created.has(one.id));
    if (refused.length === 0) return;
    await tx.query(dropTaskKeys, {
      task_public_ids: refused.map((one) => one.id),
      job_ids: [...new Set(refused.map((one) => one.job.job_id))],
    });
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

function keyOf({ job, item }: Placed): string | undefined {
  return item.dedupe_key === undefined ? undefined : `${job.job_id}:${item.dedupe_key}`;
}

/** What the schema of the contract cannot say: what Postgres is able to keep. */
function faultOf(item: Wanted): TraceError | undefined {
  const refused = (detail: string, where: string) =>
    new TraceError("TR-1002", { detail, where, fix: "correct this item and send it again; the others stand" });
  const key = item.dedupe_key === undefined ? undefined : unstorable(item.dedupe_key);
  if (key !== undefined) return refused(`the dedupe key cannot be kept: ${key}`, "dedupe_key");
  const payload = unstorable(item.payload);
  if (payload !== undefined) return refused(`the payload cannot be kept: ${payload}`, "payload");
  const bytes = Buffer.byteLength(JSON.stringify(item.payload));
  if (bytes > payloadBytesMax) {
    return refused(`the payload is ${bytes} bytes of JSON; at most ${payloadBytesMax} are taken`, "payload");
  }
  if (item.run_at !== undefined && instantOf(item.run_at) === undefined) {
    return refused(`run_at '${item.run_at}' is not between the years 1970 and 9999`, "run_at");
  }
  return undefined;
}

const firstYearMs = 0;
const lastYearMs = Date.UTC(9999, 11, 31);

/** In UTC as Postgres reads it, whatever offset it was written with. */
function instantOf(time: string): string | undefined {
  const ms = Date.parse(time);
  return ms >= firstYearMs && ms <= lastYearMs ? new Date(ms).toISOString() : undefined;
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
    run_at: item.run_at === undefined ? null : (instantOf(item.run_at) ?? null),
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
