/** Carries calls of the typed client over HTTP with pooled connections (undici; a call costs a seventh of fetch's CPU). */
import { setTimeout as delay } from "node:timers/promises";
import type { StreamRequest, StreamTransport, Transport, TransportRequest } from "@trace/contracts";
import { type Dispatcher, Pool } from "undici";
import { type Random, systemRandom } from "../clock.ts";
import {
  bodyAheadBytesMax,
  callConnectionsMax,
  callTimeoutMs,
  connectMs,
  refusedTriesMax,
  streamConnectionsMax,
  streamSilenceMsMax,
} from "../limits.ts";
import type { Service } from "../service.ts";
import { takenAhead } from "./ahead.ts";
import { type Answer, errorOf, jsonOf, readAnswer, refusedBeforeDone, refusedWaitMs, unreachable } from "./answers.ts";
import { type OpenedStream, subscribe } from "./subscription.ts";

export interface HttpTransportOptions {
  /** `http://127.0.0.1:7401`. */
  readonly baseUrl: string;
  /** Asked for each call, so that a rotated token is picked up. `again` is set after a refusal of the last one. */
  token(again: boolean): Promise<string>;
  readonly timeoutMs?: number;
  /** A stream that brings nothing for this long is lost. */
  readonly streamSilenceMs?: number;
  /** Waits before a call is sent again; at an abort it may end early. */
  readonly pause?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly random?: Random;
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, signal === undefined ? {} : { signal });
}

export class HttpTransport implements Service {
  readonly #options: HttpTransportOptions;
  readonly #pool: Pool;
  /** Apart from calls: a stream keeps its connection, and must not be what calls wait for. */
  #streams: Pool | undefined;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#pool = this.#poolOf(callConnectionsMax, this.#timeoutMs);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#pool.destroy(), this.#streams?.destroy()]);
  }

  /** A refusal that came before anything was done is waited out as the service asks, `refusedTriesMax` tries in all. */
  readonly send: Transport = async (request) => {
    for (let tries = 1; ; tries++) {
      const answer = await this.#authorized(request, (token) => this.#once(request, token));
      const body = jsonOf(answer.text);
      if (answer.status >= 200 && answer.status < 300 && body !== undefined) return body;
      if (tries >= refusedTriesMax || !refusedBeforeDone(answer)) throw errorOf(answer, this.#options.baseUrl);
      await this.#wait(refusedWaitMs(answer.retryAfterMs, tries, this.#random), request.signal);
    }
  };

  readonly stream: StreamTransport = (request) =>
    subscribe(request, {
      baseUrl: this.#options.baseUrl,
      random: this.#random,
      open: (lastEventId) => this.#open(request, lastEventId),
      wait: (ms) => this.#wait(ms, request.signal),
    });

  get #timeoutMs(): number {
    return this.#options.timeoutMs ?? callTimeoutMs;
  }

  get #random(): Random {
    return this.#options.random ?? systemRandom;
  }

  #poolOf(connections: number, bodyTimeout: number): Pool {
    const connect = { timeout: connectMs };
    return new Pool(this.#options.baseUrl, { connections, headersTimeout: this.#timeoutMs, bodyTimeout, connect });
  }

  /** Throws what the signal was aborted with. */
  async #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    try {
      await (this.#options.pause ?? pause)(ms, signal);
    } finally {
      signal?.throwIfAborted();
    }
  }

  /** The token may have been rotated between reading it and using it: after a refusal it is read anew, once. */
  async #authorized<A extends { readonly status: number }>(
    request: TransportRequest,
    once: (token: string) => Promise<A>,
  ): Promise<A> {
    const first = await once(request.token ?? (await this.#options.token(false)));
    if (first.status !== 401 || request.token !== undefined) return first;
    return once(await this.#options.token(true));
  }

  async #once(request: TransportRequest, token: string): Promise<Answer> {
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
        highWaterMark: bodyAheadBytesMax,
      });
      return await readAnswer(answer.statusCode, answer.headers, answer.body);
    } catch (error) {
      if (request.signal?.aborted) throw error;
      throw unreachable(error, this.#options.baseUrl, request);
    }
  }

  #open(request: StreamRequest, lastEventId: string | undefined): Promise<OpenedStream> {
    this.#streams ??= this.#poolOf(streamConnectionsMax, this.#options.streamSilenceMs ?? streamSilenceMsMax);
    const streams = this.#streams;
    return this.#authorized(request, (token) => this.#openOnce(streams, request, token, lastEventId));
  }

  async #openOnce(
    streams: Pool,
    request: StreamRequest,
    token: string,
    lastEventId: string | undefined,
  ): Promise<OpenedStream> {
    try {
      const answer: Dispatcher.ResponseData = await streams.request({
        method: request.method as "GET",
        path: request.path,
        headers: {
          authorization: `Bearer ${token}`,
          accept: "text/event-stream",
          ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
        },
        signal: request.signal ?? null,
        highWaterMark: bodyAheadBytesMax,
      });
      const { statusCode: status, headers, body } = answer;
      const type = String(headers["content-type"] ?? "");
      if (status === 200 && type.startsWith("text/event-stream"))
        return { status, body: takenAhead(body, bodyAheadBytesMax) };
      return { status, refusal: await readAnswer(status, headers, body) };
    } catch (error) {
      if (request.signal?.aborted) throw error;
      throw unreachable(error, this.#options.baseUrl, request);
    }
  }
}
