/**
 * The SQS endpoint: fauxqs in memory, with the queues of the configuration, and nothing else of it reachable.
 *
 * In memory by choice: every message is a pointer to a row in Postgres state, so losing all queues loses nothing. fauxqs'
 * own server would listen on every interface and also serve S3, SNS and an inspection page; so only its application is
 * used, behind our listener on the loopback, and a gate that lets through SQS calls alone.
 */
import type { AddressInfo } from "node:net";
import { TraceError } from "@trace/contracts";
import type { Log, Service } from "@trace/kit";
import type { buildApp } from "fauxqs";
import { deadLetterRetentionSeconds, queueReceivesMax } from "./limits.ts";
import { cannotListen } from "./s3/configuration.ts";

export interface SqsQueue {
  readonly name: string;
  readonly visibilityTimeoutSeconds: number;
  /** Receives before a message goes to `<name>-dlq`. */
  readonly receivesMax?: number | undefined;
}

export interface SqsEndpointOptions {
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  readonly region: string;
  readonly queues: readonly SqsQueue[];
  readonly log: Log;
}

type App = ReturnType<typeof buildApp>;

/** The name of the dead-letter queue of a queue. */
export function deadLetterName(queue: string): string {
  return `${queue}-dlq`;
}

/** The account that fauxqs says it is; part of queue URLs and ARNs. */
const account = "000000000000";

/** Calls whose answers hold queue URLs, and no text of a message. */
const urlActions = new Set(
  ["CreateQueue", "GetQueueUrl", "ListQueues", "ListDeadLetterSourceQueues"].map((action) => `AmazonSQS.${action}`),
);

export class SqsEndpoint implements Service {
  readonly #options: SqsEndpointOptions;
  #app: App | undefined;
  #port = 0;

  /** Throws TR-6103 when a queue cannot exist. */
  constructor(options: SqsEndpointOptions) {
    for (const queue of options.queues) requireQueue(queue);
    this.#options = options;
  }

  /** The port in use; 0 before `start`. */
  get port(): number {
    return this.#port;
  }

  /** The URL by which clients name a queue. */
  queueUrl(name: string): string {
    return `http://${this.#authority()}/${account}/${name}`;
  }

  /** Listens and creates the queues, empty. Throws TR-6102 (cannot listen) or TR-6107 (a queue was refused). */
  async start(): Promise<void> {
    // Loaded here: the supervisor imports this package too, and never runs the endpoint.
    const { buildApp } = await import("fauxqs");
    const app = buildApp({ logger: false, defaultRegion: this.#options.region });
    app.addHook("onRequest", async (request, reply) => {
      const refusal = judgeCall(request.method, request.headers, this.#authority());
      if (refusal === undefined) return;
      this.#options.log.warn({ method: request.method, why: refusal }, "refused a call to the embedded SQS endpoint");
      await reply
        .status(403)
        .type("application/x-amz-json-1.0")
        .send({ __type: "com.amazonaws.sqs#AccessDenied", message: refusal });
    });
    // fauxqs names queues below a host `sqs.<region>.localhost`, which not every resolver knows and our gate refuses.
    const foreign = `http://sqs.${this.#options.region}.localhost:`;
    app.addHook("onSend", async (request, _reply, payload) => {
      if (typeof payload !== "string" || !urlActions.has(String(request.headers["x-amz-target"]))) return payload;
      return payload.replaceAll(`${foreign}${this.#port}/`, `http://${this.#authority()}/`);
    });
    app.addHook("onSend", async (request, _reply, payload) => {
      if (request.raw.socket.destroyed && request.headers["x-amz-target"] === "AmazonSQS.ReceiveMessage") {
        await this.#handBack(app, request.body, payload);
      }
      return payload;
    });
    const { host, port } = this.#options;
    try {
      await app.listen({ host, port });
    } catch (cause) {
      await app.close();
      throw cannotListen("SQS", host, port, cause);
    }
    this.#app = app;
    this.#port = (app.server.address() as AddressInfo).port;
    try {
      for (const queue of this.#options.queues) await this.#createQueue(app, queue);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const app = this.#app;
    this.#app = undefined;
    await app?.close();
  }

  #authority(): string {
    const host = this.#options.host.includes(":") ? `[${this.#options.host}]` : this.#options.host;
    return `${host}:${this.#port}`;
  }

  /**
   * A queue and its dead-letter queue. Wake-ups are hints that workers delete or hold, so only a message that no worker can
   * read, or that takes every worker down with it, is ever received a hundred times; then it moves aside where the
   * dispatcher's loop turns it into a row. Being wrong costs nothing but the hint: the reconciler sends it again.
   */
  async #createQueue(app: App, queue: SqsQueue): Promise<void> {
    const deadLetter = deadLetterName(queue.name);
    await this.#create(app, deadLetter, { MessageRetentionPeriod: String(deadLetterRetentionSeconds) });
    await this.#create(app, queue.name, {
      VisibilityTimeout: String(queue.visibilityTimeoutSeconds),
      RedrivePolicy: JSON.stringify({
        deadLetterTargetArn: `arn:aws:sqs:${this.#options.region}:${account}:${deadLetter}`,
        maxReceiveCount: queue.receivesMax ?? queueReceivesMax,
      }),
    });
  }

  /**
   * fauxqs does not notice that a client has gone, a worker that was killed say, and lets its long poll take the next
   * messages, which would then stay hidden from everybody for their whole visibility. They go back at once.
   */
  async #handBack(app: App, asked: unknown, payload: unknown): Promise<void> {
    const parsed = (text: unknown): unknown => (typeof text === "string" ? JSON.parse(text) : text);
    const { QueueUrl } = parsed(asked) as { QueueUrl?: string };
    const { Messages = [] } = parsed(payload) as { Messages?: { ReceiptHandle?: string }[] };
    for (const { ReceiptHandle } of Messages) {
      await this.#call(app, "ChangeMessageVisibility", { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 });
    }
    if (Messages.length > 0) {
      this.#options.log.info({ messages: Messages.length }, "handed back messages that a client died waiting for");
    }
  }

  async #create(app: App, name: string, attributes: Record<string, string>): Promise<void> {
    const answer = await this.#call(app, "CreateQueue", { QueueName: name, Attributes: attributes });
    if (answer.statusCode === 200) return;
    throw new TraceError("TR-6107", {
      detail: `The embedded SQS endpoint refused to create the queue '${name}': ${answer.body.slice(0, 500)}`,
      where: this.#authority(),
      fix: "Correct the attributes of the queue in the configuration.",
    });
  }

  #call(app: App, action: string, request: unknown): Promise<{ statusCode: number; body: string }> {
    return app.inject({
      method: "POST",
      url: "/",
      headers: {
        host: this.#authority(),
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": `AmazonSQS.${action}`,
      },
      payload: JSON.stringify(request),
    });
  }
}

function requireQueue(queue: SqsQueue): void {
  const seconds = queue.visibilityTimeoutSeconds;
  // 80 characters is SQS's bound; the dead-letter queue's name is the longer one.
  const named = /^[A-Za-z0-9_-]+$/.test(queue.name) && deadLetterName(queue.name).length <= 80;
  if (named && Number.isInteger(seconds) && seconds >= 0 && seconds <= 43_200) return;
  throw new TraceError("TR-6103", {
    detail: `The queue '${queue.name}' with a visibility timeout of ${seconds} s cannot exist.`,
    where: "configuration of the embedded SQS endpoint",
    fix: "Use letters, digits, - and _ (at most 76) and a whole timeout from 0 to 43200 s.",
  });
}

type CallHeaders = Readonly<Record<string, string | string[] | undefined>>;

/**
 * Why a call is refused; undefined when it is let through. SQS checks no signature here, so pages in a browser are kept out
 * by what they cannot forge: the Host they reached us by, their Origin, and a content type that needs a preflight.
 */
export function judgeCall(method: string, headers: CallHeaders, authority: string): string | undefined {
  if (headers.host !== authority && headers.host !== authority.replace(/^.*:/, "localhost:"))
    return "foreign Host header";
  if (headers.origin !== undefined) return "foreign Origin header";
  const target = headers["x-amz-target"];
  const isCall = method === "POST" && headers["content-type"] === "application/x-amz-json-1.0";
  if (!isCall || typeof target !== "string" || !target.startsWith("AmazonSQS.")) {
    return "only SQS calls in the JSON protocol are served";
  }
  return undefined;
}
