/** The reader's side of a stream, against a server that breaks off in every way there is. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  createClient,
  defineRoutes,
  progressSchema,
  type StreamOptions,
  TraceError,
  watchEndSchema,
} from "@trace/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { refusedTriesMax, streamRetriesMax } from "../limits.ts";
import { HttpTransport } from "./client.ts";
import { beatText, eventText } from "./sse.ts";

const routes = defineRoutes({
  ticks: {
    method: "GET",
    path: "/v1/ticks",
    auth: "user",
    summary: "x",
    events: { tick: progressSchema, end: watchEndSchema },
    errors: [],
  },
});
type Serve = (response: ServerResponse, request: IncomingMessage) => void;

let server: Server;
let transport: HttpTransport;
/** What each connection gets, one after the other; the last one for ever. */
let connections: Serve[];
let seen: { token: string | undefined; lastEventId: string | undefined }[];
let pauses: number[];

const tickText = (n: number) => eventText({ event: "tick", data: { message: "", done: n }, id: `id${n}` });
const endText = eventText({ event: "end", data: { state: "completed" }, id: "z" });
const problemBody = (code: string, status: number) => ({
  code,
  detail: `told ${code}`,
  type: "urn:x",
  title: "t",
  status,
  retryable: true,
});

function streaming(...texts: string[]): Serve {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.end(texts.join(""));
  };
}

/** Ends the connection, and not the answer: what a kill looks like. */
function cutAfter(...texts: string[]): Serve {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(texts.join(""), () => response.destroy());
  };
}

function refusing(code: string, status: number, headers: Record<string, string> = {}): Serve {
  return (response) => {
    response.writeHead(status, { "content-type": "application/problem+json", ...headers });
    response.end(JSON.stringify(problemBody(code, status)));
  };
}

beforeEach(async () => {
  connections = [];
  seen = [];
  pauses = [];
  server = createServer((request, response) => {
    const serve = connections[Math.min(seen.length, connections.length - 1)];
    const lastEventId = request.headers["last-event-id"];
    seen.push({ token: request.headers.authorization, lastEventId: lastEventId as string | undefined });
    serve?.(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  transport = new HttpTransport({
    baseUrl: `http://127.0.0.1:${port}`,
    token: (again) => Promise.resolve(again ? "new" : "old"),
    pause: (ms) => {
      pauses.push(ms);
      return Promise.resolve();
    },
    random: () => 0.5,
    streamSilenceMs: 200,
  });
});
afterEach(async () => {
  await transport.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const ticks = (options: StreamOptions = {}) =>
  createClient(routes, transport.send, transport.stream).ticks({}, options);

/** The numbers that came, and the error they ended with. */
async function read(options: StreamOptions = {}): Promise<{ got: (number | undefined | "end")[]; error: unknown }> {
  const got: (number | undefined | "end")[] = [];
  try {
    for await (const event of ticks(options)) got.push(event.event === "tick" ? event.data.done : "end");
    return { got, error: undefined };
  } catch (error) {
    return { got, error };
  }
}

test("a stream that was cut off goes on after the last event, and its reader is told", async () => {
  connections = [
    cutAfter(tickText(1), tickText(2)),
    cutAfter(tickText(3), "id: 4\nevent: ti"),
    streaming(tickText(4), endText),
  ];
  const troubles: (string | undefined)[] = [];
  const { got, error } = await read({ onTrouble: (trouble) => troubles.push(trouble?.code) });
  expect({ got, error }).toEqual({ got: [1, 2, 3, 4, "end"], error: undefined });
  expect(seen.map(({ lastEventId }) => lastEventId)).toEqual([undefined, "id2", "id3"]);
  expect(troubles).toEqual(["TR-1007", undefined, "TR-1007", undefined]);
  expect(pauses).toEqual([250, 250]);
});

test("an answer that ends without the end was cut off, however cleanly", async () => {
  connections = [streaming(tickText(1)), streaming(endText)];
  expect((await read()).got).toEqual([1, "end"]);
});

test("nothing is read after the end", async () => {
  connections = [streaming(endText, tickText(9))];
  expect((await read()).got).toEqual(["end"]);
  expect(seen).toHaveLength(1);
});

test("a stream in which nothing comes for long, not even a beat, is lost; a beat keeps it", async () => {
  const silent: Serve = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(tickText(1));
  };
  const beating: Serve = (response, request) => {
    silent(response, request);
    let beats = 0;
    const timer = setInterval(() => {
      beats += 1;
      response.write(beats < 10 ? beatText : endText);
      if (beats === 10) clearInterval(timer);
    }, 50);
  };
  connections = [silent, beating];
  expect(await read()).toEqual({ got: [1, 1, "end"], error: undefined });
  expect(seen).toHaveLength(2);
});

test("a reason that may pass is waited out, one that does not is told", async () => {
  const broken = (code: string) =>
    streaming(tickText(1), eventText({ event: "problem", data: problemBody(code, 503) }));
  connections = [broken("TR-1016"), streaming(endText)];
  expect(await read()).toEqual({ got: [1, "end"], error: undefined });
  connections = [broken("TR-1006")];
  seen = [];
  expect(await read()).toMatchObject({ got: [1], error: { code: "TR-1006", message: "told TR-1006" } });
  expect(seen).toHaveLength(1);
});

test("a service that stays away is given up, after waits that grow, with the reason", async () => {
  connections = [cutAfter(tickText(1)), (response) => response.destroy()];
  const { got, error } = await read();
  expect(got).toEqual([1]);
  expect(error).toMatchObject({ code: "TR-1007" });
  expect(pauses).toHaveLength(streamRetriesMax - 1);
  expect(pauses.slice(0, 4)).toEqual([250, 500, 1_000, 2_000]);
  expect(Math.max(...pauses)).toBe(5_000);
});

test("tries are counted anew after each event", async () => {
  connections = Array.from({ length: 3 * streamRetriesMax }, (_, n) => cutAfter(tickText(n)));
  connections.push(streaming(endText));
  expect((await read()).got).toHaveLength(3 * streamRetriesMax + 1);
});

test("a stream that never was is refused like a call", async () => {
  connections = [refusing("TR-1009", 503)];
  expect(await read()).toMatchObject({ got: [], error: { code: "TR-1009" } });
  expect(seen).toHaveLength(1);
  const nobody = new HttpTransport({ baseUrl: "http://127.0.0.1:1", token: () => Promise.resolve("t") });
  const stream = createClient(routes, nobody.send, nobody.stream).ticks({});
  await expect(stream.next()).rejects.toMatchObject({ code: "TR-1007", where: "GET /v1/ticks" });
  await nobody.stop();
});

test("a listener with too many streams is asked again when it says, and not for ever", async () => {
  const full = refusing("TR-1008", 503, { "retry-after": "2" });
  connections = [full, full, streaming(endText)];
  expect((await read()).got).toEqual(["end"]);
  expect(pauses).toEqual([2_500, 2_500]);
  connections = [full];
  seen = [];
  expect((await read()).error).toMatchObject({ code: "TR-1008" });
  expect(seen).toHaveLength(refusedTriesMax);
});

test("a refused token is read anew once", async () => {
  connections = [refusing("TR-1003", 401), streaming(endText)];
  expect((await read()).got).toEqual(["end"]);
  expect(seen.map(({ token }) => token)).toEqual(["Bearer old", "Bearer new"]);
});

test("an event of a later version is passed over; one that does not fit is TR-1010", async () => {
  connections = [streaming(eventText({ event: "hasOwnProperty", data: 1 }), tickText(1), endText)];
  expect((await read()).got).toEqual([1, "end"]);
  connections = [streaming('event: tick\ndata: {"message":"","done":"one"}\n\n', endText)];
  expect((await read()).error).toMatchObject({ code: "TR-1010" });
  connections = [streaming("event: tick\ndata: {\n\n", endText)];
  expect((await read()).error).toMatchObject({ code: "TR-1010" });
});

test("an answer that is no stream, and an event without end, are errors and not waits for more", async () => {
  connections = [(response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>")];
  expect((await read()).error).toMatchObject({ code: "TR-1010" });
  connections = [streaming(`data: ${"x".repeat(2 * 1024 * 1024)}`)];
  expect((await read()).error).toMatchObject({ code: "TR-1007" });
});

test("whoever waits for a stream to come back may give up", async () => {
  connections = [cutAfter(tickText(1))];
  const abort = new AbortController();
  const { got, error } = await read({
    signal: abort.signal,
    onTrouble: () => abort.abort(new Error("changed my mind")),
  });
  expect(got).toEqual([1]);
  expect((error as Error).message).toBe("changed my mind");
});

test("a client without a transport for streams says so", () => {
  const client = createClient(routes, () => Promise.resolve({}));
  return expect(client.ticks({}).next()).rejects.toThrow("without a transport for streams");
});

test("an error of another kind than ours is not taken for a loss", async () => {
  connections = [cutAfter(tickText(1))];
  const { error } = await read({
    onTrouble: () => {
      throw new TypeError("a defect of the reader");
    },
  });
  expect(error).toBeInstanceOf(TypeError);
  expect(error).not.toBeInstanceOf(TraceError);
});
