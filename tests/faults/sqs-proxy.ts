/**
 * A proxy between SQS clients and the embedded SQS endpoint that does what SQS is allowed to do and rarely does: deliver
 * twice, late, out of order or not at all, refuse calls, fail entries of a batch, lose answers. See README.md.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Service, TestSignal } from "@trace/kit";
import { FaultCounts } from "./counts.ts";
import { requestBytesMax } from "./limits.ts";
import { SeededRandom } from "./random.ts";
import { BackendAway, type SqsAnswer, SqsBackend, type SqsRequest, sqsContentType } from "./sqs-backend.ts";
import { type SqsCall, SqsCalls } from "./sqs-calls.ts";
import {
  checkSqsFaults,
  noSqsFaults,
  type SqsChance,
  type SqsFaultKind,
  type SqsFaults,
  type SqsRefusal,
  sqsChances,
  sqsFaultKinds,
} from "./sqs-faults.ts";
import { HeldMessages } from "./sqs-held.ts";
import { systemTimer, type Timer } from "./timer.ts";

export interface SqsProxyOptions {
  /** The endpoint behind: `http://127.0.0.1:port`. */
  readonly backend: string;
  readonly seed: string | number;
  /** 0 chooses a free one. Default 0. */
  readonly port?: number;
  readonly timer?: Timer;
}

const host = "127.0.0.1";

/** Calls whose answers hold queue URLs, which must lead back here, and no text of a message. */
const urlActions = new Set(["CreateQueue", "GetQueueUrl", "ListQueues", "ListDeadLetterSourceQueues"]);

export class SqsProxy implements Service {
  readonly #options: SqsProxyOptions;
  readonly #timer: Timer;
  readonly #backend: SqsBackend;
  readonly #counts = new FaultCounts<SqsFaultKind>(sqsFaultKinds);
  readonly #random: Readonly<Record<SqsChance | "holding", SeededRandom>>;
  readonly #held: HeldMessages;
  readonly #calls: SqsCalls;
  /** Connections on which a receive waits for messages. */
  readonly #waiting = new Set<IncomingMessage>();
  #faults = noSqsFaults;
  #refusedUntilMs = 0;
  #server: Server | undefined;
  #port = 0;

  constructor(options: SqsProxyOptions) {
    this.#options = options;
    this.#timer = options.timer ?? systemTimer;
    this.#backend = new SqsBackend(options.backend);
    const seed = new SeededRandom(options.seed);
    const purposes = [...sqsChances, "holding"] as const;
    this.#random = Object.fromEntries(purposes.map((purpose) => [purpose, seed.fork(purpose)])) as Record<
      (typeof purposes)[number],
      SeededRandom
    >;
    const shared = { backend: this.#backend, counts: this.#counts };
    this.#held = new HeldMessages({ ...shared, random: seed.fork("shuffle"), timer: this.#timer });
    this.#calls = new SqsCalls({ ...shared, held: this.#held, faults: () => this.#faults, random: this.#random });
  }

  /** The port in use; 0 before `start`. */
  get port(): number {
    return this.#port;
  }

  /** What clients take as their endpoint. */
  get url(): string {
    return `http://${host}:${this.#port}`;
  }

  /** Messages answered as sent that are not in their queue yet. */
  get held(): number {
    return this.#held.size;
  }

  /** Emitted each time a fault was performed. */
  get performed(): TestSignal<SqsFaultKind> {
    return this.#counts.performed;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
    // An idle connection that is closed just when its client uses it again would be a fault that nobody asked for.
    server.keepAliveTimeout = 0;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#options.port ?? 0, host, resolve);
    });
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** What is held is lost, as if it had been dropped. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    }
    await this.#held.settled();
    this.#held.discard();
    this.#backend.stop();
  }

  /** Changes the named settings; the others stay. Throws RangeError when they cannot be. */
  set(faults: Partial<SqsFaults>): void {
    const next = { ...this.#faults, ...faults };
    checkSqsFaults(next);
    this.#faults = next;
  }

  /** No more faults and no refusal; what is held stays held. */
  calm(): void {
    this.#faults = noSqsFaults;
    this.#refusedUntilMs = 0;
  }

  /** Every call is refused until this instant of the timer; receives that wait are cut now. 0 ends it. */
  refuseUntil(atMs: number): void {
    this.#refusedUntilMs = atMs;
    if (!this.#isRefusing()) return;
    for (const request of [...this.#waiting]) this.#reset(request, "refuse");
  }

  /** Purges a queue, or all, as an operator would: also what is held and what is received. Answers with how many queues. */
  async purge(queue?: string): Promise<number> {
    const answer =
      queue === undefined
        ? await this.#backend.call("ListQueues", {})
        : await this.#backend.call("GetQueueUrl", { QueueName: queue });
    const { QueueUrls, QueueUrl } = JSON.parse(answer.text) as { QueueUrls?: string[]; QueueUrl?: string };
    const urls = QueueUrls ?? (QueueUrl === undefined ? [] : [QueueUrl]);
    for (const url of urls) {
      const { status, text } = await this.#backend.call("PurgeQueue", { QueueUrl: url });
      if (status !== 200) throw new Error(`queue ${url} could not be purged: ${text}`);
      this.#held.discard(new URL(url).pathname);
      this.#counts.add("purge");
    }
    return urls.length;
  }

  /** How often each fault was really performed. */
  counts(): Readonly<Record<SqsFaultKind, number>> {
    return this.#counts.get();
  }

  /** Resolves when nothing is on its way from being held into a queue. */
  settled(): Promise<void> {
    return this.#held.settled();
  }

  /** Puts everything held into its queue now. */
  release(): Promise<void> {
    return this.#held.release();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      const request = await readRequest(incoming);
      const call = readCall(request);
      if (call?.action === "ReceiveMessage") {
        this.#waiting.add(incoming);
        response.once("close", () => this.#waiting.delete(incoming));
      }
      if (this.#isRefusing() || this.#chance("refuse")) return this.#refuse(incoming, response);
      const answer =
        call === undefined
          ? await this.#backend.send(request, gone.signal)
          : await this.#calls.answer(call, gone.signal);
      const lost = call === undefined || answer.status !== 200 ? undefined : this.#loses(call, answer);
      if (lost !== undefined) return this.#reset(incoming, lost);
      if (!gone.signal.aborted) this.#write(response, answer, call);
    } catch (error) {
      // The client went away, or was cut: nobody is left to be told.
      if (gone.signal.aborted || !incoming.complete) return;
      if (!(error instanceof BackendAway)) throw error;
      this.#reset(incoming, "backendAway");
    }
  }

  #write(response: ServerResponse, answer: SqsAnswer, call: SqsCall | undefined): void {
    const named = call !== undefined && urlActions.has(call.action);
    const text = named ? answer.text.replaceAll(`${this.#backend.origin}/`, `${this.url}/`) : answer.text;
    response.writeHead(answer.status, { ...answer.headers, "content-length": Buffer.byteLength(text) }).end(text);
  }

  #isRefusing(): boolean {
    return this.#timer.nowMs() < this.#refusedUntilMs;
  }

  #refuse(request: IncomingMessage, response: ServerResponse): void {
    const how = this.#random.holding.pick<SqsRefusal>(this.#faults.refuseHow);
    if (how === "reset") {
      this.#reset(request, "refuse");
      return;
    }
    const [status, code] = how === "unavailable" ? [503, "ServiceUnavailable"] : [400, "RequestThrottled"];
    const body = { __type: `com.amazonaws.sqs#${code}`, message: "refused by the fault proxy" };
    const fault = status === 503 ? "Receiver" : "Sender";
    response.writeHead(status, { "content-type": sqsContentType, "x-amzn-query-error": `${code};${fault}` });
    response.end(JSON.stringify(body));
    this.#counts.add("refuse");
  }

  /** The fault by which the answer is lost, or undefined. */
  #loses(call: SqsCall, answer: SqsAnswer): "loseReceived" | "loseAnswer" | undefined {
    if (call.action !== "ReceiveMessage") return this.#chance("loseAnswer") ? "loseAnswer" : undefined;
    const { Messages = [] } = JSON.parse(answer.text) as { Messages?: unknown[] };
    return Messages.length > 0 && this.#chance("loseReceived") ? "loseReceived" : undefined;
  }

  #reset(request: IncomingMessage, fault: SqsFaultKind): void {
    if (request.socket.destroyed) return;
    request.socket.resetAndDestroy();
    this.#counts.add(fault);
  }

  #chance(kind: SqsChance): boolean {
    return this.#random[kind].chance(this.#faults[kind]);
  }
}

/** A body that is too long ends its connection. */
async function readRequest(incoming: IncomingMessage): Promise<SqsRequest> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > requestBytesMax) throw new Error(`a call of more than ${requestBytesMax} bytes`);
    chunks.push(chunk);
  }
  const { method = "GET", url = "/", headers } = incoming;
  return { method, path: url, headers, body: Buffer.concat(chunks).toString("utf8") };
}

/** Undefined for everything that is not an SQS call in the JSON protocol: the backend answers it as it likes. */
function readCall(request: SqsRequest): SqsCall | undefined {
  const target = request.headers["x-amz-target"];
  if (request.method !== "POST" || typeof target !== "string" || !target.startsWith("AmazonSQS.")) return undefined;
  let input: unknown;
  try {
    input = JSON.parse(request.body);
  } catch {
    return undefined;
  }
  if (typeof input !== "object" || input === null) return undefined;
  const { QueueUrl } = input as { QueueUrl?: unknown };
  const queue = typeof QueueUrl === "string" && URL.canParse(QueueUrl) ? new URL(QueueUrl).pathname : undefined;
  return { request, action: target.slice("AmazonSQS.".length), input: input as SqsCall["input"], queue };
}
