/**
 * The recorder: an HTTP server between all callers and several dispatchers. It writes down every call when it arrives and
 * every answer before it is passed on, and shares no code with what it watches. It also does to calls what a network may do.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Service } from "@trace/kit";
import { FaultCounts } from "../../faults/counts.ts";
import { SeededRandom } from "../../faults/random.ts";
import { HistoryWriter } from "../history/file.ts";
import { lineWithBody, type Via } from "../history/lines.ts";
import {
  type CallFaultKind,
  type CallFaults,
  callFaultKinds,
  checkCallFaults,
  contradiction,
  isRepeatable,
  noCallFaults,
} from "./faults.ts";
import { bodyBytesMax, clockEveryMs } from "./limits.ts";
import { type Answer, type Forwarded, NoAnswer, type Target, Targets } from "./targets.ts";

export interface RecorderOptions {
  /** The file of the history; must not be there yet. */
  readonly path: string;
  readonly seed: string | number;
}

/** A call and its answer as they were written down; bodies as text. */
export interface Recorded {
  readonly via: Via;
  /** Method and path without its query. */
  readonly route: string;
  readonly body: string;
  readonly answer: Answer;
}

const host = "127.0.0.1";
const vias = ["user", "worker", "task"] as const;

export class Recorder implements Service {
  readonly #options: RecorderOptions;
  readonly #targets = new Targets();
  readonly #servers = new Map<Via, Server>();
  readonly #counts = new FaultCounts<CallFaultKind>(callFaultKinds);
  readonly #random: Readonly<Record<CallFaultKind, SeededRandom>>;
  readonly #listeners = new Set<(recorded: Recorded) => void>();
  /** Calls that nobody made, on their way. */
  readonly #own = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #beganAt = process.hrtime.bigint();
  #history: HistoryWriter | undefined;
  #clock: NodeJS.Timeout | undefined;
  #faults = noCallFaults;
  #calls = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    const seed = new SeededRandom(options.seed);
    this.#random = Object.fromEntries(callFaultKinds.map((kind) => [kind, seed.fork(kind)])) as Record<
      CallFaultKind,
      SeededRandom
    >;
  }

  /** Where callers reach a listener, once started. */
  url(via: Via): string {
    const address = this.#servers.get(via)?.address() as AddressInfo | null | undefined;
    if (address === null || address === undefined) throw new Error("the recorder is not started");
    return `http://${host}:${address.port}`;
  }

  /** Calls seen so far, those of its own among them. */
  get calls(): number {
    return this.#calls;
  }

  counts(): Readonly<Record<CallFaultKind, number>> {
    return this.#counts.get();
  }

  async start(): Promise<void> {
    this.#history = new HistoryWriter(this.#options.path);
    this.#writeClock();
    this.#clock = setInterval(() => this.#writeClock(), clockEveryMs);
    for (const via of vias) {
      const server = createServer((request, response) => void this.#serve(via, request, response));
      // A connection that is closed just when it is used again would be a fault that nobody asked for.
      server.keepAliveTimeout = 0;
      server.requestTimeout = 0;
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(0, host, resolve);
      });
      this.#servers.set(via, server);
    }
  }

  /** Ends the history when every call has its answer. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([...this.#own]);
    const closed = [...this.#servers.values()].map((server) => new Promise((resolve) => server.close(resolve)));
    for (const server of this.#servers.values()) server.closeIdleConnections();
    await Promise.all(closed);
    this.#targets.stop();
    clearInterval(this.#clock);
    this.#writeClock();
    await this.#history?.end();
  }

  /** The dispatchers there are now. */
  setTargets(targets: readonly Target[]): void {
    this.#targets.set(targets);
  }

  /** Changes the named settings; the others stay. Throws RangeError when they cannot be. */
  set(faults: Partial<CallFaults>): void {
    const next = { ...this.#faults, ...faults };
    checkCallFaults(next);
    this.#faults = next;
  }

  calm(): void {
    this.#faults = noCallFaults;
  }

  /** Tells of every answer that was written down. */
  onAnswer(listener: (recorded: Recorded) => void): void {
    this.#listeners.add(listener);
  }

  /** A line for people: what was done to the system. */
  note(text: string): void {
    this.#write({ note: text, at: this.#now() });
  }

  #now(): number {
    return Number(process.hrtime.bigint() - this.#beganAt);
  }

  #next(): number {
    this.#calls += 1;
    return this.#calls;
  }

  #write(head: Readonly<Record<string, unknown>>, body?: string): void {
    if (this.#history === undefined) throw new Error("the recorder is not started");
    this.#history.write(lineWithBody(head, body === undefined || body === "" ? undefined : jsonOf(body)));
  }

  #writeClock(): void {
    this.#write({ clock: Date.now(), at: this.#now() });
  }

  #chance(kind: CallFaultKind): boolean {
    return this.#random[kind].chance(this.#faults[kind]);
  }

  async #serve(via: Via, request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body: string;
    try {
      body = await readBody(request);
    } catch {
      return; // The caller went away before it had said all: no call was made.
    }
    const { method = "GET", url: path = "/", headers } = request;
    const call: Forwarded = { via, method, path, headers, body };
    const route = `${method} ${path.split("?")[0]}`;
    const holdMs = this.#chance("delay") ? this.#random.delay.integer(1, Math.max(1, this.#faults.delayMsMax)) : 0;
    if (holdMs > 0) this.#counts.add("delay");
    const lose = this.#chance("loseAnswer");
    const number = this.#next();
    const answering = this.#record(call, number, { holdMs, lose });
    if (isRepeatable(route) && this.#chance("repeat")) this.#later("repeat", call, number);
    const answer = await answering;
    if (answer === undefined) {
      request.socket.destroy();
      return;
    }
    if (answer instanceof NoAnswer) {
      refuse(response);
      return;
    }
    const other = answer.status === 200 && this.#chance("contradict") ? contradiction(route, body) : undefined;
    if (other !== undefined) this.#later("contradict", { ...call, body: other }, number);
    if (lose) {
      this.#counts.add("loseAnswer");
      request.socket.destroy();
      return;
    }
    const retry = answer.retryAfter === undefined ? {} : { "retry-after": answer.retryAfter };
    response.writeHead(answer.status, { "content-type": answer.contentType, ...retry });
    response.end(answer.body);
  }

  /**
   * Writes the call down, asks a dispatcher, writes the answer down. Undefined when the call was taken and no answer came;
   * NoAnswer when nobody took it.
   */
  async #record(
    call: Forwarded,
    number: number,
    { holdMs = 0, lose = false, of = 0 }: { holdMs?: number; lose?: boolean; of?: number },
  ): Promise<Answer | NoAnswer | undefined> {
    const route = `${call.method} ${call.path.split("?")[0]}`;
    const as = call.via === "task" ? { as: call.headers.authorization?.replace(/^Bearer /i, "") } : {};
    const copied = of === 0 ? {} : { of };
    this.#write({ call: number, at: this.#now(), via: call.via, do: route, ...as, ...copied }, call.body);
    if (holdMs > 0) await pause(holdMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined); // let go early
    let answer: Answer;
    try {
      answer = await this.#targets.send(call);
    } catch (error) {
      const silence = error instanceof NoAnswer ? error : new NoAnswer(String(error), true);
      this.#write({ silence: number, at: this.#now(), why: silence.message, carried: silence.carried });
      return silence.carried ? undefined : silence;
    }
    const lost = lose || of !== 0 ? { lost: true } : {};
    this.#write({ answer: number, at: this.#now(), status: answer.status, by: answer.by, ...lost }, answer.body);
    for (const listener of this.#listeners) listener({ via: call.via, route, body: call.body, answer });
    return answer;
  }

  /** Makes a call that nobody asked for, now or a little later. */
  #later(kind: "repeat" | "contradict", call: Forwarded, of: number): void {
    const random = this.#random[kind];
    const waitMs = random.chance(0.5) ? 0 : random.integer(0, this.#faults.repeatMsMax);
    const made = (async () => {
      if (waitMs > 0) await pause(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined); // made now
      await this.#record(call, this.#next(), { of });
      this.#counts.add(kind);
    })();
    this.#own.add(made);
    void made.finally(() => this.#own.delete(made));
  }
}

/** A body that is no JSON is written down as a text. */
function jsonOf(body: string): string {
  try {
    JSON.parse(body);
    return body;
  } catch {
    return JSON.stringify(body);
  }
}

/** As a load balancer answers when there is nothing behind it. */
function refuse(response: ServerResponse): void {
  const detail = "no dispatcher takes calls";
  const problem = {
    type: "urn:trace:error:TR-1008",
    title: "Service is stopping or not ready",
    status: 503,
    retryable: true,
    code: "TR-1008",
    detail,
  };
  response.writeHead(503, { "content-type": "application/problem+json" });
  response.end(JSON.stringify(problem));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Error(`a call of more than ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
