/**
 * The streams that one listener has open. A stream is pulled: the next event is asked for when the one before it has left
 * for the reader, so that a slow reader holds up its own stream and no memory. Whatever ends a stream early (the reader
 * is gone or too slow, the service stops, its time is over) ends it at once, and says why where somebody still reads.
 */
import type { ServerResponse } from "node:http";
import { lastEventIdCharsMax, problemEvent, type StreamEvent, TraceError, toProblem } from "@trace/contracts";
import {
  streamBeatMs,
  streamEventBytesMax,
  streamFarewellMs,
  streamMsMax,
  streamOpenMs,
  streamStallMs,
  streamsOpenMax,
} from "../limits.ts";
import type { Log } from "../log.ts";
import { beatText, eventText } from "./sse.ts";

/** What the handler of a stream is given beside the call. */
export interface StreamContext {
  /** Aborted when nobody reads any more, whatever the reason. What the handler waits for must heed it. */
  readonly signal: AbortSignal;
  /** `Last-Event-ID`: the id of the last event that the reader has. */
  readonly lastEventId: string | undefined;
}

export interface StreamBounds {
  readonly openMax: number;
  readonly openMs: number;
  readonly beatMs: number;
  readonly stallMs: number;
  readonly lifeMs: number;
}

const usualBounds: StreamBounds = {
  openMax: streamsOpenMax,
  openMs: streamOpenMs,
  beatMs: streamBeatMs,
  stallMs: streamStallMs,
  lifeMs: streamMsMax,
};

export interface StreamParts {
  readonly response: ServerResponse;
  readonly events: (context: StreamContext) => AsyncIterable<StreamEvent>;
  readonly lastEventId: string | undefined;
  /** Takes the response over; called once, when the call can no longer be refused. */
  readonly open: () => void;
}

export class Streams {
  readonly #listener: string;
  readonly #log: Log;
  readonly #bounds: StreamBounds;
  readonly #open = new Set<OpenStream>();
  #stopping = false;

  constructor(listener: string, log: Log, bounds: Partial<StreamBounds> = {}) {
    this.#listener = listener;
    this.#log = log;
    this.#bounds = { ...usualBounds, ...bounds };
  }

  get size(): number {
    return this.#open.size;
  }

  /** Resolves when the stream is over. Throws what refuses it before its first event; after that, streams tell it. */
  async serve(parts: StreamParts): Promise<void> {
    if (this.#stopping) throw this.#stopped();
    if (this.#open.size >= this.#bounds.openMax) {
      throw new TraceError("TR-1008", {
        detail: `the ${this.#listener} listener has ${this.#bounds.openMax} streams open already`,
        fix: "try again after the seconds in Retry-After, or close a stream that nobody reads",
      });
    }
    const stream = new OpenStream(parts, this.#bounds, this.#log);
    this.#open.add(stream);
    try {
      await stream.run();
    } finally {
      this.#open.delete(stream);
    }
  }

  /** Ends every stream and resolves when none is left, after `streamFarewellMs` at the latest. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#open].map((stream) => stream.close(this.#stopped())));
  }

  #stopped(): TraceError {
    return new TraceError("TR-1008", {
      detail: `the ${this.#listener} listener is stopping`,
      fix: "come back after the seconds in Retry-After: the stream goes on after the id of your last event",
    });
  }
}

class OpenStream {
  readonly #parts: StreamParts;
  readonly #bounds: StreamBounds;
  readonly #log: Log;
  readonly #abort = new AbortController();
  #begun = false;
  /** Why it ends early; undefined as long as it does not, or when the reader is gone. */
  #reason: TraceError | undefined;
  #over: Promise<void> = Promise.resolve();

  constructor(parts: StreamParts, bounds: StreamBounds, log: Log) {
    this.#parts = parts;
    this.#bounds = bounds;
    this.#log = log;
  }

  run(): Promise<void> {
    const run = this.#run();
    this.#over = run.catch(() => undefined); // whoever waits for the end wants no reason; `run` gives it to its caller
    return run;
  }

  /** Ends it for a reason, and resolves when it has ended. */
  async close(reason: TraceError): Promise<void> {
    if (!this.#abort.signal.aborted) {
      this.#reason = reason;
      this.#abort.abort();
    }
    await this.#over;
  }

  async #run(): Promise<void> {
    const { response, lastEventId } = this.#parts;
    const { signal } = this.#abort;
    const gone = () => this.#abort.abort();
    response.once("close", gone);
    // A write that meets a connection just lost: 'close' follows, and says all there is to say.
    response.on("error", gone);
    const life = setTimeout(() => void this.close(outlived(this.#bounds.lifeMs)), this.#bounds.lifeMs);
    const open = setTimeout(() => this.#begin(), this.#bounds.openMs);
    const beat = setInterval(() => this.#beat(), this.#bounds.beatMs);
    let events: AsyncIterator<StreamEvent> | undefined;
    try {
      checkId(lastEventId);
      events = this.#parts.events({ signal, lastEventId })[Symbol.asyncIterator]();
      let next = await untilAborted(events.next(), signal);
      // Nothing was answered yet: a service that stops refuses the call like any other.
      if (next === aborted && this.#reason !== undefined) throw this.#reason;
      this.#begin();
      while (next !== aborted && next.done !== true) {
        if (!(await this.#write(eventText(next.value)))) break;
        next = await untilAborted(events.next(), signal);
      }
    } catch (error) {
      if (!this.#begun) throw error;
      this.#reason = told(error, this.#log);
    } finally {
      clearTimeout(life);
      clearTimeout(open);
      clearInterval(beat);
      this.#abort.abort();
      letGo(events, this.#log);
      if (this.#begun) await this.#end();
      response.off("close", gone);
    }
  }

  #begin(): void {
    if (this.#begun || this.#abort.signal.aborted) return;
    this.#parts.open();
    this.#begun = true;
    this.#parts.response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store, no-transform",
      // A proxy that gathers an answer before it passes it on would hold events back.
      "x-accel-buffering": "no",
      connection: "close",
    });
    // Or the head would wait for the first event.
    this.#parts.response.flushHeaders();
  }

  #beat(): void {
    const { response } = this.#parts;
    if (this.#begun && !response.writableNeedDrain && !this.#abort.signal.aborted) response.write(beatText);
  }

  /** False when the stream is over: nobody reads, or too slowly. */
  async #write(text: string): Promise<boolean> {
    const { response } = this.#parts;
    const { signal } = this.#abort;
    const bytes = Buffer.byteLength(text);
    if (bytes > streamEventBytesMax) {
      throw new Error(`an event of ${bytes} bytes is larger than the ${streamEventBytesMax} a reader takes`);
    }
    if (signal.aborted) return false;
    if (response.write(text)) return true;
    const { stallMs } = this.#bounds;
    const slow = setTimeout(() => void this.close(tooSlow(stallMs)), stallMs);
    try {
      return (await untilAborted(new Promise((done) => response.once("drain", () => done(true))), signal)) !== aborted;
    } finally {
      clearTimeout(slow);
    }
  }

  /** Ends the answer, with the reason if there is one; a reader that does not take even that is cut off. */
  async #end(): Promise<void> {
    const { response } = this.#parts;
    if (response.destroyed) return;
    const closed = new Promise<void>((done) => response.once("close", () => done()));
    const cut = setTimeout(() => response.destroy(), streamFarewellMs);
    const last = this.#reason;
    response.end(last === undefined ? "" : eventText({ event: problemEvent, data: toProblem(last) }));
    await closed;
    clearTimeout(cut);
  }
}

const aborted = Symbol("aborted");

/** What was promised, or `aborted` as soon as the signal is. Leaves no listener behind, however often it is asked. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | typeof aborted> {
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(aborted);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Lets the handler clean up. It is not waited for: one that heeds no signal must not hold up a stop. */
function letGo(events: AsyncIterator<StreamEvent> | undefined, log: Log): void {
  events?.return?.()?.catch((error: unknown) => log.warn({ error }, "a stream did not end cleanly"));
}

function checkId(lastEventId: string | undefined): void {
  if (lastEventId === undefined || lastEventId.length <= lastEventIdCharsMax) return;
  throw new TraceError("TR-1002", {
    detail: `Last-Event-ID is longer than ${lastEventIdCharsMax} characters`,
    where: "header Last-Event-ID",
    fix: "send the id of the last event of this stream, unchanged, or none",
  });
}

function outlived(lifeMs: number): TraceError {
  return new TraceError("TR-1016", {
    detail: `the stream was open for ${Math.round(lifeMs / 60_000)} min, as long as one may be`,
    why: "who reads is asked for a token again from time to time",
    fix: "open it again: it goes on after the id of your last event",
  });
}

function tooSlow(stallMs: number): TraceError {
  return new TraceError("TR-1016", {
    detail: `the reader took nothing for ${stallMs / 1_000} s while events waited`,
    why: "what it does not take is not kept for it",
    fix: "read faster, or open the stream again: it goes on after the id of your last event",
  });
}

function told(error: unknown, log: Log): TraceError {
  if (error instanceof TraceError) return error;
  log.error({ error }, "a stream failed");
  return new TraceError("TR-1000", {
    detail: "the stream failed for a reason of ours, not yours",
    fix: "open it again; if it stays, look for this time in the log of the service",
  });
}
