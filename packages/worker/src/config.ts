/** What a worker is told from outside, read from the environment with every mistake named at once. */
import { hostname } from "node:os";
import { isAbsolute } from "node:path";
import { namePattern, TraceError } from "@trace/contracts";
import { ConfigReader, type Environment, type S3Options, type SqsOptions } from "@trace/kit";
import {
  drainMsDefault,
  drainMsMax,
  inputsBytesMaxDefault,
  slotsDefault,
  slotsMax,
  sourceBytesMaxDefault,
} from "./limits.ts";

export interface WorkerConfig {
  /** How people tell workers apart; host and process id when not set. */
  readonly worker: string;
  readonly host: string;
  /** Queue of Trace; the SQS queue is `trace-<queue>`. */
  readonly queue: string;
  /** Tasks run at once. */
  readonly slots: number;
  readonly workerApi: string;
  readonly taskApi: string;
  /** Lines of tokens, newest first; read again when it changes. */
  readonly tokenFile: string;
  readonly s3: S3Options;
  readonly sqs: SqsOptions;
  readonly scratchBucket: string;
  /** Folders that `ingest` may read files from, absolute. None: no local file is read. */
  readonly fileRoots: readonly string[];
  /** `host:port` that outgoing HTTP may reach although it is not public. */
  readonly guardAllow: readonly string[];
  /** Private folders of attempts are made and removed in here. Not shared with workers of another machine. */
  readonly workDir: string;
  readonly sourceBytesMax: number;
  readonly inputsBytesMax: number;
  /** How long `stop` lets running attempts end, milliseconds. */
  readonly drainMs: number;
  readonly opsHost: string;
  /** 0 takes a free port. */
  readonly opsPort: number;
  readonly logLevel: string;
  readonly logPretty: boolean | undefined;
}

function flag(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : text === "1" || text === "true";
}

function refuse(detail: string, fix: string): never {
  throw new TraceError("TR-1011", { detail: `the worker cannot start: ${detail}`, where: "environment", fix });
}

/** Throws TR-1011 naming every variable that is missing or wrong. */
export function workerConfig(env: Environment): WorkerConfig {
  const reader = new ConfigReader(env);
  const credentials = {
    accessKeyId: reader.text("AWS_ACCESS_KEY_ID"),
    secretAccessKey: reader.text("AWS_SECRET_ACCESS_KEY"),
  };
  const region = reader.text("AWS_REGION", "us-east-1");
  const bytes = { min: 1, max: Number.MAX_SAFE_INTEGER };
  const config: WorkerConfig = {
    worker: reader.text("TRACE_WORKER_NAME", `${hostname()}-${process.pid}`).slice(0, 128),
    host: hostname().slice(0, 255),
    queue: reader.text("TRACE_QUEUE", "default"),
    slots: reader.integer("TRACE_SLOTS", slotsDefault, { min: 1, max: slotsMax }),
    workerApi: reader.url("TRACE_WORKER_API"),
    taskApi: reader.url("TRACE_TASK_API"),
    tokenFile: reader.text("TRACE_WORKER_TOKEN_FILE"),
    s3: { endpoint: reader.optional("AWS_ENDPOINT_URL_S3"), region, credentials },
    sqs: { endpoint: reader.optional("AWS_ENDPOINT_URL_SQS"), region, credentials },
    scratchBucket: reader.text("TRACE_SCRATCH_BUCKET", "trace-scratch"),
    fileRoots: reader.list("TRACE_FILE_ROOTS"),
    guardAllow: reader.list("TRACE_GUARD_ALLOW"),
    workDir: reader.text("TRACE_WORK_DIR"),
    sourceBytesMax: reader.integer("TRACE_SOURCE_BYTES_MAX", sourceBytesMaxDefault, bytes),
    inputsBytesMax: reader.integer("TRACE_INPUTS_BYTES_MAX", inputsBytesMaxDefault, bytes),
    drainMs: reader.integer("TRACE_DRAIN_MS", drainMsDefault, { min: 0, max: drainMsMax }),
    opsHost: reader.text("TRACE_OPS_HOST", "127.0.0.1"),
    opsPort: reader.integer("TRACE_OPS_PORT", 0, { min: 0, max: 65_535 }),
    logLevel: reader.text("TRACE_LOG_LEVEL", "info"),
    logPretty: flag(reader.optional("TRACE_LOG_PRETTY")),
  };
  reader.done("worker");
  if (!namePattern.test(config.queue)) {
    refuse(`TRACE_QUEUE is '${config.queue}', which is no name of a queue`, "use lower case letters, digits and _");
  }
  const relative = [...config.fileRoots, config.workDir].find((folder) => !isAbsolute(folder));
  if (relative !== undefined) {
    refuse(`the folder '${relative}' is not absolute`, "write TRACE_FILE_ROOTS and TRACE_WORK_DIR as absolute paths");
  }
  return config;
}
