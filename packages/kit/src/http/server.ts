/**
 * The HTTP server of every listener: routes come from the contract, handlers get parsed input, every refusal is a
 * problem document (RFC 9457). It binds loopback by default and refuses foreign Host and Origin headers, so that a
 * page in a browser cannot reach it through a name that resolves to this machine (DNS rebinding).
 */
import type { Socket } from "node:net";
import {
  type ErrorRecord,
  type Route,
  type RouteAnswer,
  type RouteCall,
  type RouteEvent,
  type RouteTable,
  requestBytesMax,
  type StreamEvent,
  type StreamRoute,
  TraceError,
  toErrorRecord,
  toProblem,
} from "@trace/contracts";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import {
  drainMs,
  keepAliveMs,
  pathParamCharsMax,
  requestReceiveMs,
  requestsInFlightMax,
  retryAfterSeconds,
} from "../limits.ts";
import type { Log } from "../log.ts";
import type { Service } from "../service.ts";
import { type StreamBounds, type StreamContext, Streams } from "./stream.ts";
import { refuseUnread } from "./unread.ts";

/** What a listener's authentication found: who calls. */
export type Authenticate<P> = (bearerToken: string) => Promise<P | undefined>;

/**
 * Answers a call, or gives the events of a stream up to and with `end`. Nothing is answered before the first event or
 * `streamOpenMs`, so that what is thrown before refuses the call with a status.
 */
export type Handler<R extends Route, P> = R extends StreamRoute
  ? (call: RouteCall<R>, caller: P, stream: StreamContext) => AsyncIterable<RouteEvent<R>>
  : (call: RouteCall<R>, caller: P, signal: AbortSignal) => Promise<RouteAnswer<R>>;

export type Handlers<T extends RouteTable, P> = { readonly [K in keyof T]: Handler<T[K], P> };

export interface ListenerOptions<T extends RouteTable, P> {
  readonly name: string;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly routes: T;
  readonly handlers: Handlers<T, P>;
  readonly authenticate: Authenticate<P>;
  /** Host names accepted beside loopback ones, without port. */
  readonly allowedHosts?: readonly string[];
  readonly log: Log;
  /** Of a stream: how long it took to its first event. */
  readonly onRequest?: (event: { route: string; status: number; ms: number }) => void;
  /** Bounds of streams that are not the usual ones, for tests. */
  readonly streams?: Partial<StreamBounds>;
}

const loopbackHosts = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** The host part of a Host header or an Origin, lower case; undefined when it is no host at all. */
export function hostName(hostOrOrigin: string): string | undefined {
  try {
    const url = new URL(hostOrOrigin.includes("://") ? hostOrOrigin : `http://${hostOrOrigin}`);
    return url.hostname.toLowerCase().replace(/\.$/, "");
  } catch {
    return undefined;
  }
}

function refuseForeign(request: FastifyRequest, allowed: ReadonlySet<string>): void {
  for (const header of ["host", "origin"] as const) {
    const value = request.headers[header];
    if (value === undefined) continue;
    const name = hostName(value);
    if (name !== undefined && allowed.has(name)) continue;
    throw new TraceError("TR-1004", {
      detail: `this listener does not answer requests for ${header} '${value.slice(0, 200)}'`,
      why: "only the host names it was configured with are accepted, so that a web page cannot reach it",
      fix: "call it as 127.0.0.1 or localhost, or add the name to TRACE_ALLOWED_HOSTS",
    });
  }
}

function noSuchRoute(request: FastifyRequest, listener: string): TraceError {
  return new TraceError("TR-1005", {
    detail: `there is no ${request.method} ${request.url.split("?")[0]?.slice(0, 200)} on the ${listener} listener`,
    fix: "the routes are in the OpenAPI document, packages/contracts/openapi.json; user, worker and task APIs have ports of their own",
  });
}

/** Which token a listener takes, and where it is. The names are those of the dispatcher's three APIs. */
const tokenPlaces: Readonly<Record<string, string>> = {
  user: "an API token; 'trace up' writes its owner's to <state folder>/secrets/api-token",
  worker: "the worker token; 'trace up' writes it to <state folder>/secrets/worker-token",
  task: "the lease token of the attempt that calls, which its worker got with the claim; it ends with the lease",
};

function tokenFix(listener: string): string {
  return `the ${listener} listener takes ${tokenPlaces[listener] ?? "the token it was configured with"}`;
}

function bearerOf(request: FastifyRequest, listener: string): string {
  const match = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(request.headers.authorization ?? "");
  if (match?.[1] !== undefined) return match[1];
  throw new TraceError("TR-1003", {
    detail: "the request carries no bearer token",
    fix: `send 'Authorization: Bearer <token>': ${tokenFix(listener)}`,
  });
}

const partWords = {
  params: "the parameters in the path of the request do not fit",
  query: "the query of the request does not fit",
  body: "the body of the request does not fit",
} as const;

function parse(part: "params" | "query" | "body", schema: Route["body"], value: unknown): unknown {
  if (schema === undefined) return undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, 20);
  const first = issues[0];
  throw new TraceError("TR-1002", {
    detail: `${partWords[part]}: ${first?.path.join(".") || part}: ${first?.message ?? "invalid"}`,
    where: part,
    why: issues.map((issue) => `${issue.path.join(".") || part}: ${issue.message}`).join("; "),
    fix: "compare the request with the OpenAPI document, packages/contracts/openapi.json",
  });
}

function readCall(route: Route, request: FastifyRequest): unknown {
  return {
    params: parse("params", route.params, request.params),
    query: parse("query", route.query, request.query),
    body: parse("body", route.body, request.body),
  };
}

/** A handler as the table of routes is walked at run time: its types were checked where the table is. */
type LooseHandler<P, X, A> = (call: unknown, caller: P, extra: X) => A;

/** Who calls, as the route's authentication found. */
function callerOf<P>(request: FastifyRequest): P {
  return (request as unknown as { caller: P }).caller;
}

/** Words for Fastify's refusals whose own repeat what the caller sent, or do not say what is wrong. */
const unreadable: Readonly<Record<string, { detail: string; fix: string }>> = {
  FST_ERR_BAD_URL: {
    detail: "the request cannot be read: its path holds a '%' that begins no percent-encoded UTF-8",
    fix: "encode each part of the path by itself, as encodeURIComponent does",
  },
  FST_ERR_MAX_PARAM_LENGTH: {
    detail: `the request cannot be read: a part of its path is longer than ${pathParamCharsMax} characters`,
    fix: "names have at most 128 characters, and identifiers are UUIDs",
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    detail: "the content type of the request is missing or not application/json",
    fix: "send JSON with 'Content-Type: application/json'",
  },
};

/** Fastify's own refusals, by their code; anything unknown stays internal. */
function fromFastify(error: unknown): TraceError {
  if (error instanceof TraceError) return error;
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string };
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return new TraceError("TR-1001", {
      detail: `the request body is larger than ${requestBytesMax} bytes (32 MiB)`,
      why: "a listener refuses it before reading it, so that no caller can fill its memory",
      fix: "send fewer items in one call; data itself goes to the object store, not through the API",
    });
  }
  const known = unreadable[code ?? ""];
  if (known !== undefined) return new TraceError("TR-1002", known);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new TraceError("TR-1002", {
      detail: `the request cannot be read: ${message ?? code ?? "invalid"}`,
      fix: "send JSON with 'Content-Type: application/json'",
    });
  }
  return new TraceError("TR-1000", {
    detail: "the call failed for a reason of ours, not yours",
    fix: "try again; if it stays, look for this time in the log of the service",
    cause: error,
  });
}

/** What Node's parser refuses before there is a request: no HTTP, too many header bytes, a body that comes too slowly. */
function refuseUnparsed(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const reasons: Readonly<Record<string, string>> = {
    HPE_HEADER_OVERFLOW: "its address and headers are larger than 16 KiB",
    ERR_HTTP_REQUEST_TIMEOUT: `it did not come whole within ${requestReceiveMs / 1_000} s`,
  };
  const problem = toProblem(
    new TraceError("TR-1002", {
      detail: `the request cannot be read: ${reasons[error.code ?? ""] ?? "it is not HTTP"}`,
      fix: "send HTTP/1.1 with a short address and all of the body at once",
    }),
  );
  const text = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}

export class Listener<T extends RouteTable, P> implements Service {
  readonly #options: ListenerOptions<T, P>;
  readonly #app: FastifyInstance;
  readonly #streams: Streams;
  #inFlight = 0;
  #port = 0;

  constructor(options: ListenerOptions<T, P>) {
    this.#options = options;
    this.#streams = new Streams(options.name, options.log, options.streams);
    const allowed = new Set([...loopbackHosts, ...(options.allowedHosts ?? []).map((host) => host.toLowerCase())]);
    this.#app = fastify({
      bodyLimit: requestBytesMax,
      requestTimeout: requestReceiveMs,
      keepAliveTimeout: keepAliveMs,
      forceCloseConnections: "idle",
      logger: false,
      // Fastify's own bound, 100, is shorter than a name may be; a longer one would be no route at all.
      routerOptions: { maxParamLength: pathParamCharsMax },
      clientErrorHandler: refuseUnparsed,
      // A path that the router cannot read meets no hook: who asks is looked at here too, and first.
      frameworkErrors: (error, request, reply) => {
        try {
          refuseForeign(request, allowed);
          this.#answerError(error, request, reply);
        } catch (foreign) {
          this.#answerError(foreign, request, reply);
        }
      },
    });
    // Fastify takes plain text too, and the contract would then say of it that it is no object.
    this.#app.removeContentTypeParser("text/plain");
    this.#app.setErrorHandler((error, request, reply) => this.#answerError(error, request, reply));
    this.#app.addHook("onRequest", async (request) => {
      refuseForeign(request, allowed);
      // Here and not in a handler, before which the body would be read: a stranger cannot make us buffer anything.
      if (request.is404) throw noSuchRoute(request, options.name);
    });
    for (const [name, route] of Object.entries(options.routes)) this.#add(name, route);
  }

  get port(): number {
    return this.#port;
  }

  /** Streams open now. */
  get streamsOpen(): number {
    return this.#streams.size;
  }

  async start(): Promise<void> {
    await this.#app.listen({ host: this.#options.host, port: this.#options.port });
    const address = this.#app.server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Takes no new connection, ends streams, lets calls in flight end within `drainMs`, then cuts what is left. */
  async stop(): Promise<void> {
    const cut = setTimeout(() => this.#app.server.closeAllConnections(), drainMs);
    try {
      await Promise.all([this.#streams.stop(), this.#app.close()]);
    } finally {
      clearTimeout(cut);
    }
  }

  #add(name: string, route: Route): void {
    this.#app.route({
      method: route.method,
      url: route.path,
      // The head of a stream says nothing, and would hold one open.
      exposeHeadRoute: route.events === undefined,
      // Authentication comes before the body is read: a stranger cannot make us buffer anything.
      onRequest: async (request) => {
        const caller = await this.#options.authenticate(bearerOf(request, this.#options.name));
        if (caller === undefined) {
          throw new TraceError("TR-1003", {
            detail: `the ${this.#options.name} listener does not know this token`,
            why: "it is mistyped, expired, revoked, or belongs to another listener or installation",
            fix: tokenFix(this.#options.name),
          });
        }
        (request as unknown as { caller: P }).caller = caller;
      },
      handler: async (request, reply) => this.#handle(name, route, request, reply),
    });
  }

  async #handle(name: string, route: Route, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const started = performance.now();
    const seen = (status: number) =>
      this.#options.onRequest?.({ route: name, status, ms: performance.now() - started });
    try {
      if (route.events !== undefined) return await this.#stream(name, route, request, reply, () => seen(200));
      const answer = await this.#call(name, route, request, reply);
      seen(200);
      return answer;
    } catch (error) {
      seen(error instanceof TraceError ? toProblem(error).status : 500);
      throw error;
    }
  }

  async #call(name: string, route: Route, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (this.#inFlight >= requestsInFlightMax) {
      throw new TraceError("TR-1008", {
        detail: `the ${this.#options.name} listener works on ${requestsInFlightMax} requests already`,
        fix: "try again after the seconds in Retry-After",
      });
    }
    this.#inFlight += 1;
    const abort = new AbortController();
    // Of the answer, not of the request: one that was read whole says nothing when its caller hangs up.
    const onClose = () => abort.abort();
    if (reply.raw.destroyed) abort.abort();
    reply.raw.once("close", onClose);
    try {
      const handler = this.#options.handlers[name] as unknown as LooseHandler<P, AbortSignal, Promise<unknown>>;
      return await handler(readCall(route, request), callerOf<P>(request), abort.signal);
    } finally {
      reply.raw.off("close", onClose);
      this.#inFlight -= 1;
    }
  }

  async #stream(
    name: string,
    route: StreamRoute,
    request: FastifyRequest,
    reply: FastifyReply,
    onOpen: () => void,
  ): Promise<void> {
    const call = readCall(route, request);
    const handler = this.#options.handlers[name] as unknown as LooseHandler<
      P,
      StreamContext,
      AsyncIterable<StreamEvent>
    >;
    const lastEventId = request.headers["last-event-id"];
    await this.#streams.serve({
      response: reply.raw,
      events: (context) => handler(call, callerOf<P>(request), context),
      lastEventId: Array.isArray(lastEventId) ? lastEventId[0] : lastEventId,
      open: () => {
        reply.hijack();
        onOpen();
      },
    });
  }

  #answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const known = fromFastify(error);
    if (known.code === "TR-1000") {
      this.#options.log.error({ error, route: request.routeOptions.url }, "a call failed");
    }
    const problem = toProblem(known);
    const later = problem.status === 503 || problem.status === 429;
    if (later && reply.getHeader("retry-after") === undefined) reply.header("retry-after", retryAfterSeconds);
    const extra = (known as TraceError & { errors?: readonly TraceError[] }).errors;
    const errors: ErrorRecord[] | undefined = extra?.map(toErrorRecord);
    const answer = errors === undefined ? problem : { ...problem, errors };
    const { complete, destroyed } = request.raw;
    if (!complete && !destroyed) {
      reply.hijack();
      const retryAfter = reply.getHeader("retry-after");
      const headers = {
        "content-type": "application/problem+json; charset=utf-8",
        ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
      };
      refuseUnread(request.raw, reply.raw, { status: problem.status, headers, text: JSON.stringify(answer) });
      return reply;
    }
    return reply.code(problem.status).type("application/problem+json").send(answer);
  }
}
