/** The worker's side of a dispatcher in memory, behind the real routes: sessions, leases, completions, and faults on demand. */
import { randomBytes, randomUUID } from "node:crypto";
import {
  type ClaimAnswer,
  type ClaimedTask,
  type Completion,
  type CompletionAnswer,
  type Progress,
  type ResolvedDataset,
  type StagingCredentials,
  TraceError,
  taskRoutes,
  toErrorRecord,
  workerRoutes,
} from "@trace/contracts";
import { Listener, type Service, silentLog } from "@trace/kit";
import type { Timers } from "../timers.ts";
import { Journal } from "./journal.ts";

export const workerToken = "tracew_test";

/** A claim that waits, until it is answered. */
interface WaitingClaim {
  readonly session_id: string;
  readonly max: number;
  readonly wait_ms: number;
  answer(): void;
}

interface Lease {
  readonly task: ClaimedTask;
  readonly sessionId: string;
  /** What ended it, once: the same completion again gets the same answer. */
  ended?: CompletionAnswer;
}

/** Answers a completion in place of the fake; undefined lets the fake answer. */
type OnComplete = (completion: Completion, call: number) => CompletionAnswer | undefined;

export class FakeDispatcher implements Service {
  readonly journal = new Journal();
  readonly ttlMs = 15_000;
  readonly beatMs = 5_000;
  readonly opened: string[] = [];
  /** What each session said of its worker. */
  readonly workers: { worker: string; slots: number }[] = [];
  readonly closed: string[] = [];
  readonly beats: { sessionId: string; leases: readonly number[]; progress: readonly { progress: Progress }[] }[] = [];
  /** Those that may wait aside. */
  readonly claims: { task_ids: readonly string[]; max: number }[] = [];
  /** Those that may wait, answered or not. */
  readonly waits: { session_id: string; max: number; wait_ms: number }[] = [];
  /** Answers at once what nothing is ready for, as a dispatcher of an older version does. */
  waitsForNobody = false;
  /** A claim takes the place of one that waits; not so when it reaches another dispatcher. */
  supersedes = true;
  /** Ready, and locked by others' claims: nobody gets them, and every answer says that there is more. */
  heldByOthers = 0;
  /** Jobs in each claim's answer that had tasks. */
  readonly jobsAnswered: number[] = [];
  readonly released: string[] = [];
  /** Items of every call, those refused included. */
  readonly calls: Completion[][] = [];
  /** By task: what ended its attempt, handed back ones aside. */
  readonly completed = new Map<string, Completion["result"]>();
  /** Tasks whose attempt was ended by a snooze, in order. */
  readonly snoozed: string[] = [];
  /** Tasks that lost a lease by the end of its session, in order: each counts against its task. */
  readonly losses: string[] = [];
  readonly leases = new Map<string, Lease>();
  readonly lost = new Set<number>();
  datasets: ResolvedDataset[] = [];
  resolvedWith: string[] = [];
  /** Handed out in order, the last one again and again; without any there are no keys of attempts here. */
  credentials: StagingCredentials[] = [];
  readonly credentialsAsked: string[] = [];
  onComplete: OnComplete = () => undefined;
  /** Called at the begin of a call; throws what the call is to fail with. */
  before: {
    open?: () => void;
    beat?: () => Promise<void> | void;
    claim?: () => Promise<void> | void;
    release?: () => void;
    complete?: () => Promise<void> | void;
    close?: () => Promise<void> | void;
    resolve?: () => void;
    credentials?: () => void;
  } = {};
  /** Called when a call has taken effect; throws to lose its answer. */
  after: { claim?: () => void; complete?: () => void } = {};
  readonly #ready: ClaimedTask[] = [];
  readonly #waiting = new Set<WaitingClaim>();
  readonly #timers: Timers;
  #leaseNo = 0;
  readonly #worker: Listener<typeof workerRoutes, true>;
  readonly #task: Listener<typeof taskRoutes, string>;

  /** The time of claims that wait passes by `timers`. */
  constructor(timers: Timers) {
    this.#timers = timers;
    const common = { host: "127.0.0.1", port: 0, log: silentLog() };
    this.#worker = new Listener({
      ...common,
      name: "worker",
      routes: workerRoutes,
      authenticate: async (token) => (token === workerToken ? true : undefined),
      handlers: {
        openSession: async ({ body }) => this.#open(body),
        heartbeat: async ({ params, body }) => this.#beat(params.session_id, body),
        closeSession: async ({ params }) => this.#close(params.session_id),
        claim: async ({ body }, _, signal) =>
          body.wait_ms === 0 ? this.#claim(body) : this.#claimOrWait(body, signal),
        release: async ({ body }) => this.#release(body.items),
        start: () => Promise.reject(new Error("a worker runs what it claims itself")),
        complete: async ({ body }) => this.#complete(body.items),
      },
    });
    this.#task = new Listener({
      ...common,
      name: "task",
      routes: taskRoutes,
      authenticate: async (token) => (this.leases.has(token) ? token : undefined),
      handlers: {
        describe: async (_, token) => this.#leaseOf(token).task,
        resolveInputs: async (_, token) => {
          this.resolvedWith.push(token);
          this.journal.note();
          this.before.resolve?.();
          return { datasets: this.datasets };
        },
        createCredentials: async (_, token) => this.#credentials(token),
        reportProgress: async () => ({}),
      },
    });
  }

  get workerApi(): string {
    return `http://127.0.0.1:${this.#worker.port}`;
  }

  get taskApi(): string {
    return `http://127.0.0.1:${this.#task.port}`;
  }

  async start(): Promise<void> {
    await this.#worker.start();
    await this.#task.start();
  }

  async stop(): Promise<void> {
    this.waitsForNobody = true;
    this.answerWaiting();
    await this.#worker.stop();
    await this.#task.stop();
  }

  /** Queues a task, as another dispatcher does: no claim that waits here is told. Answers its id. */
  add(job: ClaimedTask["job"], parts: Partial<ClaimedTask> = {}): string {
    const task_id = randomUUID();
    this.#ready.push({
      task_id,
      run_id: null,
      partition: null,
      lease_no: 1,
      lease_token: "",
      attempt: 1,
      dag: "tests",
      job,
      payload: {},
      timeout_ms: job.timeout_ms,
      inputs: [],
      staging: [],
      ...parts,
    });
    return task_id;
  }

  /** Claims that wait now. */
  get waitingClaims(): readonly WaitingClaim[] {
    return [...this.#waiting];
  }

  /** As when tasks become ready in this dispatcher, or it stops: claims that wait are answered with what there is. */
  answerWaiting(): void {
    for (const claim of [...this.#waiting]) claim.answer();
  }

  /** As when somebody creates a task at this very dispatcher. */
  create(job: ClaimedTask["job"]): string {
    const taskId = this.add(job);
    this.answerWaiting();
    return taskId;
  }

  /** As when a person cancels it: its lease is gone at once. */
  cancel(taskId: string): void {
    for (const [token, { task }] of this.leases) {
      if (task.task_id !== taskId) continue;
      this.leases.delete(token);
      this.lost.add(task.lease_no);
    }
  }

  /** As when somebody else takes it: it waits no more. */
  takeAway(taskId: string): void {
    this.#ready.splice(
      this.#ready.findIndex(({ task_id }) => task_id === taskId),
      1,
    );
  }

  /** Ids of the tasks that wait. */
  get waiting(): readonly string[] {
    return this.#ready.map(({ task_id }) => task_id);
  }

  until(what: string, holds: () => boolean): Promise<void> {
    return this.journal.until(what, holds);
  }

  #open(worker: { worker: string; slots: number }) {
    this.before.open?.();
    const session_id = randomUUID();
    this.workers.push(worker);
    this.opened.push(session_id);
    this.journal.note();
    return { session_id, ttl_ms: this.ttlMs, beat_ms: this.beatMs };
  }

  async #beat(sessionId: string, body: { leases: readonly number[]; progress: readonly { progress: Progress }[] }) {
    this.beats.push({ sessionId, leases: body.leases, progress: body.progress });
    this.journal.note();
    await this.before.beat?.();
    return { lost: body.leases.filter((leaseNo) => this.lost.has(leaseNo)) };
  }

  async #close(sessionId: string) {
    this.closed.push(sessionId);
    this.journal.note();
    await this.before.close?.();
    this.#supersede(sessionId);
    for (const [token, { ended, sessionId: holder, task }] of this.leases) {
      if (holder !== sessionId) continue;
      this.leases.delete(token);
      if (ended !== undefined) continue;
      this.losses.push(task.task_id);
      this.#ready.push(task);
    }
    this.journal.note();
    return {};
  }

  async #claim(body: { session_id: string; task_ids: readonly string[]; max: number }) {
    this.claims.push({ task_ids: body.task_ids, max: body.max });
    this.#supersede(body.session_id);
    this.journal.note();
    await this.before.claim?.();
    return this.#take(body);
  }

  async #claimOrWait(body: { session_id: string; max: number; wait_ms: number }, signal: AbortSignal) {
    const { session_id, max, wait_ms } = body;
    this.waits.push({ session_id, max, wait_ms });
    this.#supersede(session_id);
    this.journal.note();
    await this.before.claim?.();
    const request = { session_id, max, task_ids: [] };
    if (this.#ready.length > 0 || this.waitsForNobody) return this.#take(request);
    const { promise, resolve: answer } = Promise.withResolvers<void>();
    const claim = { session_id, max, wait_ms, answer };
    const cancel = this.#timers.after(wait_ms, answer);
    this.#waiting.add(claim);
    signal.addEventListener("abort", () => {
      this.#waiting.delete(claim);
      answer();
      this.journal.note();
    });
    this.journal.note();
    await promise;
    cancel();
    // Its place was taken, or nobody listens any more.
    const isOver = !this.#waiting.delete(claim);
    return isOver || this.closed.includes(session_id) ? { ...packed([]), more: false } : this.#take(request);
  }

  #supersede(sessionId: string): void {
    if (!this.supersedes) return;
    for (const claim of this.#waiting) {
      if (claim.session_id !== sessionId) continue;
      this.#waiting.delete(claim);
      claim.answer();
    }
  }

  #take(body: { session_id: string; task_ids: readonly string[]; max: number }) {
    const named = this.#ready.filter(({ task_id }) => body.task_ids.includes(task_id));
    const others = this.#ready.filter((task) => !named.includes(task));
    const tasks = [...named, ...others].slice(0, body.max).map((task): ClaimedTask => {
      this.#ready.splice(this.#ready.indexOf(task), 1);
      this.#leaseNo += 1;
      const leased = { ...task, lease_no: this.#leaseNo, lease_token: randomBytes(40).toString("base64url") };
      this.leases.set(leased.lease_token, { task: leased, sessionId: body.session_id });
      return leased;
    });
    this.journal.note();
    this.after.claim?.();
    const answer = packed(tasks);
    if (tasks.length > 0) this.jobsAnswered.push(answer.jobs.length);
    return { ...answer, more: this.#ready.length + this.heldByOthers > 0 };
  }

  #release(items: readonly { lease_token: string }[]) {
    this.before.release?.();
    for (const { lease_token } of items) {
      const { task } = this.#leaseOf(lease_token);
      this.released.push(task.task_id);
      this.leases.delete(lease_token);
      this.#ready.push(task);
    }
    this.journal.note();
    return { items: items.map(() => ({ accepted: true })) };
  }

  #credentials(token: string): StagingCredentials {
    this.credentialsAsked.push(token);
    this.journal.note();
    this.before.credentials?.();
    const next = this.credentials[Math.min(this.credentialsAsked.length, this.credentials.length) - 1];
    if (next !== undefined) return next;
    throw new TraceError("TR-4029", { detail: "no token service is configured" });
  }

  async #complete(items: readonly Completion[]) {
    this.calls.push([...items]);
    this.journal.note();
    await this.before.complete?.();
    const call = this.calls.length;
    const answers = items.map((item) => this.onComplete(item, call) ?? this.#end(item));
    this.journal.note();
    this.after.complete?.();
    return { items: answers };
  }

  #end({ lease_token, result }: Completion): CompletionAnswer {
    const lease = this.leases.get(lease_token);
    if (lease === undefined) {
      return { accepted: false, error: toErrorRecord(new TraceError("TR-3001", { detail: "the lease is not live" })) };
    }
    if (lease.ended !== undefined) return lease.ended;
    if (result.kind === "snooze") {
      this.snoozed.push(lease.task.task_id);
      this.#ready.push(lease.task);
      lease.ended = { accepted: true, attempt_state: "snoozed", task_state: "queued" };
    } else {
      this.completed.set(lease.task.task_id, result);
      lease.ended = { accepted: true, attempt_state: "succeeded", task_state: "completed", commits: [] };
    }
    return lease.ended;
  }

  #leaseOf(token: string): Lease {
    const lease = this.leases.get(token);
    if (lease === undefined) throw new TraceError("TR-3001", { detail: "the lease is not live" });
    return lease;
  }
}

/** As the dispatcher answers: each job once, and nothing of what a task has not. */
function packed(tasks: readonly ClaimedTask[]): Omit<ClaimAnswer, "more"> {
  const jobs: ClaimAnswer["jobs"] = [];
  const packed = tasks.map(({ dag, job, timeout_ms, run_id, inputs, staging, ...task }) => {
    const known = jobs.findIndex((one) => one.dag === dag && one.job === job && one.timeout_ms === timeout_ms);
    return {
      ...task,
      job: known === -1 ? jobs.push({ dag, job, timeout_ms }) - 1 : known,
      ...(run_id === null ? {} : { run_id }),
      ...(inputs.length === 0 ? {} : { inputs }),
      ...(staging.length === 0 ? {} : { staging }),
    };
  });
  return { tasks: packed, jobs };
}
