/** The recorder between a caller and dispatchers that answer, refuse, break off and hang. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../../system/harness/until.ts";
import { readLines } from "../history/file.ts";
import { Recorder } from "./recorder.ts";

type Fields = Record<string, unknown>;

let folder: string;
let recorder: Recorder;
const servers: Server[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-recorder-test-"));
  recorder = new Recorder({ path: join(folder, "history.jsonl"), seed: 1 });
  await recorder.start();
});

afterEach(async () => {
  await recorder.stop();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

type Serve = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A dispatcher that does what the test says; all its listeners are one. */
async function dispatcher(index: number, serve: Serve) {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => serve(request, response, Buffer.concat(chunks).toString()));
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return { index, ports: { user: port, worker: port, task: port }, server };
}

const says =
  (index: number): Serve =>
  (_, response) =>
    response.end(JSON.stringify({ by: index }));

function ask(path: string, body?: unknown, via: "user" | "worker" | "task" = "worker") {
  const headers = { authorization: "Bearer the-token", "content-type": "application/json" };
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return fetch(`${recorder.url(via)}${path}`, { headers, ...sent });
}

async function history(): Promise<Fields[]> {
  await recorder.stop();
  const lines: Fields[] = [];
  for await (const { value } of readLines(join(folder, "history.jsonl"))) lines.push(value as Fields);
  return lines.filter((line) => line.clock === undefined);
}

test("every call and every answer is written down, with its body, in the order of time", async () => {
  recorder.setTargets([
    await dispatcher(3, (_, response, body) => response.writeHead(409).end(JSON.stringify({ got: JSON.parse(body) }))),
  ]);
  const answer = await ask("/v1/claims?x=1", { session_id: "s\n" });
  expect([answer.status, await answer.json()]).toEqual([409, { got: { session_id: "s\n" } }]);
  const [call, answered] = await history();
  expect(call).toMatchObject({ call: 1, via: "worker", do: "POST /v1/claims", body: { session_id: "s\n" } });
  expect(answered).toMatchObject({ answer: 1, status: 409, by: 3, body: { got: { session_id: "s\n" } } });
  expect(Number(answered?.at)).toBeGreaterThan(Number(call?.at));
  expect(JSON.stringify(call)).not.toContain("the-token");
});

test("a call of the task API is written down with the lease that opened it", async () => {
  recorder.setTargets([
    await dispatcher(0, (request, response) => response.end(JSON.stringify(request.headers.authorization))),
  ]);
  expect(await (await ask("/v1/task", undefined, "task")).json()).toBe("Bearer the-token");
  expect((await history())[0]).toMatchObject({ via: "task", do: "GET /v1/task", as: "the-token" });
});

test("calls are spread over the dispatchers, and go past those that refuse connections", async () => {
  const gone = await dispatcher(0, says(0));
  gone.server.close();
  recorder.setTargets([gone, await dispatcher(1, says(1)), await dispatcher(2, says(2))]);
  const answers = await Promise.all(
    Array.from({ length: 30 }, async () => (await (await ask("/v1/claims", {})).json()) as Fields),
  );
  expect(new Set(answers.map(({ by }) => by))).toEqual(new Set([1, 2]));
});

test("a call that was taken and not answered is never sent again", async () => {
  let taken = 0;
  const breaks: Serve = (request) => {
    taken += 1;
    request.socket.destroy();
  };
  recorder.setTargets([await dispatcher(0, breaks), await dispatcher(1, breaks)]);
  await expect(ask("/v1/completions", { items: [] })).rejects.toThrow();
  expect(taken).toBe(1);
  expect((await history())[1]).toMatchObject({ silence: 1, carried: true });
});

test("when nobody takes calls, the caller is told so, and the history that nobody did", async () => {
  const answer = await ask("/v1/claims", {});
  expect([answer.status, ((await answer.json()) as Fields).code]).toEqual([503, "TR-1008"]);
  expect((await history())[1]).toMatchObject({ silence: 1, carried: false });
});

test("a lost answer is written down and kept from its caller", async () => {
  recorder.setTargets([await dispatcher(0, says(0))]);
  recorder.set({ loseAnswer: 1 });
  await expect(ask("/v1/claims", {})).rejects.toThrow();
  expect(recorder.counts().loseAnswer).toBe(1);
  expect((await history())[1]).toMatchObject({ answer: 1, status: 200, lost: true });
});

test("a delayed call is written down when it came, before a dispatcher sees it", async () => {
  recorder.setTargets([await dispatcher(0, says(0))]);
  recorder.set({ delay: 1, delayMsMax: 30 });
  await ask("/v1/claims", {});
  expect(recorder.counts().delay).toBe(1);
  expect((await history()).map((line) => line.call ?? line.answer)).toEqual([1, 1]);
});

test("a completion is repeated word for word, another call is not", async () => {
  const bodies: string[] = [];
  recorder.setTargets([
    await dispatcher(0, (_, response, body) => {
      bodies.push(body);
      response.end("{}");
    }),
  ]);
  recorder.set({ repeat: 1, repeatMsMax: 5 });
  await ask("/v1/completions", { items: [1] });
  await until("the repeat is made", () => recorder.counts().repeat === 1, 5_000);
  await ask("/v1/claims", { max: 1 });
  expect(bodies).toEqual(['{"items":[1]}', '{"items":[1]}', '{"max":1}']);
  const calls = (await history()).filter((line) => line.call !== undefined);
  expect(calls.map(({ call, of }) => [call, of])).toEqual([
    [1, undefined],
    [2, 1],
    [3, undefined],
  ]);
});

test("a completion that was answered is contradicted with the same token", async () => {
  recorder.setTargets([await dispatcher(0, says(0))]);
  recorder.set({ contradict: 1, repeatMsMax: 5 });
  await ask("/v1/completions", { items: [{ lease_token: "t", result: { kind: "success", outputs: [] } }] });
  await until("it is contradicted", () => recorder.counts().contradict === 1, 5_000);
  const [, , call] = await history();
  expect(call).toMatchObject({
    call: 2,
    of: 1,
    body: { items: [{ lease_token: "t", result: { kind: "snooze", delay_ms: 0 } }] },
  });
});

test("an answer that is no JSON is written down as a text", async () => {
  recorder.setTargets([await dispatcher(0, (_, response) => response.writeHead(502).end("<html>\n</html>"))]);
  expect(await (await ask("/v1/claims", {})).text()).toBe("<html>\n</html>");
  expect((await history())[1]).toMatchObject({ status: 502, body: "<html>\n</html>" });
});

test("a listener hears every answer that was written down", async () => {
  recorder.setTargets([await dispatcher(0, says(0))]);
  const heard: string[] = [];
  recorder.onAnswer(({ via, route, body, answer }) => heard.push(`${via} ${route} ${body} ${answer.body}`));
  await ask("/v1/tasks", { items: [] }, "user");
  expect(heard).toEqual(['user POST /v1/tasks {"items":[]} {"by":0}']);
});
