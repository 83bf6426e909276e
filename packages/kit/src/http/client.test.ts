import { createServer, type Server } from "node:http";
import { claimWaitMsMax, createClient, TraceError, userRoutes } from "@trace/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { callConnectionsMax, callTimeoutMs, connectMs, refusedTriesMax, retryAfterMsMax } from "../limits.ts";
import { HttpTransport } from "./client.ts";

let server: Server;
let seen: { method: string; url: string; token: string; body: string }[];
let answer: (n: number) => { status: number; body: string; headers?: Record<string, string> };
let pauses: number[];
let transport: HttpTransport;
let asked: boolean[];

const problem = (code: string, status: number, more = {}) =>
  JSON.stringify({ code, detail: "no", type: "urn:x", title: "t", status, retryable: false, ...more });

beforeEach(async () => {
  seen = [];
  asked = [];
  pauses = [];
  answer = () => ({ status: 200, body: '{"dags":[]}' });
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    seen.push({
      method: request.method ?? "",
      url: request.url ?? "",
      token: request.headers.authorization ?? "",
      body,
    });
    const { status, body: text, headers } = answer(seen.length);
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  transport = new HttpTransport({
    baseUrl: `http://127.0.0.1:${port}`,
    token: (again) => {
      asked.push(again);
      return Promise.resolve(again ? "new" : "old");
    },
    pause: (ms) => {
      pauses.push(ms);
      return Promise.resolve();
    },
    random: () => 0.5,
  });
});
afterEach(async () => {
  await transport.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const client = () => createClient(userRoutes, transport.send);

async function refusal(call: Promise<unknown>): Promise<TraceError & { errors?: TraceError[] }> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TraceError)) throw new Error("no refusal", { cause: error });
  return error;
}

test("a call carries method, path, token and body, and its answer is what the contract says", async () => {
  answer = () => ({ status: 200, body: '{"items":[{"created":false}],"more":1}' });
  const body = { items: [{ dag: "d", job: "j", payload: { a: "ü" } }] };
  expect(await client().createTasks({ body })).toEqual({ items: [{ created: false }] });
  expect(seen).toEqual([{ method: "POST", url: "/v1/tasks", token: "Bearer old", body: JSON.stringify(body) }]);
});

test("names in a path are escaped: they cannot become another path", async () => {
  answer = () => ({ status: 404, body: problem("TR-1006", 404) });
  await refusal(client().getDataset({ params: { name: "../../v1/system?x=1#" } }));
  expect(seen[0]?.url).toBe("/v1/datasets/..%2F..%2Fv1%2Fsystem%3Fx%3D1%23");
});

test("a refused token is read anew once, and the second refusal is told", async () => {
  answer = (n) => (n === 1 ? { status: 401, body: problem("TR-1003", 401) } : { status: 200, body: '{"dags":[]}' });
  expect(await client().listDags({})).toEqual({ dags: [] });
  expect(seen.map((request) => request.token)).toEqual(["Bearer old", "Bearer new"]);
  answer = () => ({ status: 401, body: problem("TR-1003", 401) });
  expect((await refusal(client().listDags({}))).code).toBe("TR-1003");
  expect(seen).toHaveLength(4);
});

test("a token of the caller's own is used as it is and never replaced", async () => {
  answer = () => ({ status: 401, body: problem("TR-1003", 401) });
  expect((await refusal(client().listDags({}, { token: "mine" }))).code).toBe("TR-1003");
  expect(seen.map((request) => request.token)).toEqual(["Bearer mine"]);
  expect(asked).toEqual([]);
});

test("a problem becomes the error it describes, with all errors beside it", async () => {
  answer = () => ({
    status: 400,
    body: problem("TR-2003", 400, {
      where: "x:1",
      fix: "do",
      errors: [
        { code: "TR-2003", detail: "a" },
        { code: "TR-2004", detail: "b" },
      ],
    }),
  });
  const error = await refusal(client().listDags({}));
  expect(error).toMatchObject({ code: "TR-2003", message: "no", where: "x:1", fix: "do" });
  expect(error.errors?.map((one) => one.code)).toEqual(["TR-2003", "TR-2004"]);
});

test.each([
  ["a page of a proxy", 502, "<html>bad gateway</html>"],
  ["an error of somebody else", 500, '{"error":"x"}'],
  ["a code nobody knows", 400, problem("TR-9999", 400)],
  ["a success without JSON", 200, "ok"],
  ["a success of another form", 200, '{"dags":3}'],
  ["half an answer", 200, '{"dags":['],
])("%s is TR-1010", async (_, status, body) => {
  answer = () => ({ status, body });
  expect((await refusal(client().listDags({}))).code).toBe("TR-1010");
});

test("a call that stays open is sent once and holds up no other, however many come meanwhile", async () => {
  const open = Promise.withResolvers<void>();
  const urls: string[] = [];
  const slow = createServer(async (request, response) => {
    urls.push(request.url ?? "");
    if (request.url === "/v1/dags") await open.promise;
    response.writeHead(200, { "content-type": "application/json" }).end('{"dags":[],"datasets":[]}');
  });
  await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
  const { port } = slow.address() as { port: number };
  const patient = new HttpTransport({ baseUrl: `http://127.0.0.1:${port}`, token: () => Promise.resolve("t") });
  const calls = createClient(userRoutes, patient.send);
  const waiting = calls.listDags({});
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(Array.from({ length: 4 * callConnectionsMax }, () => calls.listDatasets({})));
  }
  expect(urls.filter((url) => url === "/v1/dags")).toHaveLength(1);
  open.resolve();
  expect(await waiting).toEqual({ dags: [] });
  await patient.stop();
  slow.closeAllConnections();
  await new Promise((resolve) => slow.close(resolve));
});

test("a claim that waits is answered before its call is given up, with time to spare", () => {
  expect(claimWaitMsMax + connectMs).toBeLessThan(callTimeoutMs);
});

test("nobody there is TR-1007, without the query and the token in its words", async () => {
  const nobody = new HttpTransport({ baseUrl: "http://127.0.0.1:1", token: () => Promise.resolve("secret-token") });
  const error = await refusal(createClient(userRoutes, nobody.send).listTasks({ query: { cursor: "hidden" } }));
  expect(error).toMatchObject({ code: "TR-1007", where: "GET /v1/tasks" });
  expect(`${error.message} ${error.where} ${error.fix}`).not.toMatch(/hidden|secret-token/);
  await nobody.stop();
});

test("an answer that does not come in time, or a connection cut, is TR-1007; the caller's own abort is not", async () => {
  const silent = createServer((request) => {
    if (request.url === "/v1/dags") request.socket.destroy();
  });
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as { port: number };
  const impatient = new HttpTransport({
    baseUrl: `http://127.0.0.1:${port}`,
    token: () => Promise.resolve("t"),
    timeoutMs: 50,
  });
  const calls = createClient(userRoutes, impatient.send);
  expect((await refusal(calls.listDags({}))).code).toBe("TR-1007");
  expect((await refusal(calls.getSystem({}))).code).toBe("TR-1007");
  const abort = new AbortController();
  const aborted = calls.getSystem({}, { signal: abort.signal });
  abort.abort(new Error("changed my mind"));
  await expect(aborted).rejects.toThrow("changed my mind");
  await impatient.stop();
  silent.closeAllConnections();
  await new Promise((resolve) => silent.close(resolve));
});

const later = { "retry-after": "2" };
const tasks = { body: { items: [{ dag: "d", job: "j" }] } };
const created = { status: 200, body: '{"items":[{"created":true}]}' };

test.each([
  ["TR-1015", 429],
  ["TR-1008", 503],
])("%s says that nothing was done: any call is sent again, when the service asks for it", async (code, status) => {
  answer = (n) => (n < 3 ? { status, body: problem(code, status), headers: later } : created);
  expect(await client().createTasks(tasks)).toEqual({ items: [{ created: true }] });
  expect(seen.map(({ method, body }) => ({ method, body }))).toEqual(
    Array.from({ length: 3 }, () => ({ method: "POST", body: JSON.stringify(tasks.body) })),
  );
  // Never before the time it asked for, and not all callers at the same moment.
  expect(pauses).toEqual([2_500, 2_500]);
});

test("a service that refuses for long is told after the last try", async () => {
  answer = () => ({ status: 429, body: problem("TR-1015", 429), headers: later });
  expect((await refusal(client().createTasks(tasks))).code).toBe("TR-1015");
  expect(seen).toHaveLength(refusedTriesMax);
});

test("a refusal without a time is waited out a little longer each time, one for a day as long as a client waits", async () => {
  answer = () => ({ status: 429, body: problem("TR-1015", 429) });
  await refusal(client().listDags({}));
  expect(pauses).toEqual([500, 1_000, 2_000, 4_000]);
  pauses = [];
  answer = () => ({ status: 429, body: problem("TR-1015", 429), headers: { "retry-after": "86400" } });
  await refusal(client().listDags({}));
  expect(Math.max(...pauses)).toBe(1.25 * retryAfterMsMax);
});

test.each([
  ["TR-1009", 503],
  ["TR-1000", 500],
  ["TR-1003", 401],
])("%s may have come when something was done: it is the caller's to try again", async (code, status) => {
  answer = () => ({ status, body: problem(code, status), headers: later });
  expect((await refusal(client().createTasks(tasks, { token: "t" }))).code).toBe(code);
  expect(seen).toHaveLength(1);
  expect(pauses).toEqual([]);
});

test("whoever waits for a service to take a call may give up", async () => {
  const abort = new AbortController();
  answer = () => {
    abort.abort(new Error("changed my mind"));
    return { status: 429, body: problem("TR-1015", 429), headers: later };
  };
  await expect(client().listDags({}, { signal: abort.signal })).rejects.toThrow("changed my mind");
  expect(seen).toHaveLength(1);
});

test("the wait itself ends with the caller's patience, not with its time", async () => {
  const abort = new AbortController();
  const patient = new HttpTransport({
    baseUrl: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    token: () => Promise.resolve("t"),
    // Asked for the length of the wait, which begins right after.
    random: () => {
      setImmediate(() => abort.abort(new Error("changed my mind")));
      return 0;
    },
  });
  answer = () => ({ status: 429, body: problem("TR-1015", 429), headers: { "retry-after": "10" } });
  const call = createClient(userRoutes, patient.send).listDags({}, { signal: abort.signal });
  await expect(call).rejects.toThrow("changed my mind");
  await patient.stop();
});
