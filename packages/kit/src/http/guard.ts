/**
 * The guard for outgoing HTTP of operators: a GET that reaches public addresses only, whatever the URL, the resolver or
 * a redirect says, and that ends within bounds of time and bytes, whatever the server does.
 *
 * Three doors, because each alone was seen to fail: the parsed URL (a lookup is never asked about an address written in
 * the URL), the answer of the one lookup whose addresses are then dialled (so a name cannot change between check and
 * use), and the address of the socket itself. Redirects are followed by hand, each through all three.
 *
 * Replies are read by Node's own client: undici 7 asserts that its parser is not paused when a server hangs up, so that any
 * server that does so while its data waits for a slow disk ends the whole process (nodejs/undici#5360).
 */
import { lookup as systemLookup } from "node:dns/promises";
import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { LookupFunction } from "node:net";
import { TraceError } from "@trace/contracts";
import { buildConnector } from "undici";
import type { ErrorContext } from "./guarderrors.ts";
import { fetchError, IdleTimeout, statusError, tooLarge, tooSlow, unresolved } from "./guarderrors.ts";
import { redirectsMax, replyHeaderBytesMax, resolvedAddressesMax } from "./guardlimits.ts";
import type { CheckedUrl } from "./guardurl.ts";
import { checkUrl, isPublicAddress, notPublic, redirectTarget } from "./guardurl.ts";

export type { CheckedUrl } from "./guardurl.ts";
export { checkUrl, isPublicAddress } from "./guardurl.ts";

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a name. Throws what `dns.lookup` throws. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

export interface GuardedRequest {
  readonly url: string;
  /** Development exceptions: exact `host:port`, as the URL writes the host. Empty in production. */
  readonly allowHostPorts?: readonly string[];
  /** Bytes of the body. */
  readonly bytesMax: number;
  /** Milliseconds to resolve, connect and shake hands, per hop. */
  readonly connectTimeoutMs: number;
  /** Milliseconds without a byte, of the header or of the body. */
  readonly idleTimeoutMs: number;
  /** Milliseconds from the call to the last byte of the body, redirects included. */
  readonly totalTimeoutMs: number;
  readonly signal?: AbortSignal;
  /** Sent to the origin of `url` only: a redirect to another origin does not get them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent wherever a redirect leads, and so never a secret: which part is wanted, and of which version. */
  readonly headersOnEachHop?: Readonly<Record<string, string>>;
  /** Statuses beside 2xx that the caller makes sense of itself. Their bodies are left unread: there is none in the reply. */
  readonly statuses?: readonly number[];
  /** Encodings of content that the caller takes as they come, such as `gzip`. Nothing is decoded here. */
  readonly encodings?: readonly string[];
  /** In place of the system's resolver, for tests. */
  readonly lookup?: Resolve;
  readonly onProgress?: (bytes: number, bytesExpected: number | undefined) => void;
}

export interface GuardedReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Where the reply came from in the end. */
  readonly finalUrl: string;
  /** To be read once, to its end or left early; the connection closes either way. */
  readonly body: AsyncIterable<Uint8Array>;
}

const resolveBySystem: Resolve = (host) => systemLookup(host, { all: true });

/**
 * GETs a URL of the public internet. Answers with the first reply of a 2xx status, or of one that the caller names.
 *
 * Throws TraceError: TR-5300 to TR-5304 for a URL or address that is refused, TR-5305 to TR-5307 and TR-5309 (retryable)
 * for names, connections, slowness and failing servers, TR-5308 and TR-5310 to TR-5314 (terminal) for replies that will
 * not get better. An abort by the caller throws the signal's reason. The body throws the same while it is read.
 */
export async function guardedGet(guarded: GuardedRequest): Promise<GuardedReply> {
  guarded.signal?.throwIfAborted();
  const deadline = new Deadline(guarded);
  try {
    let target = checkUrl(guarded.url, guarded.allowHostPorts);
    const origin = target.url.origin;
    for (let hop = 0; ; hop++) {
      deadline.host = target.host;
      const ownHeaders = target.url.origin === origin ? guarded.headers : undefined;
      const headers = { ...ownHeaders, ...guarded.headersOnEachHop };
      const exchange = await open(target, guarded, headers, deadline);
      const next = redirectOf(exchange, target, guarded);
      if (next === undefined) return reply(exchange, target, guarded, deadline);
      if (hop >= redirectsMax) {
        throw new TraceError("TR-5311", {
          detail: `${target.host} redirects again after ${redirectsMax} redirects.`,
          where: target.host,
          fix: "Use the URL at which the redirects end.",
        });
      }
      target = next;
    }
  } catch (error) {
    deadline.clear();
    throw deadline.blame(error);
  }
}

/** The caller's signal and the total time, as one signal; knows afterwards which of them it was. */
class Deadline {
  readonly signal: AbortSignal;
  host = "";
  readonly #caller: AbortSignal | undefined;
  readonly #totalTimeoutMs: number;
  readonly #timeout = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(guarded: GuardedRequest) {
    this.#caller = guarded.signal;
    this.#totalTimeoutMs = guarded.totalTimeoutMs;
    this.#timer = setTimeout(() => this.#timeout.abort(), guarded.totalTimeoutMs);
    this.signal =
      guarded.signal === undefined ? this.#timeout.signal : AbortSignal.any([guarded.signal, this.#timeout.signal]);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  blame(error: unknown): unknown {
    if (this.#caller?.aborted) return this.#caller.reason;
    if (this.#timeout.signal.aborted) return tooSlow(this.host, "the whole exchange", this.#totalTimeoutMs);
    return error;
  }
}

interface Exchange {
  readonly response: IncomingMessage;
  readonly status: number;
  readonly context: ErrorContext;
  readonly close: () => void;
}

/** One hop on a connection of its own: nothing is reused, so nothing checked for one destination serves another. */
async function open(
  target: CheckedUrl,
  guarded: GuardedRequest,
  headers: Readonly<Record<string, string>>,
  deadline: Deadline,
): Promise<Exchange> {
  const context: ErrorContext = {
    host: target.host,
    connectTimeoutMs: guarded.connectTimeoutMs,
    idleTimeoutMs: guarded.idleTimeoutMs,
    headerBytesMax: replyHeaderBytesMax,
  };
  deadline.signal.throwIfAborted();
  const connect = checkedConnector(target, guarded);
  const send = target.url.protocol === "https:" ? requestHttps : requestHttp;
  const request = send(target.url, {
    method: "GET",
    maxHeaderSize: replyHeaderBytesMax,
    // Identity: an encoded reply could grow without bound when it is opened.
    headers: { "user-agent": "trace", accept: "*/*", ...lowerCase(headers), "accept-encoding": "identity" },
    // Without an agent: the connection is this request's own, and is closed with it.
    createConnection: (_, created) => {
      const { hostname, port, protocol } = target.url;
      connect({ hostname, host: target.url.host, port, protocol }, (error, socket) => {
        if (error !== null) created(error, undefined as never);
        // A connection attempt outlives an abort; what comes of it then is nobody's.
        else if (request.destroyed) socket.destroy();
        else created(null, socket);
      });
      return undefined;
    },
  });
  const close = (): void => void request.destroy();
  try {
    const response = await replyOf(request, guarded, deadline.signal);
    // Without a listener, an error before anyone reads the body would end the process. The reader gets it as well.
    response.on("error", () => {});
    return { response, status: response.statusCode ?? 0, context, close };
  } catch (error) {
    close();
    throw fetchError(error, context);
  }
}

/** The header of the reply. The wait for it begins when there is a connection, which has its own bound of time. */
function replyOf(request: ClientRequest, guarded: GuardedRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, reject, resolve } = Promise.withResolvers<IncomingMessage>();
  let idle: NodeJS.Timeout | undefined;
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  request.on("error", reject);
  request.on("response", resolve);
  // Nothing was asked for that would be answered so.
  request.on("upgrade", () => reject(new Error("the server changes the protocol")));
  request.on("socket", () => {
    idle = setTimeout(() => reject(new IdleTimeout("the wait for its reply")), guarded.idleTimeoutMs);
  });
  request.end();
  return promise.finally(() => {
    clearTimeout(idle);
    signal.removeEventListener("abort", onAbort);
  });
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** Connects to addresses that were checked, and checks the socket once more. */
function checkedConnector(target: CheckedUrl, guarded: GuardedRequest): buildConnector.connector {
  const resolve = guarded.lookup ?? resolveBySystem;
  const lookup: LookupFunction = (host, options, callback) => {
    resolveChecked(host, target, resolve).then(
      (addresses) => {
        const [first] = addresses;
        if (options.all === true)
          callback(
            null,
            addresses.map((one) => ({ ...one })),
          );
        else callback(null, first?.address ?? "", first?.family);
      },
      (error: Error) => callback(error, "", 0),
    );
  };
  const connect = buildConnector({ timeout: guarded.connectTimeoutMs, lookup, maxCachedSessions: 0, allowH2: false });
  return (options, callback) =>
    connect(options, (error, socket) => {
      if (error !== null) return callback(error, null);
      if (!target.excepted && !isPublicAddress(socket.remoteAddress ?? "")) {
        socket.destroy();
        return callback(notPublic(target.host), null);
      }
      return callback(null, socket);
    });
}

/** The addresses of a name, or an error when any of them is not public: a mixed answer is an attack or a mistake. */
async function resolveChecked(host: string, target: CheckedUrl, resolve: Resolve): Promise<readonly ResolvedAddress[]> {
  const addresses = await resolve(host);
  if (addresses.length === 0 || addresses.length > resolvedAddressesMax) throw unresolved(host);
  if (!target.excepted && !addresses.every((one) => isPublicAddress(one.address))) throw notPublic(target.host);
  return addresses;
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The checked target of a redirect; undefined when the reply is none. Throws when it leads where it must not. */
function redirectOf(exchange: Exchange, from: CheckedUrl, guarded: GuardedRequest): CheckedUrl | undefined {
  if (!redirectStatuses.has(exchange.status)) return undefined;
  // The body of a redirect is nobody's business; closing the connection leaves it unread.
  exchange.close();
  return redirectTarget(from, exchange.response.headers.location, guarded.allowHostPorts);
}

function reply(exchange: Exchange, target: CheckedUrl, guarded: GuardedRequest, deadline: Deadline): GuardedReply {
  const { status } = exchange;
  const { headers } = exchange.response;
  const finalUrl = target.url.href;
  if (!isSuccess(status) && guarded.statuses?.includes(status) === true) {
    deadline.clear();
    exchange.close();
    return { status, headers, finalUrl, body: noBody() };
  }
  const refusal = refusalOf(exchange, target, guarded);
  if (refusal !== undefined) {
    exchange.close();
    throw refusal;
  }
  // A body that nobody reads is cut by the total time.
  deadline.signal.addEventListener("abort", exchange.close, { once: true });
  return { status, headers, finalUrl, body: boundedBody(exchange, target, guarded, deadline) };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

async function* noBody(): AsyncGenerator<Uint8Array, void, undefined> {}

/** Why a reply is not worth reading. Its body is not looked at: it could be the page of an internal service. */
function refusalOf(exchange: Exchange, target: CheckedUrl, guarded: GuardedRequest): TraceError | undefined {
  const { headers } = exchange.response;
  if (!isSuccess(exchange.status)) return statusError(target.host, exchange.status);
  const encoding = String(headers["content-encoding"] ?? "identity")
    .trim()
    .toLowerCase();
  if (encoding !== "identity" && encoding !== "" && guarded.encodings?.includes(encoding) !== true) {
    return new TraceError("TR-5313", {
      detail: `${target.host} sends its reply encoded, although it was asked not to.`,
      where: target.host,
      fix: "Use a URL that serves the data as it is.",
    });
  }
  if ((expectedBytes(exchange) ?? 0) > guarded.bytesMax) return tooLarge(target.host, "The reply", guarded.bytesMax);
  return undefined;
}

function expectedBytes(exchange: Exchange): number | undefined {
  const length = exchange.response.headers["content-length"];
  return typeof length === "string" && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

async function* boundedBody(
  exchange: Exchange,
  target: CheckedUrl,
  guarded: GuardedRequest,
  deadline: Deadline,
): AsyncGenerator<Uint8Array, void, undefined> {
  const expected = expectedBytes(exchange);
  let bytes = 0;
  try {
    for await (const chunk of unidle(exchange.response, guarded.idleTimeoutMs)) {
      bytes += chunk.byteLength;
      if (bytes > guarded.bytesMax) throw tooLarge(target.host, "The reply", guarded.bytesMax);
      guarded.onProgress?.(bytes, expected);
      yield chunk;
    }
  } catch (error) {
    throw deadline.blame(fetchError(error, exchange.context));
  } finally {
    deadline.clear();
    deadline.signal.removeEventListener("abort", exchange.close);
    exchange.close();
  }
}

/** The chunks of a reply. Only time spent waiting for the server counts: the reader may be as slow as it likes. */
async function* unidle(response: IncomingMessage, idleMs: number): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = (response as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const idle = setTimeout(() => response.destroy(new IdleTimeout("the wait for more of its reply")), idleMs);
      const next = await chunks.next().finally(() => clearTimeout(idle));
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}
