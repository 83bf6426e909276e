/** Routes about datasets and keys on the listeners of a dispatcher: what they take, whom they answer, and how they refuse. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newToken, silentLog, tokenHash } from "@trace/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freshDatabase, type TestDatabase } from "../../../tests/setup/database.ts";
import { dispatcherConfig } from "./config.ts";
import { Dispatcher } from "./dispatcher.ts";
import { registryDag } from "./testing/registry.ts";

const userToken = newToken("trace");
const workerToken = newToken("tracew");
let folder: string;
let home: TestDatabase;
let dispatcher: Dispatcher;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-datasets-"));
  writeFileSync(join(folder, "hashes"), `${tokenHash(workerToken).toString("hex")}\n`);
  home = await freshDatabase();
  const config = dispatcherConfig({
    TRACE_STATE_DATABASE_URL: home.url,
    TRACE_WORKER_TOKEN_HASHES_FILE: join(folder, "hashes"),
    TRACE_OWNER_TOKEN_SHA256: tokenHash(userToken).toString("hex"),
    AWS_ACCESS_KEY_ID: "a",
    AWS_SECRET_ACCESS_KEY: "b",
    AWS_ENDPOINT_URL_S3: "http://127.0.0.1:1",
    AWS_ENDPOINT_URL_SQS: "http://127.0.0.1:1",
  });
  dispatcher = new Dispatcher(config, silentLog());
  await dispatcher.start();
  await call("user", "POST", "/v1/dags", { file_name: "reg.yaml", source: registryDag });
});
afterAll(async () => {
  await dispatcher.stop();
  await home.drop();
  rmSync(folder, { recursive: true });
});

async function call(port: "user" | "worker" | "task", method: string, path: string, body?: unknown, token?: string) {
  const answer = await fetch(`http://127.0.0.1:${dispatcher.ports[port]}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token ?? (port === "user" ? userToken : workerToken)}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

test("a dataset without commits is listed, read and looked at as such", async () => {
  expect((await call("user", "GET", "/v1/datasets/plain/commits")).json).toEqual({ commits: [], next: null });
  for (const body of [{ names: ["plain"] }, { datasets: [{ dataset: "plain" }] }]) {
    const answer = await call("user", "POST", "/v1/datasets/resolve", body);
    expect(answer.json).toMatchObject({ datasets: [{ dataset: "plain", commit: 0, files: [] }] });
  }
  expect((await call("user", "GET", "/v1/datasets/parts/partitions")).json).toMatchObject({
    missing: ["p1", "p2", "p3"],
  });
  expect((await call("user", "GET", "/v1/pins")).json).toEqual({ pins: [] });
});

test.each([
  ["POST", "/v1/datasets/resolve", {}, "TR-1002"],
  ["POST", "/v1/datasets/resolve", { names: ["plain"], datasets: [{ dataset: "plain" }] }, "TR-1002"],
  [
    "POST",
    "/v1/datasets/resolve",
    { datasets: [{ dataset: "plain", version: 1, timestamp: "2026-01-01T00:00:00Z" }] },
    "TR-1002",
  ],
  ["POST", "/v1/datasets/resolve", { datasets: [{ dataset: "plain", timestamp: "yesterday" }] }, "TR-1002"],
  ["POST", "/v1/datasets/resolve", { datasets: [{ dataset: "plain", version: 1 }] }, "TR-4020"],
  ["POST", "/v1/datasets/plain/revert", { to: 1 }, "TR-1002"],
  ["POST", "/v1/datasets/plain/revert", { to: 1, expected_head: 1 }, "TR-4023"],
  ["POST", "/v1/datasets/plain/purge", { before: 2 }, "TR-4024"],
  ["GET", "/v1/datasets/plain/lineage", undefined, "TR-4012"],
  ["GET", "/v1/datasets/nowhere/diff", undefined, "TR-1006"],
  ["POST", "/v1/pins", { dataset: "plain" }, "TR-4012"],
  ["DELETE", "/v1/pins/0198c7a2-0000-7000-8000-000000000000", undefined, "TR-1006"],
])("%s %s with %j is refused with %s", async (method, path, body, code) => {
  expect((await call("user", method, path, body)).json).toMatchObject({ code });
});

test("keys are asked for by a lease's token alone, and where none are made the attempt is told so", async () => {
  await call("user", "POST", "/v1/tasks", { items: [{ dag: "reg", job: "plain" }] });
  const { session_id } = (await call("worker", "POST", "/v1/sessions", { worker: "w", host: "h", pid: 1 })).json;
  const claim = await call("worker", "POST", "/v1/claims", { session_id, queue: "default", max: 1 });
  const [task] = claim.json.tasks as { lease_token: string }[];
  const path = "/v1/task/credentials";
  expect((await call("task", "POST", path, {}, task?.lease_token)).json).toMatchObject({ code: "TR-4029" });
  for (const token of [userToken, workerToken]) expect((await call("task", "POST", path, {}, token)).status).toBe(401);
  await call("worker", "DELETE", `/v1/sessions/${String(session_id)}`);
  expect((await call("task", "POST", path, {}, task?.lease_token)).json).toMatchObject({ code: "TR-3001" });
});
