/** One process per role: `trace dispatcher`, `trace worker`, `trace localcloud`. Configured by the environment alone. */
import { readFile } from "node:fs/promises";
import {
  ConfigReader,
  createLog,
  type Environment,
  type Log,
  Metrics,
  OpsServer,
  runRole,
  type Service,
  startAll,
  stopAll,
} from "@trace/kit";
import { roleStopMsMax, wakeupVisibilitySeconds } from "./limits.ts";
import { buckets } from "./secrets.ts";

export type RoleName = "dispatcher" | "worker" | "localcloud";

interface Built {
  readonly service: Service;
  readonly stopMsMax: number;
}

/** Each role loads only what it is made of: a dispatcher never has DuckDB in its memory. */
const builders: Readonly<Record<RoleName, (env: Environment, log: Log) => Promise<Built>>> = {
  dispatcher: async (env, log) => {
    const { Dispatcher, dispatcherConfig } = await import("@trace/dispatcher");
    return { service: new Dispatcher(dispatcherConfig(env), log), stopMsMax: roleStopMsMax };
  },
  worker: async (env, log) => {
    const { createWorker, workerConfig, workerStopMsMax } = await import("@trace/worker");
    const config = workerConfig(env);
    return { service: createWorker(config, { log }), stopMsMax: workerStopMsMax(config) };
  },
  localcloud: async (env, log) => ({ service: await createLocalcloud(env, log), stopMsMax: roleStopMsMax }),
};

async function createLocalcloud(env: Environment, log: Log): Promise<Service> {
  const { LocalEndpoints } = await import("@trace/localcloud");
  const read = new ConfigReader(env);
  const port = (name: string) => read.integer(name, 0, { min: 0, max: 65_535 });
  const config = {
    s3Port: port("TRACE_S3_PORT"),
    sqsPort: port("TRACE_SQS_PORT"),
    opsPort: port("TRACE_OPS_PORT"),
    root: read.text("TRACE_S3_ROOT"),
    credentialsFile: read.text("TRACE_S3_CREDENTIALS_FILE"),
    sessionsFile: read.optional("TRACE_S3_SESSIONS_FILE"),
    region: read.text("AWS_REGION", "us-east-1"),
    host: read.text("TRACE_HOST", "127.0.0.1"),
  };
  read.done("localcloud");
  const metrics = new Metrics({ role: "localcloud" });
  const requests = metrics.histogram("s3_request_seconds", "Time to answer an S3 request", ["operation", "status"]);
  const endpoints = new LocalEndpoints({
    host: config.host,
    region: config.region,
    log,
    s3: {
      root: config.root,
      port: config.s3Port,
      buckets: [{ name: buckets.datasets, requireIfNoneMatch: true }, { name: buckets.scratch }],
      credentials: JSON.parse(await readFile(config.credentialsFile, "utf8")),
      ...(config.sessionsFile === undefined
        ? {}
        : { sessions: JSON.parse(await readFile(config.sessionsFile, "utf8")) }),
      onRequest: ({ operation, status, ms }) => requests.observe({ operation, status: String(status) }, ms / 1_000),
    },
    sqs: {
      port: config.sqsPort,
      queues: [{ name: "trace-default", visibilityTimeoutSeconds: wakeupVisibilitySeconds }],
    },
  });
  let ready = false;
  const ops = new OpsServer({
    role: "localcloud",
    host: config.host,
    port: config.opsPort,
    metrics,
    ready: () => (ready ? Promise.resolve() : Promise.reject(new Error("starting or stopping"))),
  });
  return {
    start: async () => {
      await startAll([endpoints, ops]);
      ready = true;
    },
    stop: async () => {
      ready = false;
      await stopAll([endpoints, ops]);
    },
  };
}

/** Runs a role until it is told to stop. Resolves with the exit code. */
export async function runRoleProcess(role: RoleName, env: Environment): Promise<number> {
  const log = createLog({
    role,
    level: env.TRACE_LOG_LEVEL,
    pretty: env.TRACE_LOG_PRETTY === undefined ? undefined : env.TRACE_LOG_PRETTY === "1",
  });
  let built: Built;
  try {
    built = await builders[role](env, log);
  } catch (error) {
    log.fatal({ error }, "cannot be configured");
    return 1;
  }
  return runRole({ log, ...built });
}
