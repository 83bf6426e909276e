/** What a route is: one value from which the server, the typed client and OpenAPI are made. */
import type { z } from "zod";
import type { ErrorCode } from "./errors/index.ts";

/** Which token opens the route: a user's API token, the workers' rotating token, an attempt's lease token. */
export type RouteAuth = "user" | "worker" | "task";

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** Fastify's form: `/v1/tasks/:task_id`. */
  readonly path: string;
  readonly auth: RouteAuth;
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  /** What can refuse the call beside the codes every route has. */
  readonly errors: readonly ErrorCode[];
}

export type RouteTable = Readonly<Record<string, Route>>;

type Out<T> = T extends z.ZodType ? z.output<T> : undefined;
type In<T> = T extends z.ZodType ? z.input<T> : undefined;

/** What a handler receives: parsed and checked. */
export interface RouteCall<R extends Route> {
  readonly params: Out<R["params"]>;
  readonly query: Out<R["query"]>;
  readonly body: Out<R["body"]>;
}

export type RouteAnswer<R extends Route> = z.output<R["answer"]>;

type Parts<R extends Route> = (R extends { params: z.ZodType } ? { params: In<R["params"]> } : unknown) &
  (R extends { query: z.ZodType } ? { query?: In<R["query"]> } : unknown) &
  (R extends { body: z.ZodType } ? { body: In<R["body"]> } : unknown);

/** What a caller of the typed client passes. */
export type RouteRequest<R extends Route> = Parts<R>;

export function defineRoutes<const T extends RouteTable>(routes: T): T {
  return routes;
}
