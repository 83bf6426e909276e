/** Carries calls of the typed client over HTTP with pooled connections (undici; a call costs a seventh of fetch's CPU). */
import { problemSchema, TraceError, type Transport } from "@trace/contracts";
import { Pool } from "undici";
import { answerBytesMax, callConnectionsMax, callTimeoutMs } from "../limits.ts";
import type { Service } from "../service.ts";

export interface HttpTransportOptions {
  /** `http://127.0.0.1:7401`. */
  readonly baseUrl: string;
  /** Asked for each call, so that a rotated token is picked up. `again` is set after a refusal of the last one. */
  token(again: boolean): Promise<string>;
  readonly timeoutMs?: number;
}

export class HttpTransport implements Service {
  readonly #options: HttpTransportOptions;
  readonly #pool: Pool;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    const timeout = options.timeoutMs ?? callTimeoutMs;
    this.#pool = new Pool(options.baseUrl, {
      connections: callConnectionsMax,
      headersTimeout: timeout,
      bodyTimeout: timeout,
      connect: { timeout: 5_000 },
    });
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.#pool.destroy();
  }

  readonly send: Transport = async (request) => {
    const token = request.token ?? (await this.#options.token(false));
    const first = await this.#once(request, token);
    if (first.status !== 401 || request.token !== undefined) return this.#result(first);
    // The token may have been rotated between reading it and using it: read it anew, once.
    return this.#result(await this.#once(request, await this.#options.token(true)));
  };

  async #once(request: Parameters<Transport>[0], token: string): Promise<{ status: number; text: string }> {
    try {
      const answer = await this.#pool.request({
        method: request.method as "GET",
        path: request.path,
        headers: {
          authorization: `Bearer ${token}`,
          accept: "application/json",
          ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: request.body === undefined ? null : JSON.stringify(request.body),
        signal: request.signal ?? null,
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of answer.body) {
        bytes += (chunk as Buffer).length;
        if (bytes > answerBytesMax) throw new Error(`the answer is larger than ${answerBytesMax} bytes`);
        chunks.push(chunk as Buffer);
      }
      return { status: answer.statusCode, text: Buffer.concat(chunks).toString("utf8") };
    } catch (error) {
      if (request.signal?.aborted) throw error;
      throw new TraceError("TR-1007", {
        detail: `no answer from ${this.#options.baseUrl}: ${error instanceof Error ? error.message : String(error)}`,
        where: `${request.method} ${request.path.split("?")[0]}`,
        fix: "check that the service runs: 'trace doctor'; start the local stack with 'trace up'",
        cause: error,
      });
    }
  }

  #result(answer: { status: number; text: string }): unknown {
    let body: unknown;
    try {
      body = JSON.parse(answer.text);
    } catch {
      body = undefined;
    }
    if (answer.status >= 200 && answer.status < 300 && body !== undefined) return body;
    const problem = problemSchema.safeParse(body);
    if (problem.success) {
      const error = new TraceError(problem.data.code, problem.data);
      throw Object.assign(error, { errors: problem.data.errors?.map((record) => new TraceError(record.code, record)) });
    }
    throw new TraceError("TR-1010", {
      detail: `${this.#options.baseUrl} answered ${answer.status} with a body that is no answer of Trace`,
      fix: "check that this address belongs to Trace and that both sides run the same version",
    });
  }
}
