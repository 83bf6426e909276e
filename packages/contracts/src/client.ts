/** The typed client of any route table. It does no I/O itself: a transport (kit has one) carries the request. */
import { TraceError } from "./errors/index.ts";
import {
  type CallRoute,
  endEvent,
  type Route,
  type RouteAnswer,
  type RouteEvent,
  type RouteRequest,
  type RouteTable,
  type StreamEvent,
  type StreamRoute,
} from "./route.ts";

export interface TransportRequest {
  readonly method: string;
  /** Path with its query, ready to send. */
  readonly path: string;
  readonly body: unknown;
  readonly signal: AbortSignal | undefined;
  /** Overrides the transport's own token: an attempt's lease token. */
  readonly token: string | undefined;
}

/** Resolves with the parsed JSON of a 2xx answer; throws a TraceError for everything else. */
export type Transport = (request: TransportRequest) => Promise<unknown>;

/** Told that a stream was cut off and will be taken up again, and with undefined that it was. */
export type StreamTrouble = (error: TraceError | undefined) => void;

export interface StreamRequest extends TransportRequest {
  readonly onTrouble: StreamTrouble | undefined;
}

/** Gives the events of a stream up to and with `end`, taking up again what was cut off; throws a TraceError otherwise. */
export type StreamTransport = (request: StreamRequest) => AsyncIterable<StreamEvent>;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly token?: string | undefined;
}

export interface StreamOptions extends CallOptions {
  readonly onTrouble?: StreamTrouble | undefined;
}

export type ClientCall<R extends Route> = R extends StreamRoute
  ? (request: RouteRequest<R>, options?: StreamOptions) => AsyncGenerator<RouteEvent<R>, void, undefined>
  : (request: RouteRequest<R>, options?: CallOptions) => Promise<RouteAnswer<R>>;

export type Client<T extends RouteTable> = { readonly [K in keyof T]: ClientCall<T[K]> };

interface LooseRequest {
  params?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
}

function fillPath(route: Route, request: LooseRequest): string {
  const path = route.path.replace(/:([a-z_]+)/g, (_, name: string) =>
    encodeURIComponent(String(request.params?.[name] ?? "")),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  return query.size === 0 ? path : `${path}?${query}`;
}

function transportRequest(route: Route, request: LooseRequest, options: CallOptions): TransportRequest {
  return {
    method: route.method,
    path: fillPath(route, request),
    body: request.body,
    signal: options.signal,
    token: options.token,
  };
}

/** What came, checked against the contract. Throws TR-1010. */
function checked(route: Route, what: string, schema: CallRoute["answer"], value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TraceError("TR-1010", {
    detail: `${what} of ${route.method} ${route.path} does not fit the contract`,
    why: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
    fix: "run the same version of Trace on both sides",
  });
}

async function call(
  route: CallRoute,
  transport: Transport,
  request: LooseRequest,
  options: CallOptions,
): Promise<unknown> {
  return checked(route, "the answer", route.answer, await transport(transportRequest(route, request, options)));
}

async function* stream(
  route: StreamRoute,
  transport: StreamTransport,
  request: LooseRequest,
  options: StreamOptions,
): AsyncGenerator<StreamEvent, void, undefined> {
  const wanted = { ...transportRequest(route, request, options), onTrouble: options.onTrouble };
  for await (const { event, data, id } of transport(wanted)) {
    const schema = Object.hasOwn(route.events, event) ? route.events[event] : undefined;
    // A later version may tell more than we know of.
    if (schema === undefined) continue;
    yield { event, data: checked(route, `event '${event}'`, schema, data), id };
    if (event === endEvent) return;
  }
}

function noStreams(): never {
  throw new Error("this client was made without a transport for streams");
}

/** `streams` carries the routes that answer with events; without it, calling one of them throws. */
export function createClient<T extends RouteTable>(
  routes: T,
  transport: Transport,
  streams: StreamTransport = noStreams,
): Client<T> {
  const entries = Object.entries(routes).map(([name, route]) => [
    name,
    (request: LooseRequest, options: StreamOptions = {}) =>
      route.events === undefined ? call(route, transport, request, options) : stream(route, streams, request, options),
  ]);
  return Object.fromEntries(entries) as Client<T>;
}
