/**
 * Our side's services as processes of their own, started as `trace up` starts them: the embedded S3 and SQS, and one
 * dispatcher, on the database of the benchmark.
 */
import { join } from "node:path";
import { createClient, userRoutes } from "@trace/contracts";
import { LogFile, ProcessUnit, readSecret, type StateFolder } from "@trace/localcloud";
import { logBytesMax, logFilesKept, roleReadyMsMax, smallProcessFlags } from "../../../packages/cli/src/up/limits.ts";
import {
  buckets,
  rotateWorkerToken,
  type StackSecrets,
  stackSecrets,
  stagingRoleArn,
} from "../../../packages/cli/src/up/secrets.ts";
import type { DatabaseAddress } from "../../harness/postgres.ts";
import { benchDag, type TraceEnvironment, transportTo } from "./environment.ts";

export const mainFile = join(import.meta.dirname, "..", "..", "..", "packages", "cli", "src", "main.ts");
const region = "us-east-1";
const services = ["user", "worker", "task", "s3", "sqs", "opsDispatcher", "opsLocalcloud"] as const;

type Ports = Record<(typeof services)[number], number>;

function url(port: number): string {
  return `http://127.0.0.1:${port}`;
}

export class TraceStack {
  readonly environment: TraceEnvironment;
  /** What a worker role is started with, beside a port for its metrics. */
  readonly workerVariables: Readonly<Record<string, string>>;
  readonly localcloud: ProcessUnit;
  readonly dispatcher: ProcessUnit;
  readonly #ports: Ports;

  private constructor(
    folder: StateFolder,
    ports: Ports,
    secrets: StackSecrets,
    database: DatabaseAddress,
    dispatcherS3: string | undefined,
  ) {
    const tokens = rotateWorkerToken(folder);
    const secret = (name: string) => readSecret(folder.dir, name)?.split("\n")[0] ?? "";
    this.#ports = ports;
    this.environment = {
      userApi: url(ports.user),
      userToken: secret("api-token").trim(),
      workerApi: url(ports.worker),
      workerToken: secret("worker-token").trim(),
      region,
      sqsEndpoint: url(ports.sqs),
      credentials: secrets.worker,
    };
    this.workerVariables = {
      ...awsVariables(ports, secrets.worker),
      TRACE_WORKER_API: url(ports.worker),
      TRACE_TASK_API: url(ports.task),
      TRACE_WORKER_TOKEN_FILE: tokens.tokenFile,
      TRACE_WORK_DIR: join(folder.dir, "work"),
    };
    const unit = (name: string, flags: readonly string[], opsPort: number, env: Record<string, string>) =>
      new ProcessUnit(
        {
          name,
          command: process.execPath,
          args: [...flags, mainFile, name],
          env: { ...env, TRACE_OPS_PORT: String(opsPort), TRACE_LOG_PRETTY: "0" },
          readyUrl: `${url(opsPort)}/readyz`,
          readyMaxMs: roleReadyMsMax,
        },
        {
          logFile: new LogFile({
            path: join(folder.logsDir, `${name}.log`),
            bytesMax: logBytesMax,
            filesMax: logFilesKept,
          }),
        },
      );
    this.localcloud = unit("localcloud", smallProcessFlags, ports.opsLocalcloud, {
      AWS_REGION: region,
      TRACE_S3_PORT: String(ports.s3),
      TRACE_SQS_PORT: String(ports.sqs),
      TRACE_S3_ROOT: join(folder.dir, "objects"),
      TRACE_S3_CREDENTIALS_FILE: join(folder.dir, "secrets", "s3-credentials"),
      TRACE_S3_SESSIONS_FILE: join(folder.dir, "secrets", "s3-sessions"),
    });
    this.dispatcher = unit("dispatcher", [], ports.opsDispatcher, {
      ...awsVariables(ports, secrets.dispatcher),
      ...(dispatcherS3 === undefined ? {} : { AWS_ENDPOINT_URL_S3: dispatcherS3 }),
      TRACE_STATE_DATABASE_URL: database.url,
      TRACE_STATE_DATABASE_PASSWORD: database.password,
      TRACE_USER_PORT: String(ports.user),
      TRACE_WORKER_PORT: String(ports.worker),
      TRACE_TASK_PORT: String(ports.task),
      TRACE_WORKER_TOKEN_HASHES_FILE: tokens.hashesFile,
      TRACE_OWNER_TOKEN_SHA256: secrets.ownerTokenSha256,
      TRACE_INSTALLATION: folder.id,
      AWS_ENDPOINT_URL_STS: url(ports.s3),
      TRACE_STAGING_ROLE_ARN: stagingRoleArn,
    });
  }

  /** `throughS3`: makes of the address of S3 another one, at which the dispatcher is to find it. */
  static async create(
    folder: StateFolder,
    database: DatabaseAddress,
    throughS3?: (endpoint: string) => Promise<string>,
  ): Promise<TraceStack> {
    const ports = {} as Ports;
    for (const service of services) ports[service] = await folder.port(service, 0);
    return new TraceStack(folder, ports, stackSecrets(folder), database, await throughS3?.(url(ports.s3)));
  }

  /** Starts both and deploys the DAG of the benchmark. */
  async start(source: string = benchDag): Promise<void> {
    await this.localcloud.start();
    await this.dispatcher.start();
    const transport = transportTo(this.environment.userApi, this.environment.userToken);
    try {
      await createClient(userRoutes, transport.send).deploy({ body: { file_name: "bench.yaml", source } });
    } finally {
      await transport.stop();
    }
  }

  async stop(): Promise<void> {
    await this.dispatcher.stop();
    await this.localcloud.stop();
  }

  /** Wake-up messages that the dispatcher has sent since it was started. */
  async wakeupsSent(): Promise<number> {
    const answer = await fetch(`${url(this.#ports.opsDispatcher)}/metrics`);
    const samples = (await answer.text()).split("\n").filter((line) => line.startsWith("trace_wakeups_sent_total"));
    return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }
}

function awsVariables(ports: Ports, key: { accessKeyId: string; secretAccessKey: string }): Record<string, string> {
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
