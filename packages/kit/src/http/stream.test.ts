/** Streams of a listener: what refuses them, what ends them, and that neither a reader nor a handler can hold anything up. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  createClient,
  defineRoutes,
  problemSchema,
  progressSchema,
  type RouteEvent,
  TraceError,
  userRoutes,
  watchEndSchema,
} from "@trace/contracts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLog } from "../log.ts";
import { HttpTransport } from "./client.ts";
import { Listener, type ListenerOptions } from "./server.ts";
import type { StreamContext } from "./stream.ts";

const routes = defineRoutes({
  ticks: {
    method: "GET",
    path: "/v1/ticks/:dag",
    auth: "user",
    summary: "x",
    params: userRoutes.run.params,
    events: { tick: progressSchema, end: watchEndSchema },
    errors: [],
  },
});
type Tick = RouteEvent<(typeof routes)["ticks"]>;
type Options = Partial<ListenerOptions<typeof routes, true>>;

const tick = (n: number, fill = ""): Tick => ({ event: "tick", data: { message: fill, done: n }, id: String(n) });
const end: Tick = { event: "end", data: { state: "completed" } };

let lines: string[];
let listener: Listener<typeof routes, true>;
let transport: HttpTransport | undefined;
let sockets: Socket[];
/** What the test's handler is; each test says. */
let events: (stream: StreamContext) => AsyncIterable<Tick>;
let calls: { name: string; lastEventId: string | undefined; signal: AbortSignal }[];

async function listen(options: Options = {}): Promise<void> {
  listener = new Listener({
    name: "user",
    host: "127.0.0.1",
    port: 0,
    routes,
    handlers: {
      ticks: ({ params }, _, stream) => {
        calls.push({ name: params.dag, lastEventId: stream.lastEventId, signal: stream.signal });
        return events(stream);
      },
    },
    authenticate: (token) => Promise.resolve(token === "right" ? true : undefined),
    log: createLog({ role: "test", level: "trace", write: (line) => lines.push(line) }),
    ...options,
  });
  await listener.start();
  const baseUrl = `http://127.0.0.1:${listener.port}`;
  transport = new HttpTransport({ baseUrl, token: () => Promise.resolve("right") });
}

function ticks(signal?: AbortSignal) {
  if (transport === undefined) throw new Error("not listening");
  return createClient(routes, transport.send, transport.stream).ticks({ params: { dag: "a" } }, { signal });
}

/** A reader of one's own: what it gets, and whether it reads at all. */
function raw(headers = ""): { socket: Socket; got: () => string; until: (text: string) => Promise<void> } {
  const socket = connect(listener.port, "127.0.0.1");
  sockets.push(socket);
  let got = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    got += chunk;
  });
  socket.on("error", () => undefined); // cut off in some tests; what was read is what counts
  socket.write(`GET /v1/ticks/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer right\r\n${headers}\r\n`);
  const until = async (text: string) => {
    while (!got.includes(text)) await once(socket, "data");
  };
  return { socket, got: () => got, until };
}

/** The problem that a stream was broken off with. */
function problemIn(text: string) {
  const data = /event: problem\ndata: (.*)\n\n/.exec(text)?.[1];
  return problemSchema.parse(JSON.parse(data ?? "null"));
}

async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: "Bearer right", ...(init.headers as Record<string, string>) };
  return fetch(`http://127.0.0.1:${listener.port}${path}`, { ...init, headers });
}

async function codeOf(answer: Response): Promise<string> {
  return problemSchema.parse(await answer.json()).code;
}

/** Gives one event, then waits until nobody reads. */
async function* oneAndWait({ signal }: StreamContext): AsyncGenerator<Tick> {
  yield tick(1);
  if (!signal.aborted) await once(signal, "abort");
}

const noneOpen = () => vi.waitFor(() => expect(listener.streamsOpen).toBe(0), { timeout: 5_000, interval: 5 });

beforeEach(() => {
  lines = [];
  calls = [];
  sockets = [];
  events = oneAndWait;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await transport?.stop();
  await listener.stop();
});

test("events come as they happen, in order, typed, up to the end", async () => {
  let go: () => void = () => undefined;
  const wait = new Promise<void>((resolve) => {
    go = resolve;
  });
  events = async function* () {
    yield tick(1);
    await wait;
    yield tick(2);
    yield end;
  };
  await listen();
  const stream = ticks();
  // The second one is not there before it happens, and the first does not wait for it.
  expect(await stream.next()).toEqual({ done: false, value: tick(1) });
  go();
  expect(await stream.next()).toEqual({ done: false, value: tick(2) });
  expect(await stream.next()).toMatchObject({ done: false, value: end });
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  expect(calls).toMatchObject([{ name: "a", lastEventId: undefined }]);
  await noneOpen();
});

test("a stream says what it is, and that nobody may keep it or hold it back", async () => {
  events = async function* () {
    yield end;
  };
  await listen();
  const answer = await call("/v1/ticks/a");
  expect(answer.status).toBe(200);
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
  });
  expect(await answer.text()).toBe('event: end\ndata: {"state":"completed"}\n\n');
});

test("what a call would be refused for refuses a stream, with its status and before the handler", async () => {
  await listen();
  const wrong = await call("/v1/ticks/a", { headers: { authorization: "Bearer wrong" } });
  expect([wrong.status, await codeOf(wrong)]).toEqual([401, "TR-1003"]);
  const misfit = await call("/v1/ticks/No-Name");
  expect([misfit.status, await codeOf(misfit)]).toEqual([400, "TR-1002"]);
  const foreign = await call("/v1/ticks/a", { headers: { origin: "https://evil.example" } });
  expect([foreign.status, await codeOf(foreign)]).toEqual([403, "TR-1004"]);
  const longId = await call("/v1/ticks/a", { headers: { "last-event-id": "x".repeat(201) } });
  expect([longId.status, await codeOf(longId)]).toEqual([400, "TR-1002"]);
  expect((await call("/v1/ticks/a", { method: "HEAD" })).status).toBe(404);
  expect(calls).toEqual([]);
  expect(listener.streamsOpen).toBe(0);
});

test("a handler that throws before its first event refuses the call; after it, the stream tells", async () => {
  let first = true;
  events = async function* () {
    if (first) throw new TraceError("TR-1006", { detail: "no such thing" });
    yield tick(1);
    throw new TraceError("TR-1009", { detail: "Postgres is away" });
  };
  await listen();
  const refused = await call("/v1/ticks/a");
  expect([refused.status, await codeOf(refused)]).toEqual([404, "TR-1006"]);
  first = false;
  const text = await (await call("/v1/ticks/a")).text();
  expect(text).toContain("id: 1\nevent: tick\n");
  expect(problemIn(text)).toMatchObject({ code: "TR-1009", detail: "Postgres is away", status: 503 });
});

test("a failure of ours in mid-stream is TR-1000, and its words go to the log alone", async () => {
  events = async function* () {
    yield tick(1);
    throw new Error("select secrets from pg_shadow");
  };
  await listen();
  const text = await (await call("/v1/ticks/a")).text();
  expect(problemIn(text).code).toBe("TR-1000");
  expect(text).not.toContain("secrets");
  expect(lines.join("")).toContain("select secrets");
});

/** Throws before it has anything to give. */
async function* failing(): AsyncGenerator<Tick> {
  if (calls.length > 0) throw new TraceError("TR-1009", { detail: "Postgres is away" });
  yield end;
}

test("a stream whose first event takes long is answered without it, and may still end with a reason", async () => {
  events = async function* () {
    await gate;
    yield* failing();
  };
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  await listen({ streams: { openMs: 10 } });
  const answer = await call("/v1/ticks/a");
  expect(answer.status).toBe(200);
  open();
  expect(problemIn(await answer.text()).code).toBe("TR-1009");
});

test("an event larger than a reader takes is not sent", async () => {
  events = async function* () {
    yield tick(1);
    yield tick(2, "x".repeat(1024 * 1024));
    yield end;
  };
  await listen();
  const text = await (await call("/v1/ticks/a")).text();
  expect(text.length).toBeLessThan(10_000);
  expect(problemIn(text).code).toBe("TR-1000");
});

test("the id of the last event reaches the handler", async () => {
  events = async function* () {
    yield end;
  };
  await listen();
  await (await call("/v1/ticks/a", { headers: { "last-event-id": "7.12" } })).text();
  expect(calls).toMatchObject([{ lastEventId: "7.12" }]);
});

test("a stream without news beats", async () => {
  await listen({ streams: { beatMs: 10 } });
  const { until } = raw();
  await until("event: tick");
  await until(": beat\n\n");
  await until(": beat\n\n");
});

test("a reader that goes is noticed at once, and the handler may clean up", async () => {
  let cleaned = 0;
  events = async function* (stream) {
    try {
      yield* oneAndWait(stream);
    } finally {
      cleaned += 1;
    }
  };
  await listen();
  const { socket, until } = raw();
  await until("event: tick");
  expect(listener.streamsOpen).toBe(1);
  socket.destroy();
  await noneOpen();
  expect(calls[0]?.signal.aborted).toBe(true);
  await vi.waitFor(() => expect(cleaned).toBe(1));
  // The typed client lets go the same way, when its reader has enough and when it is told to.
  for await (const _ of ticks()) break;
  await noneOpen();
  const abort = new AbortController();
  const stream = ticks(abort.signal);
  await stream.next();
  abort.abort(new Error("changed my mind"));
  await expect(stream.next()).rejects.toThrow("changed my mind");
  await noneOpen();
});

const fill = "x".repeat(64 * 1024);

/** As many events as are taken. */
async function* endless(given: { count: number }): AsyncGenerator<Tick> {
  for (;;) yield tick(given.count++, fill);
}

test("a reader that does not read holds up its own stream and no memory, and is cut off", async () => {
  const given = { count: 0 };
  events = () => endless(given);
  await listen({ streams: { stallMs: 50 } });
  const { socket } = raw();
  socket.pause();
  await vi.waitFor(() => expect(listener.streamsOpen).toBe(1));
  await noneOpen();
  // What two sockets hold, not what the handler could give.
  expect(given.count * fill.length).toBeLessThan(32 * 1024 * 1024);
  const before = given.count;
  const closed = once(socket, "close");
  socket.resume();
  await closed;
  expect(given.count).toBe(before);
});

test("a reader that stalled and reads again in time is told why its stream ended", async () => {
  events = () => endless({ count: 0 });
  await listen({ streams: { stallMs: 50 } });
  const { socket, got } = raw();
  socket.pause();
  await vi.waitFor(() => expect(calls[0]?.signal.aborted).toBe(true), { timeout: 5_000, interval: 5 });
  const closed = once(socket, "close");
  socket.resume();
  await closed;
  expect(problemIn(got())).toMatchObject({ code: "TR-1016", retryable: true });
});

test("a reader that is slow and reads all the same gets everything", async () => {
  events = async function* () {
    for (let n = 0; n < 100; n++) yield tick(n, fill);
    yield end;
  };
  await listen();
  const { socket, got } = raw();
  socket.pause();
  await vi.waitFor(() => expect(listener.streamsOpen).toBe(1));
  const closed = once(socket, "close");
  socket.resume();
  await closed;
  expect(got().match(/event: tick/g)).toHaveLength(100);
  expect(got()).toContain("event: end");
});

test("no more streams than the bound are open; a place that is left is free again", async () => {
  await listen({ streams: { openMax: 2 } });
  const first = raw();
  const second = raw();
  await Promise.all([first.until("event: tick"), second.until("event: tick")]);
  const refused = await call("/v1/ticks/a");
  expect([refused.status, refused.headers.get("retry-after"), await codeOf(refused)]).toEqual([503, "1", "TR-1008"]);
  first.socket.destroy();
  await vi.waitFor(() => expect(listener.streamsOpen).toBe(1));
  const third = raw();
  await third.until("event: tick");
});

test("a stream is closed when its time is over, so that its reader shows its token again", async () => {
  await listen({ streams: { lifeMs: 50 } });
  const { socket, got } = raw();
  await once(socket, "close");
  expect(problemIn(got())).toMatchObject({ code: "TR-1016", retryable: true });
});

test("stop ends streams at once, tells them why, and waits for no handler", async () => {
  let asked = 0;
  events = async function* () {
    yield tick(1);
    asked += 1;
    await new Promise(() => undefined); // heeds no signal
  };
  await listen();
  const reader = raw();
  const deaf = raw();
  await Promise.all([reader.until("event: tick"), deaf.until("event: tick")]);
  await vi.waitFor(() => expect(asked).toBe(2));
  deaf.socket.pause();
  const closed = once(reader.socket, "close");
  await listener.stop();
  await closed;
  expect(problemIn(reader.got())).toMatchObject({ code: "TR-1008", retryable: true });
  expect(listener.streamsOpen).toBe(0);
});

test("what a listener tells of a stream is how long its first event took, once", async () => {
  const seen: { route: string; status: number }[] = [];
  await listen({ onRequest: ({ route, status }) => seen.push({ route, status }) });
  const { socket, until } = raw();
  await until("event: tick");
  expect(seen).toEqual([{ route: "ticks", status: 200 }]);
  socket.destroy();
  await noneOpen();
  await call("/v1/ticks/No-Name");
  expect(seen).toEqual([
    { route: "ticks", status: 200 },
    { route: "ticks", status: 400 },
  ]);
});
