/** A server of one source that does what a test tells it, request by request, and remembers what it was asked. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export class SourceServer {
  readonly asked: IncomingHttpHeaders[] = [];
  /** One for each request in order; the last one answers all that follow. */
  answers: Answer[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const answer = this.answers[Math.min(this.asked.length, this.answers.length - 1)];
      this.asked.push(request.headers);
      if (answer === undefined) response.writeHead(404).end();
      else answer(response, request);
    });
  }

  static async start(): Promise<SourceServer> {
    const source = new SourceServer();
    await new Promise<void>((resolve) => source.#server.listen(0, "127.0.0.1", resolve));
    return source;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}/data.csv`;
  }

  reset(...answers: Answer[]): void {
    this.asked.length = 0;
    this.answers = answers;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

type Headers = Record<string, string | number>;

export function whole(body: Buffer, headers: Headers = {}): Answer {
  return (response) => response.writeHead(200, { "content-length": body.length, ...headers }).end(body);
}

/** Announces all of it, sends `bytes` of it, and closes the connection. */
export function broken(body: Buffer, bytes: number, headers: Headers = {}): Answer {
  return (response) => {
    response.writeHead(200, { "content-length": body.length, ...headers });
    cutAfter(response, body.subarray(0, bytes));
  };
}

/** A part from where it is asked for, up to `end`; `headers` may lie about it. */
export function part(body: Buffer, headers: Headers = {}, end = body.length): Answer {
  return (response, request) => {
    const from = rangeStart(request);
    const range = `bytes ${from}-${end - 1}/${body.length}`;
    response
      .writeHead(206, { "content-range": range, "content-length": end - from, ...headers })
      .end(body.subarray(from, end));
  };
}

export function brokenPart(body: Buffer, bytes: number, headers: Headers = {}): Answer {
  return (response, request) => {
    const from = rangeStart(request);
    const range = `bytes ${from}-${body.length - 1}/${body.length}`;
    response.writeHead(206, { "content-range": range, "content-length": body.length - from, ...headers });
    cutAfter(response, body.subarray(from, from + bytes));
  };
}

export function status(code: number, headers: Headers = {}): Answer {
  return (response) => response.writeHead(code, headers).end();
}

export function rangeStart(request: IncomingMessage): number {
  return Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
}

/** The client gets what is written: the connection is closed behind it, not reset over it. */
function cutAfter(response: ServerResponse, body: Buffer): void {
  if (body.length === 0) response.flushHeaders();
  response.write(body.length === 0 ? "" : body, () => response.socket?.end());
}
