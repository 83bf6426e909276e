/** The SQS proxy by the vendor's client, in front of the real embedded endpoint: every fault is met, and none unasked. */
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  type Message,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { MessageQueue, silentLog } from "@trace/kit";
import { SqsEndpoint } from "@trace/localcloud";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SqsProxy } from "./sqs-proxy.ts";
import { ManualTimer } from "./timer.ts";

const region = "eu-central-1";
const credentials = { accessKeyId: "any", secretAccessKey: "any" };

let endpoint: SqsEndpoint;
let timer: ManualTimer;
let proxy: SqsProxy;
let sqs: SQSClient;
/** Beside the proxy: what really is in the queue. */
let direct: SQSClient;
let queue: string;

const client = (url: string) => new SQSClient({ endpoint: url, region, maxAttempts: 1, credentials });
const queues = ["tasks", "other"].map((name) => ({ name, visibilityTimeoutSeconds: 30 }));

beforeAll(async () => {
  endpoint = new SqsEndpoint({ host: "127.0.0.1", port: 0, region, queues, log: silentLog() });
  await endpoint.start();
  direct = client(`http://127.0.0.1:${endpoint.port}`);
});
afterAll(async () => {
  direct.destroy();
  await endpoint.stop();
});

beforeEach(async () => {
  for (const { name } of queues) await direct.send(new PurgeQueueCommand({ QueueUrl: endpoint.queueUrl(name) }));
  timer = new ManualTimer();
  proxy = new SqsProxy({ backend: `http://127.0.0.1:${endpoint.port}`, seed: 1, timer });
  await proxy.start();
  sqs = client(proxy.url);
  queue = (await sqs.send(new GetQueueUrlCommand({ QueueName: "tasks" }))).QueueUrl ?? "";
  return async () => {
    sqs.destroy();
    await proxy.stop();
  };
});

const send = (MessageBody: string) => sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody }));
const sendBatch = (bodies: readonly string[]) => {
  const Entries = bodies.map((MessageBody, at) => ({ Id: `e${at}`, MessageBody }));
  return sqs.send(new SendMessageBatchCommand({ QueueUrl: queue, Entries }));
};
const receive = async (from = sqs): Promise<Message[]> =>
  (await from.send(new ReceiveMessageCommand({ QueueUrl: queue, MaxNumberOfMessages: 10 }))).Messages ?? [];
const bodies = (messages: readonly Message[]) => messages.map(({ Body }) => Body);
const inQueue = async (name = "tasks") => {
  const QueueUrl = endpoint.queueUrl(name);
  return bodies((await direct.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }))).Messages ?? []);
};
const quiet = {
  duplicate: 0,
  delay: 0,
  reorder: 0,
  drop: 0,
  loseReceived: 0,
  loseAnswer: 0,
  refuse: 0,
  failEntry: 0,
  blameEntry: 0,
  purge: 0,
  undeliverable: 0,
  backendAway: 0,
};

describe("without faults", () => {
  test("queue URLs lead through the proxy, and the words of a message are not rewritten", async () => {
    expect(queue).toBe(`${proxy.url}/000000000000/tasks`);
    const { QueueUrls } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: "tasks" }));
    expect(QueueUrls).toContain(queue);
    const made = await sqs.send(new CreateQueueCommand({ QueueName: "tasks" }));
    expect(made.QueueUrl).toBe(queue);
    const text = `see ${endpoint.queueUrl("tasks")} and ${queue}`;
    await send(text);
    expect(bodies(await receive())).toEqual([text]);
  });

  test("a message is sent, received, hidden, shown and deleted as it would be without the proxy", async () => {
    const sent = await send("one");
    const [message] = await receive();
    expect(message).toMatchObject({ MessageId: sent.MessageId, Body: "one" });
    expect(await inQueue()).toEqual([]); // hidden
    const of = { QueueUrl: queue, ReceiptHandle: message?.ReceiptHandle };
    await sqs.send(new ChangeMessageVisibilityCommand({ ...of, VisibilityTimeout: 0 }));
    const [again] = await receive();
    expect(again?.MessageId).toBe(sent.MessageId);
    await sqs.send(new DeleteMessageCommand({ QueueUrl: queue, ReceiptHandle: again?.ReceiptHandle }));
    await expect(sqs.send(new ChangeMessageVisibilityCommand({ ...of, VisibilityTimeout: 0 }))).rejects.toThrow();
    expect(await inQueue()).toEqual([]);
    expect(proxy.counts()).toEqual(quiet);
  });

  test("the product's own client works: batches in order, attributes, and the backend's refusal of a bad entry", async () => {
    const product = new MessageQueue({ endpoint: proxy.url, region, credentials });
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
    await sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody: "with", MessageAttributes }));
    const asked = { QueueUrl: queue, MessageAttributeNames: ["All"] };
    const { Messages } = await sqs.send(new ReceiveMessageCommand(asked));
    expect(Messages?.[0]?.MessageAttributes).toMatchObject(MessageAttributes);
    await product.stop();
    expect(proxy.counts()).toEqual(quiet);
  });

  test("a long poll is answered by the message it waits for", async () => {
    const poll = sqs.send(new ReceiveMessageCommand({ QueueUrl: queue, WaitTimeSeconds: 20 }));
    await sqs.send(new ListQueuesCommand({}));
    await send("awaited");
    expect(bodies((await poll).Messages ?? [])).toEqual(["awaited"]);
  });

  test("what the backend refuses is refused: a queue that is not there, an empty batch", async () => {
    const nowhere = { QueueUrl: `${proxy.url}/000000000000/nowhere`, MessageBody: "x" };
    proxy.set({ drop: 1 }); // and not answered as sent
    await expect(sqs.send(new SendMessageCommand(nowhere))).rejects.toMatchObject({ name: "QueueDoesNotExist" });
    await expect(sendBatch([])).rejects.toMatchObject({ name: expect.stringContaining("EmptyBatchRequest") });
    expect(proxy.counts()).toEqual(quiet);
  });
});

describe("faults of messages", () => {
  test("a queue whose address nobody asked for is known from its first message on", async () => {
    const unasked = { QueueUrl: `${proxy.url}/000000000000/other` };
    proxy.set({ drop: 1 });
    for (const MessageBody of ["first", "second"]) await sqs.send(new SendMessageCommand({ ...unasked, MessageBody }));
    expect([await inQueue("other"), proxy.counts().drop]).toEqual([["first"], 1]);
  });

  test("a FIFO queue is left what it promises", async () => {
    const Attributes = { FifoQueue: "true", ContentBasedDeduplication: "true" };
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "ordered.fifo", Attributes }));
    proxy.set({ drop: 0.5, reorder: 1, duplicate: 1 });
    const sent = ["a", "b", "c", "d", "e"];
    for (const MessageBody of sent) {
      await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: MessageBody }));
    }
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    await sqs.send(new DeleteQueueCommand({ QueueUrl }));
    expect(bodies(Messages ?? [])).toEqual(sent);
    expect(proxy.counts()).toEqual(quiet);
  });

  test("duplicate: one send is received under one id with two receipts, and deleting one leaves the other", async () => {
    proxy.set({ duplicate: 1 });
    const { MessageId } = await send("twice");
    const got = await receive();
    expect(got.map((one) => [one.MessageId, one.Body])).toEqual([
      [MessageId, "twice"],
      [MessageId, "twice"],
    ]);
    expect(new Set(got.map(({ ReceiptHandle }) => ReceiptHandle)).size).toBe(2);
    const [first, second] = got;
    await sqs.send(new DeleteMessageCommand({ QueueUrl: queue, ReceiptHandle: first?.ReceiptHandle }));
    const shown = { QueueUrl: queue, ReceiptHandle: second?.ReceiptHandle, VisibilityTimeout: 0 };
    await sqs.send(new ChangeMessageVisibilityCommand(shown));
    expect(bodies(await receive())).toEqual(["twice"]);
    expect(proxy.counts()).toEqual({ ...quiet, duplicate: 1 });
  });

  test("duplicate in a batch: more than one copy of each, within the bound", async () => {
    proxy.set({ duplicate: 1, duplicatesMax: 3 });
    await sendBatch(["a", "b"]);
    const got = [...(await receive()), ...(await receive())];
    expect(new Set(got.map(({ MessageId }) => MessageId)).size).toBe(2);
    expect(got.length).toBeGreaterThanOrEqual(4);
    expect(got.length).toBeLessThanOrEqual(8);
    expect(proxy.counts()).toEqual({ ...quiet, duplicate: got.length - 2 });
  });

  test("delay: answered as sent, received once its time came, under the id that was told", async () => {
    proxy.set({ delay: 1, delayMinMs: 1_000, delayMaxMs: 2_000 });
    const { MessageId } = await send("late");
    timer.advance(999);
    await proxy.settled();
    expect(await receive()).toEqual([]);
    expect([proxy.held, proxy.counts().delay]).toEqual([1, 0]);
    timer.advance(1_001);
    await proxy.settled();
    expect(await receive()).toMatchObject([{ MessageId, Body: "late" }]);
    expect([proxy.held, proxy.counts()]).toEqual([0, { ...quiet, delay: 1 }]);
  });

  test("a duplicate may be delayed: it comes after the first was deleted", async () => {
    proxy.set({ duplicate: 1, delay: 0.5 });
    for (let n = 0; proxy.held !== 1 && n < 50; n += 1) {
      proxy.calm();
      await proxy.purge("tasks");
      proxy.set({ duplicate: 1, delay: 0.5 });
      await send(`hint ${n}`);
    }
    const [first] = await receive();
    await sqs.send(new DeleteMessageCommand({ QueueUrl: queue, ReceiptHandle: first?.ReceiptHandle }));
    timer.advance(5_000);
    await proxy.settled();
    expect(await receive()).toMatchObject([{ MessageId: first?.MessageId, Body: first?.Body }]);
  });

  test("reorder: a full window comes in another order, and only what comes after a later one is counted", async () => {
    proxy.set({ reorder: 1, reorderMessages: 5 });
    const sent = ["a", "b", "c", "d", "e"];
    await sendBatch(sent.slice(0, 3));
    await send("d");
    expect(await receive()).toEqual([]);
    await send("e");
    await proxy.settled();
    const got = bodies(await receive());
    expect(got).not.toEqual(sent);
    expect(got.toSorted()).toEqual(sent);
    const after = got.filter((body, at) => got.slice(0, at).some((earlier) => String(earlier) > String(body)));
    expect(proxy.counts()).toEqual({ ...quiet, reorder: after.length });
    expect(after.length).toBeGreaterThan(0);
  });

  test("reorder: two that are held together always change places", async () => {
    proxy.set({ reorder: 1, reorderMessages: 2 });
    for (let n = 0; n < 20; n += 1) {
      await sendBatch([`${n} a`, `${n} b`]);
      await proxy.settled();
      expect(bodies(await receive())).toEqual([`${n} b`, `${n} a`]);
    }
    expect(proxy.counts()).toEqual({ ...quiet, reorder: 20 });
  });

  test("reorder: a window that does not fill is let go in time, and one message alone is not out of order", async () => {
    proxy.set({ reorder: 1, reorderMaxMs: 500 });
    await send("alone");
    timer.advance(499);
    expect(proxy.held).toBe(1);
    timer.advance(1);
    await proxy.settled();
    expect(bodies(await receive())).toEqual(["alone"]);
    expect(proxy.counts()).toEqual(quiet);
  });

  test("drop: answered as sent, never in the queue, alone and in a batch", async () => {
    proxy.set({ drop: 1 });
    expect((await send("gone")).MessageId).toMatch(/^[0-9a-f-]{36}$/);
    const { Successful, Failed } = await sendBatch(["gone", "too"]);
    expect(Successful?.map(({ Id }) => Id)).toEqual(["e0", "e1"]);
    expect(Failed ?? []).toEqual([]);
    timer.advance(3_600_000);
    expect(await inQueue()).toEqual([]);
    expect(proxy.counts()).toEqual({ ...quiet, drop: 3 });
  });

  test("in a batch some are dropped, some late, the others there: together they are all", async () => {
    proxy.set({ drop: 0.3, delay: 0.3 });
    const sent = Array.from({ length: 10 }, (_, n) => `m${n}`);
    expect((await sendBatch(sent)).Successful?.map(({ Id }) => Id).toSorted()).toEqual(sent.map((_, n) => `e${n}`));
    const early = bodies(await receive());
    const { drop } = proxy.counts();
    expect(early.length + proxy.held + drop).toBe(10);
    await proxy.release();
    const late = bodies(await receive());
    expect(proxy.counts()).toEqual({ ...quiet, drop, delay: late.length });
    expect(new Set([...early, ...late]).size).toBe(10 - drop);
    for (const part of [early.length, late.length, drop]) expect(part).toBeGreaterThan(0);
  });

  test("a received batch whose answer is lost stays hidden from everybody", async () => {
    await send("lost");
    proxy.set({ loseReceived: 1 });
    await expect(receive()).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(await receive()).toEqual([]); // an empty answer has nothing to lose
    expect(await inQueue()).toEqual([]);
    expect(proxy.counts()).toEqual({ ...quiet, loseReceived: 1 });
  });

  test("a call whose answer is lost was done: a sender that tries again has sent twice", async () => {
    proxy.set({ loseAnswer: 1 });
    await expect(send("ambiguous")).rejects.toMatchObject({ code: "ECONNRESET" });
    proxy.calm();
    await send("ambiguous");
    expect(await inQueue()).toEqual(["ambiguous", "ambiguous"]);
    expect(proxy.counts()).toEqual({ ...quiet, loseAnswer: 1 });
  });

  test("a held message that its queue refuses after all is counted, not kept for ever", async () => {
    proxy.set({ delay: 1 });
    await send("bad \u0000 character");
    timer.advance(5_000);
    await proxy.settled();
    expect([proxy.held, proxy.counts()]).toEqual([0, { ...quiet, undeliverable: 1 }]);
  });
});

describe("faults of entries", () => {
  test("an entry that fails is told with or without the sender's fault, and only it is not done", async () => {
    proxy.set({ failEntry: 0.4, blameEntry: 0.4 });
    const { Successful = [], Failed = [] } = await sendBatch(Array.from({ length: 10 }, (_, n) => `m${n}`));
    expect(Successful.length + Failed.length).toBe(10);
    const blamed = Failed.filter(({ SenderFault }) => SenderFault);
    const failed = Failed.filter(({ SenderFault }) => SenderFault === false);
    expect((await inQueue()).map((body) => body?.replace("m", "e"))).toEqual(Successful.map(({ Id }) => Id));
    expect(proxy.counts()).toEqual({ ...quiet, failEntry: failed.length, blameEntry: blamed.length });
    for (const part of [Successful, blamed, failed]) expect(part.length).toBeGreaterThan(0);
  });

  test("the product's client tells blame from failure", async () => {
    const product = new MessageQueue({ endpoint: proxy.url, region, credentials });
    proxy.set({ blameEntry: 1 });
    expect(await product.send("tasks", ["a"])).toMatchObject([{ blamed: true }]);
    proxy.set({ blameEntry: 0, failEntry: 1 });
    expect(await product.send("tasks", ["a", "b"])).toMatchObject([{ blamed: false }, { blamed: false }]);
    await product.stop();
    expect(await inQueue()).toEqual([]);
  });

  test("a delete that fails leaves the message", async () => {
    await send("kept");
    const [message] = await receive();
    proxy.set({ failEntry: 1 });
    const Entries = [{ Id: "x", ReceiptHandle: message?.ReceiptHandle }];
    const { Failed } = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: queue, Entries }));
    expect(Failed).toMatchObject([{ Id: "x", SenderFault: false }]);
    proxy.calm();
    const shown = { QueueUrl: queue, ReceiptHandle: message?.ReceiptHandle, VisibilityTimeout: 0 };
    await sqs.send(new ChangeMessageVisibilityCommand(shown));
    expect(bodies(await receive())).toEqual(["kept"]);
    expect(proxy.counts()).toEqual({ ...quiet, failEntry: 1 });
  });
});

describe("faults of the service", () => {
  test.each([
    ["unavailable", { name: "ServiceUnavailable", $metadata: { httpStatusCode: 503 }, $fault: "server" }],
    ["throttled", { name: "RequestThrottled", $metadata: { httpStatusCode: 400 }, $fault: "client" }],
    ["reset", { code: "ECONNRESET" }],
  ] as const)("refuse as '%s': the call does not reach the queue", async (how, error) => {
    proxy.set({ refuse: 1, refuseHow: [how] });
    await expect(send("refused")).rejects.toMatchObject(error);
    expect(await inQueue()).toEqual([]);
    expect(proxy.counts()).toEqual({ ...quiet, refuse: 1 });
  });

  test("refuse for a window: waiting polls are cut at once, calls fail until the time is over", async () => {
    const poll = sqs.send(new ReceiveMessageCommand({ QueueUrl: queue, WaitTimeSeconds: 20 }));
    await sqs.send(new ListQueuesCommand({}));
    proxy.refuseUntil(60_000);
    await expect(poll).rejects.toMatchObject({ code: "ECONNRESET" });
    await expect(receive()).rejects.toThrow();
    timer.advance(59_999);
    await expect(send("refused")).rejects.toThrow();
    timer.advance(1);
    await send("taken");
    expect(bodies(await receive())).toEqual(["taken"]);
    expect(proxy.counts()).toEqual({ ...quiet, refuse: 3 });
    proxy.refuseUntil(Number.POSITIVE_INFINITY);
    await expect(send("refused")).rejects.toThrow();
    proxy.refuseUntil(0);
    await send("taken");
  });

  test("purge of one queue or of all: what is queued, received and held is gone", async () => {
    const other = { QueueUrl: queue.replace("tasks", "other"), MessageBody: "other" };
    await sqs.send(new SendMessageCommand(other));
    await send("queued");
    const [received] = await receive();
    proxy.set({ delay: 0.5, reorder: 1 });
    await sendBatch(["a", "b", "c", "d", "e"]);
    proxy.set({ delay: 1 });
    await sqs.send(new SendMessageCommand({ ...other, MessageBody: "other, held" }));
    expect(proxy.held).toBe(6);
    expect(await proxy.purge("tasks")).toBe(1);
    expect(proxy.held).toBe(1);
    timer.advance(60_000);
    await proxy.settled();
    const shown = { QueueUrl: queue, ReceiptHandle: received?.ReceiptHandle, VisibilityTimeout: 0 };
    await expect(sqs.send(new ChangeMessageVisibilityCommand(shown))).rejects.toThrow();
    expect([await inQueue(), await inQueue("other")]).toEqual([[], ["other", "other, held"]]);
    expect(await proxy.purge()).toBe(4); // with their dead-letter queues
    expect(proxy.counts()).toEqual({ ...quiet, delay: 1, purge: 5 });
  });

  test("a client's own purge takes what is held with it", async () => {
    proxy.set({ delay: 1 });
    await send("held");
    await sqs.send(new PurgeQueueCommand({ QueueUrl: queue }));
    expect([proxy.held, proxy.counts()]).toEqual([0, quiet]);
  });

  test("the backend is away: calls are reset, and what was answered as sent arrives when it is back", async () => {
    const own = { host: "127.0.0.1", region, queues, log: silentLog() };
    const first = new SqsEndpoint({ ...own, port: 0 });
    await first.start();
    const { port } = first;
    const between = new SqsProxy({ backend: `http://127.0.0.1:${port}`, seed: 1, timer });
    await between.start();
    const through = client(between.url);
    const { QueueUrl } = await through.send(new GetQueueUrlCommand({ QueueName: "tasks" }));
    between.set({ delay: 1, delayMinMs: 10, delayMaxMs: 10 });
    await through.send(new SendMessageCommand({ QueueUrl, MessageBody: "survivor" }));
    await first.stop();
    timer.advance(10);
    await between.settled();
    expect([between.held, between.counts().delay]).toEqual([1, 0]);
    await expect(through.send(new ListQueuesCommand({}))).rejects.toMatchObject({ code: "ECONNRESET" });
    const second = new SqsEndpoint({ ...own, port });
    await second.start();
    timer.advance(250);
    await between.settled();
    const { Messages } = await through.send(new ReceiveMessageCommand({ QueueUrl }));
    expect(bodies(Messages ?? [])).toEqual(["survivor"]);
    expect(between.counts()).toEqual({ ...quiet, delay: 1, backendAway: 1 });
    through.destroy();
    await between.stop();
    await second.stop();
  });
});

test("a client that dies in its long poll is gone for the backend too: the next one gets the message at once", async () => {
  const abort = new AbortController();
  const poll = sqs.send(new ReceiveMessageCommand({ QueueUrl: queue, WaitTimeSeconds: 20 }), {
    abortSignal: abort.signal,
  });
  await sqs.send(new ListQueuesCommand({}));
  abort.abort();
  await expect(poll).rejects.toThrow();
  for (let n = 0; n < 3; n += 1) await sqs.send(new ListQueuesCommand({}));
  await send("for the living");
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queue, WaitTimeSeconds: 10 }));
  expect(bodies(Messages ?? [])).toEqual(["for the living"]);
});

test("one seed repeats one fate for each message; another seed another", async () => {
  const fates = async (seed: number) => {
    const one = new SqsProxy({ backend: `http://127.0.0.1:${endpoint.port}`, seed, timer });
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
  expect(() => proxy.set({ drop: 1.5 })).toThrow("'drop' must be a probability");
  expect(() => proxy.set({ refuse: Number.NaN })).toThrow(RangeError);
  expect(() => proxy.set({ duplicatesMax: 0 })).toThrow("'duplicatesMax'");
  expect(() => proxy.set({ reorderMessages: 1 })).toThrow("'reorderMessages'");
  expect(() => proxy.set({ drop: 1, delayMinMs: 9, delayMaxMs: 8 })).toThrow("between two times");
  expect(() => proxy.set({ reorderMaxMs: Number.POSITIVE_INFINITY })).toThrow("'reorderMaxMs'");
  expect(() => proxy.set({ refuseHow: [] })).toThrow("no way to refuse");
  await send("unharmed");
  expect(await inQueue()).toEqual(["unharmed"]);
});

test("a fault is told when it is performed, and a stopped proxy holds nothing", async () => {
  const performed = proxy.performed.next(5_000, (kind) => kind === "drop");
  proxy.set({ drop: 1 });
  await send("gone");
  expect(await performed).toBe("drop");
  proxy.set({ drop: 0, delay: 1 });
  await send("held");
  await proxy.stop();
  expect(proxy.held).toBe(0);
  const later = client(proxy.url);
  await expect(later.send(new ListQueuesCommand({}))).rejects.toMatchObject({ code: "ECONNREFUSED" });
  later.destroy();
});
