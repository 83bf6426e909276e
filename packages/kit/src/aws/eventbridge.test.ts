/** EventBridge's client against a server that says what EventBridge says: a bad event is told from a bus that is away. */
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type BusEvent, EventBus, eventsBatchMax, eventsBytesMax } from "./eventbridge.ts";

interface Entry {
  readonly EventBusName: string;
  readonly Source: string;
  readonly DetailType: string;
  readonly Time: number;
  readonly Detail: string;
}

let server: Server;
let bus: EventBus;
let calls: Entry[][];
let answer: (entries: Entry[]) => { status?: number; body: unknown };

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const { Entries } = JSON.parse(text) as { Entries: Entry[] };
    calls.push(Entries);
    const { status = 200, body } = answer(Entries);
    response.writeHead(status, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const credentials = { accessKeyId: "a", secretAccessKey: "b" };
  const endpoint = `http://127.0.0.1:${port}`;
  bus = new EventBus({ endpoint, region: "us-east-1", credentials, bus: "main", source: "trace" });
});
afterAll(async () => {
  await bus.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const taken = (entries: Entry[]) => entries.map((_, n) => ({ EventId: `e${n}` }));

beforeEach(() => {
  calls = [];
  answer = (entries) => ({ body: { FailedEntryCount: 0, Entries: taken(entries) } });
});

const time = new Date("2026-01-02T03:04:05Z");
const event = (n: unknown = 1): BusEvent => ({ type: "task.completed", time, detail: { n } });

test("an event is put with its source, type, time and detail", async () => {
  expect(await bus.put([event("ü")])).toEqual([undefined]);
  const [[entry] = []] = calls;
  expect(entry).toEqual({
    EventBusName: "main",
    Source: "trace",
    DetailType: "task.completed",
    Time: time.getTime() / 1_000,
    Detail: '{"n":"ü"}',
  });
});

test("each event that was not taken is told by its place, with blame only where the event is at fault", async () => {
  const codes = [undefined, "MalformedDetail", "ThrottlingException", "NotAuthorizedForSourceException"];
  answer = () => ({
    body: {
      FailedEntryCount: 3,
      Entries: codes.map((code) => (code === undefined ? { EventId: "e" } : { ErrorCode: code, ErrorMessage: "why" })),
    },
  });
  expect(await bus.put(codes.map(event))).toEqual([
    undefined,
    { reason: "MalformedDetail: why", blamed: true },
    { reason: "ThrottlingException: why", blamed: false },
    { reason: "NotAuthorizedForSourceException: why", blamed: false },
  ]);
});

test("a call that is invalid as a whole is made again event by event, and only the bad one is blamed", async () => {
  answer = (entries) =>
    entries.some(({ Detail }) => Detail.includes("bad"))
      ? { status: 400, body: { __type: "ValidationException", message: "no" } }
      : { body: { FailedEntryCount: 0, Entries: taken(entries) } };
  expect(await bus.put([event(), event("bad"), event()])).toEqual([
    undefined,
    { reason: "ValidationException: no", blamed: true },
    undefined,
  ]);
  expect(calls.map((entries) => entries.length)).toEqual([3, 1, 1, 1]);
});

test.each([
  [400, "ThrottlingException"],
  [400, "AccessDeniedException"],
  [500, "InternalException"],
])("a refusal of the call with %i %s blames no event: it throws", async (status, type) => {
  answer = () => ({ status, body: { __type: type, message: "no" } });
  await expect(bus.put([event()])).rejects.toMatchObject({ name: type });
});

test("an answer with too few results is no answer", async () => {
  answer = () => ({ body: { FailedEntryCount: 0, Entries: [{ EventId: "e" }] } });
  await expect(bus.put([event(), event()])).rejects.toThrow("1 results to 2 events");
});

test("ten events fit in a call, fewer when they are large, and one that is too large is refused unsent", async () => {
  expect(bus.fitting(Array.from({ length: 12 }, event))).toBe(eventsBatchMax);
  expect(bus.fitting([event()])).toBe(1);
  const half = event("x".repeat(eventsBytesMax / 2));
  expect(bus.fitting([event(), half, half, event()])).toBe(2);
  expect(bus.fitting([event("x".repeat(eventsBytesMax)), event()])).toBe(1);
  const [fault] = await bus.put([event("ü".repeat(eventsBytesMax / 2))]);
  expect(fault).toMatchObject({ blamed: true, reason: expect.stringContaining("bytes") });
  expect(calls).toEqual([]);
});
