/** The words of a listener's refusals: each says what is wrong and what to do, and repeats nothing of the caller's. */
import { get } from "node:http";
import { type Problem, problemSchema, taskRoutes, userRoutes } from "@trace/contracts";
import { afterEach, expect, test } from "vitest";
import { silentLog } from "../log.ts";
import { Listener } from "./server.ts";

const token = "trace_right-token";
const unused = () => Promise.reject(new Error("no request of these tests reaches a handler"));
const handlersOf = (routes: object) => Object.fromEntries(Object.keys(routes).map((name) => [name, unused])) as never;

let stop: () => Promise<void> = () => Promise.resolve();
afterEach(() => stop());

async function started(name: string, routes: typeof userRoutes | typeof taskRoutes): Promise<number> {
  const authenticate = (given: string) => Promise.resolve(given === token ? true : undefined);
  const shared = { name, host: "127.0.0.1", port: 0, authenticate, log: silentLog() } as const;
  const listener = new Listener({ ...shared, routes, handlers: handlersOf(routes) });
  await listener.start();
  stop = () => listener.stop();
  return listener.port;
}

/** With node:http, which sends any path and host as they are given. */
function refusal(
  port: number,
  path: string,
  headers: Record<string, string>,
): Promise<{ type: string; problem: Problem }> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, path, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      answer.on("end", () => {
        const problem = problemSchema.parse(JSON.parse(text));
        expect(answer.statusCode).toBe(problem.status);
        resolve({ type: answer.headers["content-type"] ?? "", problem });
      });
    });
    request.on("error", reject);
  });
}

test.each([
  ["user", userRoutes, "/v1/tasks", "secrets/api-token"],
  ["worker", taskRoutes, "/v1/task", "secrets/worker-token"],
  ["task", taskRoutes, "/v1/task", "lease token"],
])("a token is missing or wrong: the %s listener says which it takes", async (name, routes, path, words) => {
  const port = await started(name, routes);
  for (const headers of [{}, { authorization: "Bearer trace_wrong" }] as Record<string, string>[]) {
    const { problem } = await refusal(port, path, headers);
    expect(problem.code).toBe("TR-1003");
    expect(problem.fix).toContain(words);
  }
});

test.each([
  ["is no percent-encoding", "/v1/tasks/%ff", "percent-encoded"],
  ["is cut-off percent-encoding", "/v1/datasets/%e2%82", "percent-encoded"],
  ["is longer than any name", `/v1/datasets/${"x".repeat(300)}`, "256 characters"],
])("a path whose part %s is a problem document, after the host was looked at", async (_, path, words) => {
  const port = await started("user", userRoutes);
  const { type, problem } = await refusal(port, path, {});
  expect(problem).toMatchObject({ code: "TR-1002", status: 400 });
  expect(type).toContain("application/problem+json");
  expect(problem.detail).toContain(words);
  expect(JSON.stringify(problem)).not.toMatch(/%ff|%e2|xxx|FST_/);
  for (const foreign of [{ host: "evil.example" }, { origin: "https://evil.example" }] as Record<string, string>[]) {
    expect((await refusal(port, path, foreign)).problem.code).toBe("TR-1004");
  }
});

test("a part that does not fit is named in a sentence", async () => {
  const port = await started("user", userRoutes);
  const detail = async (path: string) =>
    (await refusal(port, path, { authorization: `Bearer ${token}` })).problem.detail;
  expect(await detail("/v1/datasets/A")).toMatch(/^the parameters in the path of the request do not fit: name: /);
  expect(await detail("/v1/tasks?limit=-1")).toMatch(/^the query of the request does not fit: limit: /);
});
