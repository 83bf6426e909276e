/**
 * Creating tasks. Most need nothing but their rows, and all of it is one statement that many calls share (createPlainTasks);
 * those with a dedupe key, an output or a limited job go a longer way, in a transaction that takes keys and locks jobs.
 */
import { type CreateTask, type ErrorRecord, payloadBytesMax, TraceError, toErrorRecord } from "@trace/contracts";
import { type Database, newId, type Queryable } from "@trace/kit";
import { Coalescer } from "./coalescer.ts";
import { admit } from "./endings.ts";
import { createBatchMax, createsInFlightMax, createsWaitingMax, leaseLossesMax, slowBatchMs } from "./limits.ts";
import { liveOutputs, type Output, outputBusy, outputKey } from "./outputs.ts";
import { wrongPartitions } from "./partitions.ts";
import { unstorable } from "./rules/text.ts";
import {
  addTaskKeys,
  createPlainTasks,
  dropTaskKeys,
  type FindJobsRow,
  findJobs,
  findTaskKeys,
  lockJobs,
} from "./sql/statements.gen.ts";
import { insertTasks, wholePartition } from "./triggers.ts";
import { type WakeupRow, wakeupRows } from "./wakeups.ts";

export interface CreateAnswer {
  task_id?: string;
  created: boolean;
  error?: ErrorRecord;
}

type Wanted = Omit<CreateTask, "priority" | "payload"> & { priority: number; payload: Record<string, unknown> };

/** An item that can be kept, with the id its task will have. */
interface Checked {
  readonly orgId: number;
  readonly item: Wanted;
  readonly id: string;
  readonly payload: string;
  readonly runAt: string | undefined;
}

interface Placed {
  readonly index: number;
  readonly item: Wanted;
  readonly job: FindJobsRow;
  readonly id: string;
}

export interface TaskEvents {
  /** Something became ready: these wake-ups were written to the outbox. */
  onReady(wakeups: readonly WakeupRow[]): void;
  /** Tasks of these priorities may be ready now; `early`: some with a time of their own that has passed. */
  onAdded(priorities: ReadonlySet<number>, early: boolean): void;
}

export class Tasks {
  readonly #db: Database;
  readonly #events: TaskEvents;
  /** Undefined: the item's job needs the longer way. */
  readonly #plain: Coalescer<Checked, CreateAnswer | undefined>;
  readonly #others: Coalescer<Checked, CreateAnswer>;

  constructor(db: Database, events: TaskEvents) {
    this.#db = db;
    this.#events = events;
    const bounds = {
      batchMax: createBatchMax,
      slowMs: slowBatchMs,
      inFlightMax: createsInFlightMax,
      waitingMax: createsWaitingMax,
    };
    this.#plain = new Coalescer({ ...bounds, name: "creates", run: (items) => this.#createPlain(items) });
    this.#others = new Coalescer({ ...bounds, name: "creates", run: (items) => this.#createOthers(items) });
  }

  /** One answer per item, in order; a bad item does not stop the good ones. */
  async create(orgId: number, items: readonly Wanted[]): Promise<CreateAnswer[]> {
    const answers: (CreateAnswer | undefined)[] = items.map(() => undefined);
    const plain: { index: number; checked: Checked }[] = [];
    const others: { index: number; checked: Checked }[] = [];
    for (const [index, item] of items.entries()) {
      const checked = check(orgId, item);
      if (checked instanceof TraceError) answers[index] = { created: false, error: toErrorRecord(checked) };
      else (item.dedupe_key === undefined && item.partition === undefined ? plain : others).push({ index, checked });
    }
    const made = await this.#plain.call(plain.map(({ checked }) => checked));
    for (const [at, one] of plain.entries()) {
      const answer = made[at];
      if (answer === undefined) others.push(one);
      else answers[one.index] = answer;
    }
    others.sort((a, b) => a.index - b.index);
    const rest = await this.#callOthers(
      others.map(({ checked }) => checked),
      answers.some((answer) => answer?.created),
    );
    for (const [at, { index }] of others.entries()) answers[index] = rest[at];
    return answers.map((answer) => answer ?? { created: false });
  }

  /**
   * When tasks of the same call exist already, what goes wrong with the others is said of them: the call must not fail as if
   * nothing of it were done, and be sent again.
   */
  async #callOthers(items: readonly Checked[], someExist: boolean): Promise<readonly CreateAnswer[]> {
    try {
      return await this.#others.call(items);
    } catch (error) {
      if (!someExist || !(error instanceof TraceError)) throw error;
      return items.map(() => ({ created: false, error: toErrorRecord(error) }));
    }
  }

  async #createPlain(items: readonly Checked[]): Promise<(CreateAnswer | undefined)[]> {
    const answers: (CreateAnswer | undefined)[] = items.map(() => undefined);
    for (const orgId of new Set(items.map((item) => item.orgId))) {
      const indexes = [...items.keys()].filter((index) => items[index]?.orgId === orgId);
      const mine = indexes.map((index) => items[index] as Checked);
      const jobs = new Map<string, number>();
      const places = mine.map(({ item }) => {
        const name = `${item.dag}.${item.job}`;
        const place = jobs.get(name) ?? jobs.size + 1;
        jobs.set(name, place);
        return place;
      });
      const names = [...jobs.keys()].map((name) => name.split("."));
      const [row] = await this.#db.query(createPlainTasks, {
        org_id: orgId,
        dags: names.map(([dag]) => dag ?? ""),
        jobs: names.map(([, job]) => job ?? ""),
        lease_losses_max: leaseLossesMax,
        public_ids: mine.map(({ id }) => id),
        job_places: places,
        priorities: mine.map(({ item }) => item.priority),
        run_ats: mine.map(({ runAt }) => runAt ?? ""),
        payloads: `[${mine.map(({ payload }) => payload).join(",")}]`,
      });
      const created = new Set(row?.places);
      for (const [at, index] of indexes.entries()) {
        if (created.has(places[at] as number)) answers[index] = { task_id: mine[at]?.id ?? "", created: true };
      }
      this.#tell(mine, wakeupRows(row?.wakeups ?? []));
    }
    return answers;
  }

  async #createOthers(items: readonly Checked[]): Promise<CreateAnswer[]> {
    const answers: CreateAnswer[] = items.map(() => ({ created: false }));
    for (const orgId of new Set(items.map((item) => item.orgId))) {
      const indexes = [...items.keys()].filter((index) => items[index]?.orgId === orgId);
      const mine = indexes.map((index) => items[index] as Checked);
      const made = await this.#db.transaction((tx) => this.#createChecked(tx, orgId, mine, null));
      for (const [at, index] of indexes.entries()) answers[index] = made.answers[at] ?? { created: false };
      this.#tell(mine, made.wakeups);
    }
    return answers;
  }

  /** In the caller's transaction, who tells of the wake-ups when it has committed (`tell`). */
  async createIn(
    tx: Queryable,
    orgId: number,
    items: readonly Wanted[],
    runId: number | null,
  ): Promise<{ answers: CreateAnswer[]; wakeups: WakeupRow[] }> {
    const checked = items.map((item) => check(orgId, item));
    const good = checked.filter((one): one is Checked => !(one instanceof TraceError));
    const made = await this.#createChecked(tx, orgId, good, runId);
    const rest = made.answers.values();
    const answers = checked.map((one) =>
      one instanceof TraceError
        ? { created: false, error: toErrorRecord(one) }
        : (rest.next().value ?? { created: false }),
    );
    return { answers, wakeups: made.wakeups };
  }

  /** What `createIn` wrote has been committed. */
  tell(wakeups: readonly WakeupRow[]): void {
    this.#events.onAdded(new Set([0]), false);
    this.#events.onReady(wakeups);
  }

  #tell(items: readonly Checked[], wakeups: readonly WakeupRow[]): void {
    const nowMs = Date.now();
    const early = items.some(({ runAt }) => runAt !== undefined && Date.parse(runAt) <= nowMs);
    this.#events.onAdded(new Set(items.map(({ item }) => item.priority)), early);
    if (wakeups.length > 0) this.#events.onReady(wakeups);
  }

  async #createChecked(
    tx: Queryable,
    orgId: number,
    items: readonly Checked[],
    runId: number | null,
  ): Promise<{ answers: CreateAnswer[]; wakeups: WakeupRow[] }> {
    const jobs = await tx.query(findJobs, {
      org_id: orgId,
      dags: items.map(({ item }) => item.dag),
      jobs: items.map(({ item }) => item.job),
    });
    const byName = new Map(jobs.map((job) => [`${job.dag}.${job.job}`, job]));
    const answers: CreateAnswer[] = items.map(() => ({ created: false }));
    const placed: Placed[] = [];
    for (const [index, { item, id }] of items.entries()) {
      const job = byName.get(`${item.dag}.${item.job}`);
      if (job === undefined) answers[index] = { created: false, error: toErrorRecord(noSuchJob(item)) };
      else placed.push({ index, item, job, id });
    }
    const wrong = await wrongPartitions(tx, placed);
    for (const [index, error] of wrong) answers[index] = { created: false, error: toErrorRecord(error) };
    const right = wrong.size === 0 ? placed : placed.filter(({ index }) => !wrong.has(index));
    const { mine, followers } = await this.#takeKeys(tx, right, answers);
    const free = await this.#takeOutputs(tx, mine, answers);
    await this.#giveBackKeys(tx, mine, free);
    const wakeups = free.length === 0 ? [] : await this.#insert(tx, free, orgId, runId);
    for (const { index, id } of free) answers[index] = { task_id: id, created: true };
    // The same key again in the same call: answered as the first one was.
    for (const { index, first } of followers) answers[index] = { ...answers[first.index], created: false };
    return { answers, wakeups };
  }

  /** The caller holds the rows of the jobs that are tracked or limited. */
  async #insert(tx: Queryable, free: readonly Placed[], orgId: number, runId: number | null): Promise<WakeupRow[]> {
    const rows = free.map((one) => rowOf(one, orgId, runId));
    const wakeups = await insertTasks(tx, rows);
    const limited = [...new Set(free.filter(({ job }) => job.limited).map(({ job }) => job.job_id))];
    return [...wakeups, ...(limited.length === 0 ? [] : await admit(tx, limited))];
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
    const locked = placed.filter(({ job }) => job.tracked || job.limited);
    const jobIds = [...new Set(locked.map(({ job }) => job.job_id))].sort((a, b) => a - b);
    if (jobIds.length === 0) return [...placed];
    await tx.query(lockJobs, { job_ids: jobIds });
    const outputs = placed.filter(({ job }) => job.tracked).map(outputOf);
    const live = await liveOutputs(tx, outputs);
    const free: Placed[] = [];
    for (const one of placed) {
      const { job_id, output_partition } = outputOf(one);
      const key = outputKey(job_id, output_partition);
      const holder = one.job.tracked ? live.get(key) : undefined;
      if (holder === undefined) {
        free.push(one);
        if (one.job.tracked) live.set(key, one.id);
      } else {
        const wanted = `${one.item.dag}.${one.item.job}${output_partition === "" ? "" : `, partition '${output_partition}'`}`;
        answers[one.index] = { task_id: holder, created: false, error: toErrorRecord(outputBusy(wanted, holder)) };
      }
    }
    return free;
  }
}

function outputOf({ job, item }: Placed): Output {
  return { job_id: job.job_id, output_partition: item.partition ?? wholePartition };
}

function keyOf({ job, item }: Placed): string | undefined {
  return item.dedupe_key === undefined ? undefined : `${job.job_id}:${item.dedupe_key}`;
}

/** The item as it will be kept, or what the schema of the contract cannot say: what Postgres is not able to keep. */
function check(orgId: number, item: Wanted): Checked | TraceError {
  const refused = (detail: string, where: string) =>
    new TraceError("TR-1002", { detail, where, fix: "correct this item and send it again; the others stand" });
  const key = item.dedupe_key === undefined ? undefined : unstorable(item.dedupe_key);
  if (key !== undefined) return refused(`the dedupe key cannot be kept: ${key}`, "dedupe_key");
  const fault = unstorable(item.payload);
  if (fault !== undefined) return refused(`the payload cannot be kept: ${fault}`, "payload");
  const payload = JSON.stringify(item.payload);
  // A quarter of the bound in UTF-16 units cannot be beyond it in bytes.
  const bytes = payload.length * 4 > payloadBytesMax ? Buffer.byteLength(payload) : payload.length;
  if (bytes > payloadBytesMax) {
    return refused(`the payload is ${bytes} bytes of JSON; at most ${payloadBytesMax} are taken`, "payload");
  }
  const runAt = item.run_at === undefined ? undefined : instantOf(item.run_at);
  if (item.run_at !== undefined && runAt === undefined) {
    return refused(`run_at '${item.run_at}' is not between the years 1970 and 9999`, "run_at");
  }
  return { orgId, item, id: newId(), payload, runAt };
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
    output_partition: job.tracked ? (item.partition ?? wholePartition) : null,
    payload: item.payload,
    limited: job.limited,
  };
}

function noSuchJob(item: Wanted): TraceError {
  return new TraceError("TR-3010", {
    detail: `there is no job '${item.job}' in DAG '${item.dag}'`,
    fix: "deploy the DAG file first: 'trace deploy FILE'",
  });
}
