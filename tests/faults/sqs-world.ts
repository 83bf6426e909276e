/** What tests of the SQS proxy share: the real embedded endpoint, a proxy of its own for each test, and a client through it. */
import {
  GetQueueUrlCommand,
  type Message,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchCommandOutput,
  SendMessageCommand,
  type SendMessageCommandOutput,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { silentLog } from "@trace/kit";
import { SqsEndpoint } from "@trace/localcloud";
import { type SqsFaultKind, sqsFaultKinds } from "./sqs-faults.ts";
import { SqsProxy } from "./sqs-proxy.ts";
import { ManualTimer } from "./timer.ts";

export const region = "eu-central-1";
export const credentials = { accessKeyId: "any", secretAccessKey: "any" };
export const queues = ["tasks", "other"].map((name) => ({ name, visibilityTimeoutSeconds: 30 }));

/** The counts of a proxy that has done nothing. */
export const quiet = Object.fromEntries(sqsFaultKinds.map((kind) => [kind, 0])) as Record<SqsFaultKind, number>;

/** Tries once: what fails is seen. */
export function client(url: string): SQSClient {
  return new SQSClient({ endpoint: url, region, maxAttempts: 1, credentials });
}

export function bodies(messages: readonly Message[] | undefined): (string | undefined)[] {
  return (messages ?? []).map(({ Body }) => Body);
}

export async function startEndpoint(port = 0): Promise<SqsEndpoint> {
  const endpoint = new SqsEndpoint({ host: "127.0.0.1", port, region, queues, log: silentLog() });
  await endpoint.start();
  return endpoint;
}

export class SqsWorld {
  readonly endpoint: SqsEndpoint;
  readonly timer = new ManualTimer();
  readonly proxy: SqsProxy;
  readonly sqs: SQSClient;
  /** URL of the queue "tasks", by way of the proxy. */
  readonly queue: string;
  /** Beside the proxy: what really is in the queues. */
  readonly #direct: SQSClient;

  private constructor(endpoint: SqsEndpoint, proxy: SqsProxy, timer: ManualTimer, sqs: SQSClient, queue: string) {
    this.endpoint = endpoint;
    this.proxy = proxy;
    this.timer = timer;
    this.sqs = sqs;
    this.queue = queue;
    this.#direct = client(`http://127.0.0.1:${endpoint.port}`);
  }

  /** With empty queues and a proxy without faults. */
  static async open(endpoint: SqsEndpoint): Promise<SqsWorld> {
    const timer = new ManualTimer();
    const proxy = new SqsProxy({ backend: `http://127.0.0.1:${endpoint.port}`, seed: 1, timer });
    await proxy.start();
    const sqs = client(proxy.url);
    const { QueueUrl = "" } = await sqs.send(new GetQueueUrlCommand({ QueueName: "tasks" }));
    const world = new SqsWorld(endpoint, proxy, timer, sqs, QueueUrl);
    for (const { name } of queues) {
      await world.#direct.send(new PurgeQueueCommand({ QueueUrl: endpoint.queueUrl(name) }));
    }
    return world;
  }

  async close(): Promise<void> {
    this.sqs.destroy();
    this.#direct.destroy();
    await this.proxy.stop();
  }

  send(MessageBody: string): Promise<SendMessageCommandOutput> {
    return this.sqs.send(new SendMessageCommand({ QueueUrl: this.queue, MessageBody }));
  }

  /** Entries are called e0, e1, ... */
  sendBatch(texts: readonly string[]): Promise<SendMessageBatchCommandOutput> {
    const Entries = texts.map((MessageBody, at) => ({ Id: `e${at}`, MessageBody }));
    return this.sqs.send(new SendMessageBatchCommand({ QueueUrl: this.queue, Entries }));
  }

  async receive(): Promise<Message[]> {
    const asked = { QueueUrl: this.queue, MaxNumberOfMessages: 10 };
    return (await this.sqs.send(new ReceiveMessageCommand(asked))).Messages ?? [];
  }

  /** What can be received of a queue beside the proxy. */
  async inQueue(name = "tasks"): Promise<(string | undefined)[]> {
    const asked = { QueueUrl: this.endpoint.queueUrl(name), MaxNumberOfMessages: 10 };
    return bodies((await this.#direct.send(new ReceiveMessageCommand(asked))).Messages);
  }
}
