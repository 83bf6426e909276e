/**
 * What tasks, leases, slots and commits do, told a second time: a few rules over plain objects, one call after the other. It
 * knows no table, no lock and no clock, and shares no code with the dispatcher; property.test.ts makes both live the same
 * life and compares. Where Postgres is free to choose (which of two tasks that came due together goes first), the model takes
 * the choice from the answer, after it has checked that the choice was allowed.
 */
import assert from "node:assert/strict";

export type JobName = "noop" | "other" | "narrow" | "feed" | "derive";

interface JobRule {
  readonly failuresMax: number;
  /** Runs under a slot; how many there are can change with a deploy. */
  readonly limited: boolean;
  readonly reads?: "ds_x";
  readonly writes?: "ds_x" | "ds_y";
}

export const jobRules: Readonly<Record<JobName, JobRule>> = {
  noop: { failuresMax: 3, limited: false },
  other: { failuresMax: 1, limited: false },
  narrow: { failuresMax: 2, limited: true },
  feed: { failuresMax: 2, limited: false, writes: "ds_x" },
  derive: { failuresMax: 2, limited: true, reads: "ds_x", writes: "ds_y" },
};

export function modelDag(narrowMax: number): string {
  return `dag: model
jobs:
  noop: { operator: noop, retries: 2 }
  other: { operator: noop, retries: 0 }
  narrow: { operator: noop, retries: 1, max_concurrency: ${narrowMax} }
  feed: { operator: ingest, retries: 1, outputs: [ds_x], source: { file: a.csv } }
  derive: { operator: sql, retries: 1, max_concurrency: 1, inputs: [ds_x], outputs: [ds_y], sql: "select 1" }
`;
}

/** Losses of a lease before a task is dead: less than in production, so that short lives reach it. */
export const modelLossesMax = 2;

export type Place = "ready" | "waiting" | "leased" | "completed" | "canceled" | "dead";

/** Attempt number, how it ended, and the code of its error. */
export type Past = readonly [attempt: number, state: string, code: string | null];

export interface ModelTask {
  readonly id: string;
  readonly job: JobName;
  readonly priority: number;
  /** Undefined: created by a commit. */
  readonly payload: number | undefined;
  place: Place;
  /** When it came due, as an order: a smaller number was due first. Infinity: not yet. */
  due: number;
  /** How far away its time was when it was set. */
  delayMs: number;
  attempt: number;
  failures: number;
  losses: number;
  code: string | null;
  readonly history: Past[];
}

export interface ModelLease {
  readonly token: string;
  readonly leaseNo: number;
  readonly task: ModelTask;
  readonly session: ModelSession;
  /** The commit of its input that it reads. */
  readonly pinned: number | undefined;
  overdue: boolean;
  nonce: string | undefined;
}

export interface ModelSession {
  readonly id: string;
  state: "live" | "expired" | "closed";
}

export interface Answer {
  readonly accepted: boolean;
  readonly error?: { readonly code: string } | undefined;
}

export type AttemptWord = "success" | "retryable" | "terminal" | "snooze" | "release" | "cancel" | "lost" | "overdue";

/** How a call ends an attempt: the text tells the same call from another one. */
export interface Ending {
  readonly word: "success" | "retryable" | "terminal" | "snooze";
  readonly text: string;
  readonly delayMs: number;
}

const retryMs = 30_000;

export class Model {
  readonly tasks = new Map<string, ModelTask>();
  readonly keys = new Map<string, string>();
  readonly sessions: ModelSession[] = [];
  readonly heads = { ds_x: 0, ds_y: 0 };
  readonly audit: [action: string, ids: string[]][] = [];
  /** Attempts that ended by a call of their holder, with what it was answered. */
  readonly ended = new Map<string, { readonly text: string; readonly answer: Answer }>();
  /** Every token there ever was. */
  readonly tokens = new Set<string>();
  leases: ModelLease[] = [];
  narrowMax = 2;
  /** The highest lease number before this call. */
  leaseNoBefore = 0;
  /** The commit of `ds_x` that `derive` has yet to read. */
  unread: number | undefined;
  /** Calls so far. */
  now = 0;
  /** Of this call: jobs whose slots were given out anew, tasks that became ready or were put off, and whether a commit started a task. */
  readonly admitting = new Set<JobName>();
  readonly readied = new Set<string>();
  readonly delayed = new Set<string>();
  started = false;

  /** The next call begins. */
  tick(): void {
    this.now += 1;
    this.leaseNoBefore = Math.max(this.leaseNoBefore, ...this.leases.map((lease) => lease.leaseNo));
    this.admitting.clear();
    this.readied.clear();
    this.delayed.clear();
    this.started = false;
  }

  /** The call is over: an input that nobody has read has a task that will. */
  settle(): void {
    if (this.unread === undefined || this.holderOf("derive") !== undefined) return;
    this.unread = undefined;
    this.started = true;
  }

  get(id: string): ModelTask {
    const task = this.tasks.get(id);
    assert.ok(task, `the model knows no task ${id}`);
    return task;
  }

  all(...places: readonly Place[]): ModelTask[] {
    return [...this.tasks.values()].filter((task) => places.includes(task.place));
  }

  /** The live task of a job that reads or writes a dataset. */
  holderOf(job: JobName): ModelTask | undefined {
    if (jobRules[job].writes === undefined) return undefined;
    return this.all("ready", "waiting", "leased").find((task) => task.job === job);
  }

  isLive(lease: ModelLease): boolean {
    return this.leases.includes(lease) && lease.session.state === "live" && !lease.overdue;
  }

  slotsTaken(job: JobName): number {
    return this.all("ready", "leased").filter((task) => task.job === job).length;
  }

  addTask(id: string, job: JobName, priority: number, payload: number | undefined): ModelTask {
    const counts = { attempt: 0, failures: 0, losses: 0, code: null, history: [], delayMs: 0 };
    const task: ModelTask = { id, job, priority, payload, place: "ready", due: this.now, ...counts };
    assert.ok(!this.tasks.has(id), `task ${id} was made twice`);
    this.tasks.set(id, task);
    return task;
  }

  /** Queued, due then: a task of a limited job waits for a slot first. */
  queue(task: ModelTask, due: number, delayMs = 0): void {
    const { limited } = jobRules[task.job];
    Object.assign(task, { place: limited ? "waiting" : "ready", due, delayMs, code: null });
    if (limited) this.admitting.add(task.job);
    else this.readied.add(task.id);
    if (due === Number.POSITIVE_INFINITY) this.delayed.add(task.id);
  }

  /** Which of its waiting tasks got slots is told by Postgres: as many as there is room for, none before its turn. */
  admit(job: JobName, admitted: readonly ModelTask[]): void {
    const slots = job === "narrow" ? this.narrowMax : 1;
    const waiting = this.all("waiting").filter((task) => task.job === job && task.due <= this.now);
    const room = Math.max(0, Math.min(slots - this.slotsTaken(job), waiting.length));
    assert.equal(admitted.length, room, `${job} has room for ${room} more`);
    assertTurn(waiting, admitted);
    for (const task of admitted) {
      Object.assign(task, { place: "ready", due: this.now });
      this.readied.add(task.id);
    }
  }

  /** An attempt ends. Returns the states that its caller is told. */
  end(lease: ModelLease, word: AttemptWord, delayMs = 0): { attempt_state: string; task_state: string } {
    const { task } = lease;
    this.leases = this.leases.filter((one) => one !== lease);
    if (jobRules[task.job].limited) this.admitting.add(task.job);
    const attempt = task.attempt;
    const [state, code] = this.#after(task, word, delayMs);
    task.history.push([attempt, state, code]);
    const over = task.place === "completed" || task.place === "canceled" || task.place === "dead";
    if (over) task.code = code;
    if (over && lease.pinned !== undefined && this.unread !== undefined && this.unread <= lease.pinned) {
      this.unread = undefined;
    }
    return { attempt_state: state, task_state: over ? task.place : "queued" };
  }

  #after(task: ModelTask, word: AttemptWord, delayMs: number): [state: string, code: string | null] {
    switch (word) {
      case "success":
        task.place = "completed";
        this.#commit(task.job);
        return ["succeeded", null];
      case "retryable":
        this.#fail(task);
        return ["failed", "TR-5306"];
      case "terminal":
        task.failures += 1;
        task.place = "dead";
        return ["failed", "TR-5200"];
      case "overdue":
        this.#fail(task);
        return ["expired", "TR-3005"];
      case "lost":
        task.losses += 1;
        if (task.losses < modelLossesMax) {
          this.queue(task, this.now);
          return ["expired", "TR-3004"];
        }
        task.place = "dead";
        return ["expired", "TR-3006"];
      case "release":
        task.attempt -= 1;
        this.queue(task, this.now);
        return ["released", null];
      case "snooze":
        this.queue(task, delayMs === 0 ? this.now : Number.POSITIVE_INFINITY, delayMs);
        return ["snoozed", null];
      case "cancel":
        task.place = "canceled";
        return ["canceled", "TR-3016"];
    }
  }

  #fail(task: ModelTask): void {
    const delayMs = retryMs * 2 ** task.failures;
    task.failures += 1;
    if (task.failures < jobRules[task.job].failuresMax) this.queue(task, Number.POSITIVE_INFINITY, delayMs);
    else task.place = "dead";
  }

  #commit(job: JobName): void {
    const { writes } = jobRules[job];
    if (writes === undefined) return;
    this.heads[writes] += 1;
    if (writes === "ds_x") this.unread = this.heads.ds_x;
  }
}

/** Nothing that was left would have had to go before something that was taken. */
export function assertTurn(from: readonly ModelTask[], taken: readonly ModelTask[]): void {
  for (const left of from.filter((task) => !taken.includes(task))) {
    const late = taken.find(
      (task) => left.priority < task.priority || (left.priority === task.priority && left.due < task.due),
    );
    assert.equal(late, undefined, `task ${left.id} was passed over for ${late?.id}`);
  }
}
