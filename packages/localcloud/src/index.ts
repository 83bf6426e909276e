/** The embedded stack: Postgres servers, S3 and SQS endpoints, the state folder, the supervisor. */

export { LocalEndpoints, type LocalEndpointsOptions } from "./endpoints.ts";
export * from "./postgres/index.ts";
export type { S3Credential } from "./s3/access.ts";
export { S3Endpoint, type S3EndpointOptions, type S3RequestReport } from "./s3/endpoint.ts";
export { SqsEndpoint, type SqsEndpointOptions, type SqsQueue } from "./sqs.ts";
export * from "./state/index.ts";
export { roleArn, type S3Role, type SessionOptions } from "./sts/callers.ts";
export * from "./supervisor/index.ts";
