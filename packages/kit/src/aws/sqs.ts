/** SQS for services: receive, send in batches, extend, delete, with "this entry is bad" told from "the service is away". */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { Service } from "../service.ts";

/** SQS takes at most ten entries in one batch call (SQS developer guide, "Amazon SQS batch actions"). */
export const sqsBatchMax = 10;

export interface SqsOptions {
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface QueueMessage {
  readonly id: string;
  readonly receipt: string;
  readonly body: string;
}

export class MessageQueue implements Service {
  readonly #client: SQSClient;
  readonly #urls = new Map<string, string>();

  constructor(options: SqsOptions) {
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
   * Sends up to ten bodies. The answer has, per body, nothing or the reason why this entry was refused by the sender's
   * fault; a throw means the service did not take the call and nothing is known to be wrong with any entry.
   */
  async send(queue: string, bodies: readonly string[]): Promise<(string | undefined)[]> {
    const answer = await this.#withUrl(queue, (url) =>
      this.#client.send(
        new SendMessageBatchCommand({
          QueueUrl: url,
          Entries: bodies.map((body, index) => ({ Id: String(index), MessageBody: body })),
        }),
      ),
    );
    const reasons: (string | undefined)[] = bodies.map(() => undefined);
    for (const failed of answer.Failed ?? []) {
      if (failed.SenderFault !== true) throw new Error(`SQS could not take an entry: ${failed.Code} ${failed.Message}`);
      reasons[Number(failed.Id)] = `${failed.Code}: ${failed.Message ?? ""}`;
    }
    return reasons;
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
    let url = this.#urls.get(queue);
    if (url === undefined) {
      const answer = await this.#client.send(new GetQueueUrlCommand({ QueueName: queue }));
      url = answer.QueueUrl ?? "";
      this.#urls.set(queue, url);
    }
    try {
      return await call(url);
    } catch (error) {
      // The queue may have been made anew under another address; ask again next time.
      this.#urls.delete(queue);
      throw error;
    }
  }
}

function inTens<T>(list: readonly T[]): T[][] {
  const batches: T[][] = [];
  for (let from = 0; from < list.length; from += sqsBatchMax) batches.push(list.slice(from, from + sqsBatchMax));
  return batches;
}
