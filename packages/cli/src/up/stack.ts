/**
 * The local stack: two Postgres servers, the embedded S3 and SQS, and one process per role, supervised. It holds the
 * state folder while it runs, and tells in endpoints.json where everything answers.
 */
import { rmSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import type { Environment, Log, Service } from "@trace/kit";
import {
  EmbeddedPostgres,
  LogFile,
  type ProcessSpec,
  ProcessUnit,
  pssOf,
  StateFolder,
  Supervisor,
  serviceUnit,
  type Unit,
  type UnitStatus,
} from "@trace/localcloud";
import { type Endpoints, endpointsFileName } from "../state/endpoints.ts";
import {
  logBytesMax,
  logFilesKept,
  portTriesMax,
  preferredPorts,
  roleReadyMsMax,
  roleStopMsMax,
  smallProcessFlags,
  workerTokenRotationMs,
} from "./limits.ts";
import {
  buckets,
  rotateWorkerToken,
  type StackSecrets,
  stackSecrets,
  stagingRoleArn,
  type WorkerTokenFiles,
} from "./secrets.ts";
import { keepSettings } from "./settings.ts";

export interface StackOptions {
  readonly dir: string;
  /** Folders that `ingest` may read files from, absolute. */
  readonly roots: readonly string[];
  /** host:port that outgoing HTTP of operators may reach although it is not public: for development. */
  readonly guardAllow: readonly string[];
  readonly slots: number | undefined;
  readonly env: Environment;
  readonly log: Log;
  /** What others are told that try to start on the same folder. */
  readonly command: string;
  /** Each line that a role writes, as JSON. */
  readonly onLine?: ((line: string, name: string) => void) | undefined;
  readonly onState?: ((status: UnitStatus) => void) | undefined;
}

type Ports = Record<keyof typeof preferredPorts, number>;

const host = "127.0.0.1";
const region = "us-east-1";
const mainFile = join(import.meta.dirname, "..", "main.ts");

/** Variables of the shell that reach every role. */
const everyRole = ["TRACE_LOG_LEVEL", "TRACE_ALLOWED_HOSTS", "TMPDIR", "LANG"];

/** Those of the variables named that are set. */
function passed(env: Environment, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

function url(port: number): string {
  return `http://${host}:${port}`;
}

export class Stack implements Service {
  readonly #options: StackOptions;
  #folder: StateFolder | undefined;
  #supervisor: Supervisor | undefined;
  #postgres: EmbeddedPostgres[] = [];
  #rotation: NodeJS.Timeout | undefined;
  #endpoints: Endpoints | undefined;
  #starting: Promise<void> | undefined;
  #stopping = false;

  constructor(options: StackOptions) {
    this.#options = options;
  }

  /** Where everything answers, once started. */
  get endpoints(): Endpoints {
    if (this.#endpoints === undefined) throw new Error("the stack is not started");
    return this.#endpoints;
  }

  status(): UnitStatus[] {
    return this.#supervisor?.status() ?? [];
  }

  /** Folders outside the state folder that hold the stack's data (root's Postgres). */
  get folders(): string[] {
    return [...new Set(this.#postgres.map((server) => server.folder).filter((folder) => folder !== undefined))];
  }

  /** Proportional memory of the supervisor and everything below it, bytes; undefined where the system does not tell. */
  memory(): Promise<number | undefined> {
    return pssOf([process.pid]);
  }

  /** Throws TR-6001 when another stack holds the folder, and whatever kept a part from starting. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { dir, command, log } = this.#options;
    const folder = await StateFolder.open({ dir, command });
    this.#folder = folder;
    try {
      if (!folder.endedCleanly) log.info("the last run was killed; going on from what it left");
      keepSettings(folder.dir, { roots: this.#options.roots, allow: this.#options.guardAllow });
      const secrets = stackSecrets(folder);
      const tokens = rotateWorkerToken(folder);
      const ports = await this.#startUnits(folder, secrets, tokens);
      await this.#announce(folder, ports);
      this.#rotation = setInterval(() => rotateWorkerToken(folder), workerTokenRotationMs);
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  /** Also while it is starting: then what was begun is taken back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    // Stopping what starts makes the start fail, which ends the rest; its error is of no interest any more.
    await this.#supervisor?.stop();
    await this.#starting?.catch(() => undefined);
    await this.#end();
  }

  /**
   * Chooses ports and starts everything. Between the choice and the use somebody else may take one (another stack that
   * starts at the same moment): then others are chosen, a few times.
   */
  async #startUnits(folder: StateFolder, secrets: StackSecrets, tokens: WorkerTokenFiles): Promise<Ports> {
    const { log, onState } = this.#options;
    for (let tries = 1; ; tries += 1) {
      const ports = await choosePorts(folder);
      if (this.#stopping) throw new TraceError("TR-1008", { detail: "the stack was stopped while it was starting" });
      const supervisor = new Supervisor({ units: this.#units(folder, ports, secrets, tokens), log });
      this.#supervisor = supervisor;
      if (onState !== undefined) supervisor.on("state", onState);
      try {
        await supervisor.start();
        return ports;
      } catch (error) {
        // Its parts are stopped by now: a port that is still in use is in somebody else's.
        if (this.#stopping) throw error;
        const taken = await folder.forgetTakenPorts();
        if (taken.length === 0 || tries === portTriesMax) throw error;
        log.warn({ taken }, "ports were taken meanwhile: choosing others");
      }
    }
  }

  async #end(): Promise<void> {
    clearInterval(this.#rotation);
    const folder = this.#folder;
    this.#folder = undefined;
    if (folder === undefined) return;
    try {
      rmSync(join(folder.dir, endpointsFileName), { force: true });
      await this.#supervisor?.stop();
    } finally {
      await folder.close();
    }
  }

  #units(folder: StateFolder, ports: Ports, secrets: StackSecrets, tokens: WorkerTokenFiles): Unit[] {
    const { log, env } = this.#options;
    const server = (name: "state" | "data", port: number, password: string) =>
      new EmbeddedPostgres({
        name,
        stateDir: folder.dir,
        id: folder.id,
        port,
        roles: [{ name: `trace_${name}`, password }],
        log,
        rootFolder: env.TRACE_POSTGRES_ROOT,
      });
    const state = server("state", ports.postgresState, secrets.stateDatabase);
    const data = server("data", ports.postgresData, secrets.dataDatabase);
    this.#postgres = [state, data];
    const process = (spec: ProcessSpec) => {
      const logFile = new LogFile({
        path: join(folder.logsDir, `${spec.name}.log`),
        bytesMax: logBytesMax,
        filesMax: logFilesKept,
      });
      return new ProcessUnit(spec, { logFile, onLine: this.#options.onLine });
    };
    return [
      serviceUnit({ name: state.name, service: state }),
      serviceUnit({ name: data.name, service: data }),
      process(this.#role("localcloud", [], ports.opsLocalcloud, localcloudEnv(folder, ports))),
      process(
        this.#role("dispatcher", [state.name, "localcloud"], ports.opsDispatcher, {
          ...awsEnv(ports, secrets.dispatcher),
          TRACE_STATE_DATABASE_URL: `postgres://trace_state@${host}:${ports.postgresState}/${state.database}`,
          TRACE_STATE_DATABASE_PASSWORD: secrets.stateDatabase,
          TRACE_USER_PORT: String(ports.user),
          TRACE_WORKER_PORT: String(ports.worker),
          TRACE_TASK_PORT: String(ports.task),
          TRACE_WORKER_TOKEN_HASHES_FILE: tokens.hashesFile,
          TRACE_OWNER_TOKEN_SHA256: secrets.ownerTokenSha256,
          TRACE_INSTALLATION: folder.id,
          AWS_ENDPOINT_URL_STS: url(ports.s3),
          TRACE_STAGING_ROLE_ARN: stagingRoleArn,
        }),
      ),
      process(
        this.#role("worker", ["dispatcher"], ports.opsWorker, {
          ...awsEnv(ports, secrets.worker),
          TRACE_WORKER_API: url(ports.worker),
          TRACE_TASK_API: url(ports.task),
          TRACE_WORKER_TOKEN_FILE: tokens.tokenFile,
          TRACE_FILE_ROOTS: JSON.stringify(this.#options.roots),
          TRACE_GUARD_ALLOW: JSON.stringify(this.#options.guardAllow),
          TRACE_WORK_DIR: join(folder.dir, "work"),
          ...passed(env, ["TRACE_SOURCE_BYTES_MAX", "TRACE_INPUTS_BYTES_MAX", "TRACE_DRAIN_MS", "TRACE_WORK_DIR"]),
          ...(this.#options.slots === undefined ? {} : { TRACE_SLOTS: String(this.#options.slots) }),
        }),
      ),
    ];
  }

  #role(name: string, after: readonly string[], opsPort: number, env: Record<string, string>): ProcessSpec {
    return {
      name,
      command: process.execPath,
      args: [...(name === "dispatcher" ? [] : smallProcessFlags), mainFile, name],
      // Nothing is inherited but what is named here: a role must not see the shell's secrets.
      env: { ...passed(this.#options.env, everyRole), ...env, TRACE_OPS_PORT: String(opsPort), TRACE_LOG_PRETTY: "0" },
      readyUrl: `${url(opsPort)}/readyz`,
      readyMaxMs: roleReadyMsMax,
      stopMaxMs: name === "worker" ? 2 * roleStopMsMax + 10_000 : roleStopMsMax,
      after,
    };
  }

  async #announce(folder: StateFolder, ports: Ports): Promise<void> {
    this.#endpoints = {
      format: 1,
      pid: process.pid,
      started_at: new Date().toISOString(),
      user_api: url(ports.user),
      worker_api: url(ports.worker),
      task_api: url(ports.task),
      s3: url(ports.s3),
      sqs: url(ports.sqs),
      postgres: { state: { host, port: ports.postgresState }, data: { host, port: ports.postgresData } },
      ops: {
        dispatcher: url(ports.opsDispatcher),
        worker: url(ports.opsWorker),
        localcloud: url(ports.opsLocalcloud),
      },
      logs: folder.logsDir,
      file_roots: [...this.#options.roots],
    };
    const path = join(folder.dir, endpointsFileName);
    await writeFile(`${path}.tmp`, `${JSON.stringify(this.#endpoints, null, 2)}\n`, { mode: 0o600 });
    await rename(`${path}.tmp`, path);
    folder.describe({ url: url(ports.user) });
  }
}

async function choosePorts(folder: StateFolder): Promise<Ports> {
  const ports = { ...preferredPorts } as Ports;
  for (const [service, preferred] of Object.entries(preferredPorts)) {
    ports[service as keyof Ports] = await folder.port(service, preferred);
  }
  return ports;
}

function awsEnv(ports: Ports, key: { accessKeyId: string; secretAccessKey: string }): Record<string, string> {
  return {
    AWS_REGION: region,
    AWS_ENDPOINT_URL_S3: url(ports.s3),
    AWS_ENDPOINT_URL_SQS: url(ports.sqs),
    AWS_ACCESS_KEY_ID: key.accessKeyId,
    AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
    TRACE_DATASETS_BUCKET: buckets.datasets,
    TRACE_SCRATCH_BUCKET: buckets.scratch,
  };
}

function localcloudEnv(folder: StateFolder, ports: Ports): Record<string, string> {
  return {
    AWS_REGION: region,
    TRACE_S3_PORT: String(ports.s3),
    TRACE_SQS_PORT: String(ports.sqs),
    TRACE_S3_ROOT: join(folder.dir, "objects"),
    TRACE_S3_CREDENTIALS_FILE: join(folder.dir, "secrets", "s3-credentials"),
    TRACE_S3_SESSIONS_FILE: join(folder.dir, "secrets", "s3-sessions"),
  };
}
