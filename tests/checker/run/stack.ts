/**
 * The system under test: Postgres, embedded S3 and SQS, several dispatchers and workers, each a process that can be killed,
 * with the recorder and the fault proxies between them.
 */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createClient, userRoutes, workerRoutes } from "@trace/contracts";
import { Database, HttpTransport, silentLog, stopAll } from "@trace/kit";
import { EmbeddedPostgres } from "@trace/localcloud";
import { PostgresProxy } from "../../faults/postgres-proxy.ts";
import type { SeededRandom } from "../../faults/random.ts";
import { SqsProxy } from "../../faults/sqs-proxy.ts";
import { Recorder } from "../record/recorder.ts";
import { type Child, Children } from "./children.ts";
import { type AccessKey, buckets, freePorts, type RunFolder } from "./folder.ts";
import { ownConnectionsMax } from "./limits.ts";
import { puppetQueue } from "./plan.ts";

const region = "us-east-1";
const host = "127.0.0.1";
const url = (port: number) => `http://${host}:${port}`;
const checkout = join(import.meta.dirname, "..", "..", "..");
const workerFile = join(import.meta.dirname, "worker-process.ts");
const clockFile = join(import.meta.dirname, "clock.ts");
/** A process that ends while it starts is started again this often, after this pause, milliseconds. */
const startTriesMax = 20;
const startAgainMs = 500;
/** A worker's clock is wrong by up to this, either way, milliseconds. */
const skewMsMax = 6 * 3_600_000;

export interface StackOptions {
  readonly folder: RunFolder;
  readonly random: SeededRandom;
  readonly dispatchers: number;
  readonly workers: number;
  readonly workerSlots: number;
  readonly sessionTtlMs: number;
  /** The program of the dispatchers; a copy of it, where a test has broken it. */
  readonly dispatcherFile?: string;
}

/** A place for a process that is started again each time it ends. */
interface Place {
  readonly name: string;
  child: Child;
}

export class ChaosStack {
  readonly recorder: Recorder;
  readonly sqs: SqsProxy;
  /** Before all dispatchers but the last: so there is always one whose way to Postgres nobody cuts. */
  readonly cutter: PostgresProxy;
  readonly dispatchers: Place[] = [];
  readonly workers: Place[] = [];
  readonly #options: StackOptions;
  readonly #children = new Children();
  readonly #random: SeededRandom;
  readonly #postgres: EmbeddedPostgres;
  readonly #ports: { readonly postgres: number; readonly s3: number; readonly sqs: number; readonly ops: number };
  readonly #dispatcherPorts: {
    readonly user: number;
    readonly worker: number;
    readonly task: number;
    readonly ops: number;
  }[];
  readonly #transports: HttpTransport[] = [];
  /** The run's own way to Postgres, past every proxy. */
  readonly db: Database;
  #workerNumber = 0;
  #endpoints: Place | undefined;

  private constructor(options: StackOptions, ports: number[]) {
    this.#options = options;
    const { folder, random } = options;
    this.#random = random.fork("stack");
    const next = () => ports.shift() ?? 0;
    this.#ports = { postgres: next(), s3: next(), sqs: next(), ops: next() };
    this.#dispatcherPorts = Array.from({ length: options.dispatchers }, () => ({
      user: next(),
      worker: next(),
      task: next(),
      ops: next(),
    }));
    this.recorder = new Recorder({ path: folder.history, seed: random.fork("recorder").seed });
    this.sqs = new SqsProxy({ backend: url(this.#ports.sqs), seed: random.fork("sqs").seed });
    const postgresUrl = `postgres://${host}:${this.#ports.postgres}`;
    this.cutter = new PostgresProxy({ target: postgresUrl, seed: random.fork("postgres").seed });
    this.#postgres = new EmbeddedPostgres({
      name: "state",
      stateDir: folder.dir,
      id: folder.id,
      port: this.#ports.postgres,
      roles: [{ name: "trace_state", password: folder.postgresPassword }],
      // The processes are killed, the machine is not: what the system took is kept. Pages may be torn, so these are on.
      settings: { fsync: false, max_connections: 100 },
      log: silentLog(),
    });
    this.db = new Database({
      url: this.#postgres.url(),
      name: "checker",
      connectionsMax: ownConnectionsMax,
      log: silentLog(),
    });
  }

  static async create(options: StackOptions): Promise<ChaosStack> {
    return new ChaosStack(options, await freePorts(4 + 4 * options.dispatchers));
  }

  async start(): Promise<void> {
    const localcloud = this.#startEndpoints();
    this.#endpoints = { name: localcloud.name, child: localcloud };
    await Promise.all([this.#postgres.start(), localcloud.ready()]);
    await this.sqs.start();
    await this.cutter.start();
    await this.recorder.start();
    this.recorder.setTargets(this.#dispatcherPorts.map((ports, index) => ({ index, ports })));
    // The first one migrates; it knows the queues of when it started, so it starts again when there is one more.
    const first = this.#startDispatcher(0);
    await first.ready();
    await this.#addQueue(puppetQueue);
    await first.kill();
    for (const index of this.#dispatcherPorts.keys()) {
      const child = this.#startDispatcher(index);
      this.dispatchers.push({ name: child.name, child });
      await child.ready();
    }
    for (let index = 0; index < this.#options.workers; index += 1) {
      const child = this.#startWorker(index, "default");
      this.workers.push({ name: child.name, child });
    }
    await Promise.all(this.workers.map(({ child }) => child.ready()));
  }

  /** Where one of the dispatchers takes calls: for who speaks to it past the recorder. */
  dispatcherUrl(index: number, via: "user" | "worker" | "task"): string {
    const ports = this.#dispatcherPorts[index];
    if (ports === undefined) throw new RangeError(`there is no dispatcher ${index}`);
    return url(ports[via]);
  }

  get dispatcherIndexes(): number[] {
    return [...this.#dispatcherPorts.keys()];
  }

  get objectsUrl(): string {
    return url(this.#ports.s3);
  }

  /** A queue beside the default one, which no call can make yet: a row and a queue of SQS. */
  async #addQueue(name: string): Promise<void> {
    await this.db.raw("insert into queues (org_id, name) select org_id, $1 from orgs", [name]);
    const answer = await fetch(url(this.#ports.sqs), {
      method: "POST",
      headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.CreateQueue" },
      body: JSON.stringify({ QueueName: `trace-${name}` }),
    });
    if (!answer.ok) throw new Error(`the queue of ${name} could not be made: ${await answer.text()}`);
  }

  /** One more worker, for what is left in the puppets' queue. */
  async workOffPuppets(): Promise<void> {
    const child = this.#startWorker(this.workers.length, puppetQueue);
    this.workers.push({ name: child.name, child });
    await child.ready();
  }

  async stopWorkers(): Promise<void> {
    await Promise.all(this.workers.map(({ child }) => child.stop()));
  }

  /** What callers were doing is answered first, so that the history ends with what was known. */
  async stop(): Promise<void> {
    await this.stopWorkers();
    await stopAll(this.#transports);
    await this.recorder.stop();
    await this.db.stop();
    await this.#children.stop();
    await this.sqs.stop();
    await this.cutter.stop();
    await this.#postgres.stop();
  }

  get sessionTtlMs(): number {
    return this.#options.sessionTtlMs;
  }

  /** For what has to be ended whatever has happened. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.workers.map(({ child }) => child.kill()));
    await Promise.allSettled(
      [...this.#transports, this.recorder, this.db, this.#children, this.sqs, this.cutter].map((one) => one.stop()),
    );
    await Promise.allSettled([this.#postgres.stop()]);
  }

  userClient() {
    return createClient(userRoutes, this.#transport("user", this.#options.folder.ownerToken).send);
  }

  workerClient() {
    return createClient(workerRoutes, this.#transport("worker", this.#options.folder.workerToken).send);
  }

  #transport(via: "user" | "worker", token: string): HttpTransport {
    const transport = new HttpTransport({ baseUrl: this.recorder.url(via), token: () => Promise.resolve(token) });
    this.#transports.push(transport);
    return transport;
  }

  /** SIGKILL of a dispatcher; a new one comes at once in its place. Resolves when that takes calls. */
  async killDispatcher(index: number): Promise<void> {
    const place = this.dispatchers[index];
    if (place === undefined) throw new RangeError(`there is no dispatcher ${index}`);
    this.recorder.note(`killed ${place.name}`);
    await place.child.kill();
    await this.#again(place, () => this.#startDispatcher(index));
  }

  /** SIGKILL of the process that is the object store and the queues; a new one comes at once in its place. */
  async killEndpoints(): Promise<void> {
    const place = this.#endpoints;
    if (place === undefined) throw new Error("the endpoints do not run");
    this.recorder.note(`killed ${place.name}`);
    await place.child.kill();
    await this.#again(place, () => this.#startEndpoints());
  }

  /** SIGSTOP of a dispatcher for so long: what it had begun it ends when the world has moved on. */
  async pauseDispatcher(index: number, ms: number): Promise<void> {
    const child = this.dispatchers[index]?.child;
    this.recorder.note(`stopped dispatcher-${index}`);
    child?.signal("SIGSTOP");
    await pause(ms);
    child?.signal("SIGCONT");
    this.recorder.note(`continued dispatcher-${index}`);
  }

  /** SIGKILL of a worker; a new one, with another clock, comes in its place. */
  async killWorker(index: number): Promise<void> {
    const place = this.workers[index];
    if (place === undefined) throw new RangeError(`there is no worker ${index}`);
    this.recorder.note(`killed ${place.name}`);
    await place.child.kill();
    await this.#again(place, () => this.#startWorker(index, "default"));
  }

  /** The time of day of a worker is set, by hours, while it works. */
  skewWorker(index: number): void {
    const place = this.workers[index];
    const ms = this.#skewMs();
    this.recorder.note(`set the clock of ${place?.name} wrong by ${ms} ms`);
    place?.child.tell({ kind: "clock", ms });
  }

  /** Ends the server with a signal, and starts it again. `SIGQUIT` is its immediate shutdown. */
  async restartPostgres(signal: "SIGKILL" | "SIGQUIT"): Promise<void> {
    const { pid } = this.#postgres;
    if (pid === undefined) throw new Error("Postgres does not run");
    this.recorder.note(`ended Postgres with ${signal}`);
    const gone = new Promise<void>((resolve) => this.#postgres.onExit(() => resolve()));
    process.kill(pid, signal);
    await gone;
    await this.#postgres.start();
  }

  /** Ends some of the dispatchers' connections from inside Postgres. Answers with how many. */
  async terminateBackends(count: number): Promise<number> {
    const rows = await this.db.raw<{ ended: boolean }>(
      `select pg_terminate_backend(pid) as ended from (
         select pid from pg_stat_activity
          where usename = 'trace_state' and application_name like 'trace%' and pid <> pg_backend_pid()
          order by random() limit $1) picked`,
      [count],
    );
    const ended = rows.filter((row) => row.ended).length;
    this.recorder.note(`terminated ${ended} backends`);
    return ended;
  }

  /** As a supervisor does: what cannot start, because Postgres is away just now, is started again. */
  async #again(place: Place, start: () => Child): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      place.child = start();
      try {
        await place.child.ready();
        return;
      } catch (error) {
        if (tries === startTriesMax) throw error;
        await pause(startAgainMs);
      }
    }
  }

  #skewMs(): number {
    return this.#random.integer(-skewMsMax, skewMsMax);
  }

  #startEndpoints(): Child {
    const { folder } = this.#options;
    return this.#role("localcloud", "localcloud", {
      TRACE_S3_PORT: String(this.#ports.s3),
      TRACE_SQS_PORT: String(this.#ports.sqs),
      TRACE_OPS_PORT: String(this.#ports.ops),
      TRACE_S3_ROOT: join(folder.dir, "objects"),
      TRACE_S3_CREDENTIALS_FILE: folder.credentialsFile,
      AWS_REGION: region,
    });
  }

  #startDispatcher(index: number): Child {
    const { folder, sessionTtlMs } = this.#options;
    const ports = this.#dispatcherPorts[index];
    if (ports === undefined) throw new RangeError(`there is no dispatcher ${index}`);
    const last = index === this.#dispatcherPorts.length - 1; // Its way to Postgres is left alone.
    const postgresPort = last ? this.#ports.postgres : this.cutter.port;
    return this.#role("dispatcher", `dispatcher-${index}`, {
      ...this.#aws(folder.dispatcherKey),
      TRACE_STATE_DATABASE_URL: `postgres://trace_state@${host}:${postgresPort}/${this.#postgres.database}`,
      TRACE_STATE_DATABASE_PASSWORD: folder.postgresPassword,
      TRACE_USER_PORT: String(ports.user),
      TRACE_WORKER_PORT: String(ports.worker),
      TRACE_TASK_PORT: String(ports.task),
      TRACE_OPS_PORT: String(ports.ops),
      TRACE_WORKER_TOKEN_HASHES_FILE: folder.workerTokenHashesFile,
      TRACE_OWNER_TOKEN_SHA256: folder.ownerTokenSha256,
      TRACE_INSTALLATION: folder.id,
      TRACE_SESSION_TTL_MS: String(sessionTtlMs),
    });
  }

  #startWorker(index: number, queue: string): Child {
    const { folder, workerSlots } = this.#options;
    this.#workerNumber += 1;
    return this.#children.start({
      name: `worker-${index}`,
      args: ["--import", clockFile, workerFile],
      logs: folder.logs,
      env: {
        ...this.#aws(folder.workerKey),
        TRACE_TEST_CLOCK_SKEW_MS: String(this.#skewMs()),
        TRACE_WORKER_NAME: `worker-${index}-${this.#workerNumber}`,
        TRACE_WORKER_API: this.recorder.url("worker"),
        TRACE_TASK_API: this.recorder.url("task"),
        TRACE_WORKER_TOKEN_FILE: folder.workerTokenFile,
        TRACE_QUEUE: queue,
        TRACE_WORK_DIR: join(folder.dir, "work"),
        TRACE_SLOTS: String(workerSlots),
        TRACE_DRAIN_MS: "5000",
        TRACE_LOG_LEVEL: "error",
        TRACE_LOG_PRETTY: "0",
      },
    });
  }

  #role(role: "dispatcher" | "localcloud", name: string, env: Readonly<Record<string, string>>): Child {
    const own = join(checkout, "packages", "cli", "src", "main.ts");
    const file = role === "dispatcher" ? (this.#options.dispatcherFile ?? own) : own;
    return this.#children.start({
      name,
      args: [file, role],
      logs: this.#options.folder.logs,
      env: { ...env, TRACE_HOST: host, TRACE_LOG_LEVEL: "error", TRACE_LOG_PRETTY: "0" },
    });
  }

  #aws(key: AccessKey): Record<string, string> {
    return {
      AWS_REGION: region,
      AWS_ENDPOINT_URL_S3: url(this.#ports.s3),
      AWS_ENDPOINT_URL_SQS: this.sqs.url,
      AWS_ACCESS_KEY_ID: key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
      TRACE_DATASETS_BUCKET: buckets.datasets,
      TRACE_SCRATCH_BUCKET: buckets.scratch,
    };
  }
}
