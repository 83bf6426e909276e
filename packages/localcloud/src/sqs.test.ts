/** The SQS endpoint by the vendor's client, and what of fauxqs must not be reachable. */
import { request as httpRequest } from "node:http";
import { networkInterfaces } from "node:os";
import {
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deadLetterName, judgeCall, SqsEndpoint } from "./sqs.ts";

const queues = [
  { name: "tasks", visibilityTimeoutSeconds: 30 },
  { name: "poison", visibilityTimeoutSeconds: 0, receivesMax: 2 },
];

let endpoint: SqsEndpoint;
let sqs: SQSClient;

beforeAll(async () => {
  endpoint = new SqsEndpoint({ host: "127.0.0.1", port: 0, region: "eu-central-1", queues, log: silentLog() });
  await endpoint.start();
  sqs = new SQSClient({
    endpoint: `http://127.0.0.1:${endpoint.port}`,
    region: "eu-central-1",
    maxAttempts: 1,
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
  });
});
afterAll(async () => {
  sqs.destroy();
  await endpoint.stop();
});

function status(options: {
  method: string;
  path: string;
  headers?: Record<string, string>;
  host?: string;
}): Promise<number> {
  return new Promise((resolve, reject) => {
    const { host = "127.0.0.1", ...rest } = options;
    const request = httpRequest({ ...rest, host, port: endpoint.port, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", reject);
    request.end(rest.method === "POST" ? "{}" : undefined);
  });
}

test("the queues of the configuration exist at once, each with its dead-letter queue", async () => {
  for (const { name, visibilityTimeoutSeconds, receivesMax } of queues) {
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
    expect(QueueUrl).toBe(endpoint.queueUrl(name));
    const got = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
    expect(got.Attributes?.VisibilityTimeout).toBe(String(visibilityTimeoutSeconds));
    expect(JSON.parse(got.Attributes?.RedrivePolicy ?? "{}")).toEqual({
      deadLetterTargetArn: `arn:aws:sqs:eu-central-1:000000000000:${deadLetterName(name)}`,
      maxReceiveCount: receivesMax ?? 100,
    });
  }
});

test("a message that a client's long poll took after the client had died goes to the next one at once", async () => {
  const QueueUrl = endpoint.queueUrl("tasks");
  const dead = httpRequest({
    method: "POST",
    path: "/",
    host: "127.0.0.1",
    port: endpoint.port,
    agent: false,
    headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.ReceiveMessage" },
  });
  dead.on("error", () => undefined); // cut below
  await new Promise<void>((done) => void dead.end(JSON.stringify({ QueueUrl, WaitTimeSeconds: 20 }), done));
  await sqs.send(new GetQueueUrlCommand({ QueueName: "tasks" })); // the poll came before this call, so it waits by now
  dead.destroy();
  // A new connection is accepted, read and answered after the end of the old one was seen.
  for (let i = 0; i < 2; i += 1) await status({ method: "GET", path: "/" });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "wake up" }));
  // Shorter than the visibility of 30 s for which it was hidden on behalf of the dead.
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 10 }));
  expect(Messages?.map(({ Body }) => Body)).toEqual(["wake up"]);
});

test("a message comes through, and one that nobody settles moves aside", async () => {
  const QueueUrl = endpoint.queueUrl("poison");
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: '{"queue":"poison","task_ids":[1]}' }));
  for (let i = 0; i < 2; i += 1) {
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
    expect(Messages?.[0]?.Body).toContain("task_ids");
  }
  expect((await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages ?? []).toEqual([]);
  const dead = await sqs.send(new ReceiveMessageCommand({ QueueUrl: endpoint.queueUrl(deadLetterName("poison")) }));
  expect(dead.Messages?.length).toBe(1);
});

describe("nothing else of fauxqs is reachable", () => {
  const call = { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.ListQueues" };

  test("an SQS call is let through, so that the refusals below mean something", async () => {
    expect(await status({ method: "POST", path: "/", headers: call })).toBe(200);
  });

  test.each([
    ["S3", { method: "PUT", path: "/bucket" }],
    ["S3 in the guise of a call", { method: "PUT", path: "/bucket", headers: call }],
    ["SNS", { method: "POST", path: "/", headers: { "content-type": "application/x-www-form-urlencoded" } }],
    ["the inspection of queues", { method: "GET", path: "/_fauxqs/queues" }],
    ["another target", { method: "POST", path: "/", headers: { ...call, "x-amz-target": "AmazonSNS.Publish" } }],
    ["a foreign Host", { method: "POST", path: "/", headers: { ...call, host: "evil.example" } }],
    ["a foreign Origin", { method: "POST", path: "/", headers: { ...call, origin: "http://evil.example" } }],
    [
      "a form that a browser may post",
      { method: "POST", path: "/", headers: { ...call, "content-type": "text/plain" } },
    ],
  ])("%s is 403", async (_, options) => {
    expect(await status(options)).toBe(403);
  });

  const outside = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === "IPv4" && !address.internal);
  test.skipIf(outside === undefined)("not from another address of this machine", async () => {
    await expect(
      status({ method: "POST", path: "/", headers: call, host: String(outside?.address) }),
    ).rejects.toThrow();
  });

  test("localhost is a name of the loopback too", () => {
    expect(judgeCall("POST", { ...call, host: "localhost:99" }, "127.0.0.1:99")).toBeUndefined();
    expect(judgeCall("POST", { ...call, host: "localhost:98" }, "127.0.0.1:99")).toBe("foreign Host header");
  });
});

test("a taken port and a queue that cannot exist are catalogued errors", async () => {
  const options = { host: "127.0.0.1", port: endpoint.port, region: "eu-central-1", queues, log: silentLog() };
  await expect(new SqsEndpoint(options).start()).rejects.toMatchObject({ code: "TR-6102" });
  const wrong = [{ name: "bad name", visibilityTimeoutSeconds: 30 }];
  expect(() => new SqsEndpoint({ ...options, queues: wrong })).toThrow(expect.objectContaining({ code: "TR-6103" }));
});
