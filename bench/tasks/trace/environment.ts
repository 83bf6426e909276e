/** What the processes of our side are told by their environment, and how they read it. */

import type { Route, RouteAnswer, RouteRequest, Transport, workerRoutes } from "@trace/contracts";
import { ConfigReader, HttpTransport } from "@trace/kit";

/** The job that every task is of: it reads and writes nothing. */
export const benchJob = { dag: "bench", job: "empty" } as const;
export const benchDag = "dag: bench\njobs:\n  empty:\n    operator: noop\n    duration: 0ms\n";
export const benchQueue = "default";

export interface TraceEnvironment {
  readonly userApi: string;
  readonly userToken: string;
  readonly workerApi: string;
  readonly workerToken: string;
  readonly region: string;
  readonly sqsEndpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export function variablesOf(environment: TraceEnvironment): Record<string, string> {
  return {
    BENCH_USER_API: environment.userApi,
    BENCH_USER_TOKEN: environment.userToken,
    BENCH_WORKER_API: environment.workerApi,
    BENCH_WORKER_TOKEN: environment.workerToken,
    AWS_REGION: environment.region,
    AWS_ENDPOINT_URL_SQS: environment.sqsEndpoint,
    AWS_ACCESS_KEY_ID: environment.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: environment.credentials.secretAccessKey,
  };
}

export function traceEnvironment(variables: NodeJS.ProcessEnv): TraceEnvironment {
  const read = new ConfigReader(variables);
  const environment: TraceEnvironment = {
    userApi: read.url("BENCH_USER_API"),
    userToken: read.text("BENCH_USER_TOKEN"),
    workerApi: read.url("BENCH_WORKER_API"),
    workerToken: read.text("BENCH_WORKER_TOKEN"),
    region: read.text("AWS_REGION"),
    sqsEndpoint: read.url("AWS_ENDPOINT_URL_SQS"),
    credentials: { accessKeyId: read.text("AWS_ACCESS_KEY_ID"), secretAccessKey: read.text("AWS_SECRET_ACCESS_KEY") },
  };
  read.done("benchmark");
  return environment;
}

export function transportTo(baseUrl: string, token: string): HttpTransport {
  return new HttpTransport({ baseUrl, token: () => Promise.resolve(token) });
}

/**
 * A call of a route without parameters, with the types of the contract and without the typed client's check of the answer:
 * of a thousand tasks that check takes longer than all else a client does with them, and here the figure is the
 * dispatcher's. A figure is only kept when the rows in Postgres are right in the end.
 */
export function caller<R extends Route>(transport: HttpTransport, route: R) {
  const send: Transport = transport.send;
  return async (request: RouteRequest<R>, signal?: AbortSignal): Promise<RouteAnswer<R>> => {
    const { body } = request as { readonly body?: unknown };
    const answer = await send({ method: route.method, path: route.path, body, signal, token: undefined });
    return answer as RouteAnswer<R>;
  };
}

export type ClaimAnswer = RouteAnswer<typeof workerRoutes.claim>;
