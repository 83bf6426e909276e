/**
 * The dispatcher as one service: the state database with its migrations, three listeners, and the loops. Any number may
 * run side by side on one database.
 */
import { join } from "node:path";
import { dispatcherRoutes, TraceError } from "@trace/contracts";
import {
  type Clock,
  Database,
  EventBus,
  KnownTokens,
  Listener,
  type Log,
  Loop,
  loadMigrations,
  MessageQueue,
  Metrics,
  migrate,
  ObjectStore,
  OpsServer,
  SecretFile,
  type Service,
  startAll,
  stopAll,
  systemClock,
  systemRandom,
  TokenService,
  tokenHash,
} from "@trace/kit";
import { Actions } from "./actions.ts";
import { Claims } from "./claims.ts";
import { Completions } from "./completions.ts";
import type { DispatcherConfig } from "./config.ts";
import { Credentials } from "./credentials.ts";
import { Datasets } from "./datasets.ts";
import { Deploys } from "./deploys.ts";
import { Diffs } from "./diff.ts";
import { Events } from "./events.ts";
import { FooterReader } from "./footers/reader.ts";
import { taskAuthentication, taskHandlers } from "./http/task.ts";
import { type UserCaller, userHandlers } from "./http/user.ts";
import { workerHandlers } from "./http/worker.ts";
import { Jobs } from "./jobs.ts";
import { housekeepingEveryMs, sessionKeptMs, taskKeyKeptMs, taskKeysForgottenMax } from "./limits.ts";
import { Lineages } from "./lineage.ts";
import { Listing } from "./listing.ts";
import { Logs } from "./logs.ts";
import { LongPolls } from "./longpolls.ts";
import { createAdmission } from "./loops/admission.ts";
import { createGarbage } from "./loops/garbage.ts";
import { addPartitions, createHistory } from "./loops/history.ts";
import { OutboxLane } from "./loops/outbox.ts";
import { EventsLane } from "./loops/outbox-events.ts";
import { FailedRows } from "./loops/outbox-failed.ts";
import { createReaper } from "./loops/reaper.ts";
import { Reconciler } from "./loops/reconciler.ts";
import { createMeters, type Meters } from "./meters.ts";
import { Partitions } from "./partitions.ts";
import { Pins } from "./pins.ts";
import { plannerSettings } from "./planner.ts";
import { Plans } from "./plans.ts";
import { Purges } from "./purge.ts";
import { Resolver } from "./resolve.ts";
import { Reverts } from "./revert.ts";
import { Runs } from "./runs.ts";
import { Sessions } from "./sessions.ts";
import {
  findToken,
  forgetSessions,
  forgetTaskKeys,
  mainOrg,
  queueNames,
  setInstallation,
  setOwnerToken,
} from "./sql/statements.gen.ts";
import { Starts } from "./starts.ts";
import { SystemStatus } from "./system.ts";
import { Tasks } from "./tasks.ts";
import type { WakeupRow } from "./wakeups.ts";
import { Watching } from "./watching.ts";

export const migrationsFolder = join(import.meta.dirname, "migrations");
export const dispatcherVersion = "0.1.0";

export class Dispatcher implements Service {
  readonly #config: DispatcherConfig;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #db: Database;
  readonly #store: ObjectStore;
  readonly #queue: MessageQueue;
  readonly metrics = new Metrics({ role: "dispatcher" });
  #parts: Service[] = [];
  #ready = false;
  /** Filled by start: the addresses listened on. */
  readonly ports = { user: 0, worker: 0, task: 0, ops: 0 };
  outbox: OutboxLane | undefined;
  reaper: Loop | undefined;
  reconciler: Reconciler | undefined;

  constructor(config: DispatcherConfig, log: Log, clock: Clock = systemClock) {
    this.#config = config;
    this.#log = log;
    this.#clock = clock;
    const { credentials, region } = config;
    this.#db = new Database({
      url: config.databaseUrl,
      ...(config.databasePassword === undefined ? {} : { password: config.databasePassword }),
      name: "trace dispatcher",
      settings: plannerSettings,
      log,
    });
    this.#store = new ObjectStore({ endpoint: config.s3Endpoint, region, credentials });
    this.#queue = new MessageQueue({
      endpoint: config.sqsEndpoint,
      region,
      credentials,
      onQueueRecreated: (queue) => this.reconciler?.speakNow(queue.replace(/^trace-/, "")),
    });
  }

  async start(): Promise<void> {
    await this.#db.start();
    const migrations = await loadMigrations(migrationsFolder);
    const applied = await migrate(this.#db, migrations);
    if (applied.length > 0) this.#log.info({ applied }, "migrated the state database");
    await this.#identify();
    if (this.#config.ownerTokenSha256 !== undefined) {
      await this.#db.query(setOwnerToken, { token_sha256: Buffer.from(this.#config.ownerTokenSha256, "hex") });
    }
    await addPartitions(this.#db, this.#log);
    const [org] = await this.#db.query(mainOrg, {});
    if (org === undefined) throw new Error("the organisation 'main' is missing");
    this.#parts = await this.#build(org.org_id, migrations.length);
    await startAll(this.#parts);
    this.#ready = true;
  }

  async stop(): Promise<void> {
    this.#ready = false;
    await stopAll(this.#parts);
    this.#parts = [];
    await stopAll([this.#db, this.#store, this.#queue]);
  }

  /** A database belongs to one installation: two state folders on one database would fight over tokens and buckets. */
  async #identify(): Promise<void> {
    const name = { installation: this.#config.installation };
    let [row] = await this.#db.query(setInstallation, name);
    // Nothing: another dispatcher named the database while this statement ran. Its name is seen by the next one.
    if (row?.installation == null) [row] = await this.#db.query(setInstallation, name);
    if (row?.installation === this.#config.installation) return;
    throw new TraceError("TR-1014", {
      detail: `this database belongs to installation '${row?.installation}', this state folder is '${this.#config.installation}'`,
      why: "its rows name objects and tokens of the other one",
      fix: "start with the state folder that belongs to the database, or with an empty database",
    });
  }

  async #build(orgId: number, schemaVersion: number): Promise<Service[]> {
    const config = this.#config;
    const db = this.#db;
    const log = this.#log;
    const meters = createMeters(this.metrics, db, orgId);
    const queues = new Map((await db.query(queueNames, {})).map((row) => [row.queue_id, row.name]));
    const queueName = (id: number) => queues.get(id) ?? "default";
    const outbox = new OutboxLane({
      db,
      queue: this.#queue,
      queueName,
      isAwaited: (id) => polls.isWaitedFor(queueName(id)),
      onSpared: (rows) => meters.wakeupsSpared.inc(rows),
      log,
      onSent: ({ messages, ids }) => {
        meters.wakeups.inc(messages);
        meters.wakeupIds.inc(ids);
      },
      onLeft: (rows) => meters.wakeupsLeft.inc(rows),
      onPaused: (paused) => {
        meters.lanePaused.set({ lane: "sqs" }, paused ? 1 : 0);
        // SQS was away, and if it keeps its queues in memory it comes back without what they held.
        if (!paused) this.reconciler?.speakNow();
      },
    });
    const onReady = (wakeups: readonly WakeupRow[]) => {
      outbox.take(wakeups);
      const ready = new Map<number, number>();
      for (const row of wakeups) ready.set(row.queue_id, (ready.get(row.queue_id) ?? 0) + row.task_ids.length);
      for (const [id, tasks] of ready) polls.ready(queueName(id), tasks);
    };
    const outgoing = new Events({ enabled: config.eventBus !== undefined });
    const lastClaims = new Map<string, number>();
    const claims = new Claims({
      release: (leaseTokens) => completions.release(leaseTokens),
      db,
      orgId,
      datasetsBucket: config.datasetsBucket,
      jobs: new Jobs(db),
      onClaimed: (queue, count, waitedMs) => {
        lastClaims.set(queue, performance.now());
        meters.claimed.inc(count);
        meters.waited.observe(waitedMs / 1_000);
      },
      onTaken: (taskIds) => outbox.claimed(taskIds),
    });
    const polls = new LongPolls({
      log,
      claim: (request) => claims.claim(request),
      release: (leaseTokens) => completions.release(leaseTokens),
    });
    meters.waitingClaims(() => polls.waiting);
    const footers = new FooterReader({ store: this.#store, log });
    const completions = new Completions({
      db,
      store: this.#store,
      datasetsBucket: config.datasetsBucket,
      footers: { reader: footers, checks: config.footerChecks },
      random: systemRandom,
      log,
      events: {
        onReady,
        onEnded: (attempt, task, count) => meters.attempts.inc({ attempt, task }, count),
        onRefused: (code) => meters.refused.inc({ code }),
      },
      outgoing,
    });
    const reaper = createReaper({
      db,
      random: systemRandom,
      outgoing,
      log,
      onExpired: (count) => meters.expired.inc(count),
      onReady,
    });
    const reconciler = new Reconciler({ db, log, lastClaimMs: (queue) => lastClaims.get(queue), onReady });
    const housekeeping = new Loop({
      name: "housekeeping",
      everyMs: housekeepingEveryMs,
      log,
      pass: async () => {
        await db.query(forgetSessions, { older_than_ms: sessionKeptMs });
        await db.query(forgetTaskKeys, { older_than_ms: taskKeyKeptMs, limit: taskKeysForgottenMax });
        return "idle";
      },
    });
    Object.assign(this, { outbox, reaper, reconciler });
    const listeners = this.#listeners({
      orgId,
      schemaVersion,
      claims,
      polls,
      completions,
      meters,
      onReady,
      outgoing,
      reaper,
    });
    const { datasetsBucket, scratchBucket } = config;
    const garbage = createGarbage({
      db,
      store: this.#store,
      datasetsBucket,
      scratchBucket,
      log,
      nowMs: () => this.#clock.nowMs(),
      onDeleted: (kind, { objects, bytes }) => {
        meters.garbageObjects.inc({ kind }, objects);
        meters.garbageBytes.inc({ kind }, bytes);
      },
      onPaused: (paused) => meters.garbagePaused.set({}, paused ? 1 : 0),
    });
    const keeping = [createHistory({ db, log }), createAdmission({ db, log, onReady }), housekeeping, garbage];
    return [outbox, footers, ...this.#eventLane(meters), ...keeping, reaper, reconciler, ...listeners];
  }

  /** The outbox lane to the event bus, if one is configured. The lane ends before its client. */
  #eventLane(meters: Meters): Service[] {
    const { credentials, eventBridgeEndpoint: endpoint, eventBus, region } = this.#config;
    if (eventBus === undefined) return [];
    const bus = new EventBus({ endpoint, region, credentials, bus: eventBus, source: "trace" });
    const lane = new EventsLane({
      db: this.#db,
      bus,
      log: this.#log,
      onSent: (events) => meters.events.inc(events),
      onPaused: (paused) => meters.lanePaused.set({ lane: "events" }, paused ? 1 : 0),
    });
    return [bus, lane];
  }

  #listeners(parts: {
    orgId: number;
    schemaVersion: number;
    claims: Claims;
    polls: LongPolls;
    completions: Completions;
    meters: Meters;
    onReady: (wakeups: readonly WakeupRow[]) => void;
    outgoing: Events;
    reaper: Loop;
  }): Service[] {
    const config = this.#config;
    const db = this.#db;
    const { claims, meters, onReady } = parts;
    const { datasetsBucket, scratchBucket, host, allowedHosts, installation } = config;
    const shared = { host, allowedHosts, log: this.#log, onRequest: meters.onRequest };
    const resolver = new Resolver({ db, store: this.#store, datasetsBucket, clock: this.#clock });
    const { sts, credentials } = this.#attemptKeys();
    const listing = new Listing(db);
    const tasks = new Tasks(db, {
      onReady,
      onAdded: (priorities, early) => claims.added(priorities, early),
    });
    const about = { version: dispatcherVersion, schemaVersion: parts.schemaVersion, installation };
    const users = new KnownTokens<UserCaller>({
      find: async (token) => {
        const [row] = await db.query(findToken, { token_sha256: tokenHash(token) });
        return row === undefined ? undefined : { orgId: row.org_id, name: row.name };
      },
    });
    const user = new Listener<typeof dispatcherRoutes.user, UserCaller>({
      ...shared,
      name: "user",
      port: config.userPort,
      routes: dispatcherRoutes.user,
      authenticate: (token) => users.owner(token),
      handlers: userHandlers({
        actions: new Actions({
          db,
          random: systemRandom,
          outgoing: parts.outgoing,
          onReady,
          onCanceled: (count) => meters.canceled.inc(count),
        }),
        datasets: new Datasets(db),
        deploys: new Deploys(db, onReady),
        diffs: new Diffs(db),
        failed: new FailedRows(db, this.#log),
        lineages: new Lineages(db),
        listing,
        logs: new Logs({ db, store: this.#store, listing, scratchBucket }),
        partitions: new Partitions(db, tasks),
        pins: new Pins(db),
        plans: new Plans(db),
        purges: new Purges(db),
        resolver,
        reverts: new Reverts({ db, outgoing: parts.outgoing, onReady }),
        runs: new Runs(db, tasks),
        system: new SystemStatus(db, about),
        tasks,
        watching: new Watching({ listing, store: this.#store, scratchBucket }),
      }),
    });
    const hashes = new SecretFile(config.workerTokenHashesFile);
    const workers = new KnownTokens<true>({
      // Comparing hashes: what a timing could tell is about the hash, from which no token follows.
      find: async (token) => ((await hashes.lines()).includes(tokenHash(token).toString("hex")) ? true : undefined),
    });
    const worker = new Listener<typeof dispatcherRoutes.worker, true>({
      ...shared,
      name: "worker",
      port: config.workerPort,
      routes: dispatcherRoutes.worker,
      authenticate: (token) => workers.owner(token),
      handlers: workerHandlers({
        claims: parts.polls,
        completions: parts.completions,
        sessions: new Sessions(db, () => parts.reaper.nudge(), config.sessionTtlMs),
        starts: new Starts(db),
      }),
    });
    const task = new Listener({
      ...shared,
      name: "task",
      port: config.taskPort,
      routes: dispatcherRoutes.task,
      authenticate: taskAuthentication(db),
      handlers: taskHandlers(db, claims, resolver, credentials),
    });
    const ops = new OpsServer({
      role: "dispatcher",
      host,
      port: config.opsPort,
      allowedHosts,
      metrics: this.metrics,
      ready: async () => {
        if (!this.#ready) throw new Error("starting or stopping");
        await db.query(mainOrg, {});
      },
    });
    const known: Service = {
      start: () => {
        Object.assign(this.ports, { user: user.port, worker: worker.port, task: task.port, ops: ops.port });
        return Promise.resolve();
      },
      stop: () => Promise.resolve(),
    };
    // Stopped before the listeners, which wait for the calls they work on.
    const waiting: Service = {
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(parts.polls.stop()),
    };
    return [...sts, user, worker, task, ops, known, waiting];
  }

  /** Keys of attempts' own, where a token service and a role are named; the client ends after the listeners that use it. */
  #attemptKeys(): { sts: Service[]; credentials: Credentials } {
    const { credentials: own, datasetsBucket, region, stagingRoleArn: roleArn, stsEndpoint: endpoint } = this.#config;
    const tokens = roleArn === undefined ? undefined : new TokenService({ endpoint, region, credentials: own });
    const credentials = new Credentials({ db: this.#db, datasetsBucket, clock: this.#clock, tokens, roleArn });
    return { sts: tokens === undefined ? [] : [tokens], credentials };
  }
}
