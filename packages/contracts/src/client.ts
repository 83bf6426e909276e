/** The typed client of any route table. It does no I/O itself: a transport (kit has one) carries the request. */
import { TraceError } from "./errors/index.ts";
import type { Route, RouteAnswer, RouteRequest, RouteTable } from "./route.ts";

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

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly token?: string | undefined;
}

export type Client<T extends RouteTable> = {
  readonly [K in keyof T]: (request: RouteRequest<T[K]>, options?: CallOptions) => Promise<RouteAnswer<T[K]>>;
};

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

async function call(route: Route, transport: Transport, request: LooseRequest, options: CallOptions): Promise<unknown> {
  const answer = await transport({
    method: route.method,
    path: fillPath(route, request),
    body: request.body,
    signal: options.signal,
    token: options.token,
  });
  const parsed = route.answer.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new TraceError("TR-1010", {
    detail: `the answer to ${route.method} ${route.path} does not fit the contract`,
    why: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
    fix: "run the same version of Trace on both sides",
  });
}

export function createClient<T extends RouteTable>(routes: T, transport: Transport): Client<T> {
  const entries = Object.entries(routes).map(([name, route]) => [
    name,
    (request: LooseRequest, options: CallOptions = {}) => call(route, transport, request, options),
  ]);
  return Object.fromEntries(entries) as Client<T>;
}
