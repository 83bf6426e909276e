/** Both embedded AWS endpoints, S3 (which is STS as well) and SQS, as one service: what `trace up` runs in its endpoints process. */
import { type Clock, type Log, type Service, startAll, stopAll } from "@trace/kit";
import type { S3Credential } from "./s3/access.ts";
import { S3Endpoint, type S3Limits, type S3RequestReport } from "./s3/endpoint.ts";
import type { S3Bucket } from "./s3/exchange.ts";
import { SqsEndpoint, type SqsQueue } from "./sqs.ts";
import type { SessionOptions } from "./sts/callers.ts";

export interface LocalEndpointsOptions {
  /** Loopback address that both bind. */
  readonly host: string;
  readonly region: string;
  readonly log: Log;
  readonly clock?: Clock | undefined;
  readonly s3: {
    readonly root: string;
    readonly port: number;
    readonly buckets: readonly S3Bucket[];
    readonly credentials: readonly S3Credential[];
    readonly sessions?: SessionOptions | undefined;
    readonly onRequest?: ((report: S3RequestReport) => void) | undefined;
    readonly limits?: S3Limits | undefined;
  };
  readonly sqs: {
    readonly port: number;
    readonly queues: readonly SqsQueue[];
  };
}

export class LocalEndpoints implements Service {
  readonly s3: S3Endpoint;
  readonly sqs: SqsEndpoint;

  constructor(options: LocalEndpointsOptions) {
    const { host, region, log, clock } = options;
    this.s3 = new S3Endpoint({ ...options.s3, host, log, clock });
    this.sqs = new SqsEndpoint({ ...options.sqs, host, region, log });
  }

  /** Both, or neither: a failure of one stops the other and is thrown. */
  async start(): Promise<void> {
    await startAll([this.s3, this.sqs]);
  }

  async stop(): Promise<void> {
    await stopAll([this.s3, this.sqs]);
  }
}
