/** What a route is: one value from which the server, the typed client and OpenAPI are made. */
import type { z } from "zod";
import type { ErrorCode } from "./errors/index.ts";

/** Which token opens the route: a user's API token, the workers' rotating token, an attempt's lease token. */
export type RouteAuth = "user" | "worker" | "task";

interface RouteParts {
  /** Fastify's form: `/v1/tasks/:task_id`. */
  readonly path: string;
  readonly auth: RouteAuth;
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  /** What can refuse the call beside the codes every route has. */
  readonly errors: readonly ErrorCode[];
}

/** One question, one answer. */
export interface CallRoute extends RouteParts {
  readonly method: "GET" | "POST" | "DELETE";
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  readonly events?: undefined;
}

/** The last event of every stream: what ends without it was cut off, and its reader comes back for the rest. */
export const endEvent = "end";
/** In the place of an answer's status: a stream that breaks off for a reason names it with a problem document. */
export const problemEvent = "problem";

/** Data of each event by the event's name. */
export type EventTable = Readonly<Record<string, z.ZodType>> & { readonly [endEvent]: z.ZodType };

/** One question, answered by events as they happen (text/event-stream), up to and with `end`. */
export interface StreamRoute extends RouteParts {
  readonly method: "GET";
  readonly body?: undefined;
  readonly answer?: undefined;
  readonly events: EventTable;
}

export type Route = CallRoute | StreamRoute;

export type RouteTable = Readonly<Record<string, Route>>;

type Out<T> = T extends z.ZodType ? z.output<T> : undefined;
type In<T> = T extends z.ZodType ? z.input<T> : undefined;

/** What a handler receives: parsed and checked. */
export interface RouteCall<R extends Route> {
  readonly params: Out<R["params"]>;
  readonly query: Out<R["query"]>;
  readonly body: Out<R["body"]>;
}

export type RouteAnswer<R extends Route> = R extends CallRoute ? z.output<R["answer"]> : never;

/** An event of any stream. With its `id` a reader that was cut off says where to go on. */
export interface StreamEvent {
  readonly event: string;
  readonly data: unknown;
  readonly id?: string | undefined;
}

type EventOf<E extends EventTable> = {
  [K in keyof E & string]: { readonly event: K; readonly data: z.output<E[K]>; readonly id?: string | undefined };
}[keyof E & string];

export type RouteEvent<R extends Route> = R extends { readonly events: infer E extends EventTable }
  ? EventOf<E>
  : never;

type Parts<R extends Route> = (R extends { params: z.ZodType } ? { params: In<R["params"]> } : unknown) &
  (R extends { query: z.ZodType } ? { query?: In<R["query"]> } : unknown) &
  (R extends { body: z.ZodType } ? { body: In<R["body"]> } : unknown);

/** What a caller of the typed client passes. */
export type RouteRequest<R extends Route> = Parts<R>;

export function defineRoutes<const T extends RouteTable>(routes: T): T {
  return routes;
}
