/** SQS for services: receive, send in batches, extend, delete, with "this entry is bad" told from "the service is away". */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueUrlCommand,
  QueueDoesNotExist,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { Service } from "../service.ts";

/** SQS takes at most ten entries in one batch call (SQS developer guide, "Amazon SQS batch actions"). */
export const sqsBatchMax = 10;
/** A send that is not answered within this is given up, milliseconds: what it should have said is said by another. */
export const sqsSendMs = 5_000;

export interface SqsOptions {
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** A queue that was not there answers again: it was made anew, and what it held is gone. */
  readonly onQueueRecreated?: (queue: string) => void;
}

/** Why one entry of a batch was not taken, while others of the same call may have been. */
export interface EntryFault {
  readonly reason: string;
  /** By the sender's fault: the same entry will be refused again. Otherwise the service could not take it this time. */
  readonly blamed: boolean;
}

export interface QueueMessage {
  readonly id: string;
  readonly receipt: string;
  readonly body: string;
}

export class MessageQueue implements Service {
  readonly #client: SQSClient;
  readonly #urls = new Map<string, string>();
  /** Queues that were not there when they were last spoken to. */
  readonly #missing = new Set<string>();
  readonly #onRecreated: (queue: string) => void;

  constructor(options: SqsOptions) {
    this.#onRecreated = options.onQueueRecreated ?? (() => undefined);
    this.#client = new SQSClient({
      region: options.region,
      credentials: options.credentials,
      maxAttempts: 2,
      requestHandler: new NodeHttpHandler({ connectionTimeout: 2_000, socketTimeout: 30_000 }),
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    });
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }

  /**
   * Sends up to ten bodies. The answer has, per body, nothing or why this one was not taken; a throw means that the service
   * did not take the call, and nothing is known to be wrong with any of them.
   */
  async send(queue: string, bodies: readonly string[]): Promise<(EntryFault | undefined)[]> {
    const answer = await this.#withUrl(queue, (url) =>
      this.#client.send(
        new SendMessageBatchCommand({
          QueueUrl: url,
          Entries: bodies.map((body, index) => ({ Id: String(index), MessageBody: body })),
        }),
        { abortSignal: AbortSignal.timeout(sqsSendMs) },
      ),
    );
    const faults: (EntryFault | undefined)[] = bodies.map(() => undefined);
    for (const { Id, Code, Message, SenderFault } of answer.Failed ?? []) {
      faults[Number(Id)] = { reason: `${Code}: ${Message ?? ""}`, blamed: SenderFault === true };
    }
    return faults;
  }

  /** Long poll: answers as soon as there is a message, or empty after `waitSeconds` (0..20). */
  async receive(
    queue: string,
    waitSeconds: number,
    visibilitySeconds: number,
    signal: AbortSignal,
  ): Promise<QueueMessage[]> {
    const answer = await this.#withUrl(queue, (url) =>
      this.#client.send(
        new ReceiveMessageCommand({
          QueueUrl: url,
          MaxNumberOfMessages: sqsBatchMax,
          WaitTimeSeconds: waitSeconds,
          VisibilityTimeout: visibilitySeconds,
        }),
        { abortSignal: signal },
      ),
    );
    return (answer.Messages ?? []).map((message) => ({
      id: message.MessageId ?? "",
      receipt: message.ReceiptHandle ?? "",
      body: message.Body ?? "",
    }));
  }

  /** Hides messages for `visibilitySeconds` from now. Messages that are gone already are not an error. */
  async extend(queue: string, receipts: readonly string[], visibilitySeconds: number): Promise<void> {
    for (const batch of inTens(receipts)) {
      await this.#withUrl(queue, (url) =>
        this.#client.send(
          new ChangeMessageVisibilityBatchCommand({
            QueueUrl: url,
            Entries: batch.map((receipt, index) => ({
              Id: String(index),
              ReceiptHandle: receipt,
              VisibilityTimeout: visibilitySeconds,
            })),
          }),
        ),
      );
    }
  }

  async delete(queue: string, receipts: readonly string[]): Promise<void> {
    for (const batch of inTens(receipts)) {
      await this.#withUrl(queue, (url) =>
        this.#client.send(
          new DeleteMessageBatchCommand({
            QueueUrl: url,
            Entries: batch.map((receipt, index) => ({ Id: String(index), ReceiptHandle: receipt })),
          }),
        ),
      );
    }
  }

  async #withUrl<T>(queue: string, call: (url: string) => Promise<T>): Promise<T> {
    const known = this.#urls.get(queue);
    try {
      return await this.#at(queue, known ?? (await this.#findUrl(queue)), call);
    } catch (error) {
      // The queue may have been made anew under another address; that one is asked for at once, or with the next call.
      this.#urls.delete(queue);
      if (!(error instanceof QueueDoesNotExist)) throw error;
      this.#missing.add(queue);
      if (known === undefined) throw error;
    }
    return this.#at(queue, await this.#findUrl(queue), call);
  }

  async #at<T>(queue: string, url: string, call: (url: string) => Promise<T>): Promise<T> {
    const answer = await call(url);
    if (this.#missing.delete(queue)) this.#onRecreated(queue);
    return answer;
  }

  async #findUrl(queue: string): Promise<string> {
    const { QueueUrl = "" } = await this.#client.send(new GetQueueUrlCommand({ QueueName: queue }));
    this.#urls.set(queue, QueueUrl);
    return QueueUrl;
  }
}

function inTens<T>(list: readonly T[]): T[][] {
  const batches: T[][] = [];
  for (let from = 0; from < list.length; from += sqsBatchMax) batches.push(list.slice(from, from + sqsBatchMax));
  return batches;
}
