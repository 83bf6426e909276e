/** The SQS endpoint behind the proxy: forwards calls as they came, and makes calls of the proxy's own. */
import { Agent, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http";

export interface SqsAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly text: string;
}

export interface SqsRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** The endpoint could not be reached, or went away before it answered. */
export class BackendAway extends Error {}

/** Of one connection, not of the message; `host` and the length are set anew. */
const notForwarded = ["connection", "keep-alive", "transfer-encoding", "expect", "content-length", "host", "upgrade"];

export const sqsContentType = "application/x-amz-json-1.0";

export class SqsBackend {
  /** `http://host:port`, without a path. */
  readonly origin: string;
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(url: string) {
    this.#url = new URL(url);
    this.origin = this.#url.origin;
  }

  stop(): void {
    this.#agent.destroy();
  }

  /** Throws BackendAway; an abort ends the call, so that the endpoint sees that nobody waits any longer. */
  send(request: SqsRequest, signal?: AbortSignal): Promise<SqsAnswer> {
    const headers = without(request.headers);
    headers.host = this.#url.host;
    headers["content-length"] = Buffer.byteLength(request.body);
    return new Promise((resolve, reject) => {
      const call = httpRequest(
        {
          method: request.method,
          path: request.path,
          host: this.#url.hostname,
          port: this.#url.port,
          agent: this.#agent,
          headers,
          ...(signal === undefined ? {} : { signal }),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", away);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8");
            resolve({ status: response.statusCode ?? 502, headers: without(response.headers), text });
          });
        },
      );
      const away = (cause: Error) => reject(new BackendAway(`SQS behind the proxy: ${cause.message}`, { cause }));
      call.on("error", away);
      call.end(request.body);
    });
  }

  call(action: string, input: unknown): Promise<SqsAnswer> {
    const headers = { "content-type": sqsContentType, "x-amz-target": `AmazonSQS.${action}` };
    return this.send({ method: "POST", path: "/", headers, body: JSON.stringify(input) });
  }
}

function without(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !notForwarded.includes(name)));
}
