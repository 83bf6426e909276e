/** What a dispatcher is told from outside. */
import { ConfigReader, type Environment } from "@trace/kit";
import { type FooterChecks, footerChecks } from "./footers/whose.ts";
import { sessionTtlMs, sessionTtlMsMin } from "./limits.ts";

export interface DispatcherConfig {
  readonly databaseUrl: string;
  readonly databasePassword: string | undefined;
  readonly host: string;
  readonly userPort: number;
  readonly workerPort: number;
  readonly taskPort: number;
  readonly opsPort: number;
  readonly allowedHosts: readonly string[];
  /** Lines of SHA-256 hex of the workers' tokens, newest first; rotated by whoever owns the file. */
  readonly workerTokenHashesFile: string;
  /** SHA-256 hex of the owner's API token; the installation has exactly one. */
  readonly ownerTokenSha256: string | undefined;
  /** Names the installation; must be what the database says. */
  readonly installation: string;
  readonly datasetsBucket: string;
  readonly scratchBucket: string;
  readonly region: string;
  readonly s3Endpoint: string | undefined;
  readonly sqsEndpoint: string | undefined;
  readonly stsEndpoint: string | undefined;
  /** The role whose keys attempts get, narrowed to what each of them writes; undefined: they use their worker's. */
  readonly stagingRoleArn: string | undefined;
  /** EventBridge bus that is told of tasks and commits; undefined: nobody is. */
  readonly eventBus: string | undefined;
  readonly eventBridgeEndpoint: string | undefined;
  /** A worker session lives this long without a beat, milliseconds. Shortened by tests. */
  readonly sessionTtlMs: number;
  /** Whose Parquet files have their footers read before a commit. */
  readonly footerChecks: FooterChecks;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export function dispatcherConfig(env: Environment): DispatcherConfig {
  const read = new ConfigReader(env);
  const port = (name: string) => read.integer(name, 0, { min: 0, max: 65_535 });
  const config: DispatcherConfig = {
    databaseUrl: read.url("TRACE_STATE_DATABASE_URL"),
    databasePassword: read.optional("TRACE_STATE_DATABASE_PASSWORD"),
    host: read.text("TRACE_HOST", "127.0.0.1"),
    userPort: port("TRACE_USER_PORT"),
    workerPort: port("TRACE_WORKER_PORT"),
    taskPort: port("TRACE_TASK_PORT"),
    opsPort: port("TRACE_OPS_PORT"),
    allowedHosts: read.list("TRACE_ALLOWED_HOSTS"),
    workerTokenHashesFile: read.text("TRACE_WORKER_TOKEN_HASHES_FILE"),
    ownerTokenSha256: read.optional("TRACE_OWNER_TOKEN_SHA256"),
    installation: read.text("TRACE_INSTALLATION", "default"),
    datasetsBucket: read.text("TRACE_DATASETS_BUCKET", "trace-datasets"),
    scratchBucket: read.text("TRACE_SCRATCH_BUCKET", "trace-scratch"),
    region: read.text("AWS_REGION", "us-east-1"),
    s3Endpoint: read.optional("AWS_ENDPOINT_URL_S3"),
    sqsEndpoint: read.optional("AWS_ENDPOINT_URL_SQS"),
    stsEndpoint: read.optional("AWS_ENDPOINT_URL_STS"),
    stagingRoleArn: read.optional("TRACE_STAGING_ROLE_ARN"),
    eventBus: read.optional("TRACE_EVENT_BUS"),
    eventBridgeEndpoint: read.optional("AWS_ENDPOINT_URL_EVENTBRIDGE"),
    sessionTtlMs: read.integer("TRACE_SESSION_TTL_MS", sessionTtlMs, { min: sessionTtlMsMin, max: 600_000 }),
    footerChecks: read.choice("TRACE_FOOTER_CHECKS", footerChecks),
    credentials: { accessKeyId: read.text("AWS_ACCESS_KEY_ID"), secretAccessKey: read.text("AWS_SECRET_ACCESS_KEY") },
  };
  read.done("dispatcher");
  return config;
}
