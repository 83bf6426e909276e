/** Listeners under attack: whatever comes, the answer is a catalogued problem, and nothing is buffered that nobody asked for. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  problemSchema,
  requestBytesMax,
  TraceError,
  taskRoutes,
  userRoutes,
  type workerRoutes,
} from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createLog } from "../log.ts";
import { type Handlers, hostName, Listener } from "./server.ts";

const secret = "trace_right-token";
let lines: string[] = [];
let calls: unknown[] = [];
let behave: () => Promise<unknown> = () => Promise.resolve({});

const log = createLog({ role: "test", level: "trace", write: (line) => lines.push(line) });

/** Handlers that note what they got and do as the test says. */
function handlersOf<T extends Readonly<Record<string, unknown>>>(routes: T): never {
  const made = Object.keys(routes).map((name) => [
    name,
    async (call: unknown) => {
      calls.push(call);
      return behave();
    },
  ]);
  return Object.fromEntries(made) as never;
}

function listen<T extends typeof userRoutes | typeof workerRoutes | typeof taskRoutes>(
  name: string,
  routes: T,
  token: string,
) {
  return new Listener<T, true>({
    name,
    host: "127.0.0.1",
    port: 0,
    routes,
    handlers: handlersOf(routes) as Handlers<T, true>,
    authenticate: (given) => Promise.resolve(given === token ? true : undefined),
    allowedHosts: ["Trace.example"],
    log,
  });
}

const user = listen("user", userRoutes, secret);

beforeAll(() => user.start());
afterAll(() => user.stop());
beforeEach(() => {
  lines = [];
  calls = [];
  behave = () => Promise.resolve({});
});

interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

async function call(path: string, init: RequestInit & { token?: string } = {}): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${user.port}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${init.token ?? secret}`, ...(init.headers as Record<string, string>) },
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

function post(body: string, headers: Record<string, string> = {}): Promise<Answer> {
  return call("/v1/tasks", { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
}

/** The answer is a problem document of this code and tells nothing of the inside. */
function isProblem({ status, text }: { status: number; text: string }, code: string): void {
  const problem = problemSchema.parse(JSON.parse(text));
  expect(problem.code).toBe(code);
  expect(problem.status).toBe(status);
  expect(text).not.toMatch(/node_modules|\.ts:\d|at (async )?[A-Z]\w+\.|select |insert /);
  expect(text).not.toContain(secret);
}

/** A request byte by byte, for what fetch would never send. */
async function raw(text: string): Promise<{ status: number; text: string; head: string }> {
  const socket = connect(user.port, "127.0.0.1");
  let got = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    got += chunk;
  });
  socket.write(text);
  await once(socket, "close");
  const [head = "", ...body] = got.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), head: head.toLowerCase(), text: body.join("\r\n\r\n") };
}

describe("a token", () => {
  test("that is right opens the route, and the handler gets what the contract parsed", async () => {
    expect((await post(`{"items":[{"dag":"d","job":"j","more":1}]}`)).status).toBe(200);
    expect(calls).toEqual([
      { params: undefined, query: undefined, body: { items: [{ dag: "d", job: "j", priority: 0, payload: {} }] } },
    ]);
  });

  test.each([
    ["missing", {}],
    ["of another scheme", { authorization: `Basic ${secret}` }],
    ["empty", { authorization: "Bearer " }],
    ["wrong", { authorization: "Bearer trace_wrong" }],
    ["a prefix of the right one", { authorization: `Bearer ${secret.slice(0, -1)}` }],
    ["the right one twice", { authorization: `Bearer ${secret} ${secret}` }],
    ["longer than any", { authorization: `Bearer ${"x".repeat(5_000)}` }],
  ])("%s is refused before the handler", async (_, headers) => {
    const answer = await fetch(`http://127.0.0.1:${user.port}/v1/tasks`, {
      headers: headers as Record<string, string>,
    });
    isProblem({ status: answer.status, text: await answer.text() }, "TR-1003");
    expect(answer.status).toBe(401);
    expect(calls).toEqual([]);
  });

  test("is in no log line, whatever happens", async () => {
    behave = () => Promise.reject(new Error("broken"));
    await call("/v1/tasks");
    await call("/v1/tasks", { token: "trace_another-secret" });
    await post("{", { "x-more": secret });
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.join("")).not.toMatch(/right-token|another-secret/);
  });
});

describe("a page in a browser cannot reach a listener through a name that resolves to this machine", () => {
  const line = (headers: string) =>
    raw(`GET /v1/tasks HTTP/1.1\r\n${headers}authorization: Bearer ${secret}\r\nconnection: close\r\n\r\n`);

  test.each([
    ["host", "host: evil.example\r\n"],
    ["host with a port", "host: evil.example:80\r\n"],
    ["host that starts like ours", "host: localhost.evil.example\r\n"],
    ["host that ends like ours", "host: evil-localhost\r\n"],
    ["host of this machine's other address", "host: 0.0.0.0\r\n"],
    ["host that is none", "host: [:\r\n"],
    ["origin", "host: localhost\r\norigin: https://evil.example\r\n"],
    ["opaque origin", "host: localhost\r\norigin: null\r\n"],
    ["origin with our name as its user", "host: localhost\r\norigin: http://localhost@evil.example\r\n"],
  ])("foreign %s", async (_, headers) => {
    const answer = await line(headers);
    isProblem(answer, "TR-1004");
    expect(answer.status).toBe(403);
    expect(calls).toEqual([]);
  });

  test.each(["localhost", "127.0.0.1:7400", "[::1]:7400", "LOCALHOST", "trace.example", "localhost."])(
    "our own host %s is answered",
    async (host) => {
      expect((await line(`host: ${host}\r\norigin: http://${host}\r\n`)).status).toBe(200);
    },
  );

  test("a request without a host is no HTTP/1.1", async () => {
    expect((await line("")).status).toBe(400);
    expect(calls).toEqual([]);
  });

  test("a name that is none is undefined", () => {
    expect(hostName("")).toBeUndefined();
    expect(hostName("a b")).toBeUndefined();
  });
});

describe("a body of 5 GB", () => {
  /** Writes blocks until the other side has had enough; answers with how many bytes it took in, and what it said. */
  async function pour(
    head: string,
    block: Buffer,
    bytesMax: number,
  ): Promise<{ sent: number; got: string; closed: boolean }> {
    const socket: Socket = connect(user.port, "127.0.0.1");
    let got = "";
    let closed = false;
    socket.on("error", () => undefined); // the reset of a refused upload; the answer is what counts
    socket.once("close", () => {
      closed = true;
    });
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      got += chunk;
    });
    // Not once(): that rejects on the reset, before the close, and a loop over a settled promise lets no event through.
    const over = new Promise((done) => socket.once("close", done));
    socket.write(head);
    let sent = 0;
    while (sent < bytesMax && !socket.destroyed) {
      const room = socket.write(block, () => {
        sent += block.length;
      });
      if (!room) await Promise.race([once(socket, "drain"), over]).catch(() => undefined);
    }
    // A well-behaved client stops sending when it has an answer that says 'close'.
    socket.end();
    await over;
    return { sent, got, closed };
  }

  const block = Buffer.alloc(256 * 1024, "x");
  const head = (more: string, token = secret) =>
    `POST /v1/tasks HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${more}\r\n\r\n`;
  const gib5 = 5 * 1024 ** 3;

  test("announced by its length is refused at once: nothing of it is kept and the connection ends", async () => {
    const before = process.memoryUsage().rss;
    const { sent, got } = await pour(head(`content-length: ${gib5}`), block, gib5);
    isProblem({ status: 413, text: got.split("\r\n\r\n")[1] ?? "" }, "TR-1001");
    expect(got.toLowerCase()).toContain("connection: close");
    expect(sent).toBeLessThan(requestBytesMax);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 ** 2);
    expect(calls).toEqual([]);
  });

  test("in chunks is refused at 32 MiB", async () => {
    const chunk = Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from("\r\n")]);
    const { sent, got } = await pour(head("transfer-encoding: chunked"), chunk, gib5);
    isProblem({ status: 413, text: got.split("\r\n\r\n")[1] ?? "" }, "TR-1001");
    expect(sent).toBeLessThan(2.5 * requestBytesMax);
    expect(calls).toEqual([]);
  });

  test("of a stranger is refused for its token, and not read first", async () => {
    const { sent, got } = await pour(head(`content-length: ${gib5}`, "trace_wrong"), block, gib5);
    isProblem({ status: 401, text: got.split("\r\n\r\n")[1] ?? "" }, "TR-1003");
    expect(sent).toBeLessThan(requestBytesMax);
  });

  test("of exactly the bound is read, and of one byte more is not", async () => {
    const items = `{"items":[{"dag":"d","job":"j","payload":{"a":"`;
    const end = `"}}]}`;
    const body = (bytes: number) => items + "x".repeat(bytes - items.length - end.length) + end;
    expect((await post(body(requestBytesMax))).status).toBe(200);
    isProblem(await post(body(requestBytesMax + 1)), "TR-1001");
  });
});

describe("input that does not fit", () => {
  test.each([
    ["malformed JSON", "{"],
    ["no JSON at all", "\0\u0001\u0002"],
    ["an empty body", ""],
    ["null", "null"],
    ["an array", "[]"],
    ["a missing member", "{}"],
    ["wrong types", `{"items":{"0":{"dag":"d"}}}`],
    ["no items", `{"items":[]}`],
    ["a name that is none", `{"items":[{"dag":"d; drop table tasks","job":"j"}]}`],
    ["a payload that is a list", `{"items":[{"dag":"d","job":"j","payload":[]}]}`],
    ["a priority that is no number", `{"items":[{"dag":"d","job":"j","priority":"1"}]}`],
    ["a time that is none", `{"items":[{"dag":"d","job":"j","run_at":"yesterday"}]}`],
    ["an infinite number", `{"items":[{"dag":"d","job":"j","priority":1e999}]}`],
    ["__proto__ at the top", `{"__proto__":{"admin":true},"items":[{"dag":"d","job":"j"}]}`],
    ["__proto__ deep inside", `{"items":[{"dag":"d","job":"j","payload":{"a":{"__proto__":{"admin":true}}}}]}`],
    ["constructor.prototype", `{"items":[{"dag":"d","job":"j","payload":{"constructor":{"prototype":{"x":1}}}}]}`],
  ])("%s is TR-1002 and reaches no handler", async (_, body) => {
    isProblem(await post(body), "TR-1002");
    expect(calls).toEqual([]);
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });

  test("10,001 items are one too many", async () => {
    isProblem(
      await post(JSON.stringify({ items: Array.from({ length: 10_001 }, () => ({ dag: "d", job: "j" })) })),
      "TR-1002",
    );
  });

  test("another content type than JSON is refused", async () => {
    for (const type of ["text/plain", "application/xml", "multipart/form-data; boundary=x"]) {
      const answer = await post(`{"items":[{"dag":"d","job":"j"}]}`, { "content-type": type });
      isProblem(answer, "TR-1002");
      expect((JSON.parse(answer.text) as { detail: string }).detail).toContain("content type");
    }
    expect(calls).toEqual([]);
  });

  test("names and queries that try to be SQL or a path are refused as names", async () => {
    const attacks = [
      "'; drop table tasks; --",
      "a' or '1'='1",
      "../../etc/passwd",
      "%00",
      "a\0b",
      "A",
      "é",
      "a".repeat(129),
    ];
    for (const attack of attacks) {
      isProblem(await call(`/v1/datasets/${encodeURIComponent(attack)}`), "TR-1002");
      isProblem(await call(`/v1/tasks?dag=${encodeURIComponent(attack)}`), "TR-1002");
      isProblem(await call(`/v1/tasks/${encodeURIComponent(attack)}`), "TR-1002");
    }
    expect(calls).toEqual([]);
  });

  test("a name of 128 characters is a name", async () => {
    const name = "a".repeat(128);
    expect((await call(`/v1/datasets/${name}`)).status).toBe(200);
    expect(calls).toMatchObject([{ params: { name } }]);
  });

  test("a query of many members, or of one said twice, is refused or read, never a crash", async () => {
    const many = Array.from({ length: 800 }, (_, n) => `k${n}=v`).join("&");
    expect((await call(`/v1/tasks?${many}`)).status).toBe(200);
    isProblem(await call("/v1/tasks?limit=1&limit=2"), "TR-1002");
    isProblem(await call("/v1/tasks?limit=-1"), "TR-1002");
    isProblem(await call("/v1/tasks?limit=1e9"), "TR-1002");
    expect((await call("/v1/tasks?__proto__=1&constructor=2")).status).toBe(200);
  });

  test("an address that is too long, and what is no HTTP, get a problem document and the end of the connection", async () => {
    const long = await raw(`GET /v1/tasks?cursor=${"x".repeat(40_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    isProblem(long, "TR-1002");
    expect(long.text).toContain("16 KiB");
    isProblem(await raw("hello\r\n\r\n"), "TR-1002");
    isProblem(
      await raw(
        "POST /v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
      ),
      "TR-1002",
    );
    expect(calls).toEqual([]);
  });

  test("an unknown route or method is TR-1005, and the query is not repeated", async () => {
    const answer = await call("/v1/nothing?secret=1");
    isProblem(answer, "TR-1005");
    expect(answer.text).not.toContain("secret");
    isProblem(await call("/v1/tasks", { method: "DELETE" }), "TR-1005");
    isProblem(await call("/"), "TR-1005");
  });
});

describe("what a handler throws", () => {
  test("of the catalogue is answered with its status and all its words", async () => {
    behave = () =>
      Promise.reject(new TraceError("TR-3010", { detail: "no job", where: "there", why: "because", fix: "do" }));
    const answer = await call("/v1/tasks");
    isProblem(answer, "TR-3010");
    expect(JSON.parse(answer.text)).toMatchObject({
      status: 404,
      detail: "no job",
      where: "there",
      why: "because",
      fix: "do",
    });
  });

  test("with errors beside it carries them all", async () => {
    const errors = [1, 2, 3].map((n) => new TraceError("TR-2003", { detail: `fault ${n}` }));
    behave = () => Promise.reject(Object.assign(new TraceError("TR-2003", { detail: "fault 1" }), { errors }));
    expect((JSON.parse((await call("/v1/tasks")).text) as { errors: unknown[] }).errors).toHaveLength(3);
  });

  test("that is no error of ours is TR-1000, and its words go to the log alone", async () => {
    behave = () => Promise.reject(new Error('duplicate key in select * from "tasks" where token = 123'));
    const answer = await call("/v1/tasks");
    isProblem(answer, "TR-1000");
    expect(answer.text).not.toContain("duplicate");
    expect(lines.join("")).toContain("duplicate");
  });

  test("as unavailable says when to come back", async () => {
    behave = () => Promise.reject(new TraceError("TR-1009", { detail: "away" }));
    const answer = await call("/v1/tasks");
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("1");
  });
});

test("stop lets a call in flight end, takes no new one, and may be called twice", async () => {
  const listener = listen("task", taskRoutes, secret);
  await listener.start();
  let finish: (value: unknown) => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    behave = () => {
      resolve();
      return new Promise((done) => {
        finish = done;
      });
    };
  });
  const url = `http://127.0.0.1:${listener.port}/v1/task`;
  const inFlight = fetch(url, { headers: { authorization: `Bearer ${secret}` } });
  await begun;
  const stopped = listener.stop();
  finish({ done: true });
  expect(await (await inFlight).json()).toEqual({ done: true });
  await stopped;
  await listener.stop();
  await expect(fetch(url)).rejects.toThrow();
});
