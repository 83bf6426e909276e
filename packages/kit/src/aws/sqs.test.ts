/** SQS's client against a server that says what SQS says: a bad entry is told from a service that is away. */
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { MessageQueue } from "./sqs.ts";

let server: Server;
let queue: MessageQueue;
let calls: { action: string; input: Record<string, unknown> }[];
let answers: Record<string, (input: Record<string, unknown>) => { status?: number; body: unknown }>;
let recreated: string[];

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const action = String(request.headers["x-amz-target"]).replace("AmazonSQS.", "");
    const input = JSON.parse(text) as Record<string, unknown>;
    calls.push({ action, input });
    const { status = 200, body } = answers[action]?.(input) ?? { status: 500, body: {} };
    response.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const credentials = { accessKeyId: "a", secretAccessKey: "b" };
  queue = new MessageQueue({
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    credentials,
    onQueueRecreated: (name) => recreated.push(name),
  });
  answers = {};
});
afterAll(async () => {
  await queue.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

let made = 0;
beforeEach(() => {
  calls = [];
  recreated = [];
  made += 1;
  const url = `${endpoint()}/000000000000/q${made}`;
  answers = {
    GetQueueUrl: () => ({ body: { QueueUrl: url } }),
    SendMessageBatch: () => ({ body: { Successful: [], Failed: [] } }),
  };
});

function endpoint(): string {
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
const name = () => `trace-${made}`;
const actions = () => calls.map((call) => call.action);

test("an entry that was not taken is told by its place, with or without blame; the others are taken", async () => {
  const Failed = [
    { Id: "1", SenderFault: true, Code: "InvalidMessageContents", Message: "no" },
    { Id: "2", SenderFault: false, Code: "InternalError" },
  ];
  answers.SendMessageBatch = () => ({ body: { Successful: [], Failed } });
  expect(await queue.send(name(), ["a", "b", "c", "d"])).toEqual([
    undefined,
    { reason: "InvalidMessageContents: no", blamed: true },
    { reason: "InternalError: ", blamed: false },
    undefined,
  ]);
});

test("a call that SQS does not take blames nobody: it throws, and the queue's address is asked for again", async () => {
  await queue.send(name(), ["a"]);
  await queue.send(name(), ["b"]);
  expect(actions()).toEqual(["GetQueueUrl", "SendMessageBatch", "SendMessageBatch"]);
  const good = answers.SendMessageBatch;
  answers.SendMessageBatch = () => ({ status: 403, body: { __type: "com.amazonaws.sqs#AccessDenied" } });
  await expect(queue.send(name(), ["c"])).rejects.toThrow();
  if (good !== undefined) answers.SendMessageBatch = good;
  calls = [];
  await queue.send(name(), ["d"]);
  expect(actions()).toEqual(["GetQueueUrl", "SendMessageBatch"]);
  expect(recreated).toEqual([]);
});

describe("a queue that was deleted", () => {
  const gone = () => ({ status: 400, body: { __type: "com.amazonaws.sqs#QueueDoesNotExist" } });

  test("and made anew under another address is found within the call, and told", async () => {
    await queue.send(name(), ["a"]);
    const anew = `${endpoint()}/000000000000/anew${made}`;
    answers.GetQueueUrl = () => ({ body: { QueueUrl: anew } });
    answers.SendMessageBatch = (input) => (input.QueueUrl === anew ? { body: { Successful: [] } } : gone());
    expect(await queue.send(name(), ["b"])).toEqual([undefined]);
    expect(recreated).toEqual([name()]);
    await queue.send(name(), ["c"]);
    expect(recreated).toHaveLength(1);
  });

  test("throws until it is made anew, and is told then", async () => {
    await queue.send(name(), ["a"]);
    const good = { ...answers };
    answers = { SendMessageBatch: gone, GetQueueUrl: gone };
    await expect(queue.send(name(), ["b"])).rejects.toMatchObject({ name: "QueueDoesNotExist" });
    await expect(queue.send(name(), ["b"])).rejects.toMatchObject({ name: "QueueDoesNotExist" });
    expect(recreated).toEqual([]);
    answers = good;
    await queue.send(name(), ["b"]);
    expect(recreated).toEqual([name()]);
  });
});

test("receive, extend and delete speak in batches of at most ten", async () => {
  const message = {
    MessageId: "m",
    ReceiptHandle: "r",
    Body: "b",
    MD5OfBody: createHash("md5").update("b").digest("hex"),
  };
  answers.ReceiveMessage = () => ({ body: { Messages: [message] } });
  answers.ChangeMessageVisibilityBatch = () => ({ body: {} });
  answers.DeleteMessageBatch = () => ({ body: {} });
  const got = await queue.receive(name(), 0, 30, new AbortController().signal);
  expect(got).toEqual([{ id: "m", receipt: "r", body: "b" }]);
  answers.ReceiveMessage = () => ({ body: {} });
  expect(await queue.receive(name(), 0, 30, new AbortController().signal)).toEqual([]);
  const receipts = Array.from({ length: 21 }, (_, n) => `r${n}`);
  calls = [];
  await queue.extend(name(), receipts, 60);
  await queue.delete(name(), receipts);
  const sizes = calls.map(({ action, input }) => [action, (input.Entries as unknown[]).length]);
  const inTens = (action: string) => [10, 10, 1].map((size) => [action, size]);
  expect(sizes).toEqual([...inTens("ChangeMessageVisibilityBatch"), ...inTens("DeleteMessageBatch")]);
});

test("an aborted receive ends at once", async () => {
  const abort = new AbortController();
  abort.abort();
  await expect(queue.receive(name(), 20, 30, abort.signal)).rejects.toMatchObject({ name: "AbortError" });
});
