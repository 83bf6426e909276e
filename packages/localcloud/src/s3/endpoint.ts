/**
 * The S3 endpoint: one HTTP listener over one folder, for the processes of one machine.
 *
 * It speaks path-style S3 so that any S3 client can read a local Trace; it serves objects and their listings, and says
 * NotImplemented to the rest. `POST /`, which S3 has no use for, is STS: who gives out keys is who knows them again. Every request is signed and granted before anything of it is done.
 */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { type Clock, type Log, type Service, systemClock } from "@trace/kit";
import {
  bodyIdleMsMax,
  concurrentRequestsMax,
  headerBytesMax,
  headersMsMax,
  keepAliveMs,
  patienceMs,
  requestMsMax,
  stopGraceMs,
} from "../limits.ts";
import { type Caller, Callers, type SessionOptions } from "../sts/callers.ts";
import { serveSts } from "../sts/serve.ts";
import { accessOfGrants, type S3Credential } from "./access.ts";
import { cannotListen, requireConfiguration } from "./configuration.ts";
import { errorElement, errorXml, S3Error } from "./errors.ts";
import { type Exchange, type Reply, type S3Bucket, xmlHeaders } from "./exchange.ts";
import { judgeFailure } from "./failure.ts";
import { headersOf } from "./headers.ts";
import { drain, receive } from "./incoming.ts";
import { routeOf } from "./operations.ts";
import { serve } from "./serve.ts";
import { type SignedRequest, verifySignature } from "./sigv4.ts";
import { ObjectStore } from "./store.ts";
import { parseTarget } from "./target.ts";

/** What is counted about one request, given when its answer is over. */
export interface S3RequestReport {
  /** S3's name of the operation, or `Unknown` when the request did not get so far. */
  readonly operation: string;
  readonly status: number;
  /** Bytes of the object received or sent. */
  readonly bytes: number;
  readonly ms: number;
}

/** Limits that a test shortens. */
export interface S3Limits {
  readonly bodyIdleMs?: number | undefined;
  readonly concurrentRequests?: number | undefined;
  readonly patienceMs?: number | undefined;
}

export interface S3EndpointOptions {
  /** Folder of the objects; made when missing. One endpoint at a time may own it. */
  readonly root: string;
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  readonly buckets: readonly S3Bucket[];
  readonly credentials: readonly S3Credential[];
  /** Roles whose rights are given out for a while, by STS; without them nobody may assume any. */
  readonly sessions?: SessionOptions | undefined;
  readonly log: Log;
  readonly clock?: Clock | undefined;
  readonly onRequest?: ((report: S3RequestReport) => void) | undefined;
  readonly limits?: S3Limits | undefined;
}

/** One request while it is served. */
interface Running {
  operation: string;
  bytes: number;
  path: string;
  readonly id: string;
}

export class S3Endpoint implements Service {
  /** The objects themselves; for tests that act in the middle of an upload. */
  readonly store: ObjectStore;
  readonly #options: S3EndpointOptions;
  readonly #clock: Clock;
  readonly #callers: Callers;
  readonly #idleMs: number;
  readonly #running = new Set<Promise<void>>();
  #server: Server | undefined;
  #port = 0;

  /** Throws TR-6103 when buckets, credentials or grants contradict themselves. */
  constructor(options: S3EndpointOptions) {
    requireConfiguration(options.buckets, options.credentials, options.sessions);
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#idleMs = options.limits?.bodyIdleMs ?? bodyIdleMsMax;
    this.#callers = new Callers(options.credentials, options.sessions);
    this.store = new ObjectStore(
      options.root,
      options.buckets.map((bucket) => bucket.name),
    );
  }

  /** The port in use; 0 before `start`. */
  get port(): number {
    return this.#port;
  }

  /** Removes what a crash left, then listens. Throws TR-6102 (cannot listen) or TR-6104 (folder cannot be used). */
  async start(): Promise<void> {
    await this.store.prepare();
    const server = createServer({
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersMsMax,
      requestTimeout: requestMsMax,
      keepAliveTimeout: keepAliveMs,
      // Bodies have their own, shorter bound; this one also covers clients that stop reading an answer.
      connectionsCheckingInterval: 5_000,
    });
    server.timeout = this.#idleMs * 2;
    server.on("request", (request, response) => this.#accept(request, response, () => undefined));
    // A client that asks before it sends is answered with the refusal, and keeps its bytes.
    server.on("checkContinue", (request, response) => this.#accept(request, response, () => response.writeContinue()));
    server.on("clientError", answerBrokenRequest);
    await new Promise<void>((resolve, reject) => {
      const { host, port } = this.#options;
      server.once("error", (cause) => reject(cannotListen("S3", host, port, cause)));
      server.listen(port, host, resolve);
    });
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Lets running requests end within the grace, cuts the rest; no temporary file is left behind. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const cut = setTimeout(() => server.closeAllConnections(), stopGraceMs);
    await Promise.allSettled([...this.#running]);
    server.closeAllConnections();
    clearTimeout(cut);
    // Requests that came on open connections meanwhile are cut now; they too remove their files first.
    await Promise.allSettled([...this.#running]);
    await closed;
  }

  #accept(request: IncomingMessage, response: ServerResponse, writeContinue: () => void): void {
    const done = this.#handle(request, response, writeContinue).catch((error: unknown) => {
      // Only the end of a request can come here: closing its file, or the callback of whoever counts.
      this.#options.log.error({ error }, "embedded S3 request did not end cleanly");
      request.socket.destroy();
    });
    this.#running.add(done);
    void done.finally(() => this.#running.delete(done));
  }

  /** Whatever happens becomes an answer, or a cut connection when the answer has begun. */
  async #handle(request: IncomingMessage, response: ServerResponse, writeContinue: () => void): Promise<void> {
    const startedMs = performance.now();
    const running: Running = {
      operation: "Unknown",
      bytes: 0,
      path: "/",
      id: randomBytes(8).toString("hex").toUpperCase(),
    };
    let reply: Reply | undefined;
    let status = 499;
    try {
      reply = await this.#answer(request, running, writeContinue);
      status = reply.status;
      await send(request, response, reply, running);
    } catch (error) {
      status = await this.#refuse(request, response, running, error, status);
    } finally {
      await reply?.release?.();
      drain(request);
      const ms = performance.now() - startedMs;
      this.#options.onRequest?.({ operation: running.operation, status, bytes: running.bytes, ms });
    }
  }

  async #answer(request: IncomingMessage, running: Running, writeContinue: () => void): Promise<Reply> {
    const target = parseTarget(request.url ?? "");
    running.path = target.path;
    if (this.#running.size >= (this.#options.limits?.concurrentRequests ?? concurrentRequestsMax)) {
      throw new S3Error("SlowDown", "Please reduce your request rate.", { headers: { "retry-after": "1" } });
    }
    const method = request.method ?? "";
    const signed = { method, target, rawHeaders: request.rawHeaders };
    if (method === "POST" && target.path === "/") return this.#serveSts(request, signed, running, writeContinue);
    let caller: Caller | undefined;
    const secretOf = (accessKeyId: string, sessionToken: string | undefined) => {
      caller = this.#callers.find(accessKeyId, sessionToken, this.#clock.nowMs());
      return caller?.secretAccessKey;
    };
    const signature = verifySignature(signed, secretOf, this.#clock.nowMs());
    const headers = headersOf(request, signature.presigned ? target.query : []);
    const route = routeOf(method, target, headers.has("x-amz-copy-source"));
    running.operation = route.served ? route.operation : "NotImplemented";
    if (!route.served) {
      throw new S3Error(
        "NotImplemented",
        `The operation ${route.name} is not implemented by the embedded object store.`,
      );
    }
    const access = caller?.access(headers) ?? accessOfGrants([]);
    const known = { target, headers, signature, access };
    return serve(route.operation, { ...known, ...this.#exchange(request, running, writeContinue) });
  }

  #serveSts(
    request: IncomingMessage,
    signed: SignedRequest,
    running: Running,
    writeContinue: () => void,
  ): Promise<Reply> {
    running.operation = "AssumeRole";
    return serveSts({
      request: signed,
      contentType: request.headers["content-type"],
      callers: this.#callers,
      nowMs: this.#clock.nowMs(),
      requestId: running.id,
      body: () => this.#receive(request, writeContinue),
      judge: (error) => this.#judge(error, running),
    });
  }

  #receive(request: IncomingMessage, writeContinue: () => void): AsyncIterable<Buffer> {
    writeContinue();
    return receive(request, this.#idleMs);
  }

  #exchange(
    request: IncomingMessage,
    running: Running,
    writeContinue: () => void,
  ): Omit<Exchange, "target" | "headers" | "signature" | "access"> {
    return {
      buckets: this.#options.buckets,
      store: this.store,
      nowMs: () => this.#clock.nowMs(),
      body: () => this.#receive(request, writeContinue),
      judge: (error) => this.#judge(error, running),
      lateError: (error) => errorElement(this.#judge(error, running), running.path, running.id),
      patienceMs: this.#options.limits?.patienceMs ?? patienceMs,
      count: (bytes) => {
        running.bytes += bytes;
      },
    };
  }

  #judge(error: unknown, running: Running): S3Error {
    const failure = judgeFailure(error, this.#options.root);
    if (failure.logged !== undefined) {
      this.#options.log.error({ error: failure.logged, requestId: running.id }, "embedded S3 request failed");
    }
    return failure.answer;
  }

  /** Returns the status that was answered. */
  async #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    running: Running,
    error: unknown,
    status: number,
  ): Promise<number> {
    const cutByPeer = request.socket.destroyed && !(error instanceof S3Error);
    if (response.headersSent && cutByPeer) return status;
    const answer = this.#judge(error, running);
    if (response.headersSent || request.socket.destroyed) {
      // Half an answer cannot be taken back; a cut connection tells the client that it is not whole.
      request.socket.destroy();
      return status;
    }
    const body = errorXml(answer, running.path, running.id);
    const reply = { status: answer.status, headers: { ...xmlHeaders, ...answer.headers }, body };
    // The peer may be gone; the request is over either way.
    await send(request, response, reply, running).catch(() => undefined);
    return reply.status;
  }
}

async function send(request: IncomingMessage, response: ServerResponse, reply: Reply, running: Running): Promise<void> {
  // A connection that node closed right behind an answer, over bytes still coming, would reset the answer away: `drain` cuts it.
  if (!request.complete) response.shouldKeepAlive = true;
  response.writeHead(reply.status, {
    "x-amz-request-id": running.id,
    server: "Trace",
    ...(typeof reply.body === "string" ? { "content-length": String(Buffer.byteLength(reply.body)) } : {}),
    ...(reply.body === undefined && reply.status === 200 ? { "content-length": "0" } : {}),
    ...reply.headers,
  });
  if (request.method === "HEAD" || reply.body === undefined || typeof reply.body === "string") {
    response.end(request.method === "HEAD" ? undefined : reply.body);
    return;
  }
  await pipeline(counted(reply.body, running), response);
}

async function* counted(body: AsyncIterable<Buffer>, running: Running): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    running.bytes += chunk.length;
    yield chunk;
  }
}

/** What is not HTTP, or has too many headers, gets a status line and no more. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}
