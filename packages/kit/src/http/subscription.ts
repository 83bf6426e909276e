/**
 * Reads a stream to its `end` over as many connections as it takes: after a loss it waits a little longer each time and
 * opens it again after the last event it has. Gives up with the error of the last try.
 */
import type { Readable } from "node:stream";
import { endEvent, problemEvent, type StreamEvent, type StreamRequest, TraceError } from "@trace/contracts";
import { backoffMs } from "../backoff.ts";
import type { Random } from "../clock.ts";
import { refusedTriesMax, streamEventBytesMax, streamRetriesMax, streamRetry } from "../limits.ts";
import {
  type Answer,
  errorOf,
  jsonOf,
  problemError,
  refusedBeforeDone,
  refusedWaitMs,
  unreachable,
} from "./answers.ts";
import { EventReader } from "./sse.ts";

/** Events, or the answer that refused them. */
export interface OpenedStream {
  readonly status: number;
  readonly body?: Readable;
  readonly refusal?: Answer;
}

export interface SubscriptionParts {
  readonly baseUrl: string;
  readonly random: Random;
  /** Throws TR-1007 when nobody answers. */
  open(lastEventId: string | undefined): Promise<OpenedStream>;
  /** Throws when the caller gave up meanwhile. */
  wait(ms: number): Promise<void>;
}

/** A connection ended without `end`. `waitMs` is what a refusal asked for. */
class Lost extends Error {
  readonly reason: TraceError;
  readonly waitMs: number | undefined;
  readonly triesMax: number;

  constructor(reason: TraceError, triesMax: number, waitMs?: number) {
    super(reason.message, { cause: reason });
    this.reason = reason;
    this.triesMax = triesMax;
    this.waitMs = waitMs;
  }
}

export async function* subscribe(
  request: StreamRequest,
  parts: SubscriptionParts,
): AsyncGenerator<StreamEvent, void, undefined> {
  let lastEventId: string | undefined;
  let opened = false;
  let failures = 0;
  for (;;) {
    try {
      const body = await bodyOf(parts, lastEventId, opened);
      if (failures > 0) request.onTrouble?.(undefined);
      for await (const event of connection(request, parts, body)) {
        opened = true;
        failures = 0;
        lastEventId = event.id ?? lastEventId;
        yield event;
        if (event.event === endEvent) return;
      }
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      failures += 1;
      if (failures >= error.triesMax) throw error.reason;
      request.onTrouble?.(error.reason);
      await parts.wait(error.waitMs ?? backoffMs(streamRetry, failures - 1, parts.random));
    }
  }
}

/** Events of one connection; throws Lost unless the last one is `end`. */
async function* connection(
  request: StreamRequest,
  parts: SubscriptionParts,
  body: Readable,
): AsyncGenerator<StreamEvent, void, undefined> {
  const reader = new EventReader(streamEventBytesMax);
  const decoder = new TextDecoder();
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      for (const { event, data, id } of reader.push(decoder.decode(chunk, { stream: true }))) {
        if (event === problemEvent) throw lostOr(problemError(jsonOf(data)) ?? noEvent(parts.baseUrl));
        yield { event, data: jsonOf(data), id };
      }
    }
  } catch (error) {
    if (request.signal?.aborted || error instanceof Lost || error instanceof TraceError) throw error;
    throw lostOr(unreachable(error, parts.baseUrl, request));
  } finally {
    // Also when the reader has enough: the connection ends, and the service learns that nobody reads.
    body.destroy();
  }
  throw lostOr(unreachable(new Error("the stream ended before its end"), parts.baseUrl, request));
}

/** A stream that never was is refused like any call; one that was is opened again. */
async function bodyOf(parts: SubscriptionParts, lastEventId: string | undefined, again: boolean): Promise<Readable> {
  let answer: OpenedStream;
  try {
    answer = await parts.open(lastEventId);
  } catch (error) {
    throw again && error instanceof TraceError ? lostOr(error) : error;
  }
  const { body, refusal } = answer;
  if (body !== undefined) return body.on("error", () => undefined); // read below; a late one has no reader left
  if (refusal === undefined) throw new Error("neither events nor a refusal");
  const error = errorOf(refusal, parts.baseUrl);
  if (!refusedBeforeDone(refusal)) throw again ? lostOr(error) : error;
  throw new Lost(
    error,
    again ? streamRetriesMax : refusedTriesMax,
    refusedWaitMs(refusal.retryAfterMs, 1, parts.random),
  );
}

function lostOr(error: TraceError): Error {
  return error.retryable ? new Lost(error, streamRetriesMax) : error;
}

function noEvent(baseUrl: string): TraceError {
  return new TraceError("TR-1010", {
    detail: `${baseUrl} broke off a stream with an event that is no problem document`,
    fix: "run the same version of Trace on both sides",
  });
}
