/** What the SQS proxy does to messages and to entries of batches, by the vendor's client, in front of the real endpoint. */
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
} from "@aws-sdk/client-sqs";
import { MessageQueue } from "@trace/kit";
import type { SqsEndpoint } from "@trace/localcloud";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bodies, credentials, quiet, region, SqsWorld, startEndpoint } from "./sqs-world.ts";

let endpoint: SqsEndpoint;
let world: SqsWorld;

beforeAll(async () => {
  endpoint = await startEndpoint();
});
afterAll(() => endpoint.stop());
beforeEach(async () => {
  world = await SqsWorld.open(endpoint);
  return () => world.close();
});

describe("faults of messages", () => {
  test("a queue whose address nobody asked for is known from its first message on", async () => {
    const unasked = { QueueUrl: `${world.proxy.url}/000000000000/other` };
    world.proxy.set({ drop: 1 });
    for (const MessageBody of ["first", "second"])
      await world.sqs.send(new SendMessageCommand({ ...unasked, MessageBody }));
    expect([await world.inQueue("other"), world.proxy.counts().drop]).toEqual([["first"], 1]);
  });

  test("a FIFO queue is left what it promises", async () => {
    const Attributes = { FifoQueue: "true", ContentBasedDeduplication: "true" };
    const { QueueUrl } = await world.sqs.send(new CreateQueueCommand({ QueueName: "ordered.fifo", Attributes }));
    world.proxy.set({ drop: 0.5, reorder: 1, duplicate: 1 });
    const sent = ["a", "b", "c", "d", "e"];
    for (const MessageBody of sent) {
      await world.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: MessageBody }));
    }
    const { Messages } = await world.sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    await world.sqs.send(new DeleteQueueCommand({ QueueUrl }));
    expect(bodies(Messages)).toEqual(sent);
    expect(world.proxy.counts()).toEqual(quiet);
  });

  test("duplicate: one send is received under one id with two receipts, and deleting one leaves the other", async () => {
    world.proxy.set({ duplicate: 1 });
    const { MessageId } = await world.send("twice");
    const got = await world.receive();
    expect(got.map((one) => [one.MessageId, one.Body])).toEqual([
      [MessageId, "twice"],
      [MessageId, "twice"],
    ]);
    expect(new Set(got.map(({ ReceiptHandle }) => ReceiptHandle)).size).toBe(2);
    const [first, second] = got;
    await world.sqs.send(new DeleteMessageCommand({ QueueUrl: world.queue, ReceiptHandle: first?.ReceiptHandle }));
    const shown = { QueueUrl: world.queue, ReceiptHandle: second?.ReceiptHandle, VisibilityTimeout: 0 };
    await world.sqs.send(new ChangeMessageVisibilityCommand(shown));
    expect(bodies(await world.receive())).toEqual(["twice"]);
    expect(world.proxy.counts()).toEqual({ ...quiet, duplicate: 1 });
  });

  test("duplicate in a batch: more than one copy of each, within the bound", async () => {
    world.proxy.set({ duplicate: 1, duplicatesMax: 3 });
    await world.sendBatch(["a", "b"]);
    const got = [...(await world.receive()), ...(await world.receive())];
    expect(new Set(got.map(({ MessageId }) => MessageId)).size).toBe(2);
    expect(got.length).toBeGreaterThanOrEqual(4);
    expect(got.length).toBeLessThanOrEqual(8);
    expect(world.proxy.counts()).toEqual({ ...quiet, duplicate: got.length - 2 });
  });

  test("delay: answered as sent, received once its time came, under the id that was told", async () => {
    world.proxy.set({ delay: 1, delayMinMs: 1_000, delayMaxMs: 2_000 });
    const { MessageId } = await world.send("late");
    world.timer.advance(999);
    await world.proxy.settled();
    expect(await world.receive()).toEqual([]);
    expect([world.proxy.held, world.proxy.counts().delay]).toEqual([1, 0]);
    world.timer.advance(1_001);
    await world.proxy.settled();
    expect(await world.receive()).toMatchObject([{ MessageId, Body: "late" }]);
    expect([world.proxy.held, world.proxy.counts()]).toEqual([0, { ...quiet, delay: 1 }]);
  });

  test("a duplicate may be delayed: it comes after the first was deleted", async () => {
    world.proxy.set({ duplicate: 1, delay: 0.5 });
    for (let n = 0; world.proxy.held !== 1 && n < 50; n += 1) {
      world.proxy.calm();
      await world.proxy.purge("tasks");
      world.proxy.set({ duplicate: 1, delay: 0.5 });
      await world.send(`hint ${n}`);
    }
    const [first] = await world.receive();
    await world.sqs.send(new DeleteMessageCommand({ QueueUrl: world.queue, ReceiptHandle: first?.ReceiptHandle }));
    world.timer.advance(5_000);
    await world.proxy.settled();
    expect(await world.receive()).toMatchObject([{ MessageId: first?.MessageId, Body: first?.Body }]);
  });

  test("reorder: a full window comes in another order, and only what comes after a later one is counted", async () => {
    world.proxy.set({ reorder: 1, reorderMessages: 5 });
    const sent = ["a", "b", "c", "d", "e"];
    await world.sendBatch(sent.slice(0, 3));
    await world.send("d");
    expect(await world.receive()).toEqual([]);
    await world.send("e");
    await world.proxy.settled();
    const got = bodies(await world.receive());
    expect(got).not.toEqual(sent);
    expect(got.toSorted()).toEqual(sent);
    const after = got.filter((body, at) => got.slice(0, at).some((earlier) => String(earlier) > String(body)));
    expect(world.proxy.counts()).toEqual({ ...quiet, reorder: after.length });
    expect(after.length).toBeGreaterThan(0);
  });

  test("reorder: two that are held together always change places", async () => {
    world.proxy.set({ reorder: 1, reorderMessages: 2 });
    for (let n = 0; n < 20; n += 1) {
      await world.sendBatch([`${n} a`, `${n} b`]);
      await world.proxy.settled();
      expect(bodies(await world.receive())).toEqual([`${n} b`, `${n} a`]);
    }
    expect(world.proxy.counts()).toEqual({ ...quiet, reorder: 20 });
  });

  test("reorder: a window that does not fill is let go in time, and one message alone is not out of order", async () => {
    world.proxy.set({ reorder: 1, reorderMaxMs: 500 });
    await world.send("alone");
    world.timer.advance(499);
    expect(world.proxy.held).toBe(1);
    world.timer.advance(1);
    await world.proxy.settled();
    expect(bodies(await world.receive())).toEqual(["alone"]);
    expect(world.proxy.counts()).toEqual(quiet);
  });

  test("drop: answered as sent, never in the queue, alone and in a batch", async () => {
    world.proxy.set({ drop: 1 });
    expect((await world.send("gone")).MessageId).toMatch(/^[0-9a-f-]{36}$/);
    const { Successful, Failed } = await world.sendBatch(["gone", "too"]);
    expect(Successful?.map(({ Id }) => Id)).toEqual(["e0", "e1"]);
    expect(Failed ?? []).toEqual([]);
    world.timer.advance(3_600_000);
    expect(await world.inQueue()).toEqual([]);
    expect(world.proxy.counts()).toEqual({ ...quiet, drop: 3 });
  });

  test("in a batch some are dropped, some late, the others there: together they are all", async () => {
    world.proxy.set({ drop: 0.3, delay: 0.3 });
    const sent = Array.from({ length: 10 }, (_, n) => `m${n}`);
    expect((await world.sendBatch(sent)).Successful?.map(({ Id }) => Id).toSorted()).toEqual(
      sent.map((_, n) => `e${n}`),
    );
    const early = bodies(await world.receive());
    const { drop } = world.proxy.counts();
    expect(early.length + world.proxy.held + drop).toBe(10);
    await world.proxy.release();
    const late = bodies(await world.receive());
    expect(world.proxy.counts()).toEqual({ ...quiet, drop, delay: late.length });
    expect(new Set([...early, ...late]).size).toBe(10 - drop);
    for (const part of [early.length, late.length, drop]) expect(part).toBeGreaterThan(0);
  });

  test("a received batch whose answer is lost stays hidden from everybody", async () => {
    await world.send("lost");
    world.proxy.set({ loseReceived: 1 });
    await expect(world.receive()).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(await world.receive()).toEqual([]); // an empty answer has nothing to lose
    expect(await world.inQueue()).toEqual([]);
    expect(world.proxy.counts()).toEqual({ ...quiet, loseReceived: 1 });
  });

  test("a call whose answer is lost was done: a sender that tries again has sent twice", async () => {
    world.proxy.set({ loseAnswer: 1 });
    await expect(world.send("ambiguous")).rejects.toMatchObject({ code: "ECONNRESET" });
    world.proxy.calm();
    await world.send("ambiguous");
    expect(await world.inQueue()).toEqual(["ambiguous", "ambiguous"]);
    expect(world.proxy.counts()).toEqual({ ...quiet, loseAnswer: 1 });
  });

  test("a held message that its queue refuses after all is counted, not kept for ever", async () => {
    world.proxy.set({ delay: 1 });
    await world.send("bad \u0000 character");
    world.timer.advance(5_000);
    await world.proxy.settled();
    expect([world.proxy.held, world.proxy.counts()]).toEqual([0, { ...quiet, undeliverable: 1 }]);
  });
});

describe("faults of entries", () => {
  test("an entry that fails is told with or without the sender's fault, and only it is not done", async () => {
    world.proxy.set({ failEntry: 0.4, blameEntry: 0.4 });
    const { Successful = [], Failed = [] } = await world.sendBatch(Array.from({ length: 10 }, (_, n) => `m${n}`));
    expect(Successful.length + Failed.length).toBe(10);
    const blamed = Failed.filter(({ SenderFault }) => SenderFault);
    const failed = Failed.filter(({ SenderFault }) => SenderFault === false);
    expect((await world.inQueue()).map((body) => body?.replace("m", "e"))).toEqual(Successful.map(({ Id }) => Id));
    expect(world.proxy.counts()).toEqual({ ...quiet, failEntry: failed.length, blameEntry: blamed.length });
    for (const part of [Successful, blamed, failed]) expect(part.length).toBeGreaterThan(0);
  });

  test("the product's client tells blame from failure", async () => {
    const product = new MessageQueue({ endpoint: world.proxy.url, region, credentials });
    world.proxy.set({ blameEntry: 1 });
    expect(await product.send("tasks", ["a"])).toMatchObject([{ blamed: true }]);
    world.proxy.set({ blameEntry: 0, failEntry: 1 });
    expect(await product.send("tasks", ["a", "b"])).toMatchObject([{ blamed: false }, { blamed: false }]);
    await product.stop();
    expect(await world.inQueue()).toEqual([]);
  });

  test("a delete that fails leaves the message", async () => {
    await world.send("kept");
    const [message] = await world.receive();
    world.proxy.set({ failEntry: 1 });
    const Entries = [{ Id: "x", ReceiptHandle: message?.ReceiptHandle }];
    const { Failed } = await world.sqs.send(new DeleteMessageBatchCommand({ QueueUrl: world.queue, Entries }));
    expect(Failed).toMatchObject([{ Id: "x", SenderFault: false }]);
    world.proxy.calm();
    const shown = { QueueUrl: world.queue, ReceiptHandle: message?.ReceiptHandle, VisibilityTimeout: 0 };
    await world.sqs.send(new ChangeMessageVisibilityCommand(shown));
    expect(bodies(await world.receive())).toEqual(["kept"]);
    expect(world.proxy.counts()).toEqual({ ...quiet, failEntry: 1 });
  });
});
