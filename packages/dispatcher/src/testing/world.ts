/**
 * The dispatcher's parts on a database of one's own, without listeners and without loops that run by themselves: a test
 * makes each pass happen, and moves time by moving rows.
 */
import { createHash } from "node:crypto";
import {
  type ClaimedTask,
  type Completion,
  type CompletionAnswer,
  claimedTasks,
  type DatasetRequest,
  type ResolvedDataset,
  type StagedOutput,
  type StagingPlace,
} from "@trace/contracts";
import { Database, type Loop, silentLog, TestRace } from "@trace/kit";
import { freshDatabase, type TestDatabase } from "../../../../tests/setup/database.ts";
import { Actions } from "../actions.ts";
import { Claims } from "../claims.ts";
import { Completions } from "../completions.ts";
import { Datasets } from "../datasets.ts";
import { Deploys } from "../deploys.ts";
import { Diffs } from "../diff.ts";
import { Events } from "../events.ts";
import { FooterReader } from "../footers/reader.ts";
import type { FooterChecks } from "../footers/whose.ts";
import { Jobs } from "../jobs.ts";
import { Lineages } from "../lineage.ts";
import { Listing } from "../listing.ts";
import { createGarbage, type GarbageOptions } from "../loops/garbage.ts";
import { createReaper } from "../loops/reaper.ts";
import { Pins } from "../pins.ts";
import { plannerSettings } from "../planner.ts";
import { Purges } from "../purge.ts";
import { Resolver } from "../resolve.ts";
import { Reverts } from "../revert.ts";
import { Runs } from "../runs.ts";
import { Sessions } from "../sessions.ts";
import { Starts } from "../starts.ts";
import { Tasks } from "../tasks.ts";
import type { WakeupRow } from "../wakeups.ts";
import { MemoryStore } from "./fakes.ts";

export const datasetsBucket = "trace-datasets";
export const scratchBucket = "trace-scratch";

/** `noop`: a job of no dataset. */
export const noopDag = `dag: plain
jobs:
  noop:
    operator: noop
    retries: 2
  other:
    operator: noop
    retries: 0
`;

/** a -> b, a -> c, b + c -> d. */
export const diamondDag = `dag: diamond
jobs:
  a: { operator: ingest, outputs: [ds_a], source: { file: a.csv } }
  b: { operator: sql, inputs: [ds_a], outputs: [ds_b], sql: "select 1" }
  c: { operator: sql, inputs: [ds_a], outputs: [ds_c], sql: "select 1" }
  d: { operator: sql, inputs: [ds_b, ds_c], outputs: [ds_d], sql: "select 1" }
`;

export interface WorldOptions {
  readonly connectionsMax?: number;
  readonly random?: () => number;
  /** A bus is configured. */
  readonly events?: boolean;
  /** Whose footers are read; nobody's unless it is said. */
  readonly footerChecks?: FooterChecks;
}

export class World {
  readonly db: Database;
  readonly store = new MemoryStore();
  readonly sessions: Sessions;
  readonly claims: Claims;
  readonly completions: Completions;
  readonly tasks: Tasks;
  readonly listing: Listing;
  readonly actions: Actions;
  readonly starts: Starts;
  readonly deploys: Deploys;
  readonly runs: Runs;
  readonly datasets: Datasets;
  readonly resolver: Resolver;
  readonly reverts: Reverts;
  readonly diffs: Diffs;
  readonly lineages: Lineages;
  readonly pins: Pins;
  readonly purges: Purges;
  readonly orgId: number;
  readonly url: string;
  /** How often something said that the reaper should look at once. */
  reaperNudges = 0;
  readyTold = 0;
  /** Wake-ups that their writers would have sent. */
  readonly wakeups: WakeupRow[] = [];
  readonly race = new TestRace();
  readonly random: () => number;
  readonly outgoing: Events;
  readonly #database: TestDatabase;
  readonly #footers: FooterReader;

  private constructor(database: TestDatabase, db: Database, orgId: number, options: WorldOptions) {
    this.#database = database;
    this.url = database.url;
    this.db = db;
    this.orgId = orgId;
    this.random = options.random ?? (() => 0.5);
    this.outgoing = new Events({ enabled: options.events ?? false });
    const store = this.store.asObjectStore();
    const onReady = (wakeups: readonly WakeupRow[]) => {
      this.readyTold += 1;
      this.wakeups.push(...wakeups);
    };
    this.sessions = new Sessions(db, () => {
      this.reaperNudges += 1;
    });
    // Tests move rows behind the dispatcher's back, so every claim that comes short looks at the front of the queue.
    const watermarks = { lagMs: 0, sweepEveryMs: 0, sweepShare: 0 };
    this.claims = new Claims({
      release: (tokens) => this.completions.release(tokens),
      db,
      orgId,
      datasetsBucket,
      jobs: new Jobs(db),
      race: this.race,
      watermarks,
    });
    const checks = options.footerChecks;
    this.#footers = new FooterReader({ store, log: silentLog() });
    this.completions = new Completions({
      db,
      store,
      datasetsBucket,
      ...(checks === undefined ? {} : { footers: { reader: this.#footers, checks } }),
      random: this.random,
      log: silentLog(),
      events: { onReady, onEnded: () => undefined, onRefused: () => undefined },
      outgoing: this.outgoing,
      race: this.race,
    });
    this.tasks = new Tasks(db, { onReady, onAdded: (priorities, early) => this.claims.added(priorities, early) });
    this.listing = new Listing(db);
    this.actions = new Actions({
      db,
      random: this.random,
      outgoing: this.outgoing,
      race: this.race,
      onReady,
      onCanceled: () => undefined,
    });
    this.starts = new Starts(db);
    this.deploys = new Deploys(db, onReady);
    this.runs = new Runs(db, this.tasks);
    this.datasets = new Datasets(db);
    this.resolver = new Resolver({ db, store, datasetsBucket, clock: { nowMs: () => 0 }, race: this.race });
    this.reverts = new Reverts({ db, outgoing: this.outgoing, race: this.race, onReady });
    this.diffs = new Diffs(db);
    this.lineages = new Lineages(db);
    this.pins = new Pins(db);
    this.purges = new Purges(db, this.race);
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const database = await freshDatabase();
    const db = new Database({
      url: database.url,
      name: "test",
      log: silentLog(),
      settings: plannerSettings,
      connectionsMax: options.connectionsMax ?? 12,
    });
    const [org] = await db.raw<{ org_id: number }>("select org_id from orgs where name = 'main'");
    return new World(database, db, org?.org_id ?? 0, options);
  }

  async close(): Promise<void> {
    await this.#footers.stop();
    await this.db.stop();
    await this.#database.drop();
  }

  /** Forgets all work and all data; what is deployed stays. */
  async clear(): Promise<void> {
    await this.db.raw(`truncate tasks, ready, waiting, job_slots, audit_log, leases, attempts, outcomes, live_outputs, task_keys, outbox, outbox_tries,
      queue_pulses, sessions, attempt_inputs, invalidations, invalidation_sweeps, commit_files, partitions, commits, commit_partitions, append_keys, task_slices, task_ranges,
      cursors, staging, garbage_files, pins, runs restart identity cascade`);
    await this.db.raw(
      "update generations set head_commit = 0, head_committed_at = null, last_field_id = 0, reverted_commit = 0",
    );
    this.store.objects.clear();
    this.store.away = false;
  }

  deploy(source: string) {
    return this.deploys.deploy(this.orgId, "test.yaml", source);
  }

  /** Creates tasks and answers with their ids; throws when one is refused. */
  async create(dag: string, job: string, count = 1, parts: { priority?: number; run_at?: string } = {}) {
    const items = Array.from({ length: count }, () => ({ dag, job, priority: 0, payload: {}, ...parts }));
    return (await this.tasks.create(this.orgId, items)).map((answer) => {
      if (answer.task_id === undefined || !answer.created) throw new Error(`not created: ${JSON.stringify(answer)}`);
      return answer.task_id;
    });
  }

  async session(): Promise<string> {
    return (await this.sessions.open({ worker: "w", host: "h", pid: 1, slots: 1_000 })).session_id;
  }

  /** As many calls as it takes: one claim has a bound of its own. */
  async claim(session: string, max = 1, taskIds: readonly string[] = []): Promise<ClaimedTask[]> {
    const tasks: ClaimedTask[] = [];
    for (;;) {
      const left = max - tasks.length;
      const answer = await this.claims.claim({ session_id: session, queue: "default", task_ids: taskIds, max: left });
      tasks.push(...claimedTasks(answer));
      if (!answer.more || tasks.length >= max) return tasks;
    }
  }

  /** One task claimed in a new session. */
  async claimOne(): Promise<ClaimedTask> {
    const [task] = await this.claim(await this.session());
    if (task === undefined) throw new Error("nothing was ready");
    return task;
  }

  async complete(task: ClaimedTask, result: Completion["result"]): Promise<CompletionAnswer> {
    const [answer] = await this.completions.complete([{ lease_token: task.lease_token, result }]);
    if (answer === undefined) throw new Error("no answer");
    return answer;
  }

  /** Completes with one staged file for each output. */
  async succeed(task: ClaimedTask): Promise<CompletionAnswer> {
    return this.complete(task, { kind: "success", outputs: task.staging.map((place) => this.stage(task, place)) });
  }

  fail(task: ClaimedTask, code: "TR-5306" | "TR-5200" = "TR-5306"): Promise<CompletionAnswer> {
    return this.complete(task, { kind: "failure", error: { code, detail: "it failed" } });
  }

  /** Writes a file and its manifest as a worker does; `change` makes the manifest lie. */
  stage(
    task: ClaimedTask,
    place: ClaimedTask["staging"][number] | undefined = task.staging[0],
    change: (manifest: ReturnType<typeof manifestOf>) => unknown = (manifest) => manifest,
  ): StagedOutput {
    if (place === undefined) throw new Error("the task has no output");
    const key = `${place.prefix}data/0.parquet`;
    const body = `rows of lease ${task.lease_no}`;
    const sha256 = this.store.put(place.bucket, key, body);
    const manifest = change(manifestOf(task, place, key, body.length, sha256));
    const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest);
    const manifestKey = `${place.prefix}manifest.json`;
    this.store.put(place.bucket, manifestKey, text);
    return {
      dataset: place.dataset,
      manifest_key: manifestKey,
      manifest_sha256: createHash("sha256").update(text).digest("hex"),
    };
  }

  /** Tests let deadlines pass and look at once, unless told otherwise. */
  reaper(db: Database = this.db, deadlineEveryMs = 0): Loop & { pass(): Promise<unknown> } {
    const loop = createReaper({
      db,
      random: this.random,
      outgoing: this.outgoing,
      race: this.race,
      log: silentLog(),
      deadlineEveryMs,
      onExpired: () => undefined,
      onReady: () => undefined,
    });
    return Object.assign(loop, { pass: () => pass(loop) });
  }

  reap(): Promise<unknown> {
    return this.reaper().pass();
  }

  /** Looks at once where production waits until clocks and late requests cannot matter. */
  garbage(parts: Partial<GarbageOptions> = {}): Loop & { pass(): Promise<unknown> } {
    const loop = createGarbage({
      db: this.db,
      store: this.store.asObjectStore(),
      datasetsBucket,
      scratchBucket,
      log: silentLog(),
      nowMs: () => Date.now(),
      race: this.race,
      stagingGraceMs: 0,
      onDeleted: () => undefined,
      onPaused: () => undefined,
      ...parts,
    });
    return Object.assign(loop, { pass: () => pass(loop) });
  }

  collect(parts: Partial<GarbageOptions> = {}): Promise<unknown> {
    return this.garbage(parts).pass();
  }

  /** A dataset at its head, as a reader gets it. */
  async read(dataset: string, at: Omit<DatasetRequest, "dataset"> = {}): Promise<ResolvedDataset> {
    const [answer] = await this.resolver.resolve(this.orgId, [{ dataset, ...at }], false);
    if (answer === undefined) throw new Error("no answer");
    return answer;
  }

  /** The clock moves past the end of every session. */
  async expireSessions(): Promise<void> {
    await this.db.raw(
      "update sessions set expires_at = clock_timestamp() - interval '1 second' where closed_at is null",
    );
  }

  async passDeadlines(): Promise<void> {
    await this.db.raw("update leases set deadline = clock_timestamp() - interval '1 second'");
  }

  /** The clock moves past every wait: what is queued may run, once it has a slot. */
  async makeDue(): Promise<void> {
    for (const table of ["ready", "waiting"]) {
      await this.db.raw(
        `update ${table} set run_at = clock_timestamp() - interval '1 second' where run_at > clock_timestamp()`,
      );
    }
  }

  async count(table: string, where = "true"): Promise<number> {
    const [row] = await this.db.raw<{ n: number }>(`select count(*)::int as n from ${table} where ${where}`);
    return row?.n ?? -1;
  }

  /** Attempts that are over: a row of their own, or the outcome that holds them. */
  async ended(): Promise<number> {
    return (await this.count("attempts")) + (await this.count("outcomes", "token is not null"));
  }

  task(id: string) {
    return this.listing.get(this.orgId, id);
  }
}

/** Runs one pass of a loop: starts it, waits for the pass, stops it. */
export async function pass(loop: Loop): Promise<"again" | "idle"> {
  const passed = loop.passed.next(20_000);
  await loop.start();
  try {
    return await passed;
  } finally {
    await loop.stop();
  }
}

function manifestOf(task: ClaimedTask, place: StagingPlace, key: string, bytes: number, sha256: string) {
  const columns = [{ name: "x", type: "BIGINT", min: "1", max: "9" as string | null, null_count: 0 }];
  return {
    format: "trace-manifest-1",
    dataset: place.dataset,
    task_id: task.task_id,
    lease_no: task.lease_no,
    partition: place.partition ?? null,
    schema: [{ name: "x", type: "BIGINT" }],
    rows: 1,
    bytes,
    files: [{ key, bytes, rows: 1, sha256, columns }],
  };
}

/** Resolves when `holds` does, looking again after each turn; a lost condition is a failed test, not a hang. */
export async function until(holds: () => Promise<boolean>, msMax = 15_000): Promise<void> {
  const end = performance.now() + msMax;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error("the condition did not come to hold");
    await new Promise((turn) => setImmediate(turn)); // What we wait for needs the event loop, too.
  }
}

/** How many connections of the database wait for a lock right now. */
export async function waitingForLocks(db: Database): Promise<number> {
  const [row] = await db.raw<{ n: number }>(
    "select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return row?.n ?? 0;
}
