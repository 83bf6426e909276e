/** The SQS proxy by the vendor's client, in front of the real embedded endpoint: nothing unasked, and faults of the service. */
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
} from "@aws-sdk/client-sqs";
import { MessageQueue } from "@trace/kit";
import type { SqsEndpoint } from "@trace/localcloud";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SqsProxy } from "./sqs-proxy.ts";
import { bodies, client, credentials, quiet, region, SqsWorld, startEndpoint } from "./sqs-world.ts";

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

describe("without faults", () => {
  test("queue URLs lead through the proxy, and the words of a message are not rewritten", async () => {
    expect(world.queue).toBe(`${world.proxy.url}/000000000000/tasks`);
    const { QueueUrls } = await world.sqs.send(new ListQueuesCommand({ QueueNamePrefix: "tasks" }));
    expect(QueueUrls).toContain(world.queue);
    const made = await world.sqs.send(new CreateQueueCommand({ QueueName: "tasks" }));
    expect(made.QueueUrl).toBe(world.queue);
    const text = `see ${world.endpoint.queueUrl("tasks")} and ${world.queue}`;
    await world.send(text);
    expect(bodies(await world.receive())).toEqual([text]);
  });

  test("a message is sent, received, hidden, shown and deleted as it would be without the proxy", async () => {
    const sent = await world.send("one");
    const [message] = await world.receive();
    expect(message).toMatchObject({ MessageId: sent.MessageId, Body: "one" });
    expect(await world.inQueue()).toEqual([]); // hidden
    const of = { QueueUrl: world.queue, ReceiptHandle: message?.ReceiptHandle };
    await world.sqs.send(new ChangeMessageVisibilityCommand({ ...of, VisibilityTimeout: 0 }));
    const [again] = await world.receive();
    expect(again?.MessageId).toBe(sent.MessageId);
    await world.sqs.send(new DeleteMessageCommand({ QueueUrl: world.queue, ReceiptHandle: again?.ReceiptHandle }));
    await expect(world.sqs.send(new ChangeMessageVisibilityCommand({ ...of, VisibilityTimeout: 0 }))).rejects.toThrow();
    expect(await world.inQueue()).toEqual([]);
    expect(world.proxy.counts()).toEqual(quiet);
  });

  test("the product's own client works: batches in order, attributes, and the backend's refusal of a bad entry", async () => {
    const product = new MessageQueue({ endpoint: world.proxy.url, region, credentials });
    const wanted = Array.from({ length: 9 }, (_, n) => `m${n}`);
    const reasons = await product.send("tasks", [...wanted, "bad \u0000 character"]);
    expect(reasons.filter((reason) => reason !== undefined)).toHaveLength(1);
    expect(reasons[9]).toMatchObject({ blamed: true, reason: expect.stringContaining("InvalidMessageContents") });
    const got = await product.receive("tasks", 0, 30, new AbortController().signal);
    expect(got.map(({ body }) => body)).toEqual(wanted);
    const receipts = got.map(({ receipt }) => receipt);
    await product.extend("tasks", receipts, 60);
    await product.delete("tasks", receipts);
    const MessageAttributes = { kind: { DataType: "String", StringValue: "wake-up" } };
    await world.sqs.send(new SendMessageCommand({ QueueUrl: world.queue, MessageBody: "with", MessageAttributes }));
    const asked = { QueueUrl: world.queue, MessageAttributeNames: ["All"] };
    const { Messages } = await world.sqs.send(new ReceiveMessageCommand(asked));
    expect(Messages?.[0]?.MessageAttributes).toMatchObject(MessageAttributes);
    await product.stop();
    expect(world.proxy.counts()).toEqual(quiet);
  });

  test("a long poll is answered by the message it waits for", async () => {
    const poll = world.sqs.send(new ReceiveMessageCommand({ QueueUrl: world.queue, WaitTimeSeconds: 20 }));
    await world.sqs.send(new ListQueuesCommand({}));
    await world.send("awaited");
    expect(bodies((await poll).Messages)).toEqual(["awaited"]);
  });

  test("what the backend refuses is refused: a queue that is not there, an empty batch", async () => {
    const nowhere = { QueueUrl: `${world.proxy.url}/000000000000/nowhere`, MessageBody: "x" };
    world.proxy.set({ drop: 1 }); // and not answered as sent
    await expect(world.sqs.send(new SendMessageCommand(nowhere))).rejects.toMatchObject({ name: "QueueDoesNotExist" });
    await expect(world.sendBatch([])).rejects.toMatchObject({ name: expect.stringContaining("EmptyBatchRequest") });
    expect(world.proxy.counts()).toEqual(quiet);
  });
});

describe("faults of the service", () => {
  test.each([
    ["unavailable", { name: "ServiceUnavailable", $metadata: { httpStatusCode: 503 }, $fault: "server" }],
    ["throttled", { name: "RequestThrottled", $metadata: { httpStatusCode: 400 }, $fault: "client" }],
    ["reset", { code: "ECONNRESET" }],
  ] as const)("refuse as '%s': the call does not reach the queue", async (how, error) => {
    world.proxy.set({ refuse: 1, refuseHow: [how] });
    await expect(world.send("refused")).rejects.toMatchObject(error);
    expect(await world.inQueue()).toEqual([]);
    expect(world.proxy.counts()).toEqual({ ...quiet, refuse: 1 });
  });

  test("refuse for a window: waiting polls are cut at once, calls fail until the time is over", async () => {
    const poll = world.sqs.send(new ReceiveMessageCommand({ QueueUrl: world.queue, WaitTimeSeconds: 20 }));
    await world.sqs.send(new ListQueuesCommand({}));
    world.proxy.refuseUntil(60_000);
    await expect(poll).rejects.toMatchObject({ code: "ECONNRESET" });
    await expect(world.receive()).rejects.toThrow();
    world.timer.advance(59_999);
    await expect(world.send("refused")).rejects.toThrow();
    world.timer.advance(1);
    await world.send("taken");
    expect(bodies(await world.receive())).toEqual(["taken"]);
    expect(world.proxy.counts()).toEqual({ ...quiet, refuse: 3 });
    world.proxy.refuseUntil(Number.POSITIVE_INFINITY);
    await expect(world.send("refused")).rejects.toThrow();
    world.proxy.refuseUntil(0);
    await world.send("taken");
  });

  test("purge of one queue or of all: what is queued, received and held is gone", async () => {
    const other = { QueueUrl: world.queue.replace("tasks", "other"), MessageBody: "other" };
    await world.sqs.send(new SendMessageCommand(other));
    await world.send("queued");
    const [received] = await world.receive();
    world.proxy.set({ delay: 0.5, reorder: 1 });
    await world.sendBatch(["a", "b", "c", "d", "e"]);
    world.proxy.set({ delay: 1 });
    await world.sqs.send(new SendMessageCommand({ ...other, MessageBody: "other, held" }));
    expect(world.proxy.held).toBe(6);
    expect(await world.proxy.purge("tasks")).toBe(1);
    expect(world.proxy.held).toBe(1);
    world.timer.advance(60_000);
    await world.proxy.settled();
    const shown = { QueueUrl: world.queue, ReceiptHandle: received?.ReceiptHandle, VisibilityTimeout: 0 };
    await expect(world.sqs.send(new ChangeMessageVisibilityCommand(shown))).rejects.toThrow();
    expect([await world.inQueue(), await world.inQueue("other")]).toEqual([[], ["other", "other, held"]]);
    expect(await world.proxy.purge()).toBe(4); // with their dead-letter queues
    expect(world.proxy.counts()).toEqual({ ...quiet, delay: 1, purge: 5 });
  });

  test("a client's own purge takes what is held with it", async () => {
    world.proxy.set({ delay: 1 });
    await world.send("held");
    await world.sqs.send(new PurgeQueueCommand({ QueueUrl: world.queue }));
    expect([world.proxy.held, world.proxy.counts()]).toEqual([0, quiet]);
  });

  test("the backend is away: calls are reset, and what was answered as sent arrives when it is back", async () => {
    const first = await startEndpoint();
    const { port } = first;
    const between = new SqsProxy({ backend: `http://127.0.0.1:${port}`, seed: 1, timer: world.timer });
    await between.start();
    const through = client(between.url);
    const { QueueUrl } = await through.send(new GetQueueUrlCommand({ QueueName: "tasks" }));
    between.set({ delay: 1, delayMinMs: 10, delayMaxMs: 10 });
    await through.send(new SendMessageCommand({ QueueUrl, MessageBody: "survivor" }));
    await first.stop();
    world.timer.advance(10);
    await between.settled();
    expect([between.held, between.counts().delay]).toEqual([1, 0]);
    await expect(through.send(new ListQueuesCommand({}))).rejects.toMatchObject({ code: "ECONNRESET" });
    const second = await startEndpoint(port);
    world.timer.advance(250);
    await between.settled();
    const { Messages } = await through.send(new ReceiveMessageCommand({ QueueUrl }));
    expect(bodies(Messages)).toEqual(["survivor"]);
    expect(between.counts()).toEqual({ ...quiet, delay: 1, backendAway: 1 });
    through.destroy();
    await between.stop();
    await second.stop();
  });
});

test("a client that dies in its long poll is gone for the backend too: the next one gets the message at once", async () => {
  const abort = new AbortController();
  const poll = world.sqs.send(new ReceiveMessageCommand({ QueueUrl: world.queue, WaitTimeSeconds: 20 }), {
    abortSignal: abort.signal,
  });
  await world.sqs.send(new ListQueuesCommand({}));
  abort.abort();
  await expect(poll).rejects.toThrow();
  for (let n = 0; n < 3; n += 1) await world.sqs.send(new ListQueuesCommand({}));
  await world.send("for the living");
  const { Messages } = await world.sqs.send(new ReceiveMessageCommand({ QueueUrl: world.queue, WaitTimeSeconds: 10 }));
  expect(bodies(Messages)).toEqual(["for the living"]);
});

test("one seed repeats one fate for each message; another seed another", async () => {
  const fates = async (seed: number) => {
    const one = new SqsProxy({ backend: `http://127.0.0.1:${world.endpoint.port}`, seed });
    await one.start();
    const through = client(one.url);
    const { QueueUrl } = await through.send(new GetQueueUrlCommand({ QueueName: "other" }));
    one.set({ drop: 0.5 });
    const dropped: number[] = [];
    for (let n = 0; n < 30; n += 1) {
      const before = one.counts().drop;
      await through.send(new SendMessageCommand({ QueueUrl, MessageBody: `${n}` }));
      if (one.counts().drop > before) dropped.push(n);
    }
    through.destroy();
    await one.stop();
    return dropped;
  };
  const first = await fates(1);
  expect(await fates(1)).toEqual(first);
  expect(await fates(2)).not.toEqual(first);
});

test("settings that contradict themselves are refused and change nothing", async () => {
  expect(() => world.proxy.set({ drop: 1.5 })).toThrow("'drop' must be a probability");
  expect(() => world.proxy.set({ refuse: Number.NaN })).toThrow(RangeError);
  expect(() => world.proxy.set({ duplicatesMax: 0 })).toThrow("'duplicatesMax'");
  expect(() => world.proxy.set({ reorderMessages: 1 })).toThrow("'reorderMessages'");
  expect(() => world.proxy.set({ drop: 1, delayMinMs: 9, delayMaxMs: 8 })).toThrow("between two times");
  expect(() => world.proxy.set({ reorderMaxMs: Number.POSITIVE_INFINITY })).toThrow("'reorderMaxMs'");
  expect(() => world.proxy.set({ refuseHow: [] })).toThrow("no way to refuse");
  await world.send("unharmed");
  expect(await world.inQueue()).toEqual(["unharmed"]);
});

test("a fault is told when it is performed, and a stopped proxy holds nothing", async () => {
  const performed = world.proxy.performed.next(5_000, (kind) => kind === "drop");
  world.proxy.set({ drop: 1 });
  await world.send("gone");
  expect(await performed).toBe("drop");
  world.proxy.set({ drop: 0, delay: 1 });
  await world.send("held");
  await world.proxy.stop();
  expect(world.proxy.held).toBe(0);
  const later = client(world.proxy.url);
  await expect(later.send(new ListQueuesCommand({}))).rejects.toMatchObject({ code: "ECONNREFUSED" });
  later.destroy();
});
